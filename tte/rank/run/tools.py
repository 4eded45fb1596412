"""The mask folders of tools: one mask per image by name, clean and perhaps of the perturbed image.

Reads mask files; returns label maps, or the reason why there is none.
"""

from pathlib import Path

import numpy as np
from skimage.measure import label as connected_components

from tte.errors import ConfigError, TTEError
from tte.images import open_folder
from tte.rank.result import LeftOut
from tte.rank.run.output import digest_of, file_digest

__all__ = ["Tool", "objects_of", "open_tools"]


def objects_of(labels):
    """Instances of a label map; where it has only 0 and 1, the connected parts of it.

    Examples
    --------
    >>> objects_of(np.array([[1, 0, 1]])).tolist(), objects_of(np.array([[1, 0, 2]])).tolist()
    ([[1, 0, 2]], [[1, 0, 2]])
    """
    if labels.max(initial=0) > 1:
        return labels
    parts = connected_components(labels == 1, connectivity=1).astype(np.int32)
    return np.where(labels < 0, labels, parts)


class Tool:
    """The masks that one tool wrote.

    Parameters
    ----------
    clean, perturbed : path, and path or None
    images : path
        The folder of the images that the masks are named after.
    options
        As for `tte.images.open_folder`.
    """

    def __init__(self, clean, perturbed, images, **options):
        self.clean = _opened(images, clean, options)
        self.perturbed = None if perturbed is None else _opened(images, perturbed, options)

    def names(self):
        """Names of the images that have a mask."""
        return set(self.clean[1])

    def key(self, name):
        """What names the tool's masks of one image."""
        sides = (self.clean, self.perturbed or (None, {}))
        return [file_digest(cases[name].label) if name in cases else "" for _, cases in sides]

    def digest(self):
        """What names all of the tool's masks."""
        return digest_of([(name, self.key(name)) for name in sorted(self.clean[1])])

    def read(self, name, shape, perturbed=False):
        """Return (label map of the shape, ""), or (None, the reason)."""
        opened = self.perturbed if perturbed else self.clean
        if opened is None:
            return None, "there are no masks of perturbed images"
        dataset, cases = opened
        if name not in cases:
            return None, "there is no mask of this name"
        try:
            labels = dataset.read_label(cases[name])
        except (TTEError, OSError) as error:
            return None, str(error)
        if labels.shape != tuple(shape):
            return None, f"the mask has the size {labels.shape}, the image {tuple(shape)}"
        return labels, ""


def _opened(images, folder, options):
    dataset = open_folder(images, Path(folder).expanduser(), **options)
    return dataset, {case.id: case for case in dataset.cases()}


def open_tools(masks, images, names, **options):
    """Open the mask folders of all tools.

    Parameters
    ----------
    masks : dict of str to path or (path, path)
    images : path
    names : sequence of str
        Of the images.
    options
        As for `tte.images.open_folder`.

    Returns
    -------
    tools : dict of str to Tool
    left_out : list of LeftOut
        Tools whose folder is not there, or holds no mask named like an image.

    Raises
    ------
    ConfigError
        No tool is left.
    """
    tools, left_out = {}, []
    for name, given in masks.items():
        clean, perturbed = given if isinstance(given, (tuple, list)) else (given, None)
        try:
            tool = Tool(clean, perturbed, images, **options)
            if not tool.names() & set(names):
                raise ConfigError(f"{clean}: no mask is named like an image")
        except (TTEError, OSError) as error:
            left_out.append(LeftOut("model", name, str(error)))
            continue
        tools[name] = tool
    if not tools:
        raise ConfigError(f"no tool could be ranked: {left_out[0].name}: {left_out[0].reason}")
    return tools, left_out
