"""A NaN or an infinite value is an error that says so in every public function, in any array and at any place of it.

The table of calls is held to `tte.__all__`: a new public function needs a row here, or a reason not to have one.
"""

import numpy as np
import pytest
import torch

import tte
from tte.segmentation.instances import boundary_map, instances
from tte.segmentation.metrics import average_precision, dice, f1, mean_average_precision, mean_dice

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = np.repeat([0, 1, 3], 20)
P = RNG.dirichlet(np.ones(3), 60)
MASK = (RNG.random((8, 8)) > 0.5).astype(float)
LABELS = np.repeat(np.arange(8.0), 8).reshape(8, 8)
UNIT = RNG.random((8, 8))
IMAGE = RNG.random((1, 16, 16))
MAP = np.zeros((16, 16))
MAP[2:9, 2:9], MAP[9:13, 9:13] = 1, 2
BANK = {name: [LABELS] for name in "bcde"}
PER_IMAGE = RNG.random((3, 6))
SCORES, PERFORMANCE = np.array([0.1, 0.4, 0.3]), np.array([0.2, 0.6, 0.5])


def net():
    torch.manual_seed(0)
    down = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.MaxPool2d(2), torch.nn.Conv2d(4, 4, 1))
    return torch.nn.Sequential(down, torch.nn.Upsample(scale_factor=2), torch.nn.Conv2d(4, 1, 1)).eval()


def cases(x):
    return {"out": [{1: x[:20], 2: x[20:40]}, {1: x[40:], 2: X[:20] + 1}]}


def noise(x):
    return tte.cte(net(), [x, IMAGE], tte.GaussianNoise(0.1))


# Public function: calls of one array, each with an array that is right.
CALLS = {
    "Brightness": [(lambda x: tte.Brightness(0.1)(x, rng=0), IMAGE), (lambda x: tte.Brightness(float(x[0])), SCORES)],
    "ClassStatistics": [(lambda x: tte.ClassStatistics().update(x, Y), X),
                        (lambda y: tte.ClassStatistics().update(X, y), Y)],
    "Contrast": [(lambda x: tte.Contrast(1.1)(x, rng=0), IMAGE), (lambda x: tte.Contrast(float(x[0])), SCORES)],
    "FeatureDropout": [(lambda x: tte.FeatureDropout(float(x[0])), SCORES)],
    "FeatureSamples": [(lambda x: tte.FeatureSamples(cases(x)), X)],
    "Gamma": [(lambda x: tte.Gamma(1.1)(x, rng=0), IMAGE), (lambda x: tte.Gamma(float(x[0])), SCORES)],
    "GaussianNoise": [(lambda x: tte.GaussianNoise(0.1)(x, rng=0), IMAGE),
                      (lambda x: tte.GaussianNoise(float(x[0])), SCORES)],
    "bank_consensus": [(lambda m: tte.bank_consensus({"a": [m], **BANK}, merge=None), LABELS)],
    "bootstrap_agreement": [(lambda s: tte.bootstrap_agreement(s, PER_IMAGE, n_resamples=20), SCORES),
                            (lambda p: tte.bootstrap_agreement(PER_IMAGE, p, n_resamples=20), SCORES)],
    "bootstrap_ranking": [(lambda s: tte.bootstrap_ranking(np.tile(s[:, None], (1, 4)), n_resamples=20), SCORES)],
    "ccfv": [(lambda x: tte.ccfv(cases(x)), X)],
    "ccfv_from_layers": [(lambda t: tte.ccfv_from_layers({"out": t}), np.array([1.0, 2.0]))],
    "ccfv_layers": [(lambda x: tte.ccfv_layers(cases(x)), X)],
    "cte": [(noise, IMAGE)],
    "effective_invariance": [(lambda p: tte.effective_invariance(p, UNIT), UNIT),
                             (lambda p: tte.effective_invariance(UNIT, p), UNIT)],
    "expected_regret": [(lambda s: tte.expected_regret(s, PERFORMANCE), SCORES),
                        (lambda p: tte.expected_regret(SCORES, p), PERFORMANCE)],
    "gbc": [(lambda x: tte.gbc(x, Y), X), (lambda y: tte.gbc(X, y), Y)],
    "hscore": [(lambda x: tte.hscore(x, Y), X), (lambda y: tte.hscore(X, y), Y)],
    "hyperspherical_energy": [(tte.hyperspherical_energy, X)],
    "knn_transfer": [(lambda x: tte.knn_transfer(x, Y), X), (lambda y: tte.knn_transfer(X, y), Y)],
    "leep": [(lambda p: tte.leep(p, Y), P), (lambda y: tte.leep(P, y), Y)],
    "logme": [(lambda x: tte.logme(x, Y), X), (lambda y: tte.logme(X, y), Y)],
    "mean_foreground_confidence": [(tte.mean_foreground_confidence, UNIT)],
    "nhd": [(lambda m: tte.nhd(m, MASK), MASK), (lambda m: tte.nhd(MASK, m), MASK)],
    "nleep": [(lambda x: tte.nleep(x, Y), X), (lambda y: tte.nleep(X, y), Y)],
    "pairwise_agreement": [(lambda m: tte.pairwise_agreement([m, LABELS]), LABELS)],
    "perturbed_probabilities": [(lambda x: tte.perturbed_probabilities(net(), x, []), IMAGE)],
    "pooled_significance": [(lambda s: tte.pooled_significance([(s, PERFORMANCE)]), SCORES),
                            (lambda p: tte.pooled_significance([(SCORES, p)]), PERFORMANCE)],
    "rank_agreement": [(lambda s: tte.rank_agreement(s, PERFORMANCE), SCORES),
                       (lambda p: tte.rank_agreement(SCORES, p), PERFORMANCE)],
    "effective_dimension": [(tte.effective_dimension, X)],
    "nuclear_norm": [(tte.nuclear_norm, P)],
    "relative_variety": [(lambda x: tte.relative_variety({"out": [{0: x[:20] + 9, 1: x[20:]}] * 2}), X)],
    "sample_features": [(lambda x: tte.sample_features(net(), x, MAP, ("logits",), 9, 16), IMAGE),
                        (lambda m: tte.sample_features(net(), IMAGE, m, ("logits",), 9, 16), MAP)],
    "soft_dice_confidence": [(tte.soft_dice_confidence, UNIT)],
    "transrate": [(lambda x: tte.transrate(x, Y), X), (lambda y: tte.transrate(X, y), Y)],
    "vrand": [(lambda m: tte.vrand(m, LABELS), LABELS), (lambda m: tte.vrand(LABELS, m), LABELS)],
    "wasserstein2": [(lambda x: tte.wasserstein2(x, X), X), (lambda x: tte.wasserstein2(X, x), X)],
}  # fmt: skip
NAN_IS_UNDEFINED = {"consensus_from_pairs"}  # a table with empty cells, as bootstrap_ranking's (M, N)
TAKE_FILES = {"rank_zero_shot", "rank_fine_tune", "rank_masks"}  # read files; tests/hostile feeds those

# Below the public names, the functions that models' outputs and masks pass through.
CALLS_BELOW = {
    "instances": [(instances, UNIT), (lambda b: instances(UNIT, b), UNIT)],
    "boundary_map": [(boundary_map, LABELS)],
    "dice": [(lambda m: dice(m, LABELS, (1, 2)), LABELS), (lambda m: dice(LABELS, m, (1, 2)), LABELS)],
    "mean_dice": [(lambda m: mean_dice(m, LABELS, (1, 2)), LABELS), (lambda m: mean_dice(LABELS, m, (1,)), LABELS)],
    "f1": [(lambda m: f1(m, MASK), MASK), (lambda m: f1(MASK, m), MASK)],
    "average_precision": [(lambda m: average_precision(m, LABELS), LABELS)],
    "mean_average_precision": [(lambda m: mean_average_precision(LABELS, m), LABELS)],
}
ROWS = [
    pytest.param(call, array, id=f"{name}-{k}")
    for name, calls in {**CALLS, **CALLS_BELOW}.items()
    for k, (call, array) in enumerate(calls)
]
NOT_FINITE = [np.nan, np.inf, -np.inf]


RESULTS = {
    "BootstrapAgreement",
    "BootstrapRanking",
    "CTEResult",
    "ConsensusResult",
    "PooledSignificance",
    "RankAgreement",
    "Ranking",
}


def test_every_public_function_has_a_row():
    public = {
        name
        for name in tte.__all__
        if callable(getattr(tte, name)) and name not in RESULTS | TAKE_FILES | NAN_IS_UNDEFINED
    }
    errors = {name for name in public if isinstance(kind := getattr(tte, name), type) and issubclass(kind, Exception)}
    assert public - errors - set(CALLS) == set(), "add a call of one array to CALLS"
    assert set(CALLS) <= set(tte.__all__)


@pytest.mark.parametrize(("call", "array"), ROWS)
def test_the_right_array_is_taken(call, array):
    call(array)


@pytest.mark.parametrize("bad", NOT_FINITE, ids=str)
@pytest.mark.parametrize(("call", "array"), ROWS)
@pytest.mark.parametrize("kind", ["numpy", "torch", "all"])
def test_one_that_is_not_finite_is_refused(call, array, bad, kind):
    poisoned = array.astype(np.float64).copy()
    poisoned.flat[0 if array.ndim == 1 else array.size // 2] = bad
    if kind == "all":
        poisoned[:] = bad
    with pytest.raises(tte.TTEError, match=r"NaN|nan|inf|finite") as refused:
        call(torch.from_numpy(poisoned) if kind == "torch" else poisoned)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("size", [1e30, 1e90, 1e160, 1e300])
@pytest.mark.parametrize(("call", "array"), ROWS)
def test_a_score_of_huge_numbers_is_a_number_or_an_error(call, array, size):
    try:
        result = call(array.astype(np.float64) * size)
    except tte.TTEError as error:
        assert "\n" not in str(error)
        return
    if isinstance(result, float):
        assert np.isfinite(result)


class Poisoned(torch.nn.Module):
    """Adds `bad` to one value of the output of a network."""

    def __init__(self, bad):
        super().__init__()
        self.net, self.bad = net(), bad

    def forward(self, x):
        out = self.net(x).clone()
        out[..., 3, 3] = self.bad
        return out


@pytest.mark.parametrize("bad", NOT_FINITE, ids=str)
@pytest.mark.parametrize("activation", ["sigmoid", "softmax", None])
@pytest.mark.parametrize("consistency", ["nhd", "ei", "vrand"])
def test_an_output_that_is_not_finite_is_refused(bad, activation, consistency):
    with pytest.raises(tte.InputError, match=r"^model: its output is NaN or infinite at 1 of 256 values"):
        tte.cte(Poisoned(bad), [IMAGE], tte.GaussianNoise(0.1), consistency, activation=activation)
    with pytest.raises(tte.InputError, match=r"NaN or infinite"):
        tte.cte(Poisoned(bad), [IMAGE], tte.FeatureDropout(0.2, layer="net.0.2"), consistency, activation=activation)


@pytest.mark.parametrize("bad", NOT_FINITE, ids=str)
def test_features_that_are_not_finite_are_refused(bad):
    label = np.ones((16, 16), int)
    with pytest.raises(tte.InputError, match="NaN or infinite"):
        tte.sample_features(Poisoned(bad), IMAGE, label, ("logits",), 256, 16)


def test_an_infinite_cell_of_a_table_with_empty_cells_is_refused():
    pairs = np.ones((2, 4, 4))
    tte.consensus_from_pairs(pairs, list("abcd"), merge=None)
    pairs[0, 1, 2] = pairs[0, 2, 1] = np.inf
    with pytest.raises(tte.InputError, match="NaN or infinite"):
        tte.consensus_from_pairs(pairs, list("abcd"), merge=None)
    with pytest.raises(tte.InputError, match="NaN or infinite"):
        tte.bootstrap_ranking(np.where(PER_IMAGE > 0.9, np.inf, PER_IMAGE))


def test_a_decoder_that_gives_nan_is_refused():
    def decoder(p):
        return np.full(p.shape[1:], np.nan)

    with pytest.raises(tte.InputError, match="NaN"):
        tte.cte(net(), [IMAGE], tte.GaussianNoise(0.1), "vrand", decoder=decoder)
