"""What is wrong with a model's outputs although a score can be computed: too much, too little or always the same.

Reads the probabilities of one image after another; returns sentences that say what to do. A consistency cannot tell
such a model from a good one: what never changes is perfectly consistent.
"""

import zlib

import numpy as np

__all__ = ["SuspectOutput", "Watch", "noted"]

_ALL = 0.99  # share of foreground from which a model is said to call everything foreground
_CONSTANT = 1e-6  # range of the probabilities of an image below which they are one value
_ROUNDING = 1e-3
_SIGMOID_OF_UNIT = 0.5, 1 / (1 + np.exp(-1))  # what a sigmoid makes of numbers in [0, 1]


class SuspectOutput(UserWarning):
    """A model's outputs give a score that means nothing; the message says what they look like and what to do."""


class Watch:
    """Looks at the outputs on all images and says what they have in common.

    Parameters
    ----------
    threshold : float in [0, 1)
        Foreground is where its probability is greater.

    Examples
    --------
    >>> from tte.segmentation.prediction import Prediction
    >>> watch = Watch()
    >>> for image in (np.zeros((1, 4, 4)), np.eye(4)[None]):
    ...     inside = 1 / (1 + np.exp(-image))  # a sigmoid in the network ...
    ...     watch.see(Prediction(1 / (1 + np.exp(-inside))))  # ... and another one after it
    >>> [sentence.split(":")[0] for sentence in watch.suspicions()]
    ['squashed twice', 'all foreground']
    """

    def __init__(self, threshold=0.5):
        self._threshold = threshold
        self._n, self._share, self._spread = 0, 0.0, 0.0
        self._twice = self._unchanged = self._alike = True
        self._digest = None

    def see(self, clean, perturbed=()):
        """Take note of one image: the `Prediction` of the clean run, and those of the perturbed ones."""
        others = [one.probabilities for one in perturbed]
        self.add(noted(clean.probabilities, clean.foreground, clean.activation, self._threshold, others))

    def add(self, seen):
        """Take in what `noted` returned of one image."""
        twice, share, spread, digest, unchanged = seen
        self._n, self._share, self._spread = self._n + 1, self._share + share, max(self._spread, spread)
        self._twice, self._unchanged = self._twice and twice, self._unchanged and unchanged
        self._digest = digest if self._digest is None else self._digest
        self._alike = self._alike and digest == self._digest

    def suspicions(self):
        """Return one sentence for each thing that holds on every image; empty for a model that looks healthy.

        Examples
        --------
        >>> watch = Watch()
        >>> watch.add(noted(np.ones((1, 2, 2)), np.ones((2, 2))))
        >>> [text.partition(":")[0] for text in watch.suspicions()]
        ['all foreground', 'constant']
        """
        if not self._n:
            return ()
        share, found = self._share / self._n, []
        if self._twice:
            found.append(
                "squashed twice: all outputs lie where a second sigmoid or softmax puts those of a first one, "
                "so the network seems to end in one already; give activation=None"
            )
        if share > _ALL:
            found.append(
                f"all foreground: the model calls {share:.1%} of the pixels foreground; look at its "
                "predictions, and check the activation, the channel, the threshold and how the images are scaled"
            )
        if self._spread < _CONSTANT:
            found.append(
                "constant: the foreground probability is one value all over every image; check the weights and how "
                "the images are scaled"
            )
        elif self._n > 1 and self._alike:
            found.append("the same everywhere: the output is the same for every image; check that the images differ")
        if self._unchanged:
            found.append(
                "unchanged: no perturbation changes the output of any image, so the consistency says nothing; check "
                "the layer or the strength"
            )
        return tuple(found)


def noted(probabilities, foreground, activation=None, threshold=0.5, perturbed=()):
    """What there is to note of one image: numbers and texts, so that they can be kept.

    Parameters
    ----------
    probabilities : ndarray, shape (K, H, W[, Z])
    foreground : ndarray, shape (H, W[, Z])
    activation : "sigmoid", "softmax" or None
    threshold : float
        Foreground is where its probability is greater.
    perturbed : sequence of ndarray like `probabilities`

    Returns
    -------
    list
        Whether they look squashed twice, the share of foreground, the range of its probability, a digest, and whether
        no perturbation changed them. For `Watch.add`.
    """
    p = np.ascontiguousarray(probabilities)
    return [
        _squashed_twice(p, activation),
        float((foreground > threshold).mean()),
        float(np.max(foreground)) - float(np.min(foreground)),
        f"{p.shape} {zlib.crc32(p)}",
        bool(len(perturbed)) and all(np.array_equal(p, other) for other in perturbed),
    ]


def _squashed_twice(p, activation):
    if activation == "sigmoid":
        low, high = _SIGMOID_OF_UNIT
        return bool(p.min() >= low - _ROUNDING and p.max() <= high + _ROUNDING)
    if activation == "softmax" and len(p) > 1:  # numbers in [0, 1] differ by at most a factor e afterwards
        return bool((p.max(axis=0) <= np.e * (1 + _ROUNDING) * p.min(axis=0)).all())
    return False
