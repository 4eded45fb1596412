"""Fetching: a server on 127.0.0.1 serves archives that the tests write; every way to fail leaves nothing half-done."""

import errno
import hashlib
import io
import shutil
import stat
import tarfile
import threading
import zipfile
from collections import namedtuple
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import imageio.v3 as iio
import nibabel as nib
import numpy as np
import pytest
import tifffile
from killing import MOMENTS, files, killed, moments, strays, undisturbed
from monai.apps import DecathlonDataset

from companion import __main__ as cli
from companion.data import catalogue_entry, open_dataset
from companion.data import fetch as fetch_module
from companion.data.catalogue import Download
from companion.data.download import file_name
from companion.data.fetch import downloads_of, fetch_dataset
from tte.errors import ConfigError, DataNotFound, InputError
from tte.images.archives import size_text, unpack

NAME, TASK = "msd/Task04_Hippocampus", "Task04_Hippocampus"
Usage = namedtuple("Usage", "total used free")


class _Handler(BaseHTTPRequestHandler):
    """Serves `server.files`; can stop after `server.cut` bytes, ignore ranges, or refuse HEAD."""

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body):
        self.server.seen.append((self.command, self.headers.get("Range")))
        data = self.server.files.get(self.path)
        if data is None or (not body and not self.server.head):
            self.send_error(404 if data is None else 405)
            return
        start = 0
        if body and self.server.ranges and (wanted := self.headers.get("Range")):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", md5_of(data))
        self.end_headers()
        if body:
            self.wfile.write(data[start : self.server.cut])
            self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.files, server.cut, server.ranges, server.head, server.seen = {}, None, True, True, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def md5_of(content):
    return hashlib.md5(content).hexdigest()


def tar_of(members, end=True):
    """A tar of (name, bytes or link target) pairs; without `end`, the closing zero blocks are missing."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        length = archive.offset
    return stream.getvalue() if end else stream.getvalue()[:length]


def zip_of(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def task_members(tmp_path):
    """The members of a small Decathlon task in its official layout, with what macOS adds."""
    rng = np.random.default_rng(0)
    pairs = []
    for i in range(3):
        for part, values in (
            ("imagesTr", rng.normal(300, 80, (6, 5, 4)).astype(np.float32)),
            ("labelsTr", rng.integers(0, 3, (6, 5, 4)).astype(np.uint8)),
        ):
            path = tmp_path / "make" / TASK / part / f"hippocampus_{i}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(values, np.eye(4)), path)
        pairs.append(f'{{"image": "./imagesTr/hippocampus_{i}.nii.gz", "label": "./labelsTr/hippocampus_{i}.nii.gz"}}')
    index = (
        f'{{"tensorImageSize": "3D", "modality": {{"0": "MRI"}}, "labels": {{"0": "background", "1": "Anterior", '
        f'"2": "Posterior"}}, "training": [{", ".join(pairs)}], "test": []}}'
    )
    (tmp_path / "make" / TASK / "dataset.json").write_text(index)
    files = sorted(path for path in (tmp_path / "make").rglob("*") if path.is_file() and path.suffix != ".lock")
    members = [(path.relative_to(tmp_path / "make").as_posix(), path.read_bytes()) for path in files]
    return [*members, (f"{TASK}/imagesTr/._hippocampus_0.nii.gz", b"junk")]


@pytest.fixture
def task(server, tmp_path, monkeypatch):
    """Serves the small task at MONAI's address, with its checksum; returns the archive."""

    def serve(archive, checksum=None):
        server.files[f"/{TASK}.tar"] = archive
        monkeypatch.setitem(DecathlonDataset.resource, TASK, f"{server.url}/{TASK}.tar")
        monkeypatch.setitem(DecathlonDataset.md5, TASK, checksum or md5_of(archive))
        return archive

    serve.members = task_members(tmp_path)
    serve(tar_of(serve.members))
    return serve


def quiet(name, root, **more):
    return fetch_dataset(name, root, say=lambda line: None, progress=False, **more)


def left_in(root):
    """Every file below a root but the locks, relative."""
    return sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"
    )


# ---- success


def test_a_task_of_the_decathlon_arrives_whole_and_opens(task, tmp_path):
    root, lines = tmp_path / "new" / "root", []
    folder = fetch_dataset(NAME, root, say=lines.append)
    assert folder == root / "msd" / TASK and len(open_dataset(NAME, root).cases()) == 3
    expected = [f"msd/{name}" for name, _ in task.members if "._" not in name]
    assert left_in(root) == sorted(expected)  # neither the archive nor what macOS added
    for name, content in task.members[:-1]:
        assert (root / "msd" / name).read_bytes() == content


def test_licence_and_size_are_said_before_the_download(task, server, tmp_path):
    said = []
    fetch_dataset(NAME, tmp_path / "root", say=lambda line: said.append((line, [seen[0] for seen in server.seen])))
    lines = [line for line, _ in said]
    assert "licence: CC-BY-SA 4.0" in lines and any(line.startswith("cite: Medical Segmentation") for line in lines)
    size = size_text(len(server.files[f"/{TASK}.tar"]))
    assert f"from: {server.url}/{TASK}.tar ({size}, md5 known)" in lines
    assert all("GET" not in seen for line, seen in said if line.startswith(("licence", "from", "cite", "to")))


def test_a_second_fetch_downloads_nothing(task, server, tmp_path):
    quiet(NAME, tmp_path / "root")
    server.seen.clear()
    lines = []
    fetch_dataset(NAME, tmp_path / "root", say=lines.append)
    assert server.seen == [] and "already, with 3 cases" in lines[0]


def test_an_unfinished_dataset_in_the_place_is_left_alone(task, tmp_path):
    folder = quiet(NAME, tmp_path / "root")
    (folder / "imagesTr" / "hippocampus_1.nii.gz").unlink()
    with pytest.raises(InputError, match="exists and is not a whole msd/Task04_Hippocampus, move it away first"):
        quiet(NAME, tmp_path / "root")
    assert (folder / "imagesTr" / "hippocampus_0.nii.gz").is_file()


@MOMENTS
def test_a_fetch_after_kill(task, tmp_path, number):
    task(tar_of([*task.members, (f"{TASK}/notes.bin", np.random.default_rng(0).bytes(20_000_000))]))
    seconds = undisturbed(lambda: quiet(NAME, tmp_path / "whole"))
    expected, hits = files(tmp_path / "whole"), 0
    for k, moment in enumerate(moments(np.random.default_rng(2), number, seconds)):
        root = tmp_path / f"root{k}"
        hits += killed(lambda root=root: quiet(NAME, root), moment)
        quiet(NAME, root)
        assert files(root) == expected and not strays(root)
    assert hits, "no process was killed while it fetched"


def test_a_fetch_that_was_killed_when_all_but_done_is_tidied(task, tmp_path):
    folder = quiet(NAME, tmp_path / "root")
    work = folder.with_name(f".{TASK}.fetch")
    work.mkdir()
    (work / f"0-{TASK}.tar.part").write_bytes(b"all of it")
    quiet(NAME, tmp_path / "root")
    assert not strays(tmp_path / "root") and not work.exists()


def pair_archives():
    """Two zips of a small dataset in the `pairs` layout, one of them with the masks alone."""
    png = {i: iio.imwrite("<bytes>", np.full((8, 8), i, np.uint8), extension=".png") for i in range(2)}
    images = [(f"images/{i}.png", png[i]) for i in png]
    return zip_of([*images, ("dataset.json", b'{"split": {"train": ["0"], "test": ["1"]}}')]), zip_of(
        [(f"{i}.png", png[i]) for i in png] + [("__MACOSX/._0.png", b"junk")]
    )


def test_several_archives_and_a_plain_file_make_one_dataset(server, tmp_path, monkeypatch):
    first, second = pair_archives()
    server.files |= {"/images.zip": first, "/a/masks.zip": second, "/terms.txt": b"be kind"}
    entry = replace(catalogue_entry("nuclei/go-nuclear"), downloads=(
        Download(f"{server.url}/images.zip", f"sha256:{hashlib.sha256(first).hexdigest()}"),
        Download(f"{server.url}/a/masks.zip?download=1", into="masks"),
        Download(f"{server.url}/terms.txt", into="doc")))  # fmt: skip
    server.files["/a/masks.zip?download=1"] = second
    monkeypatch.setattr(fetch_module, "catalogue_entry", lambda name: entry)
    folder = quiet("nuclei/go-nuclear", tmp_path)
    assert left_in(folder) == [
        "dataset.json",
        "doc/terms.txt",
        "images/0.png",
        "images/1.png",
        "masks/0.png",
        "masks/1.png",
    ]
    assert [case.id for case in open_dataset("nuclei/go-nuclear", tmp_path).cases("train")] == ["0"]


def serve_like(server, monkeypatch, name, archives):
    """Serves archives under the catalogue's file names, and points the entry of `name` at them."""
    entry = catalogue_entry(name)
    assert len(archives) == len(entry.downloads)
    for download, archive in zip(entry.downloads, archives, strict=True):
        server.files[f"/{file_name(download.url)}"] = archive
    entry = replace(entry, downloads=tuple(
        replace(download, url=f"{server.url}/{file_name(download.url)}", checksum=f"md5:{md5_of(archive)}")
        for download, archive in zip(entry.downloads, archives, strict=True)))  # fmt: skip
    monkeypatch.setattr(fetch_module, "catalogue_entry", lambda _: entry)


def png_of(pixels):
    return iio.imwrite("<bytes>", np.asarray(pixels, np.uint8), extension=".png")


def tif_of(pixels):
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels)
    return stream.getvalue()


def test_bbbc039_as_it_is_served(server, tmp_path, monkeypatch):
    mask = np.zeros((8, 9, 4), np.uint8)
    mask[1:3, 1:3, 0] = mask[5:7, 1:3, 0] = 1  # two nuclei of one value
    mask[1:3, 3:5, 0] = 2  # one that touches the first
    serve_like(server, monkeypatch, "nuclei/BBBC039", [
        zip_of([("images/IXM_A.tif", tif_of(np.full((8, 9), 300, np.uint16)))]),
        zip_of([("masks/IXM_A.png", png_of(mask)), ("__MACOSX/masks/._IXM_A.png", b"junk")]),
        zip_of([("metadata/test.txt", b"IXM_A.png")]),
    ])  # fmt: skip
    folder = quiet("nuclei/BBBC039", tmp_path)
    assert left_in(folder) == ["images/IXM_A.tif", "masks/IXM_A.png", "metadata/test.txt"]
    dataset = open_dataset("nuclei/BBBC039", tmp_path)
    sample = dataset.read(dataset.cases()[0])
    assert sample.image.max() == 300 and set(np.unique(sample.label)) == {0, 1, 2, 3}


def test_dsb2018_as_it_is_served(server, tmp_path, monkeypatch):
    mask = np.zeros((8, 9), np.uint8)
    mask[2:4, 2:4] = 255
    image = np.full((8, 9, 4), 90, np.uint8)
    serve_like(server, monkeypatch, "nuclei/DSB2018", [zip_of([
        ("00ae/images/00ae.png", png_of(image)), ("00ae/masks/m1.png", png_of(mask)),
        ("00ae/masks/m2.png", png_of(mask[::-1])),
    ])])  # fmt: skip
    folder = quiet("nuclei/DSB2018", tmp_path)
    assert "stage1_train/00ae/images/00ae.png" in left_in(folder)
    dataset = open_dataset("nuclei/DSB2018", tmp_path)
    assert set(np.unique(dataset.read(dataset.cases()[0]).label)) == {0, 1, 2}


def test_helacytonuc_as_it_is_served(server, tmp_path, monkeypatch):
    image = np.zeros((8, 9, 3), np.uint8)
    image[..., 0], image[..., 2] = 200, 70  # cytoplasm, nuclei
    members = [("images/1.tif", tif_of(image)), ("nuclei_masks/1.tif", tif_of(np.eye(8, 9, dtype=np.uint16)))]
    serve_like(server, monkeypatch, "nuclei/HeLaCytoNuc", [zip_of(members)] * 3)
    quiet("nuclei/HeLaCytoNuc", tmp_path)
    dataset = open_dataset("nuclei/HeLaCytoNuc", tmp_path)
    assert [len(dataset.cases(split)) for split in ("train", "val", "test")] == [1, 1, 1]
    assert np.unique(dataset.read(dataset.cases("val")[0]).image) == [70]


def test_a_mirror_takes_the_place_of_the_address_but_not_of_the_checksum(task, server, tmp_path, monkeypatch):
    server.files["/mirror.tar"] = server.files.pop(f"/{TASK}.tar")
    quiet(NAME, tmp_path / "one", urls=[f"{server.url}/mirror.tar"])
    assert len(open_dataset(NAME, tmp_path / "one").cases()) == 3
    server.files["/mirror.tar"] += b"\0" * 512
    with pytest.raises(InputError, match=r"its md5 is \w{32}, expected \w{32}; the download was removed"):
        quiet(NAME, tmp_path / "two", urls=[f"{server.url}/mirror.tar"])


def test_addresses_and_checksums_of_the_decathlon_are_those_of_monai():
    for number, (name, url) in enumerate(sorted(DecathlonDataset.resource.items()), start=1):
        assert name.startswith(f"Task{number:02d}_")
        assert downloads_of(catalogue_entry(f"msd/{name}")) == (Download(url, f"md5:{DecathlonDataset.md5[name]}"),)
    assert downloads_of(catalogue_entry("ct/OpenKBP/mandible")) == ()


# ---- resuming


def test_a_broken_download_goes_on_where_it_stopped(task, server, tmp_path):
    root, n = tmp_path / "root", len(server.files[f"/{TASK}.tar"])
    server.cut = n // 2
    with pytest.raises(DataNotFound, match=r"the connection to 127\.0\.0\.1:\d+ ended after .* run the same command"):
        quiet(NAME, root)
    assert left_in(root) == [
        f"msd/.{TASK}.fetch/0-{TASK}.tar.part",
        f"msd/.{TASK}.fetch/0-{TASK}.tar.state",
        *([f"msd/.{TASK}.fetch/lock"] if (root / f"msd/.{TASK}.fetch/lock").exists() else []),
    ]
    server.cut = None
    server.seen.clear()
    quiet(NAME, root)
    assert server.seen == [("HEAD", None), ("GET", f"bytes={n // 2}-")]
    assert len(open_dataset(NAME, root).cases()) == 3 and len(left_in(root)) == 7


def test_an_interrupt_keeps_what_has_come(task, server, tmp_path, monkeypatch):
    root, n = tmp_path / "root", len(server.files[f"/{TASK}.tar"])
    monkeypatch.setattr("companion.data.download._CHUNK", 1000)
    blocks = iter(range(5))

    def update(bar, count):
        if next(blocks, None) is None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("companion.data.download.tqdm.update", update)
        quiet(NAME, root)
    part = root / "msd" / f".{TASK}.fetch" / f"0-{TASK}.tar.part"
    assert 1000 <= part.stat().st_size < n
    server.seen.clear()
    quiet(NAME, root)
    assert server.seen[1][1].startswith("bytes=") and len(open_dataset(NAME, root).cases()) == 3


@pytest.mark.parametrize("change", ["no ranges", "another version"])
def test_a_part_that_cannot_be_continued_starts_again(task, server, tmp_path, change):
    root = tmp_path / "root"
    server.cut = 2000
    with pytest.raises(DataNotFound, match="ended after"):
        quiet(NAME, root)
    server.cut = None
    if change == "no ranges":
        server.ranges = False
    else:
        task(tar_of([*task.members, (f"{TASK}/extra.txt", b"new")]))
    quiet(NAME, root)
    assert len(open_dataset(NAME, root).cases()) == 3


def test_a_server_without_head_is_asked_with_get(task, server, tmp_path):
    server.head = False
    lines = []
    fetch_dataset(NAME, tmp_path / "root", say=lines.append)
    assert any("size not told" in line for line in lines) and len(open_dataset(NAME, tmp_path / "root").cases()) == 3


# ---- damage: nothing half-extracted is left, and a rerun works


def assert_rerun_works(task, root):
    assert not (root / "msd" / TASK).exists() and not list(root.rglob("content"))
    task(tar_of(task.members))
    quiet(NAME, root)
    assert len(open_dataset(NAME, root).cases()) == 3


def test_a_wrong_checksum(task, tmp_path):
    task(tar_of(task.members), checksum="0" * 32)
    with pytest.raises(InputError, match=rf"{TASK}\.tar: its md5 is \w+, expected {'0' * 32}; .* removed"):
        quiet(NAME, tmp_path / "root")
    assert left_in(tmp_path / "root") == []
    assert_rerun_works(task, tmp_path / "root")


@pytest.mark.parametrize("cut", ["in a member", "between members"])
def test_a_truncated_tar(task, tmp_path, cut):
    whole = tar_of(task.members, end=False)
    task(whole[:-700] if cut == "in a member" else whole)
    with pytest.raises(InputError, match=rf"{TASK}\.tar.* is a damaged or truncated archive"):
        quiet(NAME, tmp_path / "root")
    assert left_in(tmp_path / "root") == []
    assert_rerun_works(task, tmp_path / "root")


@pytest.mark.parametrize("kind", ["truncated", "a page instead", "one byte wrong"])
def test_a_damaged_zip_without_a_known_checksum(server, tmp_path, kind):
    archive = zip_of([("dataset.json", b"{}" * 500), ("noise", np.random.default_rng(0).bytes(3000))])
    bad = {
        "truncated": archive[:-300],
        "a page instead": b"<html>sign in</html>" * 40,
        "one byte wrong": archive[:700] + bytes([archive[700] ^ 255]) + archive[701:],
    }[kind]
    server.files["/x.zip"] = bad
    with pytest.raises(InputError, match=r"x\.zip.* is a damaged or truncated archive"):
        quiet("nuclei/S-BIAD634", tmp_path, urls=[f"{server.url}/x.zip"])
    assert left_in(tmp_path) == []


UNSAFE = ["../evil", "/tmp/evil-tte", "a/../../evil", "C:/evil", "a\\..\\..\\evil"]


@pytest.mark.parametrize("name", UNSAFE)
def test_a_tar_that_leaves_its_folder(task, tmp_path, name):
    task(tar_of([*task.members, (name, b"evil")]))
    with pytest.raises(InputError, match="would be written outside its folder; nothing was unpacked"):
        quiet(NAME, tmp_path / "root")
    assert left_in(tmp_path / "root") == [] and not list(tmp_path.rglob("*evil*"))
    assert_rerun_works(task, tmp_path / "root")


@pytest.mark.parametrize("name", UNSAFE)
def test_a_zip_that_leaves_its_folder(tmp_path, name):
    (tmp_path / "in").mkdir()
    (tmp_path / "x.zip").write_bytes(zip_of([("good", b"good"), (name, b"evil")]))
    with pytest.raises(InputError, match="would be written outside its folder; nothing was unpacked"):
        unpack(tmp_path / "x.zip", tmp_path / "in")
    assert left_in(tmp_path) == ["x.zip"]


def test_links_are_refused(task, tmp_path):
    task(tar_of([(f"{TASK}/link", "/etc"), (f"{TASK}/link/passwd", b"evil"), *task.members]))
    with pytest.raises(InputError, match=r"link' is a link or a device; nothing was unpacked"):
        quiet(NAME, tmp_path / "root")
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    (tmp_path / "x.zip").write_bytes(zip_of([(info, b"/etc")]))
    with pytest.raises(InputError, match=r"'link' is a link or a device"):
        unpack(tmp_path / "x.zip", tmp_path)
    assert_rerun_works(task, tmp_path / "root")


def test_a_bomb_is_refused_by_the_size_that_it_declares(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "bomb.zip").write_bytes(zip_of([("zeros", bytes(20_000_000))]))
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(0, 0, 10_000_000))
    with pytest.raises(DataNotFound, match=r"20\.0 MB are needed at .* and 10\.0 MB are free"):
        unpack(tmp_path / "bomb.zip", tmp_path / "in")
    assert left_in(tmp_path / "in") == []


def test_an_archive_with_something_else_in_it(task, tmp_path):
    task(tar_of([("other/readme.txt", b"hello")]))
    with pytest.raises(InputError, match="what was downloaded is not laid out as expected"):
        quiet(NAME, tmp_path / "root")
    assert_rerun_works(task, tmp_path / "root")


# ---- the network and the disk


def test_no_network(task, server, tmp_path):
    with pytest.raises(DataNotFound, match=r"127\.0\.0\.1:9 cannot be reached \(.*refused.*\); check the network"):
        quiet(NAME, tmp_path / "root", urls=["http://127.0.0.1:9/x.tar"])
    assert left_in(tmp_path / "root") == []
    assert_rerun_works(task, tmp_path / "root")


def test_a_file_that_is_gone(task, server, tmp_path):
    server.files.clear()
    with pytest.raises(DataNotFound, match=rf"/{TASK}\.tar answers 404 \(Not Found\); .* --url"):
        quiet(NAME, tmp_path / "root")
    assert_rerun_works(task, tmp_path / "root")


def test_a_full_disk_is_seen_before_the_download(task, server, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda place: Usage(0, 0, 100))
        with pytest.raises(DataNotFound, match=r"kB are needed at .* and 100 B are free: make room"):
            quiet(NAME, tmp_path / "root")
    assert [seen[0] for seen in server.seen] == ["HEAD"] and left_in(tmp_path / "root") == []
    assert_rerun_works(task, tmp_path / "root")


class _Full:
    """A file on a disk that is full after `room` bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, block):
        self.room -= len(block)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(block)


@pytest.mark.parametrize("stage", ["download", "unpacking"])
def test_a_disk_that_fills_up_on_the_way(task, server, tmp_path, monkeypatch, stage):
    root, open_, word = tmp_path / "root", Path.open, ".part" if stage == "download" else "imagesTr"

    def opened(path, mode="r", *more, **options):
        file = open_(path, mode, *more, **options)
        return _Full(file, 1500 if word == ".part" else 100) if word in str(path) and mode in ("wb", "ab") else file

    monkeypatch.setattr("companion.data.download._CHUNK", 1000)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        with pytest.raises(DataNotFound, match=r"the disk of .* is full: make room or choose another --root"):
            quiet(NAME, root)
    assert not (root / "msd" / TASK).exists() and not list(root.rglob("content"))
    server.seen.clear()
    quiet(NAME, root)
    expected = [("HEAD", None), ("GET", "bytes=1000-")] if stage == "download" else [("HEAD", None)]
    assert server.seen == expected and len(open_dataset(NAME, root).cases()) == 3


# ---- what cannot be fetched, and the command


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [("phantom/nuclei-a", ConfigError, "is generated, not downloaded: use `python -m companion data phantom "),
     ("mitochondria/Hmito", DataNotFound, r"has no direct address in the catalogue: get it at mitoem\.grand-challenge"),
     ("nuclei/bbbc039", ConfigError, "unknown dataset 'nuclei/bbbc039': did you mean nuclei/BBBC039")],
)  # fmt: skip
def test_what_cannot_be_fetched_says_where_to_go(tmp_path, name, error, message):
    with pytest.raises(error, match=message):
        quiet(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_needs_registration_says_so(tmp_path, monkeypatch):
    entry = replace(catalogue_entry("mitochondria/Hmito"), registration=True)
    monkeypatch.setattr(fetch_module, "catalogue_entry", lambda name: entry)
    with pytest.raises(DataNotFound, match=r"is handed out after registration: get it at mitoem\.grand-challenge\.org"):
        quiet("mitochondria/Hmito", tmp_path)


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        (["http://a/1", "http://a/2"], "consists of 1 files, got 2 addresses"),
        (["file:///etc/passwd"], "starts with http:// or https://, got 'file:"),
    ],
)
def test_addresses_that_do_not_fit(tmp_path, urls, message):
    with pytest.raises(ConfigError, match=message):
        quiet(NAME, tmp_path, urls=urls)


def test_the_command_fetches_and_says_where_to_go(task, server, tmp_path, capsys):
    assert cli.main(["data", "fetch", NAME, "--root", str(tmp_path / "root")]) == 0
    out = capsys.readouterr().out
    assert "licence: CC-BY-SA 4.0" in out and out.endswith(f"{NAME} is at {tmp_path / 'root' / 'msd' / TASK}\n")
    assert cli.main(["data", "fetch", "cells/PNAS", "--root", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("companion: cells/PNAS has no direct address") and err.count("\n") == 1
