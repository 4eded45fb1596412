"""Checking datasets that the tests write: counts, values, splits, damage case by case; the contact sheet; the table."""

import json

import imageio.v3 as iio
import nibabel as nib
import numpy as np
import pytest
import tifffile
from matplotlib.figure import Figure

from companion import __main__ as cli
from companion.data import catalogue, catalogue_entry, write_phantom
from companion.data.check import check_dataset
from companion.data.sheet import scale_bar, view
from companion.data.table import listing
from tte.errors import ConfigError, DataNotFound
from tte.images import Sample

PAIRS, VOLUMES = "nuclei/go-nuclear", "msd/Task04_Hippocampus"


@pytest.fixture
def pairs(tmp_path):
    """Five images of 20 x 30 pixels, each with i nuclei of 4 pixels; the last is smaller and has none."""
    folder = tmp_path / catalogue_entry(PAIRS).folder
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for i in range(1, 6):
        shape = (20, 30) if i < 5 else (10, 12)
        mask = np.zeros(shape, np.uint8)
        for k in range(i if i < 5 else 0):
            mask[2:4, 4 * k + 1 : 4 * k + 3] = 10 * (k + 1)
        iio.imwrite(folder / "images" / f"s{i}.png", np.full(shape, 10 * i, np.uint8))
        iio.imwrite(folder / "masks" / f"s{i}.png", mask)
    (folder / "dataset.json").write_text(json.dumps({"split": {"train": ["s1", "s2", "s3"], "test": ["s4", "s5"]}}))
    return tmp_path


@pytest.fixture
def volumes(tmp_path):
    """Three volumes of 6 x 5 x 4 voxels with labels 1 and 2, voxels of 1 x 1 x 2 mm."""
    folder = tmp_path / VOLUMES
    label = np.zeros((6, 5, 4), np.uint8)
    label[2, :, 3], label[3, 0, 1] = 1, 2
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for i in range(3):
        image = np.arange(120, dtype=np.int16).reshape(6, 5, 4) - 20
        for part, values in (("imagesTr", image), ("labelsTr", label)):
            nib.save(nib.Nifti1Image(values, np.diag([1, 1, 2, 1])), folder / part / f"h{i}.nii.gz")
    pair = [{"image": f"./imagesTr/h{i}.nii.gz", "label": f"./labelsTr/h{i}.nii.gz"} for i in range(3)]
    names = {"0": "background", "1": "Anterior", "2": "Posterior"}
    index = {"tensorImageSize": "3D", "modality": {"0": "MRI"}, "labels": names, "training": pair}
    (folder / "dataset.json").write_text(json.dumps(index))
    return tmp_path


def test_counts_shapes_values_and_splits(pairs):
    report = check_dataset(PAIRS, pairs)
    assert (report.n_cases, report.splits, report.damaged) == (5, {"train": 3, "test": 2}, {})
    assert report.shapes == {(1, 20, 30): 4, (1, 10, 12): 1} and report.dtypes == {"uint8": 5}
    assert report.intensities == (10, 50) and report.objects == (1, 2, 3, 4, 0) and report.n_empty == 1
    assert report.labels == {0: 4 * 600 + 120 - 40, 1: 40}  # ten nuclei of four pixels
    lines = report.lines()
    for line in (
        "cases: 5, 0 of them damaged",
        "splits: train 3, test 2",
        "stored as: uint8",
        "intensities: 10 to 50",
        "shapes: 1 x 20 x 30 (4), 1 x 10 x 12 (1)",
        "labels: 0 background 98.41%, 1 foreground 1.59%",
        "objects: 0 to 4 per case, 2 in the middle",
        "empty: 1 cases without foreground",
    ):
        assert line in lines


def test_volumes_with_classes_and_spacing(volumes):
    report = check_dataset(VOLUMES, volumes)
    assert report.labels == {0: 3 * 114, 1: 15, 2: 3} and report.splits == {} and report.objects == ()
    lines = report.lines()
    for line in (
        "spacing: 1 x 1 x 2 mm (3)",
        "stored as: int16",
        "intensities: -20 to 99",
        "labels: 0 background 95.00%, 1 anterior 4.17%, 2 posterior 0.83%",
    ):
        assert line in lines


def test_many_shapes_become_a_range(pairs):
    folder = pairs / catalogue_entry(PAIRS).folder
    for i in range(1, 6):
        for part in ("images", "masks"):
            iio.imwrite(folder / part / f"s{i}.png", np.zeros((i, 2 * i + 1), np.uint8))
    assert "shapes: 5 different, 1 x 1..5 x 3..11" in check_dataset(PAIRS, pairs).lines()


def test_damaged_cases_are_listed_and_the_others_read(pairs, capsys):
    folder = pairs / catalogue_entry(PAIRS).folder
    (folder / "images" / "s2.png").write_bytes((folder / "images" / "s2.png").read_bytes()[:40])
    iio.imwrite(folder / "masks" / "s4.png", np.zeros((7, 7), np.uint8))
    report = check_dataset(PAIRS, pairs)
    assert list(report.damaged) == ["s2", "s4"] and sum(report.shapes.values()) == 3 and report.n_cases == 5
    assert "s2.png" in report.damaged["s2"] and "(7, 7)" in report.damaged["s4"]
    assert cli.main(["data", "check", PAIRS, "--root", str(pairs)]) == 1
    out = capsys.readouterr().out
    assert "cases: 5, 2 of them damaged" in out and out.count("\ndamaged: s") == 2


@pytest.mark.parametrize("part", ["images", "masks"])
def test_missing_files_are_damage_too(pairs, part):
    folder = pairs / catalogue_entry(PAIRS).folder
    for i in (2, 5):
        (folder / part / f"s{i}.png").unlink()
    report = check_dataset(PAIRS, pairs)
    assert list(report.damaged) == ["s2", "s5"] and sum(report.shapes.values()) == 3
    assert all(f"{part}/{case}.png" in message for case, message in report.damaged.items())


def test_missing_volumes_are_damage_too(volumes):
    (volumes / VOLUMES / "labelsTr" / "h1.nii.gz").unlink()
    assert list(check_dataset(VOLUMES, volumes).damaged) == ["h1"]


def test_images_without_a_label_map_are_damage_too(tmp_path):
    folder = tmp_path / catalogue_entry("nuclei/S-BIAD634").folder / "dataset"
    for part in ("rawimages", "groundtruth"):
        folder.joinpath(part).mkdir(parents=True)
    for i in range(3):
        tifffile.imwrite(folder / "rawimages" / f"a_{i}.tif", np.full((9, 8), i, np.uint16))
        tifffile.imwrite(folder / "groundtruth" / f"a_{i}.tif", np.eye(9, 8, dtype=np.uint16))
    assert check_dataset("nuclei/S-BIAD634", tmp_path).damaged == {}
    (folder / "groundtruth" / "a_1.tif").unlink()
    report = check_dataset("nuclei/S-BIAD634", tmp_path)
    assert len(report.damaged) == 1 and report.n_cases == 3 and report.dtypes == {"uint16": 2}
    assert "a_1.tif has no label map" in next(iter(report.damaged.values()))


def test_a_dataset_that_is_not_here(tmp_path, capsys):
    with pytest.raises(DataNotFound, match="does not exist"):
        check_dataset(PAIRS, tmp_path)
    with pytest.raises(ConfigError, match="unknown dataset"):
        check_dataset("nuclei/nothing", tmp_path)
    assert cli.main(["data", "check", PAIRS, "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_writes_the_sheet_and_ends_with_0(tmp_path, capsys):
    write_phantom("phantom/nuclei-b", tmp_path, n=14, shape=(64, 64))
    out = tmp_path / "new" / "sheet.png"
    assert cli.main(["data", "check", "phantom/nuclei-b", "--root", str(tmp_path), "--out", str(out)]) == 0
    assert "cases: 14, 0 of them damaged" in capsys.readouterr().out
    sheet = iio.imread(out)[..., :3].astype(int)
    coloured = np.ptp(sheet, axis=-1) > 60
    assert coloured.mean() > 0.005 and sheet.shape[0] > 900  # contours, in three rows of four


def test_the_view_of_a_volume_is_the_slice_with_the_most_foreground():
    label = np.zeros((5, 6, 7), np.int32)
    label[1, :, 4] = 1
    sample = Sample(np.arange(210, dtype=np.float32).reshape(1, 5, 6, 7), label, (1.0, 2.0, 3.0))
    image, shown, size = view(sample)
    assert np.array_equal(image, sample.image[0, :, :, 4]) and np.array_equal(shown, label[:, :, 4])
    assert size == (1.0, 2.0)
    image, shown, size = view(Sample(np.zeros((1, 900, 300), np.float32), None, (1.0,) * 2))
    assert image.shape == (300, 100) and shown is None and size == (3.0, 3.0)


def test_a_slice_of_a_body_stands_upright_with_a_scale_bar():
    """In RAS order the first axis points to the right and the second to the front, which belongs at the top."""
    body = np.zeros((1, 30, 40, 3), np.float32)
    body[0, 2, :, 1] = 1  # far left
    body[0, :, 37, 1] = 2  # far to the front
    image, _, size = view(Sample(body, None, (0.5, 2.0, 1.0), "RAS"))
    assert image.shape == (40, 30) and (image[2] == 2).all() and (image[3:, 2] == 1).all() and size == (2.0, 0.5)
    axes = Figure().subplots()
    axes.imshow(image)
    scale_bar(axes, image.shape, size[1], "mm")
    assert [text.get_text() for text in axes.texts] == ["2 mm"]  # a quarter of 15 mm, rounded down to 1, 2 or 5
    assert np.ptp(axes.lines[0].get_xdata()) == pytest.approx(4)
    scale_bar(bare := Figure().subplots(), image.shape, 1.0, "")
    assert not bare.lines and not bare.texts


# ---- the table


def test_the_table_has_a_line_per_dataset_and_says_what_is_here(pairs):
    header, *lines = listing(pairs)
    assert header.split() == ["name", "task", "role", "size", "here", "licence"]
    assert [line.split()[0] for line in lines] == list(catalogue())
    assert {line.split()[0] for line in lines if " yes " in line} == {PAIRS}
    files = [path for path in (pairs / catalogue_entry(PAIRS).folder).rglob("*") if path.is_file()]
    assert f" {sum(path.stat().st_size for path in files)} B " in next(line for line in lines if " yes " in line)
    assert next(line for line in lines if line.startswith("cells/PNAS ")).endswith(" no   -")


@pytest.mark.parametrize(("paper", "n"), [("CC-FV", 5), ("CTE", 16)])
def test_the_table_of_one_paper(tmp_path, paper, n):
    assert len(listing(tmp_path, paper=paper)) == n + 1


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_table_fits_the_terminal(tmp_path, width):
    lines = listing(tmp_path, width=width)
    assert max(map(len, lines)) <= width
    assert [line.split()[0] for line in lines[1:]] == list(catalogue())  # names are never cut
    assert any("…" in line for line in lines) == (width < 120)


def test_a_folder_without_its_index_is_not_here(pairs):
    folder = pairs / catalogue_entry(PAIRS).folder
    (folder / "dataset.json").unlink()
    (pairs / "cte" / "EPFL").mkdir(parents=True)
    assert not any(" yes " in line for line in listing(pairs))
    (pairs / "cte" / "EPFL" / "train.h5").write_bytes(b"")
    assert [line.split()[0] for line in listing(pairs) if " yes " in line] == ["mitochondria/EPFL"]
