"""A machine with little memory (RLIMIT_AS): smaller batches with a word, then one clear line; never a traceback."""

import contextlib
import gc
import io
import resource
import sys
import warnings

import imageio.v3 as iio
import numpy as np
import pytest
import torch
import yaml
from processes import FORK

import tte
from tte import cli
from tte.images import open_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
MB = 1 << 20
IMAGE = np.random.default_rng(0).random((1, 128, 128), dtype=np.float32)
LABEL = (IMAGE[0] > 0.5).astype(int)


def limited(megabytes, work):
    """Run `work` in a process that may take so much more memory than this one; (result, warnings) or an error."""
    ours, theirs = FORK.Pipe(duplex=False)

    def inside():
        gc.collect()
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now, now + megabytes * MB))
        left = _filled()  # what earlier tests left free on the heap would be room to spare
        resource.setrlimit(resource.RLIMIT_AS, (now + megabytes * MB,) * 2)
        torch.set_num_threads(1)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            try:
                found = work(), [str(one.message) for one in seen]
            except Exception as error:
                found = type(error).__name__, str(error)
        del left
        theirs.send(found)

    process = FORK.Process(target=inside)
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()
        assert process.exitcode == 0


def _filled():
    """Take every free megabyte of the heap, under a limit that lets it grow no more."""
    held, size = [], 256 * MB
    while size >= MB:
        try:
            held.append(bytearray(size))
        except MemoryError:
            size //= 2
    return held


class Wide(torch.nn.Module):
    """A layer of many channels: 16 MB for each window of 64 x 64 pixels."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.wide, self.out = torch.nn.Conv2d(1, 1024, 1), torch.nn.Conv2d(1024, 1, 1)

    def forward(self, x):
        return self.out(self.wide(x))


def sampled(edge=64):
    window = (edge, edge)  # of 64 MB at 128: more than an allocator keeps, whatever ran in this process before
    features = tte.sample_features(Wide(), IMAGE, LABEL, "wide", 50, window, overlap=0.5, rng=0, sw_batch_size=16)
    return {key: value.tobytes() for key, value in features["wide"].items()}


def test_windows_go_through_in_smaller_batches_and_give_the_same_features():
    plenty, _ = limited(4096, sampled)
    some, said = limited(110, sampled)
    assert list(plenty) == [1] and some == plenty
    assert any("out of memory on cpu: going on with" in text and "windows per batch" in text for text in said)


def test_one_window_that_does_not_fit_is_one_line():
    kind, said = limited(12, lambda: sampled(128))
    assert kind == "InputError" and "does not fit" in said and "roi_size" in said and "\n" not in said


def test_an_image_that_does_not_fit_is_one_line(tmp_path):
    path = tmp_path / "images" / "a.png"
    path.parent.mkdir()
    iio.imwrite(path, np.zeros((9000, 9000), np.uint8))

    def read():
        dataset = open_folder(path.parent)
        return dataset.read(dataset.cases(labelled=False)[0]).image.shape

    assert limited(4096, read)[0] == (1, 9000, 9000)
    for megabytes in (20, 60, 200):  # wherever it ends: the decoder, the copy
        kind, said = limited(megabytes, read)
        assert kind == "InputError" and "a.png: it is too large for the memory of this machine" in said


def test_a_consistency_that_does_not_fit_is_one_line():
    def scored():
        return tte.cte(Wide(), [np.tile(IMAGE, (1, 8, 8))], tte.GaussianNoise(0.1)).score

    kind, said = limited(300, scored)
    assert kind == "InputError" and "does not fit in the memory of cpu; crop it" in said and "\n" not in said


def test_a_ranking_that_does_not_fit_says_so(tmp_path):
    from monai.networks.nets import UNet

    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [16, 32], "strides": [2]}
    common = {"source": "torch", "network": {"network": "UNet", "arguments": arguments}, "activation": "sigmoid"}
    for seed in range(2):
        torch.manual_seed(seed)
        torch.save(UNet(**arguments).state_dict(), tmp_path / f"{seed}.pt")
    models = [
        {"name": f"m{k}", "weights": f"{k}.pt", "preprocessing": {"window": [0, 255]}, **common} for k in range(2)
    ]
    (tmp_path / "bank.yml").write_text(yaml.safe_dump({"models": models}))
    for edge in (64, 2500):
        (tmp_path / f"{edge}").mkdir()
        for k in range(2):
            pixels = np.random.default_rng(k).integers(0, 255, (edge, edge), np.uint8)
            iio.imwrite(tmp_path / f"{edge}" / f"{k}.png", pixels)

    def rank(edge):
        given = ["--models", tmp_path / "bank.yml", "--images", tmp_path / str(edge), "--out", tmp_path / f"out{edge}"]
        with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(io.StringIO()):
            return cli.main(["rank", "zero-shot", *map(str, given)]), err.getvalue()

    assert rank(64)[0] == 0  # what there is to import is there
    assert limited(400, lambda: rank(64))[0][0] == 0
    (ended, err), _ = limited(400, lambda: rank(2500))
    assert ended == 1 and "Traceback" not in err
    assert "memory of cpu" in err and err.strip().splitlines()[-1].startswith("tte: ")
