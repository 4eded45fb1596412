"""The labelled baselines: one streaming pass for four scores against four separate functions, and LEEP.

Reads nothing; `python -m benchmarks.baselines` writes `results/benchmarks/baselines.csv`.
"""

import tracemalloc

import numpy as np

from benchmarks import Row, compare, one_thread, record
from tests.estimators import naive_baselines as naive
from tte.estimators import ClassStatistics, gbc, hscore, leep, logme, transrate

__all__ = ["leep_rows", "memory_rows", "one_pass_rows", "rows"]

SCORES = (logme, transrate, gbc, hscore)
SIZES = [(100_000, 64), (100_000, 256)]  # n, D
LEEP_SIZES = [(1_000_000, 2), (1_000_000, 8), (400_000, 21)]  # n, S
SHARES = [0.6, 0.2, 0.1, 0.07, 0.03]  # of five classes


def one_by_one(features, labels):
    """The four scores by the straightforward implementations; the fixed point of LogME stops at 1e-4 of α/β."""
    evidence = naive.logme_fixed_point(features, labels, tolerance=1e-4)
    others = (naive.transrate, naive.gbc, naive.hscore)
    return np.array([evidence, *(score(features, labels) for score in others)])


def one_pass(features, labels):
    """The four scores from class statistics gathered in one pass."""
    statistics = ClassStatistics().update(features, labels)
    return np.array([score(statistics) for score in SCORES])


def _sample(n, depth):
    """Correlated float64 features and labels of five classes a little apart."""
    rng = np.random.default_rng(depth)
    labels = rng.choice(len(SHARES), n, p=SHARES)
    features = rng.normal(size=(n, depth)) @ rng.normal(size=(depth, depth)) / np.sqrt(depth)
    return features + rng.normal(scale=0.1, size=(len(SHARES), depth))[labels], labels


def one_pass_rows():
    """Seconds for the four scores; each is compared relative to its own magnitude."""
    out = []
    for n, depth in SIZES:
        features, labels = _sample(n, depth)
        scale = np.abs(one_pass(features, labels))
        out.append(
            compare(
                "LogME + TransRate + GBC + H-score in one pass against one by one",
                f"n={n}, D={depth}, C={len(SHARES)}",
                lambda x=features, y=labels, scale=scale: one_by_one(x, y) / scale,
                lambda x=features, y=labels, scale=scale: one_pass(x, y) / scale,
                target=10,
                repeats=2,
            )
        )
    return out


def memory_rows():
    """Peak of what Python and NumPy allocate for the four scores; the input, the same for both, is not counted."""
    out = []
    for n, depth in SIZES:
        features, labels = _sample(n, depth)
        (expected, baseline), (got, ours) = (_peak(call, features, labels) for call in (one_by_one, one_pass))
        agreement = float(np.max(np.abs(got / expected - 1)))
        assert agreement <= 1e-6, f"n={n}, D={depth}: scores differ by {agreement:.1e}"
        name = "LogME + TransRate + GBC + H-score, peak memory"
        out.append(Row(name, f"n={n}, D={depth}, C={len(SHARES)}", "MB", baseline, ours, baseline / ours, 5, agreement))
    return out


def _peak(call, features, labels):
    """The result of the call and the most MB it held at once."""
    with one_thread():
        tracemalloc.start()
        try:
            result = call(features, labels)
            return result, tracemalloc.get_traced_memory()[1] / 1e6
        finally:
            tracemalloc.stop()


def leep_rows():
    """LEEP against the table of label and source class with one look-up per sample."""
    out = []
    for n, sources in LEEP_SIZES:
        rng = np.random.default_rng(sources)
        labels = rng.choice(3, n, p=[0.9, 0.07, 0.03])
        probabilities = rng.dirichlet(np.ones(sources), n)
        out.append(
            compare(
                "LEEP against one look-up per sample",
                f"n={n}, S={sources}, C=3",
                lambda p=probabilities, y=labels: naive.leep(p, y),
                lambda p=probabilities, y=labels: leep(p, y),
                target=4,
            )
        )
    return out


def rows():
    """Every comparison of this module."""
    return one_pass_rows() + memory_rows() + leep_rows()


if __name__ == "__main__":
    record("baselines", rows())
