"""Images and tools that the tests of rankings share."""

import numpy as np
import pytest
from scipy import ndimage
from tool_masks import MISSED, discs, found_by, write


@pytest.fixture
def tools(tmp_path):
    """A folder with `images`, `labels`, and masks of four tools, clean and of perturbed images."""
    rng = np.random.default_rng(0)
    for i in range(6):
        labels, name = discs(rng), f"zell {i} ü.png"
        bright = ndimage.gaussian_filter((labels > 0) * 150.0, 1.0) + 40 + rng.normal(0, 5, labels.shape)
        write(tmp_path / "images" / name, bright.clip(0, 255).astype(np.uint8))
        write(tmp_path / "labels" / name, labels)
        for tool, missed in MISSED.items():
            for folder, more in ((tool, 0.0), (f"{tool}-perturbed", 0.1)):
                write(tmp_path / folder / name, found_by(rng, labels, missed + more))
    return tmp_path
