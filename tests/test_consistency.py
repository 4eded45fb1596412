"""CTE over images with models whose answers are known, against the estimators called one by one."""

import numpy as np
import pytest
import torch

from tte.consistency import CTEResult, cte
from tte.errors import InputError, UndefinedScore
from tte.estimators.effective_invariance import effective_invariance
from tte.estimators.nhd import nhd
from tte.estimators.vrand import vrand
from tte.perturbation import Brightness, FeatureDropout, GaussianNoise, perturbed_probabilities
from tte.segmentation.instances import instances


class Blur(torch.nn.Module):
    """Logits from a smoothed image; a second channel where `boundary` is set."""

    def __init__(self, gain=4.0, boundary=False):
        super().__init__()
        self.gain, self.boundary = gain, boundary
        self.pool, self.up = torch.nn.AvgPool2d(2), torch.nn.Upsample(scale_factor=2)

    def forward(self, x):
        smooth = self.up(self.pool(x))
        out = self.gain * smooth
        return torch.cat([out, -4.0 - smooth], dim=1) if self.boundary else out


def images(n=5, side=32, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 1, (n, 1, side // 4, side // 4))
    return list(coarse.repeat(4, axis=2).repeat(4, axis=3).astype(np.float32))


def runs(model, targets, perturbation, **options):
    """Thresholding and scores written out, from the very predictions that `cte` compares."""
    seeds = [int(np.random.SeedSequence([options.get("seed", 0), i]).generate_state(1, np.uint64)[0]) for i in range(9)]
    for image, seed in zip(targets, seeds, strict=False):
        clean, (perturbed,) = perturbed_probabilities(model, image, [perturbation], seed=seed)
        yield clean, perturbed


def test_equals_the_estimators_one_by_one():
    model, targets, noise = Blur(boundary=True), images(), GaussianNoise(1.0)
    pairs = list(runs(model, targets, noise))
    expected = {
        "nhd": [nhd(p[0] > 0.5, q[0] > 0.5) for p, q in pairs],
        "ei": [effective_invariance(p[0], q[0]) for p, q in pairs],
        "vrand": [vrand(instances(p[0], p[1]), instances(q[0], q[1])) for p, q in pairs],
    }
    for consistency, values in expected.items():
        result = cte(model, targets, noise, consistency)
        assert result == CTEResult(float(np.median(values)), tuple(values), 0, float(np.mean(values)))
        assert 0 < result.score < 1


def test_stronger_perturbation_is_less_consistent():
    scores = [cte(Blur(), images(), GaussianNoise(strength)).score for strength in (0.0, 0.5, 2.0)]
    assert scores[0] == 1.0 and scores[0] > scores[1] > scores[2]


def test_undefined_images_are_counted_and_enter_as_told():
    model = torch.nn.Identity()
    targets = [np.full((1, 16, 16), value) for value in (1.0, 1.0, 0.25, -1.0, -2.0)]
    skipped = cte(model, targets, Brightness(-0.5))
    assert skipped.per_image == (1.0, 1.0, 0.0, None, None)
    assert (skipped.score, skipped.n_undefined, skipped.mean) == (1.0, 2, pytest.approx(2 / 3))
    zero = cte(model, targets, Brightness(-0.5), undefined="zero")
    assert zero.per_image == skipped.per_image
    assert (zero.score, zero.n_undefined, zero.mean) == (0.0, 2, pytest.approx(2 / 5))
    with pytest.raises(UndefinedScore, match="all 2 images are undefined"):
        cte(model, targets[3:], Brightness(-0.5))
    assert cte(model, targets[3:], Brightness(-0.5), undefined="zero").score == 0.0


def test_repeats_are_averaged_per_image():
    model, targets, noise = Blur(), images(2), GaussianNoise(1.0)
    result = cte(model, targets, noise, repeats=3)
    for index, image in enumerate(targets):
        seed = int(np.random.SeedSequence([0, index]).generate_state(1, np.uint64)[0])
        clean, perturbed = perturbed_probabilities(model, image, [noise] * 3, seed=seed)
        values = [nhd(clean > 0.5, q > 0.5) for q in perturbed]
        assert len(set(values)) == 3 and result.per_image[index] == pytest.approx(np.mean(values), rel=1e-12)


def test_seed_and_further_images():
    model, targets, noise = Blur(), images(4), GaussianNoise(1.0)
    result = cte(model, targets, noise, seed=2)
    assert cte(model, targets, noise, seed=2) == result
    assert cte(model, targets[:2], noise, seed=2).per_image == result.per_image[:2]
    assert cte(model, targets, noise, seed=3) != result
    twice = cte(model, [targets[0]] * 2, noise)
    assert twice.per_image[0] != twice.per_image[1]


def test_default_perturbation_is_dropout_at_the_bottleneck():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 2, stride=2), torch.nn.ReLU(), torch.nn.ConvTranspose2d(8, 1, 2, stride=2)
    )
    assert cte(model, images()) == cte(model, images(), FeatureDropout(0.2, layer="1"))


def test_channels():
    model, targets = Blur(boundary=True), images()
    noise = GaussianNoise(1.0)
    assert cte(model, targets, noise).score == cte(model, targets, noise, channel=0).score
    two = cte(model, targets, noise, activation="softmax")
    assert two == cte(model, targets, noise, activation="softmax", channel=1)
    with pytest.raises(InputError, match="channel: expected one of the model's 2 output channels, got 2"):
        cte(model, targets, noise, channel=2)


def test_decoder():
    seen = []

    def decoder(p):
        seen.append(p.shape)
        return (p[0] > 0.5).astype(int)

    assert cte(Blur(), images(1), GaussianNoise(0.0), "vrand", decoder=decoder).score == 1.0
    assert seen == [(1, 32, 32)] * 2


def test_errors():
    model, targets = Blur(), images(1)
    with pytest.raises(InputError, match="consistency: expected one of 'nhd', 'ei', 'vrand'"):
        cte(model, targets, GaussianNoise(1.0), "iou")
    with pytest.raises(InputError, match='undefined: expected "skip" or "zero"'):
        cte(model, targets, GaussianNoise(1.0), undefined="drop")
    with pytest.raises(InputError, match="images: expected at least one"):
        cte(model, [], GaussianNoise(1.0))
    with pytest.raises(InputError, match="repeats: expected"):
        cte(model, targets, GaussianNoise(1.0), repeats=0)
    with pytest.raises(InputError, match="threshold: expected"):
        cte(model, targets, GaussianNoise(1.0), threshold=1.0)
    with pytest.raises(InputError, match="seed: expected"):
        cte(model, targets, GaussianNoise(1.0), seed=-1)
