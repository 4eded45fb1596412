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
from companion.training.loop import deterministic, segmentation_loss, train
from tte.zoo.card import build_network

STEPS = {"nuclei": 10, "volumes": 20, "paper-msd": 5}
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
    memory = torch.channels_last if len(schedule.crop) == 2 else torch.channels_last_3d
    network = copy.deepcopy(network).to(device, memory_format=memory).train()
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


def rows(device="cpu"):
    """Every comparison of this module."""
    out = []
    for study in ON[device]:
        size, network, schedule, cases = setting(study)
        memory = torch.channels_last if len(schedule.crop) == 2 else torch.channels_last_3d
        ready = [
            (images.to(device, memory_format=memory), labels.to(device))
            for images, labels in batches_of(cases, schedule)
        ]

        def ours(on=device, network=network, cases=cases, schedule=schedule):
            return train(copy.deepcopy(network), cases, schedule, device=on)

        what = f"training against its bare steps on {device} (at most 1.15 times), {schedule.iterations} steps"
        out.append(
            compare(
                what,
                size + place_of(device),
                lambda network=network, ready=ready, schedule=schedule: bare(network, ready, schedule, device),
                ours,
                1 / 1.15,
                tolerance=1e-4
                if device == "cpu"
                else 1e-2,  # a GPU adds in another order every time, and steps go on from it
                repeats=3,
                clock=clock_of(device),
            )
        )
        if device != "cpu" and study in ON["cpu"]:
            with one_thread():
                start = time.perf_counter()
                ours("cpu")
                slow, fast = time.perf_counter() - start, out[-1].ours
            what = f"training on {device} against one thread of the processor, {schedule.iterations} steps"
            out.append(Row(what, size + place_of(device), "s", slow, fast, slow / fast, 1.0, 0.0))
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=sorted(ON), default="cpu")
    given = parser.parse_args().device
    record("training" if given == "cpu" else f"training-{given}", rows(given))
