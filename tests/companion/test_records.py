"""The result tables: whole or not at all, the same bytes twice, and computed again only when something changed."""

import gzip
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from companion.records import COLUMNS, Records, load_or_compute, rows
from companion.records import store as module
from companion.records.recent import recent_files
from tte._atomic import atomic_write
from tte.errors import DataNotFound, InputError

IDENTITY = {"config": "c1", "inputs": "i1", "weights": "w1"}
PROVENANCE = {"identity": IDENTITY, "seconds": 1.0}


def tables(cell, value=0.25, images=("0001", "0002")):
    same = {"study": "s", "target": "t", "model": f"model-{cell}", "seed": 0}
    score = {**same, "estimator": "cte_nhd", "perturbation": "dropout", "strength": 0.2, "score": value}
    counts = {"n_images": len(images), "n_undefined": 1}
    per_image = [{**same, "quantity": "f1", "image": image, "value": value} for image in images]
    per_image[-1]["value"] = float("nan")
    return {
        "scores": rows("scores", cell, [{**score, **counts}]),
        "performance": rows("performance", cell, [{**same, "metric": "f1_median", "value": value}]),
        "per_image": rows("per_image", cell, per_image),
    }


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.suffix != ".lock"}


class Counted:
    """A computation that knows how often it ran."""

    def __init__(self, result):
        self.result, self.calls = result, 0

    def __call__(self):
        self.calls += 1
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.fixture
def store(tmp_path):
    return Records(tmp_path / "results")


@pytest.fixture
def beside(store, tmp_path, monkeypatch):
    """Two stores with the cells a, b and c: one wrote its tables for each, in the other b and c are beside them."""
    for cell in "ab":
        store.write(cell, tables(cell), PROVENANCE)
    shutil.copytree(store.folder, tmp_path / "large")
    large, newer = Records(tmp_path / "large"), {**PROVENANCE, "seconds": 2.0}
    for cell, content in (("b", {"scores": tables("b", 0.75)["scores"]}), ("c", tables("c", 0.5))):
        store.write(cell, content, newer)
        with monkeypatch.context() as patch:
            patch.setattr(module, "_SMALL", 0)
            large.write(cell, content, newer)
    return store, large


# ---- atomic_write


def test_atomic_write_takes_text_and_bytes_and_makes_folders(tmp_path):
    atomic_write(tmp_path / "a" / "b.txt", "τ")
    atomic_write(tmp_path / "a" / "c.bin", b"\x00\xff")
    assert bytes_of(tmp_path / "a") == {"b.txt": "τ".encode(), "c.bin": b"\x00\xff"}


@pytest.mark.parametrize("step", ["write_bytes", "replace"])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "table.csv"
    atomic_write(path, "old")

    def full(self, *_):
        if step == "write_bytes":
            with open(self, "wb") as stream:
                stream.write(b"ne")  # the disk fills up half way
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, step, full)
    with pytest.raises(DataNotFound, match="the disk is full"):
        atomic_write(path, "new")
    monkeypatch.undo()
    assert bytes_of(tmp_path) == {"table.csv": b"old"}


def test_a_reader_never_sees_half_a_file(tmp_path):
    path, stop, seen = tmp_path / "x", threading.Event(), set()
    contents = [letter * 200_000 for letter in "ab"]
    atomic_write(path, contents[0])

    def read():
        while not stop.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(60):
        atomic_write(path, contents[i % 2])
    stop.set()
    reader.join()
    assert seen and seen <= set(contents)


# ---- tables


def test_tables_have_the_declared_columns_and_survive_a_round_trip(store):
    written = tables("c", 1 / 3)
    store.write("c", written, PROVENANCE)
    found = store.find("c")
    assert found.source == "record" and found.provenance == PROVENANCE
    for name, table in found.tables.items():
        assert list(table.columns) == COLUMNS[name]
        if name in written:
            pd.testing.assert_frame_equal(table, written[name], rtol=1e-9, check_dtype=False)  # 10 digits are kept
    assert list(found.tables["per_image"]["image"]) == ["0001", "0002"]  # an id is text, its zeros stay
    assert np.isnan(found.tables["per_image"]["value"].iloc[1])
    assert found.tables["scores"]["variant"].iloc[0] == "" and found.tables["scores"]["layer"].iloc[0] == ""


def test_nothing_is_recorded_before_the_first_write(store):
    assert store.find("c") is None and store.provenance() == {}
    assert all(store.table(name).empty and list(store.table(name)) == COLUMNS[name] for name in COLUMNS)


def test_the_same_cells_in_any_order_give_the_same_bytes(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 7))
    monkeypatch.setattr("time.time", lambda: float(next(clock)))  # a time stamp anywhere would now differ
    names = ["b", "a", "c"]
    for folder, order in (("1", names), ("2", names[::-1])):
        for name in order:
            Records(tmp_path / folder).write(name, tables(name), PROVENANCE)
    assert bytes_of(tmp_path / "1") == bytes_of(tmp_path / "2")
    assert set(bytes_of(tmp_path / "1")) == {"scores.csv", "performance.csv", "per_image.csv.gz", "provenance.json"}


def test_the_compressed_table_has_no_time_stamp_and_no_file_name(store):
    store.write("c", tables("c"), PROVENANCE)
    data = (store.folder / "per_image.csv.gz").read_bytes()
    assert data[3] == 0 and data[4:8] == bytes(4)  # RFC 1952: no optional fields, MTIME 0
    assert gzip.decompress(data).decode().splitlines()[0] == ",".join(COLUMNS["per_image"])


def test_writing_a_cell_again_replaces_its_rows_alone(store):
    store.write("a", tables("a", 0.1), PROVENANCE)
    store.write("b", tables("b", 0.2), PROVENANCE)
    store.write("a", tables("a", 0.3, images=("0009",)), PROVENANCE)
    assert store.table("scores").set_index("cell")["score"].to_dict() == {"a": 0.3, "b": 0.2}
    assert list(store.find("a").tables["per_image"]["image"]) == ["0009"]
    assert list(store.find("b").tables["per_image"]["image"]) == ["0001", "0002"]


def _write_some(folder, first):
    for cell in (f"{first}{i}" for i in range(4)):
        Records(folder).write(cell, tables(cell), PROVENANCE)


def test_threads_that_write_different_cells_keep_all_of_them(store):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda first: _write_some(store.folder, first), "abcd"))
    assert len(store.provenance()) == len(store.table("scores")) == 16


def test_processes_that_write_different_cells_keep_all_of_them(store):
    context = get_context("fork")  # keeps the redirected lock folder
    processes = [context.Process(target=_write_some, args=(store.folder, first)) for first in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert set(store.provenance()) == set(store.table("scores")["cell"]) == {f"{f}{i}" for f in "ab" for i in range(4)}
    assert len(store.table("per_image")) == 16


def test_a_table_that_a_cell_leaves_out_loses_its_old_rows(store):
    store.write("a", tables("a", 0.1), PROVENANCE)
    store.write("b", tables("b", 0.2), PROVENANCE)
    store.write("a", {"scores": tables("a", 0.3)["scores"]}, PROVENANCE)
    found = store.find("a").tables
    assert found["scores"]["score"].tolist() == [0.3]
    assert found["performance"].empty and found["per_image"].empty
    assert set(store.table("performance")["cell"]) == set(store.table("per_image")["cell"]) == {"b"}


def test_the_only_cell_leaves_an_empty_table_behind(store):
    store.write("a", tables("a"), PROVENANCE)
    store.write("a", {"performance": tables("a")["performance"]}, PROVENANCE)
    assert store.table("scores").empty and list(store.table("scores")) == COLUMNS["scores"]


def test_a_cell_that_lost_rows_is_computed_again(store):
    load_or_compute(store, "c", IDENTITY, Counted(tables("c")))
    (store.folder / "per_image.csv.gz").unlink()
    compute = Counted(tables("c"))
    assert load_or_compute(store, "c", IDENTITY, compute).source == "computed" and compute.calls == 1


@pytest.mark.parametrize("name", ["scores.csv", "per_image.csv.gz", "provenance.json"])
@pytest.mark.parametrize("content", [b"", b"<<<<<<< HEAD\n", b"\x1f\x8b\x08\x00half", b"[1]", b"\xff\xfe"])
def test_a_damaged_file_is_named(store, name, content):
    store.write("c", tables("c"), PROVENANCE)
    (store.folder / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} is damaged .*: restore it, or remove it"):
        store.find("c")


def test_a_folder_with_a_long_path_is_written(tmp_path):
    folder = tmp_path.joinpath(*("deep" * 20 for _ in range(5)))  # 400 characters and more
    Records(folder).write("c", tables("c"), PROVENANCE)
    assert Records(folder).find("c") is not None


# ---- cells beside large tables


def test_cells_beside_the_tables_are_read_as_those_in_them(beside):
    at_once, large = beside
    assert len(recent_files(large.folder)) == 2 and "model-c" not in (large.folder / "scores.csv").read_text()
    assert large.provenance() == at_once.provenance()
    for name in COLUMNS:
        one, other = (found.table(name).sort_values(["cell", "model"], kind="stable") for found in beside)
        pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True), check_dtype=False)
        assert len(large.table(name, "t")) == len(one)
    for cell in "abc":
        one, other = (found.find(cell) for found in beside)
        assert one.provenance == other.provenance
        for name in COLUMNS:
            pd.testing.assert_frame_equal(one.tables[name], other.tables[name], check_dtype=False)


def test_they_are_taken_in_with_the_same_bytes_and_leave_nothing(beside):
    at_once, large = beside
    before = large.fingerprint()
    large.settle()
    assert bytes_of(large.folder) == bytes_of(at_once.folder) and large.fingerprint() == at_once.fingerprint() != before
    large.settle()
    assert bytes_of(large.folder) == bytes_of(at_once.folder)


def test_a_stop_while_they_are_taken_in_loses_nothing(beside, monkeypatch):
    at_once, large = beside
    for step in range(5):
        with monkeypatch.context() as patch:
            left = iter(range(step))

            def stops(path, content, left=left):
                if next(left, None) is None:
                    raise KeyboardInterrupt
                return atomic_write(path, content)

            patch.setattr(module, "atomic_write", stops)
            with suppress(KeyboardInterrupt):
                large.settle()
        assert large.find("c").tables["scores"]["score"].tolist() == [0.5]
        assert large.find("b").tables["scores"]["score"].tolist() == [0.75] and not len(
            large.find("b").tables["per_image"]
        )
    large.settle()
    assert bytes_of(large.folder) == bytes_of(at_once.folder)


def test_they_are_taken_in_when_they_are_many(store, monkeypatch):
    monkeypatch.setattr(module, "_SMALL", 0)
    monkeypatch.setattr(module, "BESIDE", 3)
    seen = []
    for cell in "abcdefg":
        store.write(cell, tables(cell), PROVENANCE)
        seen.append(len(recent_files(store.folder)))
    assert seen == [1, 2, 0, 1, 2, 0, 1] and set(store.table("scores")["cell"]) == set("abcdefg")


def test_a_reader_never_misses_what_is_taken_in(store, monkeypatch):
    monkeypatch.setattr(module, "_SMALL", 0)
    monkeypatch.setattr(module, "BESIDE", 3)
    written, stop = [], threading.Event()

    def missed():
        lost = []
        while not stop.is_set():
            before = list(written)
            there = set(store.table("scores")["cell"])
            lost += [cell for cell in before if cell not in there or store.find(cell) is None]
        return lost

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(missed)
        for number in range(30):
            store.write(f"cell{number}", tables(f"cell{number}"), PROVENANCE)
            written.append(f"cell{number}")
        stop.set()
        assert reader.result() == []


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"cell": "c", "provenance": {}, "tables": {"scores": "a,b"}}'])
def test_a_damaged_one_is_named(beside, content):
    _, large = beside
    broken = recent_files(large.folder)[0]
    broken.write_text(content)
    for call in (lambda: large.find("a"), large.settle, lambda: large.table("scores")):
        with pytest.raises(InputError, match=f"recent/{broken.name}"):
            call()


# ---- load_or_compute


def test_the_first_call_computes_and_the_second_reads(store):
    compute = Counted(tables("c"))
    first = load_or_compute(store, "c", IDENTITY, compute)
    second = load_or_compute(store, "c", dict(reversed(IDENTITY.items())), compute)
    assert (first.source, second.source, compute.calls) == ("computed", "record", 1)
    assert first.largest_change is None and second.largest_change is None
    for name in first.tables:
        pd.testing.assert_frame_equal(first.tables[name], second.tables[name], check_dtype=False)


@pytest.mark.parametrize("key", IDENTITY)
def test_any_change_of_identity_computes_again_and_is_recorded(store, key):
    load_or_compute(store, "c", IDENTITY, Counted(tables("c")))
    compute, changed = Counted(tables("c", 0.75)), {**IDENTITY, key: "other"}
    again = load_or_compute(store, "c", changed, compute)
    assert compute.calls == 1 and again.source == "computed" and again.largest_change == 0.5
    assert store.find("c").provenance["identity"] == changed
    assert load_or_compute(store, "c", changed, compute).source == "record" and compute.calls == 1


def test_inputs_that_are_not_at_hand_cannot_be_checked_and_the_record_stands(store):
    load_or_compute(store, "c", IDENTITY, Counted(tables("c")))
    compute = Counted(tables("c"))
    assert load_or_compute(store, "c", {**IDENTITY, "inputs": None}, compute).source == "record"
    assert compute.calls == 0


def test_recompute_computes_although_the_record_matches_and_reports_the_change(store):
    load_or_compute(store, "c", IDENTITY, Counted(tables("c", 0.25)))
    same = load_or_compute(store, "c", IDENTITY, Counted(tables("c", 0.25)), recompute=True)
    assert same.source == "computed" and same.largest_change == 0
    other = load_or_compute(store, "c", IDENTITY, Counted(tables("c", 0.375)), recompute=True)
    assert other.largest_change == 0.125
    assert store.find("c").tables["scores"]["score"].tolist() == [0.375]


def test_the_change_is_infinite_where_rows_or_undefined_values_differ(store):
    load_or_compute(store, "c", IDENTITY, Counted(tables("c")))
    fewer = load_or_compute(store, "c", IDENTITY, Counted(tables("c", images=("0001", "0003"))), recompute=True)
    assert fewer.largest_change == float("inf")
    defined = tables("c", images=("0001", "0003"))
    defined["per_image"]["value"] = 0.25
    assert load_or_compute(store, "c", IDENTITY, Counted(defined), recompute=True).largest_change == float("inf")


def test_the_change_sees_past_other_cells_with_other_columns_filled(store):
    """A cell without counts turns the whole column into floats; the integers of the cell are still the same ones."""
    load_or_compute(store, "c", IDENTITY, Counted(tables("c")))
    bare = rows("scores", "d", [{"study": "s", "target": "t", "model": "m", "estimator": "e", "seed": 0, "score": 1.0}])
    load_or_compute(store, "d", IDENTITY, Counted({"scores": bare}))
    assert load_or_compute(store, "c", IDENTITY, Counted(tables("c")), recompute=True).largest_change == 0


def test_a_failing_computation_leaves_the_record(store):
    load_or_compute(store, "c", IDENTITY, Counted(tables("c")))
    before = bytes_of(store.folder)
    with pytest.raises(RuntimeError, match="out of memory"):
        load_or_compute(store, "c", IDENTITY, Counted(RuntimeError("out of memory")), recompute=True)
    assert bytes_of(store.folder) == before


def test_no_data_and_a_record_of_other_settings_says_both(store):
    load_or_compute(store, "a/cell", IDENTITY, Counted(tables("a/cell")))
    missing = Counted(DataNotFound("nuclei/x: /data/x does not exist."))
    changed = {**IDENTITY, "config": "other", "inputs": None}
    message = r"the record of a/cell was made with other settings or weights\. nuclei/x: /data/x does not exist"
    with pytest.raises(DataNotFound, match=message):
        load_or_compute(store, "a/cell", changed, missing)
    assert store.find("a/cell").provenance["identity"] == IDENTITY


def test_no_data_and_no_record_or_a_wish_to_recompute_says_where_it_looked_alone(store):
    missing = Counted(DataNotFound("nuclei/x: /data/x does not exist."))
    with pytest.raises(DataNotFound, match=r"^nuclei/x: /data/x does not exist\.$"):
        load_or_compute(store, "c", IDENTITY, missing)
    load_or_compute(store, "c", IDENTITY, Counted(tables("c")))
    with pytest.raises(DataNotFound, match=r"^nuclei/x"):
        load_or_compute(store, "c", IDENTITY, missing, recompute=True)


def test_provenance_holds_identity_and_circumstances(store):
    load_or_compute(store, "c", IDENTITY, Counted(tables("c")), device="cuda:0")
    entry = json.loads((store.folder / "provenance.json").read_text())["c"]
    assert set(entry) == {"identity", "commit", "device", "machine", "rows", "seconds", "versions"}
    assert entry["identity"] == IDENTITY and entry["device"] == "cuda:0" and entry["seconds"] >= 0
    assert {"python", "torch", "monai", "numpy"} <= set(entry["versions"])


def test_circumstances_do_not_invalidate_a_record(store, monkeypatch):
    load_or_compute(store, "c", IDENTITY, Counted(tables("c")))
    monkeypatch.setattr(module, "_commit", lambda: "another")
    compute = Counted(tables("c"))
    assert load_or_compute(store, "c", IDENTITY, compute, device="cuda").source == "record" and compute.calls == 0


def test_records_that_changed_do_not_make_the_commit_of_the_next_one_dirty(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "project_root", lambda: tmp_path)
    for name in ("code.py", "results/made/scores.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n")
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "one")):
        module._git(*command)
    clean = module._commit()
    (tmp_path / "results/made/scores.csv").write_text("2\n")
    assert module._commit() == clean and len(clean) == 12
    (tmp_path / "code.py").write_text("2\n")
    assert module._commit() == f"{clean}-dirty"
    monkeypatch.setattr(module, "project_root", lambda: tmp_path / "nowhere")
    monkeypatch.delenv("TTE_COMMIT", raising=False)
    assert module._commit() == "unknown"
    monkeypatch.setenv("TTE_COMMIT", "820538e")  # as in a container
    assert module._commit() == "820538e"
