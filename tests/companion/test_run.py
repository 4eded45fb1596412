"""The command line: help that fits a screen, one line per mistake, and the same results as the functions."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml

import companion.study
from companion import __main__ as cli
from companion.data import catalogue, open_dataset
from companion.fine_tune import models as fine_tune
from companion.paths import project_root
from companion.training import loop
from companion.wings import wing
from companion.zero_shot import evaluate as zero_shot

NUCLEI = ["phantom/nuclei-a", "phantom/nuclei-b"]


def run(capsys, *arguments):
    """Return (exit code, standard output, standard error)."""
    try:
        code = cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:  # argparse
        code = stop.code
    return code, *capsys.readouterr()


# ---- help and usage


@pytest.mark.parametrize(
    "arguments",
    [[], ["study"], ["data"], ["data", "list"], ["data", "phantom"], ["data", "check"], ["data", "fetch"]],
    ids=" ".join,
)
def test_help_fits_one_screen_and_describes_every_option(capsys, arguments, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(capsys, *arguments, "--help")
    assert code == 0 and err == "" and len(out.splitlines()) <= 40
    assert out.startswith(f"usage: {' '.join(['python -m companion', *arguments])} ")
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+).*?(?=^  \S|\Z)", out, re.M | re.S)
    assert "--help" in options


def test_help_names_the_commands_and_options(capsys):
    assert all(word in run(capsys, "--help")[1] for word in ("study", "data", "behind the book"))
    shown = run(capsys, "study", "--help")[1]
    assert all(f"--{name}" in shown for name in ("step", "only", "data-root", "out", "seed", "device", "recompute"))
    assert "$TTE_DATA" in shown and "target=NAME" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["studdy"], "invalid choice: 'studdy'"),
        (["study"], "required: NAME"),
        (["study", "nuclei", "--stepp", "train"], "unrecognized arguments"),
        (["study", "nuclei", "--step", "draw"], "invalid choice: 'draw'"),
        (["study", "nuclei", "--seed", "one"], "invalid int value: 'one'"),
        (["data"], "required: ACTION"),
        (["data", "phantom", "phantom/nuclei-a"], "required: --root"),
        (["data", "fetch", "msd/Task09_Spleen"], "required: --root"),
        (["data", "list", "--paper", "LogME"], "invalid choice: 'LogME'"),
    ],
)
def test_wrong_usage_ends_with_2(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == "" and message in err and "Traceback" not in err


# ---- mistakes of a user


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--only", "target=phantom/nuclei-c"], "unknown target of study 'tiny' 'phantom/nuclei-c': expected one of "),
        (["--only", "task=spleen"], "unknown task of study 'tiny' 'spleen': expected one of phantom/organ-kidney, "),
        (["--only", "source=nuclei-a"], "unknown source of study 'tiny' 'nuclei-a': expected one of phantom/nuclei-a"),
        (
            ["--only", "network=x"],
            "--only 'network=x': expected KEY=VALUE with KEY one of source, target, task, model, seed",
        ),
        (
            ["--only", "model=x"],
            "unknown model of study 'tiny' 'x': expected one of nuclei-a_unet_s0, nuclei-b_unet_s0",
        ),
        (["--only", "seed=1"], "unknown seed of study 'tiny' '1': expected one of 0"),
        (["--only", "target"], "--only 'target': expected KEY=VALUE"),
        (["--only", "target="], "--only 'target=': expected KEY=VALUE"),
        (["--device", "gpu"], "unknown device 'gpu': expected cpu, cuda or cuda:N"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(capsys, place, monkeypatch, more, message):
    monkeypatch.setattr(loop, "train", None)
    code, out, err = run(capsys, *place[0], *more)
    assert code == 1 and out == "" and err.startswith(f"companion: {message}") and err.count("\n") == 1


def test_an_unknown_study_lists_the_known_ones(capsys):
    code, out, err = run(capsys, "study", "nuclej")
    assert code == 1 and out == "" and err.count("\n") == 1
    assert err.startswith("companion: unknown study 'nuclej': expected one of ") and "'nuclei'" in err


def test_a_cuda_device_where_there_is_none(capsys, place, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    code, _, err = run(capsys, *place[0], "--device", "cuda:1")
    assert code == 1 and err == "companion: device 'cuda:1': 0 CUDA devices are here; use cpu\n"


def test_a_misspelled_key_in_a_file(capsys, tiny_file, tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text(tiny_file.read_text().replace("headline:", "headlin:"))
    code, _, err = run(capsys, "study", path)
    assert code == 1 and "zero_shot.dropout.headlin: unknown key" in err and "Traceback" not in err


@pytest.mark.parametrize("part", ["zero_shot", "fine_tune"])
@pytest.mark.parametrize("have_models", [True, False])
def test_missing_data_says_where_it_looked_and_how_to_get_it(capsys, place, tmp_path, part, have_models):
    arguments, study = place
    shutil.rmtree(study.records.folder)
    if not have_models:
        shutil.rmtree(study.models)
    path, raw = tmp_path / "part.yml", study.config.model_dump(mode="json")
    raw[{"zero_shot": "fine_tune", "fine_tune": "zero_shot"}[part]] = None
    path.write_text(yaml.safe_dump(raw))
    code, _, err = run(capsys, "study", path, "--data-root", tmp_path / "nowhere", *arguments[-2:])
    name = {"zero_shot": NUCLEI[0], "fine_tune": "phantom/organ-kidney"}[part]
    folder = tmp_path / "nowhere" / name
    expected = (
        f"companion: {name}: {folder} does not exist. `python -m companion data phantom {name} --root DIR` makes it"
    )
    assert code == 1 and expected in err and "Traceback" not in err


def test_a_folder_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, "data", "phantom", NUCLEI[0], "--root", tmp_path / "file")
    assert code == 1 and err.startswith("companion: Not a directory: ") and err.count("\n") == 1


def test_an_interrupt_is_one_line_that_says_how_to_go_on(capsys, place, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(companion.study, "open_study", interrupted)
    code, _, err = run(capsys, *place[0])
    assert code == 130 and err == "companion: stopped; run the same command to go on from here\n"


def test_a_fault_of_our_own_is_not_hidden(place, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("our fault")

    monkeypatch.setattr(wing("zero_shot"), "evaluate", broken)
    with pytest.raises(ZeroDivisionError, match="our fault"):
        cli.main([str(argument) for argument in (*place[0], "--step", "evaluate")])


# ---- tte study


def test_a_finished_study_is_left_as_it_is_and_its_agreement_written(capsys, place, monkeypatch):
    arguments, study = place
    trained = {
        path: path.read_bytes() for path in arguments[-1].rglob("*") if path.is_file() and path.suffix != ".lock"
    }
    assert run(capsys, *arguments, "--step", "agree")[0] == 0
    before = {path: path.read_bytes() for path in arguments[-1].rglob("*") if path.is_file() and path.suffix != ".lock"}
    added = {path.relative_to(study.records.folder).parts[0] for path in set(before) - set(trained)}
    assert added == {"agreement.csv", "agreement.json", "features", "maps", "panels"}
    monkeypatch.setattr(loop, "train", None)
    monkeypatch.setattr(zero_shot, "predict", None)
    code, out, _ = run(capsys, *arguments)
    assert code == 0 and out == ""
    after = {path: path.read_bytes() for path in arguments[-1].rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert after == before


def test_only_one_target_is_evaluated(capsys, place):
    arguments, study = place
    shutil.rmtree(study.records.folder)
    code, _, _ = run(capsys, *arguments, "--step", "evaluate", "--only", f"target={NUCLEI[1]}")
    assert code == 0 and set(study.records.table("scores")["target"]) == {NUCLEI[1]}
    code, _, _ = run(capsys, *arguments, "--step", "evaluate", "--only", "task=phantom/organ-kidney", "--seed", "4")
    assert code == 0 and set(study.records.table("scores")["target"]) == {NUCLEI[1], "phantom/organ-kidney"}
    assert set(study.records.table("scores").query("target == 'phantom/organ-kidney'")["seed"]) == {4}
    assert not (study.records.folder / "agreement.csv").exists()


def test_only_one_source_is_trained(capsys, place):
    arguments, study = place
    shutil.rmtree(study.models)
    code, _, err = run(capsys, *arguments, "--step", "train", "--only", f"source={NUCLEI[0]}")
    assert code == 0 and "Traceback" not in err
    assert {path.stem for path in study.models.glob("*.yml")} == {"nuclei-a_unet_s0", "random_unet_s0"}


def test_recompute_repeats_and_changes_nothing(capsys, place, monkeypatch):
    arguments, study = place
    before, predict, calls = study.records.table("scores"), zero_shot.predict, []
    monkeypatch.setattr(zero_shot, "predict", lambda *a, **k: calls.append(1) or predict(*a, **k))
    code, _, _ = run(capsys, *arguments, "--step", "evaluate", "--only", f"target={NUCLEI[0]}", "--recompute")
    assert code == 0 and len(calls) == 2 and study.records.table("scores").equals(before)


# ---- tte data


def test_data_list_has_a_line_per_dataset_and_says_what_is_here(capsys, tiny_data):
    code, out, err = run(capsys, "data", "list", "--root", tiny_data)
    lines = {line.split()[0]: line.split() for line in out.splitlines()[1:]}
    assert code == 0 and err == "" and list(lines) == list(catalogue())
    here = {name for name, words in lines.items() if "yes" in words}
    assert here == {*NUCLEI, "phantom/organ-kidney", "phantom/organ-vertebra"}
    assert all((catalogue()[name].licence or "-").split()[0] in words for name, words in lines.items())


def test_data_list_of_an_empty_root(capsys, tmp_path):
    code, out, _ = run(capsys, "data", "list", "--root", tmp_path / "none")
    assert code == 0 and not any(" yes " in line for line in out.splitlines())


def test_data_phantom_writes_a_dataset_that_opens_and_prints_where(capsys, tmp_path):
    code, out, err = run(capsys, "data", "phantom", "phantom/nuclei-b", "--root", tmp_path)
    assert code == 0 and err == "" and out == f"{tmp_path / 'phantom' / 'nuclei-b'}\n"
    assert len(open_dataset("phantom/nuclei-b", tmp_path).cases()) == 24


@pytest.mark.parametrize(
    ("name", "message"),
    [("phantom/nuclei", "unknown dataset 'phantom/nuclei': did you mean phantom/nuclei-"),
     ("nuclei/go-nuclear", "nuclei/go-nuclear is measured data and cannot be generated; phantoms are phantom/")],
)  # fmt: skip
def test_an_unknown_phantom(capsys, tmp_path, name, message):
    code, out, err = run(capsys, "data", "phantom", name, "--root", tmp_path)
    assert code == 1 and out == "" and err.startswith(f"companion: {message}") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# ---- as a program


def test_it_runs_as_a_module_and_returns_its_exit_code():
    command = [sys.executable, "-m", "companion", "study", "nuclej"]
    done = subprocess.run(command, cwd=project_root(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("companion: unknown study 'nuclej'") and done.stderr.count("\n") == 1


def test_a_fault_in_one_target_does_not_stop_the_others_and_every_fault_is_said(capsys, place, tmp_path, tiny_data):
    arguments, study = place
    root = tmp_path / "damaged"
    shutil.copytree(tiny_data, root)
    for case in fine_tune.cases(study, "phantom/organ-kidney", "test").cases:
        path = root / case.image.relative_to(tiny_data)
        path.write_bytes(path.read_bytes()[:200])
    before = study.records.table("performance")
    shutil.rmtree(study.records.folder)
    code, _, err = run(capsys, *arguments, "--data-root", str(root), "--step", "evaluate")
    assert code == 1 and "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("companion: ") or line.startswith("  ")]
    assert lines[0] == "companion: phantom/organ-kidney: 2 of 2 cases cannot be used:"
    assert len(lines) == 3 and all("could not read it" in line for line in lines[1:])
    recorded = study.records.table("performance")
    assert set(recorded["target"]) == set(before["target"]) - {"phantom/organ-kidney"}


def test_several_studies_under_one_name_run_one_after_the_other(capsys, monkeypatch, tmp_path, tiny_file, tiny_data):
    both = tmp_path / "both.yml"
    both.write_text(yaml.safe_dump({"name": "both", "title": "t", "studies": [str(tiny_file), "nowhere"]}))
    out = tmp_path / "out"
    code, _, errors = run(capsys, "study", both, "--data-root", tiny_data, "--out", out, "--step", "train")
    assert code == 1 and "unknown study 'nowhere'" in errors  # and the first one was run
    assert sorted((out / "models" / "tiny").glob("*.safetensors"))
    code, _, errors = run(capsys, "study", both, "--only", "target=phantom/nuclei-a")
    assert code == 1 and "--only goes with one study" in errors


def test_the_papers_microscopy_is_its_four_studies():
    from companion.config import load_config

    names = load_config("paper-microscopy").studies
    parts = {name: load_config(name).zero_shot for name in names}
    assert [(len(p.sources), len(p.targets)) for p in parts.values()] == [(3, 4), (7, 5), (5, 5), (3, 3)]
    assert {name for name, part in parts.items() if part.instances} == {"paper-nuclei-instances", "paper-cells"}
