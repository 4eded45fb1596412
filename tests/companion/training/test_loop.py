"""Training: the loss by hand, the same bits twice and after an interruption, and no trace in the global state."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from companion.config import Network, Training
from companion.training import loop as training
from companion.training.loop import deterministic, segmentation_loss, train
from tte.errors import InputError
from tte.zoo.card import build_network, class_logits

NET2D = Network(
    network="DynUNet",
    arguments={
        "spatial_dims": 2, "in_channels": 1, "out_channels": 1, "kernel_size": [3, 3, 3], "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2], "filters": [4, 4, 8], "norm_name": ["group", {"num_groups": 2}], "dropout": 0.2,
    },
)  # fmt: skip
NET3D = Network(
    network="UNet",
    arguments={
        "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 6], "strides": [2], "num_res_units": 1,
        "norm": "batch",
    },
)  # fmt: skip
AUGMENTATION = {
    "noise": (0.0, 0.1), "brightness": (-0.1, 0.1), "contrast": (0.7, 1.4), "gamma": (0.7, 1.5), "flip": (0, 1),
    "rotate90": True, "rotate": 30.0,
}  # fmt: skip


def schedule(iterations=6, crop=(24, 24), **changes):
    given = {"batch_size": 2, "learning_rate": 0.01, "augmentation": AUGMENTATION}
    return Training(iterations=iterations, crop=crop, **{**given, **changes})


def cases_2d(n=3, shape=(40, 32), seed=0):
    rng = np.random.default_rng(seed)
    labels = [np.zeros(shape, np.int32) for _ in range(n)]
    for label in labels:
        y, x = rng.integers(0, 20, 2)
        label[y : y + 9, x : x + 9] = 1
    return [((label + 0.2 * rng.normal(size=shape))[None].astype(np.float32), label) for label in labels]


def cases_3d(n=2, shape=(14, 12, 10)):
    rng = np.random.default_rng(1)
    labels = [rng.integers(0, 3, shape).astype(np.int32) for _ in range(n)]
    return [(rng.random((1, *shape), np.float32), label) for label in labels]


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def assert_same_bits(first, second):
    assert first.keys() == second.keys() and first
    assert all(torch.equal(first[name], second[name]) for name in first)


# ---- the loss


def test_softmax_with_a_background_logit_of_0_is_the_sigmoid_for_one_class():
    logits = torch.linspace(-9, 9, 60).view(2, 1, 5, 6)
    found = class_logits(logits).softmax(dim=1)
    assert found.shape == (2, 2, 5, 6)
    torch.testing.assert_close(found[:, 1:], logits.sigmoid())


@pytest.mark.parametrize("shape", [(3, 1, 8, 9), (2, 1, 4, 5, 6)])
def test_the_loss_of_one_class_is_bce_with_logits_plus_dice(shape):
    """Dice by its definition over the whole batch, with MONAI's smoothing of 1e-5 in both terms."""
    draw = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(shape, generator=draw)
    labels = torch.randint(0, 2, (shape[0], *shape[2:]), generator=draw)
    p, y = torch.sigmoid(logits[:, 0].double()), labels.double()
    bce = -(y * p.log() + (1 - y) * (1 - p).log()).mean()
    dice = 1 - (2 * (p * y).sum() + 1e-5) / (p.sum() + y.sum() + 1e-5)
    assert segmentation_loss(logits, labels).item() == pytest.approx((bce + dice).item(), rel=1e-5)
    assert F.binary_cross_entropy_with_logits(logits[:, 0].double(), y).item() == pytest.approx(bce.item(), rel=1e-9)


def test_the_loss_of_two_classes_is_cross_entropy_plus_mean_dice_of_the_foreground():
    draw = torch.Generator().manual_seed(1)
    logits, labels = torch.randn(2, 2, 6, 7, generator=draw), torch.randint(0, 3, (2, 6, 7), generator=draw)
    e = logits.double().exp()
    p = torch.cat([torch.ones_like(e[:, :1]), e], dim=1) / (1 + e.sum(dim=1, keepdim=True))
    entropy = -p.gather(1, labels[:, None]).log().mean()
    dice = [
        1 - (2 * (p[:, c] * (labels == c)).sum() + 1e-5) / (p[:, c].sum() + (labels == c).sum() + 1e-5) for c in (1, 2)
    ]
    assert segmentation_loss(logits, labels).item() == pytest.approx((entropy + sum(dice) / 2).item(), rel=1e-5)


def test_the_loss_passes_over_ignored_pixels():
    draw = torch.Generator().manual_seed(2)
    logits, labels = torch.randn(1, 1, 8, 8, generator=draw), torch.randint(0, 2, (1, 8, 8), generator=draw)
    ignored = labels.clone()
    ignored[:, :, :3] = -1
    p, y = torch.sigmoid(logits[:, 0]).double(), (ignored == 1).double()
    known = ignored >= 0
    bce = -(y * p.log() + (1 - y) * (1 - p).log())[known].mean()
    dice = 1 - (2 * (p * y)[known].sum() + 1e-5) / (p[known].sum() + y.sum() + 1e-5)
    assert segmentation_loss(logits, ignored).item() == pytest.approx((bce + dice).item(), rel=1e-5)
    other = torch.where(known[:, None], logits, -logits)
    assert segmentation_loss(other, ignored).item() == pytest.approx(
        segmentation_loss(logits, ignored).item(), rel=1e-6
    )
    assert abs(segmentation_loss(logits, ignored) - segmentation_loss(logits, labels)) > 1e-3


def test_a_perfect_prediction_has_almost_no_loss_and_the_opposite_has_much():
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[:, :4] = 1
    logits = 40 * (labels[:, None].float() - 0.5)
    assert segmentation_loss(logits, labels).item() < 1e-4
    assert segmentation_loss(-logits, labels).item() > 20


# ---- determinism


def run(spec=NET2D, cases=None, *, seed=0, training=None, **options):
    network = build_network(spec, seed=4)
    losses = train(network, cases or cases_2d(), training or schedule(), seed=seed, **options)
    return losses, state(network)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_two_runs_are_bit_identical_and_another_seed_is_not(dimensions):
    given = (NET2D, cases_2d(), schedule()) if dimensions == 2 else (NET3D, cases_3d(), schedule(crop=(8, 8, 8)))
    spec, cases, plan = given
    first = run(spec, cases, training=plan)
    torch.manual_seed(99)  # a run does not depend on what was drawn before it
    np.random.seed(99)  # noqa: NPY002
    second = run(spec, cases, training=plan)
    assert first[0] == second[0] and len(first[0]) == plan.iterations
    assert_same_bits(first[1], second[1])
    assert run(spec, cases, training=plan, seed=1)[0] != first[0]


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("options", [{}, {"average": 0.8, "decay": "none"}])
@pytest.mark.parametrize(("every", "stop", "resumed_at"), [(2, 5, 4), (3, 3, 3), (4, 3, 0)])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(
    tmp_path, monkeypatch, every, stop, resumed_at, options
):
    plan = schedule(**options)
    whole = run(training=plan)
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", every)
    path, batch, drawn = tmp_path / "there" / "run.pt", training._batch, []

    def counted(*arguments):
        drawn.append(1)
        if len(drawn) == stop + 1:
            raise Interrupted
        return batch(*arguments)

    monkeypatch.setattr(training, "_batch", counted)
    with pytest.raises(Interrupted):
        run(training=plan, checkpoint=path)
    assert path.is_file() == (resumed_at > 0)
    drawn[:] = [1] * 1000  # never again
    resumed = run(training=plan, checkpoint=path)
    assert len(drawn) - 1000 == 6 - resumed_at  # else it began anew, and the comparison says nothing
    assert resumed[0] == whole[0]
    assert_same_bits(resumed[1], whole[1])
    assert not path.exists() and not list(tmp_path.rglob("*.tmp"))


def test_a_checkpoint_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 2)
    kept, plain = run(checkpoint=tmp_path / "run.pt"), run()
    assert kept[0] == plain[0]
    assert_same_bits(kept[1], plain[1])


def test_the_global_state_is_as_it_was(monkeypatch):
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    run(training=schedule(iterations=2))
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("before", [False, True])
def test_the_global_state_is_restored_when_the_block_fails(before):
    torch.use_deterministic_algorithms(before)
    try:
        random = torch.get_rng_state()
        with pytest.raises(Interrupted), deterministic(3):
            assert torch.are_deterministic_algorithms_enabled() and torch.initial_seed() == 3
            raise Interrupted
        assert torch.are_deterministic_algorithms_enabled() == before
        assert torch.equal(torch.get_rng_state(), random)
    finally:
        torch.use_deterministic_algorithms(False)


# ---- what a run does


def test_training_learns_a_bright_square():
    """60 iterations bring the loss of an easy task well below that of knowing nothing (ln 2 + about 0.9)."""
    losses, _ = run(training=schedule(60, learning_rate=0.02, augmentation={}))
    assert np.mean(losses[:5]) > 1.0 and np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


class Seen(nn.Module):
    """Keeps what it is given and predicts one number."""

    def __init__(self):
        super().__init__()
        self.bias, self.images = nn.Parameter(torch.zeros(1)), []

    def forward(self, x):
        self.images.append(x.clone())
        return torch.zeros_like(x) + self.bias


def test_batches_have_the_shape_of_the_crop_and_the_network_ends_in_evaluation_mode():
    network = Seen()
    train(network, cases_2d(), schedule(3, (16, 24), batch_size=5, augmentation={"noise": (0, 0.1), "rotate": 30}))
    assert [tuple(x.shape) for x in network.images] == [(5, 1, 16, 24)] * 3 and not network.training
    assert all(x.dtype == torch.float32 and torch.isfinite(x).all() for x in network.images)


def test_images_smaller_than_the_crop_are_mirrored_and_volumes_get_zeros():
    plane, volume = Seen(), Seen()
    image = np.full((1, 10, 12), 3.0, np.float32)
    train(plane, [(image, np.ones((10, 12), np.int32))], schedule(1, (16, 16), augmentation={}))
    assert (plane.images[0] == 3).all()
    cube = np.full((1, 6, 8, 8), 3.0, np.float32)
    train(volume, [(cube, np.ones((6, 8, 8), np.int32))], schedule(1, (8, 8, 8), augmentation={}))
    assert (volume.images[0] == 3).float().mean() == 6 / 8 and (volume.images[0] == 0).float().mean() == 2 / 8


@pytest.mark.parametrize(("share", "low", "high"), [(1.0, 0.99, 1.0), (0.0, 0.0, 0.3)])
def test_the_share_of_crops_on_foreground_is_kept(share, low, high):
    """One object of 4² pixels in 200²: a random crop of 16² meets it in about 1% of the draws."""
    label = np.zeros((200, 200), np.int32)
    label[150:154, 20:24] = 1
    network = Seen()
    plan = schedule(10, (16, 16), batch_size=4, foreground=share, augmentation={})
    train(network, [(label[None].astype(np.float32), label)], plan)
    met = np.mean([bool(x.any()) for batch in network.images for x in batch])
    assert low <= met <= high


def test_geometry_moves_image_and_label_together(monkeypatch):
    """The image is the label, so after any augmentation without intensities they must still agree."""
    label = np.zeros((40, 40), np.int32)
    label[5:20, 8:14] = 1
    pairs, loss = [], segmentation_loss
    monkeypatch.setattr(training, "segmentation_loss", lambda out, labels: pairs.append(labels) or loss(out, labels))
    network = Seen()
    augmentation = {"flip": (0, 1), "rotate90": True, "probability": 1.0}
    cases = [(label[None].astype(np.float32), label)]
    train(network, cases, schedule(6, (24, 24), foreground=1.0, augmentation=augmentation))
    assert len(pairs) == 6
    for image, moved in zip(network.images, pairs, strict=True):
        assert torch.equal(image[:, 0], moved.float()) and moved.any()


def test_the_learning_rate_ends_at_0_on_a_cosine(monkeypatch):
    rates, step = [], torch.optim.Adam.step

    def recorded(self, *arguments, **options):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", recorded)
    train(Seen(), cases_2d(), schedule(4, learning_rate=0.2))
    np.testing.assert_allclose(rates, [0.1 * (1 + math.cos(math.pi * i / 4)) for i in range(4)], rtol=1e-9)


def test_the_learning_rate_stays_where_it_does_not_decay(monkeypatch):
    rates, step = [], torch.optim.Adam.step

    def recorded(self, *arguments, **options):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", recorded)
    train(Seen(), cases_2d(), schedule(4, learning_rate=0.2, decay="none"))
    assert rates == [0.2] * 4


def test_the_average_is_that_of_torch_and_the_training_itself_does_not_change():
    spec, cases, seen = NET3D, cases_3d(), []
    plan = {"crop": (8, 8, 8), "decay": "none"}
    plain = [run(spec, cases, training=schedule(n, **plan)) for n in range(1, 6)]
    averaged = run(spec, cases, training=schedule(5, average=0.7, **plan))
    assert averaged[0] == plain[-1][0]
    network = build_network(spec, seed=4)
    network.load_state_dict(plain[0][1])
    mean = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.7), use_buffers=True)
    for _, weights in plain:
        network.load_state_dict(weights)
        mean.update_parameters(network)
        seen.append(weights)
    for name, value in mean.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(averaged[1][name], value, rtol=1e-6, atol=1e-8)
    name = next(name for name in seen[-1] if name.endswith("weight"))
    assert not torch.equal(averaged[1][name], seen[-1][name])


def test_frozen_layers_keep_their_weights_and_are_free_again_afterwards():
    network = build_network(NET3D, seed=4)
    before = state(network)
    train(network, cases_3d(), schedule(crop=(8, 8, 8)), frozen=["model.0"])
    after = state(network)
    still = [n for n, _ in network.named_parameters() if n.startswith("model.0.")]
    assert still and all(torch.equal(before[n], after[n]) for n in still)
    assert not torch.equal(before["model.2.0.conv.weight"], after["model.2.0.conv.weight"])
    assert not torch.equal(
        before["model.0.conv.unit0.adn.N.running_mean"], after["model.0.conv.unit0.adn.N.running_mean"]
    )
    assert all(p.requires_grad for p in network.parameters())


# ---- errors


def test_no_case_is_an_error():
    with pytest.raises(InputError, match="train: expected at least one case, got none"):
        train(Seen(), [], schedule())


@pytest.mark.parametrize("crop", [(16,), (16, 16, 16)])
def test_a_crop_of_another_dimension_is_an_error(crop):
    with pytest.raises(InputError, match=r"train: crop \(16.* does not fit labels of shape \(40, 32\)"):
        train(Seen(), cases_2d(), schedule(crop=crop))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_run_on_the_gpu_follows_that_on_the_cpu():
    """Same crops and augmentation; the network has no dropout, whose masks differ. 1e-3 for the order of sums."""
    spec = NET3D.model_copy(update={"arguments": {**NET3D.arguments, "norm": "instance"}})
    cpu, _ = run(spec, cases_3d(), training=schedule(crop=(8, 8, 8)))
    gpu, _ = run(spec, cases_3d(), training=schedule(crop=(8, 8, 8)), device="cuda")
    np.testing.assert_allclose(gpu, cpu, rtol=1e-3)
