"""A model of a bank opened: its input, its output taken apart, the layer for dropout, and what it refuses."""

import numpy as np
import pytest
import torch
from monai.networks.nets import UNet

from tte.errors import ConfigError, InputError
from tte.zoo.file import BankEntry
from tte.zoo.formats.tiles import Tiled
from tte.zoo.model import open_model
from tte.zoo.output import Output, decode, default_output, resized
from tte.zoo.preprocessing import Scaling, fixed_to, needs_folder, preprocess
from tte.zoo.schema import Normalisation

ARGUMENTS = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2]}
IMAGE = np.random.default_rng(0).integers(0, 4000, (1, 30, 41)).astype(np.uint16)


@pytest.fixture
def opened(tmp_path):
    torch.manual_seed(0)
    torch.save(UNet(**ARGUMENTS).state_dict(), tmp_path / "a.pt")

    def make(arguments=ARGUMENTS, **keys):
        stated = {
            "name": "a",
            "source": "torch",
            "weights": str(tmp_path / "a.pt"),
            "network": {"network": "UNet", "arguments": arguments},
            "activation": "sigmoid",
            "preprocessing": {"percentiles": [0, 100], "scope": "image"},
        }
        return open_model(BankEntry(**{**stated, **keys}))

    return make


def test_a_model_says_what_it_takes_and_predicts_on_the_grid_of_the_image(opened):
    model = opened(classes=["foreground", "boundary"], trained_on="here", divisor=4)
    assert (model.spatial_dims, model.channels, model.divisor, model.group) == (2, 1, 4, "here")
    assert model.output == Output(foreground=0, boundary=1, decoder="boundary")
    assert model.dropout_layer and dict(model.module.named_modules())[model.dropout_layer] is not None
    x = model.input(IMAGE)
    assert x.dtype == np.float32 and (x.min(), x.max()) == (0, 1) and x.shape == IMAGE.shape
    found = model.predict(IMAGE)
    assert found.mask.shape == found.instances.shape == found.foreground.shape == IMAGE.shape[1:]
    assert np.array_equal(found.mask, found.foreground > 0.5)


def test_the_identity_follows_weights_and_entry_and_not_the_name(opened):
    assert opened().identity == opened(name="b").identity != opened(divisor=8).identity
    assert opened().weights_hash == opened(divisor=8).weights_hash


def test_what_does_not_fit_a_model_is_one_line(opened):
    model = opened()
    with pytest.raises(InputError, match=r"a: takes 1 channel\(s\), the image has 3$"):
        model.input(np.zeros((3, 8, 8)))
    with pytest.raises(InputError, match=r"a: takes 2D images with a channel axis, got \(1, 8, 8, 4\)"):
        model.input(np.zeros((1, 8, 8, 4)))
    with pytest.raises(InputError, match="1 NaN or infinite of 64"):
        model.input(np.where(np.arange(64).reshape(1, 8, 8) == 3, np.nan, 1.0))
    with pytest.raises(InputError, match=r"a: output: channel 5 is named, the model gives 2"):
        opened(output={"foreground": 5}).predict(IMAGE)


def test_gray_images_are_repeated_where_the_entry_says_so(opened, tmp_path):
    wide = {**ARGUMENTS, "in_channels": 3}
    torch.save(UNet(**wide).state_dict(), tmp_path / "a.pt")
    with pytest.raises(InputError, match="repeat_gray"):
        opened(wide).input(IMAGE)
    x = opened(wide, channels=3, repeat_gray=True).input(IMAGE)
    assert x.shape == (3, 30, 41) and np.array_equal(x[0], x[2])
    with pytest.raises(ValueError, match="state also `channels`"):
        opened(wide, repeat_gray=True)


def test_images_are_rescaled_where_both_pixel_sizes_are_stated_and_come_back_on_their_grid(opened):
    model = opened(pixel_size=[0.5, 1.0], preprocessing={"window": [0, 4000]})
    assert model.input(IMAGE, (1.0, 1.0)).shape == (1, 60, 41)
    assert model.input(IMAGE).shape == opened().input(IMAGE, (1.0, 1.0)).shape == IMAGE.shape
    assert model.predict(IMAGE, (1.0, 1.0)).mask.shape == IMAGE.shape[1:]
    with pytest.raises(InputError, match="expected 2 positive numbers"):
        model.input(IMAGE, (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="one number per axis"):
        opened(pixel_size=[0.5])


def test_percentiles_of_a_folder_are_measured_once_and_not_guessed(opened):
    model = opened(preprocessing={"percentiles": [0, 100]})
    with pytest.raises(InputError, match=r"use model\.fitted"):
        model.input(IMAGE)
    fitted = model.fitted([IMAGE, IMAGE * 2])
    assert not fitted.needs_folder and fitted.input(IMAGE).max() == pytest.approx(0.5, abs=0.01)
    assert fitted.fitted([]) is fitted


@pytest.mark.parametrize("shape", [(1, 200, 200, 7), (1, 7, 200, 200), (1, 200, 7, 200)])
def test_percentiles_of_a_folder_do_not_depend_on_the_layout(shape):
    volume = np.zeros(shape)
    axis = shape.index(7)
    volume[(slice(None),) * axis + (0,)] = 1000.0  # one slice of seven is bright
    window = fixed_to([volume], Normalisation(percentiles=(80, 90))).window
    assert window == (0.0, 1000.0)


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 3, 1, 2), (0, 2, 3, 1)])
def test_percentiles_of_a_folder_are_those_of_every_pixel(axes):
    rng = np.random.default_rng(0)
    images = [rng.lognormal(4, 1, (1, 40, 30, 20)).astype(np.float32), rng.lognormal(6, 1, (1, 5, 9, 7))]
    pooled = np.concatenate([image.astype(np.float32).ravel() for image in images])
    rule = Normalisation(percentiles=(1, 99.8))
    once = (np.transpose(image, axes) for image in images)  # an iterator
    assert fixed_to(once, rule).window == pytest.approx(np.percentile(pooled, (1, 99.8)), rel=1e-6)


def test_contrast_is_equalised_first_and_inversion_comes_last():
    rule = Scaling(percentiles=(0, 100), scope="image", invert=True)
    plain = preprocess([IMAGE], Normalisation(percentiles=(0, 100), scope="image"))[0]
    assert np.allclose(preprocess([IMAGE], rule)[0], 1 - plain)
    dim = IMAGE.copy()
    dim[:, :, :20] //= 50
    even = preprocess([dim], Scaling(window=(0, 4000), clahe=0.05))[0]
    assert even[:, :, :20].std() > 5 * (dim[:, :, :20] / 4000).std()
    assert not needs_folder(rule)


def test_a_fixed_size_is_tiled_exactly_where_the_network_looks_at_one_pixel(opened):
    tiled, x = Tiled(torch.nn.Conv2d(1, 2, 1), (16, 16)), torch.rand(1, 1, 5, 50)
    with torch.no_grad():
        assert torch.allclose(tiled(x), tiled.network(x), atol=1e-5)
    model = opened(roi_size=[16, 16])
    assert model.divisor == 1 and model.dropout_layer.startswith("network.")
    assert model.predict(IMAGE).mask.shape == IMAGE.shape[1:]
    with pytest.raises(InputError, match="has 3 axes"):
        opened(roi_size=[16, 16, 16])


def test_the_output_is_read_as_stated():
    p = np.zeros((3, 12, 12), np.float32)
    p[0], p[2, 2:9, 2:9], p[1, 2:9, 5] = 0.1, 0.9, 0.8
    several = decode(p, Output(foreground=(1, 2)))
    assert several.mask.sum() == 49 and several.instances.max() == 1 and several.foreground.max() <= 1
    parted = decode(p, Output(foreground=2, boundary=1, decoder="boundary", min_size=4))
    assert parted.instances.max() == 2
    behind = decode(1 - p, Output(background=2))
    assert np.array_equal(behind.mask, p[2] > 0.5)
    assert decode(p, default_output("softmax", ("background", "a", "b"))).instances is None
    assert default_output("softmax") == Output(background=0)
    with pytest.raises(InputError, match="expected finite values"):
        decode(np.full((1, 4, 4), np.nan), Output(foreground=0))
    for keys in ({}, {"foreground": 0, "background": 1}, {"foreground": 0, "decoder": "boundary"}):
        with pytest.raises(ValueError):
            Output(**keys)


def test_star_convex_shapes_become_the_objects_they_describe():
    pytest.importorskip("stardist")
    score, radii = np.zeros((40, 60), np.float32), np.full((32, 40, 60), 6, np.float32)
    score[20, 15], score[20, 17], score[20, 45], score[5, 50] = 0.9, 0.6, 0.7, 0.3
    found = decode(np.concatenate([score[None], radii]), Output(foreground=0, decoder="stardist", threshold=0.4))
    assert found.instances.max() == 2  # the second polygon overlaps the first, the last is below the threshold
    assert found.foreground[20, 15] == pytest.approx(0.9) and found.foreground[20, 45] == pytest.approx(0.7)
    area = (found.instances == found.instances[20, 45]).sum()
    assert area == pytest.approx(np.pi * 36, rel=0.1)
    empty = decode(np.concatenate([score[None] * 0, radii]), Output(foreground=0, decoder="stardist"))
    assert not empty.mask.any() and empty.instances.max() == 0
    with pytest.raises(InputError, match="at least 3 radii"):
        decode(score[None], Output(foreground=0, decoder="stardist"))


def test_what_was_decoded_comes_back_on_another_grid():
    found = decode(np.kron(np.eye(2), np.full((8, 8), 0.9))[None], Output(foreground=0))
    larger = resized(found, (32, 32))
    assert larger.instances.dtype == np.int32 and larger.instances.max() == 2
    assert larger.mask.sum() == 4 * found.mask.sum() and resized(found, (16, 16)) is found


def test_a_layer_that_is_not_there_is_named(opened):
    with pytest.raises(ConfigError, match=r"a: layers\.x"):
        opened(layers={"x": "nowhere"})


def test_a_rounding_error_outside_the_interval_is_no_fault():
    p = np.full((1, 8, 8), 1 + 5e-7)
    p[0, :2] = -5e-7
    found = decode(p, Output(foreground=0))
    assert found.foreground.min() == 0 and found.foreground.max() == 1 and found.mask.sum() == 48
    with pytest.raises(InputError, match=r"expected probabilities in \[0, 1\], got values from"):
        decode(p + 1e-3, Output(foreground=0))
