"""What a zero-shot study sees of a dataset: spaced evenly, cut without overlap, unknown outside the annotation."""

import numpy as np
import pytest

from companion.data.patches import evenly, patches, within_annotation
from companion.data.prepared import Prepared
from tte.errors import InputError
from tte.images import Case


def prepared(*shapes):
    """Images whose pixels count on, so that a patch tells where it came from."""
    images = tuple(np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape) for shape in shapes)
    labels = tuple(image[0].astype(np.int32) for image in images)
    cases = tuple(Case(f"im{i}", f"{i}.png", f"{i}-mask.png") for i in range(len(shapes)))
    return Prepared(cases, images, labels, images, "identity")


@pytest.mark.parametrize("limit, expected", [(None, 7), (9, 7), (7, 7), (3, 3), (1, 1)])
def test_evenly_spaced_items_are_in_order_and_as_many_as_asked(limit, expected):
    found = evenly(range(7), limit)
    assert len(found) == expected and list(found) == sorted(set(found)) and found[0] == 0


def test_two_of_many_are_the_ends():
    assert evenly(range(100), 2) == (0, 99)


def test_patches_are_where_their_ids_say_and_do_not_overlap():
    whole = prepared((10, 13))
    cut = patches(whole, (4, 6))
    assert [case.id for case in cut.cases] == ["im0@0,0", "im0@0,7", "im0@6,0", "im0@6,7"]
    seen = np.concatenate([label.ravel() for label in cut.labels])
    assert len(np.unique(seen)) == len(seen) == 4 * 24  # no pixel twice
    for case, image, label in zip(cut.cases, cut.images, cut.labels, strict=True):
        row, column = map(int, case.id.split("@")[1].split(","))
        np.testing.assert_array_equal(image, whole.images[0][:, row : row + 4, column : column + 6])
        np.testing.assert_array_equal(label, whole.labels[0][row : row + 4, column : column + 6])
    assert cut.fingerprint == whole.fingerprint


def test_an_image_smaller_than_a_patch_stays_whole_along_that_axis():
    cut = patches(prepared((3, 9)), (4, 4))
    assert [image.shape for image in cut.images] == [(1, 3, 4), (1, 3, 4)]


def test_few_patches_are_spread_over_all_images():
    cut = patches(prepared((8, 8), (8, 8), (8, 8)), (4, 4), limit=4)
    assert [case.id for case in cut.cases] == ["im0@0,0", "im1@0,0", "im1@4,4", "im2@4,4"]


def test_patches_of_another_number_of_axes_are_refused():
    with pytest.raises(InputError, match=r"patches of \(4, 4\) do not fit images of shape \(8, 8, 8\)"):
        patches(prepared((8, 8, 8)), (4, 4))


def test_corners_outside_the_ellipse_are_unknown_and_the_rest_stays():
    whole = prepared((21, 41))
    label = within_annotation(whole, "ellipse").labels[0]
    unknown = label == -1
    assert unknown[0, 0] and unknown[-1, -1] and unknown[0, -1] and unknown[-1, 0]
    assert not unknown[10].any() and not unknown[:, 20].any()  # both axes of the ellipse
    np.testing.assert_array_equal(label[~unknown], whole.labels[0][~unknown])
    assert unknown.mean() == pytest.approx(1 - np.pi / 4, abs=0.01)  # the area outside an inscribed ellipse
    np.testing.assert_array_equal(unknown, unknown[::-1, ::-1])


def test_everywhere_leaves_labels_as_they_are():
    whole = prepared((5, 5))
    assert within_annotation(whole, "everywhere") is whole
