"""kill -9 in the middle of a study: the rerun ends with the models and records of an undisturbed run."""

import json
import shutil

import numpy as np
import pytest
from killing import files, killed, moments, strays, undisturbed

from companion import __main__ as cli

TARGET, TASK = "phantom/nuclei-a", "phantom/organ-kidney"
SOURCE, MODEL = "phantom/nuclei-b", "nuclei-b_unet_s0"


def begun(study):
    """Take away from a finished study what the run is to make: a model, the records of one target of each kind."""
    for path in study.models.glob(f"{MODEL}.*"):
        path.unlink()
    entries = study.records.provenance()
    for cell in [cell for cell in entries if cell.startswith((f"{TARGET}/{MODEL}/", f"{TASK}/"))]:
        study.records.write(cell, {}, {})
        del entries[cell]
    study.records._write_provenance(entries)


def content(out):
    """Every file of models and records; of the provenance all but the times and the state of the project."""
    found = files(out, lambda path: path.name == "provenance.json")
    (path,) = out.rglob("provenance.json")
    entries = json.loads(path.read_text(encoding="utf-8"))
    return found, {cell: entry | {"seconds": 0, "seconds_of": {}, "commit": ""} for cell, entry in entries.items()}


PARTS = {
    "one": [["--step", "train", "--only", f"source={SOURCE}"], ["--step", "evaluate", "--only", f"target={TARGET}"]],
    "whole": [[]],
}


@pytest.mark.parametrize(
    ("part", "number"),
    [("one", 6), pytest.param("one", 100, marks=pytest.mark.slow), pytest.param("whole", 20, marks=pytest.mark.slow)],
)
def test_a_study_after_kill(place, tmp_path, part, number):
    arguments, study = place
    begun(study)

    def run(out):
        for more in PARTS[part]:
            assert cli.main([str(argument) for argument in (*arguments[:-1], out, *more)]) == 0

    for name in ("first", "whole"):
        shutil.copytree(tmp_path / "out", tmp_path / name)
    run(tmp_path / "first")  # the processes find everything imported
    seconds = undisturbed(lambda: run(tmp_path / "whole"))
    expected, hits = content(tmp_path / "whole"), 0
    assert content(tmp_path / "first") == expected
    for k, moment in enumerate(moments(np.random.default_rng(3), number, seconds)):
        out = tmp_path / str(k)
        shutil.copytree(tmp_path / "out", out)
        hits += killed(lambda out=out: run(out), moment)
        undisturbed(lambda out=out: run(out))
        assert content(out) == expected and not strays(out)
    assert hits, "no process was killed while it ran"
