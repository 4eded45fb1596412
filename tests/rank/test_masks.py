"""`tte rank masks` through the command line and from Python: order, bad input, resumption, the same bytes twice."""

import errno
import json
import os
import shutil

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
from tool_masks import MISSED, write

import tte
from tte.cli import main
from tte.errors import ConfigError, DataNotFound, UndefinedScore


def command(tools, *more, names=MISSED, out="out"):
    masks = [f"{name}={tools / name}" for name in names]
    return ["rank", "masks", "--images", str(tools / "images"), "--masks", *masks, "--out", str(tools / out), *more]


def folders(tools, names=MISSED):
    return {name: tools / name for name in names}


def test_tools_are_ordered_by_how_far_they_agree_with_the_others(tools, capsys):
    assert main(command(tools)) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Use `good`.") and "clearly behind" in printed.splitlines()[0]
    table = pd.read_csv(tools / "out" / "ranking.csv")
    assert table["model"].tolist() == list(MISSED) and table["rank"].tolist() == [1, 2, 3, 4]
    assert (table["score_low"] <= table["score"]).all() and (table["score"] <= table["score_high"]).all()
    cells = pd.read_csv(tools / "out" / "per_image.csv")
    assert len(cells) == 4 * 6 and cells["consensus_instances"].between(0, 1).all()
    assert json.loads((tools / "out" / "provenance.json").read_text())["versions"]["tte"] == tte.__version__


def test_consistency_and_measured_performance_stand_beside_the_consensus(tools):
    pairs = {name: (tools / name, tools / f"{name}-perturbed") for name in MISSED}
    ranking = tte.rank_masks(pairs, tools / "images", labels=tools / "labels")
    table = ranking.table.set_index("model")
    assert ranking.lead.name == "consensus_instances"
    assert table.loc["good", "measured_ap50"] == 1.0 and table.loc["good", "measured_f1"] == 1.0
    assert table["measured_ap50"].is_monotonic_decreasing
    assert table["cte_nhd:perturbed"].between(0, 1).all() and table["cte_vrand:perturbed"].between(0, 1).all()
    assert ranking.probability_best["good"] == max(ranking.probability_best.values())
    assert sum(ranking.probability_best.values()) == pytest.approx(1)
    assert ranking.label_next == ()  # all have labels


def test_a_few_labels_and_what_to_label_next(tools):
    for path in sorted((tools / "labels").iterdir())[2:]:
        path.unlink()
    close = folders(tools, ("fair", "fair-perturbed", "weak", "weak-perturbed"))
    ranking = tte.rank_masks(close, tools / "images", labels=tools / "labels")
    assert "2 images labelled" in ranking.verdict
    header, first = str(ranking).splitlines()[2:4]
    assert "  best" in header and f"{ranking.table['probability_best'][0]:.0%}" in first
    labelled = {path.stem for path in (tools / "labels").iterdir()}
    assert ranking.label_next and not labelled & set(ranking.label_next)


def test_the_lead_can_be_chosen(tools):
    pairs = {name: (tools / name, tools / f"{name}-perturbed") for name in MISSED}
    ranking = tte.rank_masks(pairs, tools / "images", lead="cte_nhd")
    assert ranking.lead.name == "cte_nhd:perturbed" and "asked" in ranking.lead.reason
    with pytest.raises(ConfigError, match="choose one of consensus_instances"):
        tte.rank_masks(pairs, tools / "images", lead="logme")


def test_two_runs_give_the_same_bytes(tools):
    assert main(command(tools)) == 0 and main(command(tools, out="again")) == 0
    for name in ("ranking.csv", "per_image.csv"):
        assert (tools / "out" / name).read_bytes() == (tools / "again" / name).read_bytes()


def test_finished_masks_are_not_read_again_and_one_tool_more_reads_that_tool(tools, monkeypatch):
    assert main(command(tools)) == 0
    before = (tools / "out" / "ranking.csv").read_bytes()
    from tte.rank import masks

    read, real = [], masks._cell
    monkeypatch.setattr(masks, "_cell", lambda name, shape, tool: read.append(tool.clean[0]) or real(name, shape, tool))
    assert main(command(tools)) == 0 and read == []
    assert (tools / "out" / "ranking.csv").read_bytes() == before
    assert main(command(tools, names=[*MISSED, "fair-perturbed"])) == 0
    assert len(read) == 6 and {dataset.entry.labels for dataset in read} == {"fair-perturbed"}
    assert main(command(tools)) == 0 and len(read) == 6
    assert (tools / "out" / "ranking.csv").read_bytes() == before


def test_copies_count_once(tools):
    shutil.copytree(tools / "poor", tools / "copy")
    ranking = tte.rank_masks(folders(tools, [*MISSED, "copy"]), tools / "images")
    assert ranking.table["model"].iloc[0] == "good"
    assert any("poor + copy" in text and "count as one" in text for text in ranking.warnings)


def test_masks_of_zero_and_one_become_objects(tools):
    for name in MISSED:
        for path in (tools / name).iterdir():
            write(path, (iio.imread(path) > 0).astype(np.uint8))
    ranking = tte.rank_masks(folders(tools), tools / "images", objects=True)
    assert ranking.lead.name == "consensus_instances" and ranking.table["model"].iloc[0] == "good"
    assert tte.rank_masks(folders(tools), tools / "images").lead.name == "consensus_pixels"


# ---- bad input ---------------------------------------------------------------------------------------------------
def test_a_mask_of_another_size_is_counted_and_the_rest_ranked(tools, capsys):
    write(sorted((tools / "fair").iterdir())[0], np.zeros((10, 12), np.uint8))
    assert main(command(tools)) == 0
    printed = capsys.readouterr().out
    assert "cell fair, zell 0 ü: " in printed and "(10, 12)" in printed
    table = pd.read_csv(tools / "out" / "ranking.csv").set_index("model")
    assert table.loc["fair", "failed"] == 1 and table["failed"].sum() == 1


def test_an_unreadable_image_is_left_out_with_its_reason(tools, capsys):
    sorted((tools / "images").iterdir())[0].write_bytes(b"no image")
    assert main(command(tools)) == 0
    assert "image zell 0 ü: " in capsys.readouterr().out


def test_a_missing_folder_of_one_tool_leaves_the_others(tools, capsys):
    assert main([*command(tools), "--masks", f"gone={tools / 'gone'}"]) == 0
    printed = capsys.readouterr().out
    assert "model gone: " in printed and "no such folder" in printed


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--masks", "good=elsewhere"], "two tools are called 'good'"),
        (["--masks", "nonsense"], "expected NAME=DIR"),
        (["--labels", "nowhere"], "no such folder"),
        (["--limit", "0"], "at least 1"),
    ],
)
def test_one_clear_line(tools, capsys, more, words):
    assert main(command(tools, *more)) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and error[0].startswith("tte: ") and words in error[0]


def test_an_empty_folder_and_dicom(tools):
    empty = tools / "empty"
    empty.mkdir()
    with pytest.raises(tte.InputError, match="expected TIFF, PNG, NIfTI"):
        tte.rank_masks({"good": tools / "good"}, empty)
    (empty / "a.dcm").write_bytes(b"DICM")
    with pytest.raises(tte.InputError, match="dcm2niix"):
        tte.rank_masks({"good": tools / "good"}, empty)
    with pytest.raises(DataNotFound, match="no such folder"):
        tte.rank_masks({"good": tools / "good"}, tools / "missing")


def test_labels_of_other_names(tools):
    write(tools / "other" / "x.png", np.zeros((96, 96), np.uint8))
    with pytest.raises(tte.InputError, match="no label map is named like an image"):
        tte.rank_masks(folders(tools), tools / "images", labels=tools / "other")


def test_two_tools_without_anything_else_cannot_be_ranked(tools):
    two = folders(tools, ("good", "fair"))
    with pytest.raises(UndefinedScore, match="no model could be ranked: no consensus of instances"):
        tte.rank_masks(two, tools / "images")
    ranking = tte.rank_masks(two, tools / "images", labels=tools / "labels")
    assert ranking.lead.name == "measured_ap50" and ranking.table["model"].tolist() == ["good", "fair"]


def test_another_run_is_never_overwritten_unasked(tools, capsys):
    assert main(command(tools)) == 0
    before = (tools / "out" / "ranking.csv").read_bytes()
    assert main(command(tools, "--seed", "5")) == 1
    error = capsys.readouterr().err
    assert "holds another run (seed was 0, now 5)" in error and "--overwrite" in error
    assert (tools / "out" / "ranking.csv").read_bytes() == before
    assert main(command(tools, "--seed", "5", "--overwrite")) == 0
    write(tools / "foreign" / "mine.png", np.zeros((2, 2), np.uint8))
    assert main(command(tools, out="foreign")) == 1
    assert "mine.png" in capsys.readouterr().err


def test_a_result_shows_itself(tools):
    ranking = tte.rank_masks(folders(tools), tools / "images")
    page = ranking._repr_html_()
    assert "<table" in page and "Use `good`" in page
    assert str(ranking).splitlines()[0] == ranking.verdict
    name = ranking.per_image["image"].iloc[0]
    assert ranking.pictures.image(name).shape == ranking.pictures.prediction("good", name).shape == (96, 96)
    with pytest.raises(ConfigError, match="other files"):
        ranking.save(tools)
    assert (ranking.save(tools / "saved") / "ranking.csv").is_file()


def test_a_full_disk_is_one_line(tools, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert main(command(tools)) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and "the disk is full" in error[0]


def test_one_run_at_a_time(tools):
    from tte.rank.run.output import opened

    with opened(tools / "out", {}), pytest.raises(tte.InputError, match="another run writes there"):
        tte.rank_masks(folders(tools), tools / "images", out=tools / "out", overwrite=True)
