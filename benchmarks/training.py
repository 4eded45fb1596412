"""Training as a study does it against its bare steps: forward, loss, backward, Adam, on batches that are ready.

Reads nothing; `python -m benchmarks.training [--device cuda]` writes `results/benchmarks/training[-cuda].csv`. Networks
and schedules are those of studies; the difference is crops, augmentation and what makes a run resumable. On a GPU rows
say besides how much faster the training of the small studies is there than on one thread of the processor.
"""

import argparse
import copy
import time

import numpy as np
import torch

from benchmarks import Row, clock_of, compare, one_thread, place_of, record
from companion.config import load_config
from companion.training.loop import deterministic, memory_format, segmentation_loss, train
from tte.zoo.card import build_network

STEPS = {"nuclei": 10, "volumes": 20, "paper-msd": 5}
TOLERANCE = {"cpu": 1e-4, "cuda": 1e-2}  # a GPU adds in another order every time, and steps go on from it
ON = {"cpu": ("nuclei", "volumes"), "cuda": tuple(STEPS)}


def setting(study):
    """Return a name, a fresh network, the schedule of a few steps and synthetic cases of a study."""
    config = load_config(study)
    part = config.zero_shot or config.fine_tune
    schedule = getattr(part, "training", None) or part.pretraining
    schedule = schedule.model_copy(update={"iterations": STEPS[study], "decay": "none"})
    name, spec = list(part.networks.items())[-1]
    network = build_network(spec, seed=0, out_channels=1)
    rng, shape = np.random.default_rng(0), tuple(side + side // 4 for side in schedule.crop)
    labels = [(rng.random(shape) > 0.7).astype(np.int32) for _ in range(2)]
    cases = [((label + rng.normal(0, 0.3, shape))[None].astype(np.float32), label) for label in labels]
    crop = " × ".join(map(str, schedule.crop))
    return f"{study}, {name}, {schedule.batch_size} crops of {crop}", network, schedule, cases


def batches_of(cases, schedule):
    """Return the (images, labels) of every step of a training run, on the CPU."""
    images, labels = [], []

    def noted(logits, wanted):
        labels.append(wanted)
        return logits.mean()

    stand_in = torch.nn.Conv2d(1, 1, 1) if len(schedule.crop) == 2 else torch.nn.Conv3d(1, 1, 1)
    stand_in.register_forward_pre_hook(lambda _, args: images.append(args[0].clone()))
    train(stand_in, cases, schedule, loss=noted)
    return list(zip(images, labels, strict=True))


def bare(network, batches, schedule, device):
    """Return the loss of every step on batches that are on the device."""
    network = copy.deepcopy(network).to(device, memory_format=memory_format(schedule)).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=schedule.learning_rate)
    losses = []
    with deterministic(0, device):
        for step, (images, labels) in enumerate(batches):
            torch.manual_seed(step)
            optimizer.zero_grad()
            value = segmentation_loss(network(images), labels)
            value.backward()
            optimizer.step()
            losses.append(float(value.detach()))
    return losses


def compared(study, device):
    """Return the comparison of one study; on a GPU that with the processor too, where the study is small."""
    size, network, schedule, cases = setting(study)
    size += place_of(device)
    ready = [
        (images.to(device, memory_format=memory_format(schedule)), labels.to(device))
        for images, labels in batches_of(cases, schedule)
    ]

    def ours(on=device):
        return train(copy.deepcopy(network), cases, schedule, device=on)

    found = compare(
        f"training against its bare steps on {device} (at most 1.15 times), {schedule.iterations} steps",
        size,
        lambda: bare(network, ready, schedule, device),
        ours,
        1 / 1.15,
        tolerance=TOLERANCE[device],
        repeats=3,
        clock=clock_of(device),
    )
    if device == "cpu" or study not in ON["cpu"]:
        return [found]
    with one_thread():
        start = time.perf_counter()
        ours("cpu")
        slow = time.perf_counter() - start
    what = f"training on {device} against one thread of the processor, {schedule.iterations} steps"
    return [found, Row(what, size, "s", slow, found.ours, slow / found.ours, 1.0, 0.0)]


def rows(device="cpu"):
    """Every comparison of this module."""
    return [row for study in ON[device] for row in compared(study, device)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=sorted(ON), default="cpu")
    given = parser.parse_args().device
    record("training", rows(given), given)
