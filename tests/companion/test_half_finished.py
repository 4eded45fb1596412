"""Every step of a study on every half-finished state: it goes on, or says in one line what is missing."""

import shutil

import pytest

from companion import __main__ as cli
from companion.fine_tune import models as fine_tune
from companion.records import COLUMNS

TARGET, TASK, MODEL = "phantom/nuclei-a", "phantom/organ-kidney", "nuclei-b_unet_s0"
TABLES = {"scores": "scores.csv", "performance": "performance.csv", "per_image": "per_image.csv.gz"}
STEPS = ("train", "evaluate", "agree")


def forget(study, cells):
    """Take cells out of the records, as if they had not been computed yet."""
    entries = study.records.provenance()
    for cell in [cell for cell in entries if cells(cell)]:
        study.records.write(cell, {}, {})
        del entries[cell]
    study.records._write_provenance(entries)


def remove(path):
    (shutil.rmtree if path.is_dir() else type(path).unlink)(path)


def damage(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] + b"\0<<<<")


def states(study):
    models, records = study.models, study.records.folder
    tuned = models / f"{fine_tune.tuned_id(study, TASK, 'organ-vertebra_unet_s0', 0)}.safetensors"
    return {
        "no records": lambda: remove(records),
        "no models": lambda: remove(models),
        "nothing": lambda: (remove(records), remove(models)),
        "no card of one model": lambda: remove(models / f"{MODEL}.yml"),
        "no weights of one model": lambda: remove(models / f"{MODEL}.safetensors"),
        "half a card": lambda: damage(models / f"{MODEL}.yml"),
        "half the weights": lambda: damage(models / f"{MODEL}.safetensors"),
        "no fine-tuned weights": lambda: remove(tuned),
        "one model not evaluated": lambda: forget(study, lambda cell: cell.startswith(f"{TARGET}/{MODEL}/")),
        "one model not scored on a task": lambda: forget(study, lambda c: c == f"{TASK}/random_unet_s0/scores0"),
        "one Dice missing": lambda: forget(study, lambda c: c == f"{TASK}/organ-vertebra_unet_s0/dice0"),
        "one target not evaluated": lambda: forget(study, lambda cell: cell.startswith(f"{TARGET}/")),
        "no provenance": lambda: remove(records / "provenance.json"),
        "half the provenance": lambda: damage(records / "provenance.json"),
        **{f"no {name}": lambda file=file: remove(records / file) for name, file in TABLES.items()},
        **{f"half of {name}": lambda file=file: damage(records / file) for name, file in TABLES.items()},
    }


class _Anywhere:
    """Stands for any study: the names of the states need none."""

    def __getattr__(self, name):
        return self

    def __truediv__(self, other):
        return self


NAMES = list(states(_Anywhere()))


LOST = ("no models", "no fine-tuned weights")  # what a recorded Dice does not train again; its picture cannot be made


def step(capsys, arguments, name):
    """Return (exit code, lines on standard error that are a fault)."""
    code = cli.main([str(argument) for argument in (*arguments, "--step", name)])
    err = capsys.readouterr().err
    assert "Traceback" not in err and code in (0, 1)
    return code, [line for line in err.splitlines() if line.startswith("companion: ")]


# what ends, like "no records" and "no scores", with everything computed anew
LONG = ("nothing", "no performance", "no per_image", "no provenance", "half the provenance")


@pytest.mark.parametrize("state", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in NAMES])
def test_a_step_goes_on_or_says_in_one_line_what_is_missing(capsys, place, state):
    arguments, study = place
    states(study)[state]()
    for name in reversed(STEPS):  # agree first: it mends nothing, so that each step meets the state
        code, faults = step(capsys, arguments, name)
        assert bool(code) == bool(faults), (name, faults)
        assert all(len(line) < 700 for line in faults)
    for name in STEPS:  # in their own order they mend what can be mended
        code, faults = step(capsys, arguments, name)
        assert not code or state.startswith("half ") or state in LOST, (name, faults)


def test_agreement_without_records(capsys, place):
    arguments, study = place
    shutil.rmtree(study.records.folder)
    code, faults = step(capsys, arguments, "agree")
    assert code == 1 and len(faults) == 1
    assert faults[0].startswith("companion: nothing of study 'tiny' is recorded in ") and "run `python -m" in faults[0]


def test_agreement_with_one_model_not_yet_evaluated(capsys, place):
    arguments, study = place
    forget(study, lambda cell: cell == f"{TARGET}/{MODEL}/seed0")
    code, faults = step(capsys, arguments, "agree")
    assert (code, len(faults)) == (1, 1)
    assert faults[0].startswith(f"companion: {TARGET}: 1 of 1 models are not evaluated yet ({MODEL}): run ")
    assert faults[0].endswith(f"--only target={TARGET}`") and not (study.records.folder / "agreement.csv").exists()


def test_forgetting_leaves_no_row_of_a_cell(place):
    _, study = place
    forget(study, lambda cell: cell.startswith(f"{TARGET}/"))
    assert not any((study.records.table(name)["target"] == TARGET).any() for name in COLUMNS)
