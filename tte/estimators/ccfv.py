"""CC-FV: which pre-trained model to fine-tune, from features of a labelled target.

Reads `FeatureSamples` (or the mapping they hold), returns one number, or the terms of every layer so that all
ablations come from one pass. Pure arithmetic: nothing is sampled here.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tte.errors import InputError, UndefinedScore
from tte.estimators.ccfv_terms import CONSISTENCY, DISTANCES, VARIETY
from tte.features.samples import FeatureSamples, chosen_layers

__all__ = ["LayerTerms", "ccfv", "ccfv_from_layers", "ccfv_layers"]


class LayerTerms(NamedTuple):
    """The two terms of one layer: `variety` F_v and `consistency` C_cons, both > 0; None where not asked for."""

    variety: float | None
    consistency: float | None


def ccfv(
    samples: FeatureSamples,
    variant: str = "paper",
    distance: str = "wasserstein",
    s: float = 1.0,
    consistency: bool = True,
    variety: bool = True,
    layers: Sequence[str] | None = None,
) -> float:
    """Class consistency with feature variety: ln(F_v / C_cons) averaged over layers.

    Parameters
    ----------
    samples : FeatureSamples, or the mapping {layer: [ {class_id: (n, D)} ]} of which one is made
    variant : {"paper", "released"}
        ``"paper"`` follows Eq. 1–5; ``"released"`` the arithmetic of the authors' code (see References).
    distance : {"wasserstein", "kl", "bhattacharyya"}
        Between the Gaussians of two cases; the last two only with ``variant="paper"``.
    s : float ≥ 0
        Exponent of the energy; ``variant="released"`` has s = 1.
    consistency, variety : bool
        False leaves the term out (Table 2): mean ln F_v, or −mean ln C_cons. Not both.
    layers : sequence of layer names or one name, optional
        Layers to use; all by default. One layer is the single-scale ablation.

    Returns
    -------
    float
        Any sign; higher is better. With ``"paper"``, s = 1 and both terms it does not change when the features of a
        layer are multiplied by a number.

    Raises
    ------
    InputError
        The samples are malformed, an argument is unknown or contradicts another, or both terms are left out.
    UndefinedScore
        No class has two samples in each of two cases; C_cons is 0 (every case alike); or, for F_v, a case has fewer
        than two foreground samples or repeated ones (infinite energy), or the energy is not positive (s = 0).

    Notes
    -----
    Background (id 0) takes no part in ``"paper"``. A class of which a case has no sample, or a single one (no
    covariance), takes no part in C_cons for that case; the pairs that remain are averaged. F_v uses every foreground
    sample. KL is averaged over the ordered pairs, so over both directions.

    References
    ----------
    Eq. 1–5 of [Yang2023]_ (slides), with the mean of Eq. 2 over the pairs of cases that have the class.
    ``variant="released"`` differs as the authors' code does: one mean vector per case over all its samples, background
    included, in place of the samples; the softened, normalised energy Σ_{i<j} (‖g_i − g_j‖² + 1e-3)^(−½) · 2/(N(N−1))
    itself, not its inverse, as the numerator, so that the sign of variety is inverted; W2 summed over i < j and, after
    each class, the running sum w increased by w/(N²/2)/C; the sum over layers. C counts the foreground classes that
    occur. Its `sqrt(abs(·))` is not copied: the distance here needs no rescue.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> cases = [{1: rng.normal(size=(30, 4)), 2: rng.normal(1.0, size=(20, 4))} for _ in range(3)]
    >>> samples = FeatureSamples({"deep": cases, "out": cases})
    >>> print(f"{ccfv(samples):.4f} {ccfv(samples, variant='released'):.4f}")
    -7.4468 -0.6810
    >>> print(f"{ccfv(samples, consistency=False):.4f} {ccfv(samples, variety=False, layers='out'):.4f}")
    -6.8978 -0.5489
    """
    terms = ccfv_layers(samples, variant, distance, s, consistency, variety, layers)
    return ccfv_from_layers(terms, variant, consistency, variety)


def ccfv_layers(
    samples: FeatureSamples,
    variant: str = "paper",
    distance: str = "wasserstein",
    s: float = 1.0,
    consistency: bool = True,
    variety: bool = True,
    layers: Sequence[str] | None = None,
) -> dict[str, LayerTerms]:
    """Variety and consistency of every layer: one pass from which `ccfv_from_layers` makes the score and its ablations.

    Parameters
    ----------
    samples, variant, distance, s, layers
        As in `ccfv`.
    consistency, variety : bool
        False leaves the term uncomputed (None), for instance where it is undefined.

    Returns
    -------
    dict {layer: LayerTerms(variety, consistency)}
        F_v and C_cons of ``"paper"``; V and w of ``"released"``. Both > 0 and finite.

    Raises
    ------
    InputError, UndefinedScore
        As `ccfv`; the message names the layer.

    References
    ----------
    Eq. 2 and 4 of [Yang2023]_ (slides); deviations of ``"released"`` in `ccfv`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> terms = ccfv_layers({"out": [{1: rng.normal(size=(30, 4))} for _ in range(3)]})
    >>> print(f"{terms['out'].variety:.3e} {terms['out'].consistency:.4f}")
    2.593e-03 0.8442
    >>> print(f"{ccfv_from_layers(terms):.4f} {ccfv_from_layers(terms, variety=False):.4f}")
    -5.7856 0.1694
    """
    samples = samples if isinstance(samples, FeatureSamples) else FeatureSamples(samples)
    _check_options(variant, distance, s, consistency, variety)
    terms = {}
    for layer in chosen_layers(layers, samples.layers):
        try:
            terms[layer] = LayerTerms(
                VARIETY[variant](samples, layer, s) if variety else None,
                CONSISTENCY[variant](samples, layer, distance) if consistency else None,
            )
        except UndefinedScore as error:
            raise UndefinedScore(f"ccfv, layer {layer!r}: {error}") from error
    return terms


def ccfv_from_layers(
    terms: Mapping[str, tuple[float | None, float | None]],
    variant: str = "paper",
    consistency: bool = True,
    variety: bool = True,
    layers: Sequence[str] | None = None,
) -> float:
    """CC-FV, or an ablation of it, from the terms of its layers.

    Parameters
    ----------
    terms : mapping {layer: (variety, consistency)}
        What `ccfv_layers` returns for the same `variant`, or a mixture (variety of one pass, consistency of another).
    variant, consistency, variety, layers
        As in `ccfv`.

    Returns
    -------
    float
        The mean over layers (``"paper"``) or their sum (``"released"``); higher is better.

    Raises
    ------
    InputError
        Both terms are left out, a layer is unknown, or a term that is asked for is missing or not positive.

    References
    ----------
    Eq. 5 of [Yang2023]_ (slides).

    Examples
    --------
    >>> terms = {"deep": LayerTerms(variety=1.0, consistency=4.0), "out": LayerTerms(variety=3.0, consistency=6.0)}
    >>> print(f"{ccfv_from_layers(terms):.6f}")  # (ln 1/4 + ln 1/2) / 2
    -1.039721
    """
    _check_options(variant, "wasserstein", 1.0, consistency, variety)
    if not isinstance(terms, Mapping) or not terms:
        raise InputError("terms: expected a mapping {layer: (variety, consistency)} with at least one layer")
    logs = []
    for layer in chosen_layers(layers, tuple(terms)):
        log_variety, log_consistency = (
            _log_term(value, f"terms[{layer!r}].{name}") if used else 0.0
            for value, name, used in zip(terms[layer], LayerTerms._fields, (variety, consistency), strict=True)
        )
        logs.append(log_variety - log_consistency)
    return float(np.mean(logs) if variant == "paper" else np.sum(logs))


def _check_options(variant, distance, s, consistency, variety):
    if variant not in VARIETY:
        raise InputError(f"variant: expected one of {list(VARIETY)}, got {variant!r}")
    if distance not in DISTANCES:
        raise InputError(f"distance: expected one of {list(DISTANCES)}, got {distance!r}")
    if variant == "released" and (distance != "wasserstein" or s != 1):
        raise InputError(
            f"variant='released' is defined for distance='wasserstein' and s=1, got distance={distance!r} and s={s}; "
            "use variant='paper'"
        )
    if not (consistency or variety):
        raise InputError("consistency and variety are both False: nothing is left of the score; keep one")


def _log_term(value, name):
    if value is None or not 0 < value < np.inf:
        raise InputError(f"{name}: expected a finite number > 0, got {value}; ask `ccfv_layers` for this term")
    return np.log(value)
