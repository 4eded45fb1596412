"""Performance against reference labels: Dice, pixel F1, and mean average precision of instances.

Reads a prediction and its reference; returns numbers. Performance never enters an estimator.
"""

import numpy as np

from tte._arrays import IGNORE, aligned, label_image, mask_array, same_shape
from tte.errors import InputError, UndefinedScore
from tte.segmentation.contingency import union_counts

__all__ = ["IOU_THRESHOLDS", "average_precision", "dice", "f1", "mean_average_precision", "mean_dice"]

IOU_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def dice(prediction, label, classes):
    """Dice overlap of each class, 2·|A ∩ B| / (|A| + |B|).

    Parameters
    ----------
    prediction, label : array of int, any one shape
        Predicted and reference class ids; voxels that are −1 in the reference take no part.
    classes : sequence of int
        The class ids to compare, usually without the background 0.

    Returns
    -------
    dict of int to float or None
        Dice per class, in [0, 1]; None for a class that occurs in neither array, which has no Dice.

    Raises
    ------
    InputError
        The shapes differ, the arrays are not integers, or `classes` is empty or holds a negative or repeated id.

    Examples
    --------
    >>> import numpy as np
    >>> dice(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), classes=(1, 2, 3))
    {1: 0.6666666666666666, 2: 0.6666666666666666, 3: None}
    """
    prediction, label = aligned(prediction, label, "prediction", "label")
    prediction, label = label_image(prediction, "prediction"), label_image(label, "label")
    same_shape(prediction, label, "prediction", "label")
    classes = [int(c) for c in classes]
    if not classes or min(classes) < 0 or len(set(classes)) < len(classes):
        raise InputError(f"classes: expected distinct class ids of at least 0, got {classes}")
    counted = label != IGNORE
    result = {}
    for c in classes:
        in_prediction, in_label = (prediction == c) & counted, label == c
        size = np.count_nonzero(in_prediction) + np.count_nonzero(in_label)
        result[c] = float(2 * np.count_nonzero(in_prediction & in_label) / size) if size else None
    return result


def mean_dice(prediction, label, classes):
    """Mean over the classes of `dice`, leaving out classes that occur in neither array.

    Parameters
    ----------
    prediction, label, classes
        As for `dice`.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InputError
        As for `dice`.
    UndefinedScore
        None of the classes occurs.

    Examples
    --------
    >>> import numpy as np
    >>> round(mean_dice(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), classes=(1, 2, 3)), 4)
    0.6667
    """
    defined = [value for value in dice(prediction, label, classes).values() if value is not None]
    if not defined:
        raise UndefinedScore(f"mean_dice: none of the classes {list(classes)} occurs in the prediction or the label")
    return float(np.mean(defined))


def f1(mask, label_mask):
    """Pixel F1 of a predicted foreground: the Dice overlap of two masks.

    Parameters
    ----------
    mask, label_mask : array of bool or of 0 and 1, any one shape
        Predicted and reference foreground.

    Returns
    -------
    float
        2·TP / (2·TP + FP + FN), in [0, 1]; 0 when exactly one of the masks is empty.

    Raises
    ------
    InputError
        The shapes differ, or an array holds something else than a mask.
    UndefinedScore
        Both masks are empty. The released code of Talks & Kreshuk 2025 gives 0 whenever the reference is empty.

    Examples
    --------
    >>> import numpy as np
    >>> f1(np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0]))
    0.5
    """
    mask, label_mask = aligned(mask, label_mask, "mask", "label_mask")
    mask, label_mask = mask_array(mask, "mask"), mask_array(label_mask, "label_mask")
    same_shape(mask, label_mask, "mask", "label_mask")
    size = np.count_nonzero(mask) + np.count_nonzero(label_mask)
    if size == 0:
        raise UndefinedScore(f"f1: the prediction and the reference of shape {mask.shape} are both empty")
    return float(2 * np.count_nonzero(mask & label_mask) / size)


def average_precision(labels, true_labels, threshold=0.5):
    """Share of matched objects, TP / (TP + FP + FN), at one threshold of the intersection over union.

    Parameters
    ----------
    labels, true_labels : array of int, any one shape
        Predicted and reference instances; 0 is background, pixels that are −1 in either take no part.
    threshold : float in [0.5, 1)
        Two objects match when their intersection over union is greater than this; at 0.5 or more no object can
        match two.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InputError
        The shapes differ, labels are not integers, or the threshold is out of range.
    UndefinedScore
        Neither array has an object.

    References
    ----------
    Caicedo et al. 2019 (10.1038/s41592-019-0612-7).

    Examples
    --------
    >>> import numpy as np
    >>> average_precision(np.array([1, 1, 1, 2, 0]), np.array([4, 4, 4, 0, 9]))
    0.3333333333333333
    """
    return mean_average_precision(labels, true_labels, (threshold,))


def mean_average_precision(labels, true_labels, thresholds=IOU_THRESHOLDS):
    """Mean of `average_precision` over thresholds of the intersection over union, 0.5 to 0.95 by default.

    Parameters
    ----------
    labels, true_labels : array of int, any one shape
        Predicted and reference instances; 0 is background, pixels that are −1 in either take no part.
    thresholds : sequence of float in [0.5, 1)
        Two objects match when their intersection over union is greater than the threshold.

    Returns
    -------
    float
        In [0, 1]; 0 when exactly one of the arrays has objects.

    Raises
    ------
    InputError
        The shapes differ, labels are not integers, or a threshold is out of range.
    UndefinedScore
        Neither array has an object.

    References
    ----------
    Caicedo et al. 2019 (10.1038/s41592-019-0612-7): TP / (TP + FP + FN) per threshold, averaged.

    Examples
    --------
    >>> import numpy as np
    >>> mean_average_precision(np.array([1, 1, 1, 1, 0]), np.array([3, 3, 3, 0, 0]))
    0.5
    """
    labels, true_labels = aligned(labels, true_labels, "labels", "true_labels")
    labels, true_labels = label_image(labels, "labels"), label_image(true_labels, "true_labels")
    same_shape(labels, true_labels, "labels", "true_labels")
    thresholds = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if thresholds.size == 0 or not ((thresholds >= 0.5) & (thresholds < 1.0)).all():
        raise InputError(f"thresholds: expected values in [0.5, 1), got {thresholds.tolist()}")
    iou, n_objects, n_true = _overlaps(labels, true_labels)
    if n_objects + n_true == 0:
        raise UndefinedScore(f"mean_average_precision: neither array of shape {labels.shape} has an object")
    matched = (iou[:, None] > thresholds).sum(axis=0)  # (thresholds,)
    return float((matched / (n_objects + n_true - matched)).mean())


def _overlaps(labels, true_labels):
    """Return the intersection over union of every overlapping pair, and the number of objects on each side."""
    i, j, counts = union_counts(labels, true_labels)
    sizes, true_sizes = np.bincount(i, counts), np.bincount(j, counts)
    pair = (i > 0) & (j > 0)
    i, j, both = i[pair], j[pair], counts[pair]
    return both / (sizes[i] + true_sizes[j] - both), int((sizes[1:] > 0).sum()), int((true_sizes[1:] > 0).sum())
