"""How the scores of one model move with the number of labelled cases, of voxels, and with the draw of the voxels.

Takes features that were sampled once per draw; returns rows of the sensitivity table and writes nothing.
"""

from itertools import combinations

import numpy as np

from companion.fine_tune.scores import table_1_scores
from tte.estimators import ESTIMATORS

__all__ = ["SHARES", "sensitivity_rows"]

SHARES = (0.125, 0.25, 0.5)  # of the sampled voxels
_REPEATS = 10  # subsets per number of cases or share of voxels


def sensitivity_rows(draws):
    """Yield the scores of Table 1 on parts of the samples.

    Parameters
    ----------
    draws : dict of int → list of dict; `sample_cases` by the seed of the voxels. Cases and voxels are left out of the
        first draw; every draw counts as it is.

    Yields
    ------
    dict
        estimator, variant, what ("cases", "voxels" or "draw"), level (their number, their share, the seed), repeat,
        score. The same repeat leaves out the same cases, and the same positions in the list of voxels, for every model.
    """
    sampled = next(iter(draws.values()))
    for seed, draw in draws.items():
        yield from _rows(draw, "draw", seed, 0)
    for number in range(2, len(sampled)):
        for repeat, chosen in enumerate(_subsets(len(sampled), number)):
            yield from _rows([sampled[i] for i in chosen], "cases", number, repeat)
    for share in SHARES:
        for repeat in range(_REPEATS):
            rng = np.random.default_rng([repeat, round(1000 * share)])
            yield from _rows([_thinned(case, share, rng) for case in sampled], "voxels", share, repeat)


def _rows(sampled, what, level, repeat):
    for estimator, score in table_1_scores(sampled).items():
        same = {"estimator": estimator, "variant": ESTIMATORS[estimator].lead}
        yield {**same, "what": what, "level": float(level), "repeat": repeat, "score": score}


def _subsets(n, size):
    """At most `_REPEATS` different subsets, the same ones every time."""
    every = list(combinations(range(n), size))
    order = np.random.default_rng([n, size]).permutation(len(every))[:_REPEATS]
    return [every[i] for i in order]


def _thinned(case, share, rng):
    """Keep a share of the voxels of every class, at least two: a covariance needs them."""
    return {
        layer: {
            key: x[np.sort(rng.permutation(len(x))[: max(min(2, len(x)), round(share * len(x)))])]
            for key, x in classes.items()
        }
        for layer, classes in case.items()
    }
