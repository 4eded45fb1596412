"""One prediction in every form that an estimator takes: foreground probability, mask and instances.

Takes the probabilities of one run on one image; each form is computed when it is first asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tte._arrays import probability_array, unit_threshold
from tte.errors import InputError
from tte.segmentation.instances import instances

__all__ = ["Prediction"]


@dataclass(frozen=True)
class Prediction:
    """The probabilities of one run on one image, and what follows from them.

    Parameters
    ----------
    probabilities : array (K, H, W[, Z])
        Of the output channels.
    known : array of bool (H, W[, Z]), optional
        Pixels that take part, by default all: the others are left out of `probability` and `mask`, and of no instance.
    threshold : float in [0, 1)
        Foreground is where the probability is greater.
    channel : int, optional
        Output channel of the foreground. By default the first one, for softmax all but the first.
    activation : {"sigmoid", "softmax"} or None
        What made the probabilities.
    decoder : callable, optional
        Probabilities (K, H, W[, Z]) to instance labels (H, W[, Z]). By default `instances` of the foreground and, where
        there are two sigmoid channels, the second one as the boundary.

    Attributes
    ----------
    probability, mask, instances : ndarray
        Foreground probability and where it exceeds the threshold, shape (H, W[, Z]), or (n,) of the known pixels;
        instance labels, shape (H, W[, Z]).

    Raises
    ------
    InputError
        When a form is asked for: there is no such channel, its values are not all in [0, 1], or the threshold is out of
        range.

    Examples
    --------
    >>> Prediction(np.array([[[0.9, 0.2]]])).mask.tolist()
    [[True, False]]
    """

    probabilities: np.ndarray
    known: np.ndarray | None = None
    threshold: float = 0.5
    channel: int | None = None
    activation: str | None = "sigmoid"
    decoder: Callable | None = None

    @cached_property
    def _foreground(self):
        p = self.probabilities
        if self.channel is not None:
            if not 0 <= self.channel < len(p):
                raise InputError(f"channel: expected one of the model's {len(p)} output channels, got {self.channel}")
            return probability_array(p[self.channel], "output")
        return probability_array(1.0 - p[0] if self.activation == "softmax" else p[0], "output")

    @property
    def foreground(self):
        """The foreground probability of every pixel, known or not, shape (H, W[, Z])."""
        return self._foreground

    @cached_property
    def probability(self):
        """Probability of the foreground, where it is known."""
        return self._foreground if self.known is None else self._foreground[self.known]

    @cached_property
    def mask(self):
        """Foreground: where the probability is above the threshold."""
        return self.probability > unit_threshold(self.threshold)

    @cached_property
    def instances(self):
        """Labels of the instances, 0 for the background."""
        if self.decoder is not None:
            labels = self.decoder(self.probabilities)
        else:
            p = self.probabilities
            with_boundary = self.activation == "sigmoid" and self.channel is None and len(p) == 2
            labels = instances(self._foreground, p[1] if with_boundary else None, threshold=self.threshold)
        return labels if self.known is None else np.where(self.known, labels, 0)
