"""Targets with a bit per channel, their loss against PyTorch and MONAI, and instances from two channels."""

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss
from torch.nn.functional import binary_cross_entropy_with_logits

from companion.training.loop import segmentation_loss
from companion.training.outputs import channel_loss, channel_targets, decoded

BOTH = ("foreground", "boundary")


@pytest.fixture
def codes():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 4, (3, 12, 10)))


@pytest.fixture
def logits():
    return torch.randn(3, 2, 12, 10, generator=torch.Generator().manual_seed(1))


def channels(codes):
    return torch.stack([codes & 1, codes >> 1], dim=1).float()


def test_targets_hold_a_bit_per_channel_and_unknown_pixels():
    labels = np.array([[7, 7, 7, 2, 2, 2, 0, 0, -1]])
    assert channel_targets(labels, BOTH).tolist() == [[1, 1, 3, 3, 1, 3, 2, 0, -1]]
    assert channel_targets(labels, ("foreground",)).tolist() == [[1, 1, 1, 1, 1, 1, 0, 0, -1]]


def test_the_loss_is_bce_plus_dice_of_each_channel(codes, logits):
    expected = binary_cross_entropy_with_logits(logits, channels(codes))
    expected += DiceLoss(batch=True)(torch.sigmoid(logits), channels(codes))
    assert channel_loss(logits, codes).item() == pytest.approx(expected.item(), rel=1e-6)


def test_one_channel_has_the_loss_of_one_class(codes, logits):
    one = codes & 1
    expected = segmentation_loss(logits[:, :1], one)
    assert channel_loss(logits[:, :1], one).item() == pytest.approx(expected.item(), rel=1e-5)  # softmax or sigmoid


def test_unknown_pixels_take_no_part(codes, logits):
    hidden = codes.clone()
    hidden[:, :5] = -1
    expected = channel_loss(logits[:, :, 5:], codes[:, 5:])
    assert channel_loss(logits, hidden).item() == pytest.approx(expected.item(), rel=1e-6)
    changed = logits.clone()
    changed[:, :, :5] += 3
    assert channel_loss(changed, hidden).item() == channel_loss(logits, hidden).item()


def test_a_batch_without_any_known_pixel_has_a_finite_loss(logits):
    logits.requires_grad_()
    loss = channel_loss(logits, torch.full((3, 12, 10), -1))
    loss.backward()
    assert torch.isfinite(loss) and torch.equal(logits.grad, torch.zeros_like(logits))


def test_the_right_answer_has_no_loss_and_the_wrong_one_much(codes):
    sure = 30 * (2 * channels(codes) - 1)
    assert channel_loss(sure, codes).item() < 1e-4 and channel_loss(-sure, codes).item() > 20


def test_two_touching_objects_are_parted_by_their_boundary():
    labels = np.zeros((20, 21), int)
    labels[4:16, 2:10], labels[4:16, 10:19] = 5, 9
    codes = channel_targets(labels, BOTH)
    found = decoded(np.stack([codes & 1, codes >> 1]).astype(float))
    assert set(np.unique(found)) == {0, 1, 2}
    np.testing.assert_array_equal(found > 0, labels > 0)
    overlap = np.array([[np.sum((found == i) & (labels == j)) for j in (5, 9)] for i in (1, 2)])
    assert (overlap.max(axis=1) / overlap.sum(axis=1) > 0.9).all()
