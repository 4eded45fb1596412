"""Feature samples of a labelled target: the input of CC-FV, checked once.

Reads nothing and writes nothing; what `sample_features` returns per case goes in, read-only float64 arrays come out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from types import MappingProxyType

import numpy as np

from tte._arrays import IGNORE, float_array
from tte.errors import InputError

__all__ = ["FeatureSamples", "chosen_layers"]


@dataclass(frozen=True, eq=False, repr=False)
class FeatureSamples:
    """Sampled features of every case, by layer and class.

    Parameters
    ----------
    data : mapping {layer: [ {class_id: array (n, D)}, one mapping per case ]}
        `n` may differ between cases and classes, `D` is one number per layer, the number of cases `N` is the same in
        every layer. Class ids are integers ≥ −1 and may have gaps; 0 is background, −1 (ignore) is dropped. A class
        that a case lacks is left out of its mapping or has n = 0. Arrays are NumPy or torch, of any real type, on any
        device; they are held as read-only float64.

    Attributes
    ----------
    layers : tuple
        Layer names in the order given.
    n_cases : int
        N.

    Raises
    ------
    InputError
        A level is not a mapping or sequence, an id is not an integer ≥ −1, an array is not (n, D) or not finite, `D`
        differs within a layer, `N` differs between layers, or a layer has no sample at all.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> samples = FeatureSamples({"out": [{0: rng.normal(size=(9, 4)), 2: rng.normal(size=(5, 4))},
    ...                                   {2: rng.normal(size=(7, 4))}]})
    >>> samples
    FeatureSamples(n_cases=2, layers={'out': D=4})
    >>> samples.classes("out")
    (0, 2)
    """

    data: Mapping

    def __post_init__(self):
        if not isinstance(self.data, Mapping) or not self.data:
            raise InputError(f"samples: expected a non-empty mapping from layer to cases, got {_kind(self.data)}")
        checked = {layer: _checked_layer(layer, cases) for layer, cases in self.data.items()}
        counts = {layer: len(cases) for layer, cases in checked.items()}
        if len(set(counts.values())) > 1:
            raise InputError(f"samples: expected the same number of cases in every layer, got {counts}")
        object.__setattr__(self, "data", MappingProxyType(checked))

    def __repr__(self):
        layers = ", ".join(f"{layer!r}: D={self.dimension(layer)}" for layer in self.layers)
        return f"FeatureSamples(n_cases={self.n_cases}, layers={{{layers}}})"

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in their order."""
        return tuple(self.data)

    @property
    def n_cases(self) -> int:
        """Number of labelled cases."""
        return len(next(iter(self.data.values())))

    def cases(self, layer: str) -> list[dict[int, np.ndarray]]:
        """Return one {class_id: array (n, D)} per case, ids ascending.

        Raises
        ------
        InputError
            The layer is unknown.
        """
        if layer not in self.data:
            raise InputError(f"layer: expected one of {list(self.data)}, got {layer!r}")
        return self.data[layer]

    def classes(self, layer: str):
        """Return the ids ≥ 0 that occur in any case, ascending, background included."""
        return tuple(sorted(set().union(*self.cases(layer))))

    def dimension(self, layer: str) -> int:
        """Return D, the number of feature channels."""
        return next(x.shape[1] for case in self.cases(layer) for x in case.values())


def _kind(value):
    return "an empty mapping" if isinstance(value, Mapping) else type(value).__name__


def _checked_layer(layer, cases):
    if isinstance(cases, Mapping | str) or not hasattr(cases, "__iter__"):
        raise InputError(f"samples[{layer!r}]: expected a sequence of cases, got {type(cases).__name__}")
    checked = tuple(_checked_case(f"samples[{layer!r}][{i}]", case) for i, case in enumerate(cases))
    dimensions = sorted({x.shape[1] for case in checked for x in case.values()})
    if not dimensions:
        raise InputError(f"samples[{layer!r}]: expected at least one sample, got {len(checked)} cases without any")
    if len(dimensions) > 1:
        raise InputError(f"samples[{layer!r}]: expected one number of channels D, got {dimensions}")
    return checked


def _checked_case(name, case):
    if not isinstance(case, Mapping):
        raise InputError(f"{name}: expected a mapping from class id to array (n, D), got {type(case).__name__}")
    checked = {}
    for class_id, features in case.items():
        if not isinstance(class_id, Integral) or isinstance(class_id, bool) or class_id < IGNORE:
            raise InputError(f"{name}: expected integer class ids of at least −1 (−1 = ignore), got {class_id!r}")
        if class_id == IGNORE:
            continue
        array = float_array(features, f"{name}[{class_id}]", ndim=2)
        if array.shape[1] == 0:
            raise InputError(f"{name}[{class_id}]: expected at least one channel, got shape {array.shape}")
        if len(array):
            array = array.view()  # the caller's own array stays writable
            array.flags.writeable = False
            checked[int(class_id)] = array
    return MappingProxyType(dict(sorted(checked.items())))


def chosen_layers(layers, known):
    """Return the layers to use, out of those that are known: all for None, one name or several; else `InputError`."""
    if layers is None:
        return known
    chosen = (layers,) if isinstance(layers, str) else tuple(layers)
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
        raise InputError(f"layers: expected different names out of {list(known)}, at least one, got {layers!r}")
    return chosen
