"""Sets of images that lie in a folder: found by their dataset.json, read like any other."""

import json

import pytest

from companion.data.discover import discovered
from tte.errors import InputError


def lay(folder, **index):
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps(index))


def test_sets_are_found_in_order_with_what_they_state(tmp_path):
    place = tmp_path / "microscopy" / "nuclei"
    lay(place / "b", labels="semantic", licence="CC0")
    lay(place / "a")
    (place / "c").mkdir()
    found = discovered("microscopy/nuclei", tmp_path)
    assert list(found) == ["nuclei/a", "nuclei/b"]
    assert found["nuclei/a"].kind == "instance" and found["nuclei/b"].kind == "semantic"
    assert found["nuclei/b"].licence == "CC0" and found["nuclei/b"].folder == "microscopy/nuclei/b"
    assert discovered("microscopy/nuclei", tmp_path / "nowhere") == {}


def test_a_set_that_cannot_be_read_is_said(tmp_path):
    lay(tmp_path / "nuclei" / "a", labels="classes")
    with pytest.raises(InputError, match="labels: expected one of instance, semantic, got 'classes'"):
        discovered("nuclei", tmp_path)
