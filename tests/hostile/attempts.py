"""Inputs made to break the readers: one row per attempt, each with its file, the call, and what is right.

Reads nothing; every attempt writes its own input into a folder that is given. `outcome` says how it ended.
"""

import gzip
import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import h5py
import imageio.v3 as iio
import nibabel as nib
import numpy as np
import tifffile
import torch
from safetensors.torch import save

from companion.config import load_config
from tests.hostile.more_attempts import BOMB, catalogues, more_archives, packages, records
from tte.errors import TTEError
from tte.images import open_folder
from tte.images.archives import unpack
from tte.zoo.file import read_bank
from tte.zoo.weights import read_weights

__all__ = ["ENDINGS", "REFUSED", "RIGHT", "UNSEEN", "Attempt", "attempts", "outcome"]

RIGHT, REFUSED = "right result", "refused in one line"
UNSEEN = "changed and unseen"  # a value in a file without a checksum: what is read is what the file says
ENDINGS = (RIGHT, REFUSED, UNSEEN)
CANARY = "code-was-run"
PIXELS = (np.arange(48 * 40).reshape(48, 40) * 37 % 60000).astype(np.uint16)
WEIGHTS = {"a.weight": torch.arange(600.0).reshape(20, 30), "a.bias": torch.arange(20.0)}


@dataclass(frozen=True)
class Attempt:
    """One input, what is done with it, and what may come of it.

    Attributes
    ----------
    kind, name : str
    make : callable; writes the input below a folder and returns its path
    act : callable; takes that path and returns a result, or raises an error of the TTEError family
    right : callable; whether a result is right
    refused : bool or None; whether it has to be refused (True), has to be taken (False), or may be either
    whole : callable or None; whether what was read equals what the undamaged file held; UNSEEN where it does not
    """

    kind: str
    name: str
    make: Callable
    act: Callable
    right: Callable
    refused: bool | None = None
    whole: Callable | None = None


def outcome(attempt, folder):
    """Carry out one attempt in an empty folder: one of ENDINGS, or a sentence on what went wrong."""
    path = attempt.make(folder)
    before = _content(folder)
    try:
        result = attempt.act(path)
    except TTEError as error:
        said = str(error)
        if path.stem not in said and path.name not in said and path.parent.name not in said:
            return f"the error does not name {path.name}: {said}"
        if "\n" in said.strip() and attempt.kind not in ("bank file", "config"):
            return f"the error has several lines: {said!r}"
        if attempt.refused is False:
            return f"it was refused: {said}"
        ended = REFUSED
    except Exception as error:
        return f"{type(error).__name__} came through: {error}"
    else:
        if attempt.refused is True:
            return f"it was taken: {str(result)[:80]}"
        if not attempt.right(result):
            return f"a wrong result: {str(result)[:80]}"
        ended = RIGHT if attempt.whole is None or attempt.whole(result) else UNSEEN
    if (folder / CANARY).exists():
        return "code of the input was run"
    if attempt.kind != "archive" and _content(folder) != before:
        return f"files were left behind: {sorted(_content(folder) - before)}"
    return ended


def _content(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# Images


def _read(path):
    dataset = open_folder(path.parent)
    return dataset.read(dataset.cases(labelled=False)[0]).image


def _same(image):
    return np.array_equal(np.squeeze(image), PIXELS)


def _shaped(image):
    return np.squeeze(image).shape == PIXELS.shape


def _nifti():
    return nib.Nifti1Image(PIXELS[..., None], np.eye(4)).to_bytes()


def _hdf5(libver=None, **options):
    memory = io.BytesIO()
    with h5py.File(memory, "w", libver=libver) as file:
        file.create_dataset("raw", data=PIXELS, **options)
    return memory.getvalue()


def _tiff(**options):
    memory = io.BytesIO()
    tifffile.imwrite(memory, PIXELS, **options)
    return memory.getvalue()


# Name of the format: (suffix, bytes of a whole file, whether its streams carry a checksum that finds a wrong byte).
FORMATS = {
    "PNG": (".png", lambda: iio.imwrite("<bytes>", PIXELS, extension=".png"), True),
    "TIFF": (".tif", _tiff, False),
    "TIFF, LZW": (".tif", lambda: _tiff(compression="lzw"), False),
    "TIFF, deflate": (".tif", lambda: _tiff(compression="zlib"), False),
    "BigTIFF": (".tif", lambda: _tiff(bigtiff=True), False),
    "NIfTI": (".nii", _nifti, False),
    "NIfTI, gzip": (".nii.gz", lambda: gzip.compress(_nifti(), mtime=0), True),
    "HDF5": (".h5", _hdf5, False),
    "HDF5, checksum": (".h5", lambda: _hdf5("latest", compression="gzip", fletcher32=True, chunks=(16, 40)), True),
}


def _file(name, content):
    def make(folder):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return make


def _damages(content, parts):
    """Yield (name, bytes): cut short, emptied, overwritten, lengthened."""
    n = len(content)
    yield "empty", b""
    yield "one byte", content[:1]
    yield "wrong first bytes", b"XXXXXXXX" + content[8:]
    yield "zeros", bytes(n)
    yield "text in its place", b"<html><body>404 Not Found</body></html>\n"
    for k in range(1, parts + 1):
        yield f"cut at {k}/{parts + 1}", content[: n * k // (parts + 1)]


def _flips(content, parts):
    """Yield (name, bytes) with one byte inverted."""
    for k in range(parts):
        place = len(content) * (2 * k + 1) // (2 * parts)
        yield f"byte {place} inverted", content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


def _images(parts):
    for name, (suffix, whole, checked) in FORMATS.items():
        content = whole()
        yield Attempt(name, "whole", _file(f"images/a{suffix}", content), _read, _same, False)
        for damage, damaged in _damages(content, parts):
            yield Attempt(name, damage, _file(f"images/a{suffix}", damaged), _read, _same)
        for damage, damaged in _flips(content, parts):
            right = _same if checked else _shaped  # without a checksum a changed pixel is what the file says
            yield Attempt(name, damage, _file(f"images/a{suffix}", damaged), _read, right, whole=_same)


NAMES = [
    *("with space", "ünïcödé", "日本語", "emoji 🧬", "a'b", 'a"b', "a;b", "a&b", "$(touch x)", "`id`", "%s%d{}"),
    *("<b>bold<", "a[1]", "a(1)", "#1", "-rf", "a.b.c", "~", "very " * 20 + "long", "a\tb", "combining é", "null"),
    *("1e5", "a\nb", "a\\b", "CON", " ", "a "),
]


def _named():
    for name in NAMES:
        for kind in ("PNG", "TIFF", "NIfTI, gzip"):
            suffix, whole, _ = FORMATS[kind]
            yield Attempt("name", f"{kind} {name!r}", _file(f"images/{name}{suffix}", whole()), _read, _same, False)


SHAPES = [(1, 1), (1, 7), (7, 1), (100_000, 1), (1, 100_000), (2, 3)]


def _shapes():
    for shape in SHAPES:
        pixels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)

        def right(image, pixels=pixels):
            return image.size == pixels.size and np.array_equal(np.ravel(image), np.ravel(pixels))

        png = iio.imwrite("<bytes>", pixels, extension=".png")
        memory = io.BytesIO()
        tifffile.imwrite(memory, pixels)
        yield Attempt("shape", f"PNG {shape}", _file("images/a.png", png), _read, right)
        yield Attempt("shape", f"TIFF {shape}", _file("images/a.tif", memory.getvalue()), _read, right)


# Folders


def _loop(folder):
    path = folder / "images"
    path.mkdir()
    (path / "a.png").symlink_to(path / "b.png")
    (path / "b.png").symlink_to(path / "a.png")
    return path / "a.png"


def _ring(folder):
    path = _file("images/a.png", FORMATS["PNG"][1]())(folder)
    (path.parent / "inside").symlink_to(path.parent)
    return path


def _named_pipe(folder):
    path = folder / "images" / "a.png"
    path.parent.mkdir()
    os.mkfifo(path)
    return path


def _folder_as_image(folder):
    path = folder / "images" / "a.png"
    path.mkdir(parents=True)
    return path


def _folders():
    yield Attempt("folder", "symlinks that point at each other", _loop, _read, _same, True)
    yield Attempt("folder", "a symlink to its own folder", _ring, _read, _same, False)
    yield Attempt("folder", "a named pipe", _named_pipe, _read, _same, True)
    yield Attempt("folder", "a folder that is called as an image", _folder_as_image, _read, _same, True)


# Checkpoints


class Malicious:
    """Leaves a file when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.system, (f"touch '{self.folder / CANARY}'",)


def _equal(weights):
    return set(weights) == set(WEIGHTS) and all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)


def _pickled(folder):
    path = folder / "evil.pth"
    path.write_bytes(pickle.dumps({"a": Malicious(folder)}))
    return path


def _saved(wrap, name="evil.pth"):
    def make(folder):
        torch.save(wrap(folder), folder / name)
        return folder / name

    return make


def _scripted(folder):
    torch.jit.script(torch.nn.Conv2d(1, 1, 1)).save(folder / "scripted.pt")
    return folder / "scripted.pt"


def _torch_bytes(**options):
    memory = io.BytesIO()
    torch.save(WEIGHTS, memory, **options)
    return memory.getvalue()


def _checkpoints(parts):
    sources = {
        "a.pth": _torch_bytes(),
        "old.pth": _torch_bytes(_use_new_zipfile_serialization=False),
        "a.safetensors": save(WEIGHTS),
    }
    for name, content in sources.items():
        yield Attempt("checkpoint", f"{name} whole", _file(name, content), read_weights, _equal, False)
        for damage, damaged in _damages(content, parts):
            yield Attempt("checkpoint", f"{name} {damage}", _file(name, damaged), read_weights, _equal)
        for damage, damaged in _flips(content, parts):
            make = _file(name, damaged)
            yield Attempt("checkpoint", f"{name} {damage}", make, read_weights, lambda w: len(w) > 0, whole=_equal)
    evil = {
        "a pickle that runs a command": _pickled,
        "a checkpoint that runs a command": _saved(lambda folder: {"state_dict": Malicious(folder)}),
        "one beside good weights": _saved(lambda folder: {**WEIGHTS, "meta": Malicious(folder)}),
        "one in a list": _saved(lambda folder: [WEIGHTS, Malicious(folder)]),
        "a whole module": _saved(lambda folder: torch.nn.Conv2d(1, 1, 1)),
        "a TorchScript archive": _scripted,
        "an empty checkpoint": _saved(lambda folder: {}),
        "a number": _saved(lambda folder: 7),
        "weights that are texts": _saved(lambda folder: {"a.weight": "text"}),
    }
    for name, make in evil.items():
        yield Attempt("checkpoint", name, make, read_weights, _equal, True)


# Bank files

YAMLS = {
    "a tag that runs a command": "models: !!python/object/apply:os.system ['touch CANARY']\n",
    "a tag of a module": "models: !!python/module:os\n",
    "a tag of an object": "- !!python/object/new:subprocess.Popen [['touch', 'CANARY']]\n",
    "aliases that grow": "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + k)}: &{chr(98 + k)} [{', '.join([f'*{chr(97 + k)}'] * 9)}]\n" for k in range(8)),
    "merges that grow": BOMB,
    "an alias of itself": "models: &m [*m]\n",
    "nothing": "",
    "only a comment": "# bank\n",
    "a number": "7\n",
    "a list": "- a\n- b\n",
    "no models": "models: []\n",
    "models of null": "models: [null]\n",
    "models as text": "models: unet\n",
    "an open bracket": "models: [\n",
    "a tab": "models:\n\t- name: a\n",
    "bytes": "\x00\x01\x02",
    "an unknown key": "models:\n- name: a\n  source: torch\n  weights: a.pth\n  colour: red\n",
    "an unknown source": "models:\n- name: a\n  source: os.system\n  weights: a.pth\n",
    "no weights": "models:\n- name: a\n  source: torch\n",
    "a name twice": "models:\n- {name: a, source: torch, weights: a.pth}\n- {name: a, source: torch, weights: b.pth}\n",
    "HTML in a name": "models:\n- {name: '<script>alert(1)</script>', source: torch, weights: a.pth}\n",
    "a path in a name": "models:\n- {name: ../../etc/passwd, source: torch, weights: a.pth}\n",
    "numbers for names": "models:\n- {name: 7, source: torch, weights: a.pth}\n",
    "a date that does not exist": "models: 2025-13-45\n",
    "a key that is a list": "? [a, b]\n: 7\n",
    "a deep nest": "models: " + "[" * 3000 + "]" * 3000 + "\n",
    "a long line": "models: " + "x" * 2_000_000 + "\n",
}  # fmt: skip


def _entries(result):
    return isinstance(result, list) and len(result) > 0


def _yaml(text):
    def make(folder):
        path = folder / "bank.yml"
        path.write_text(text.replace("CANARY", str(folder / CANARY)), encoding="utf-8")
        return path

    return make


def _yamls():
    for kind, act in (("bank file", read_bank), ("config", load_config)):
        for name, text in YAMLS.items():
            yield Attempt(kind, name, _yaml(text), act, _entries)
        yield Attempt(kind, "bytes that are no UTF-8", _file("bank.yml", b"models: \xff\xfe"), act, bool, True)


# Archives


def _unpack(path):
    target = path.parent / "unpacked"
    target.mkdir(exist_ok=True)
    unpack(path, target)
    return target


def _inside(target):
    outside = target.parent
    return {path.name for path in outside.iterdir()} <= {"unpacked", "a.zip", "a.tar.gz", "a.tar", "a.tar.xz"}


def _zip_bytes(members):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return memory.getvalue()


def _tar_bytes(members, mode="w:gz"):
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode=mode) as archive:
        for member, content in members:
            if content is not None:
                member.size = len(content)
            archive.addfile(member, None if content is None else io.BytesIO(content))
    return memory.getvalue()


def _member(name, kind=tarfile.REGTYPE, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def _archives(parts):
    escapes = ["../out", "a/../../out", "/tmp/tte-hostile-out", "..\\out", "a/./../../out", "C:\\out", "//host/out"]
    for name in escapes:
        yield Attempt("archive", f"zip with {name}", _file("a.zip", _zip_bytes({name: b"x"})), _unpack, _inside)
        tar = _tar_bytes([(_member(name), b"x")])
        yield Attempt("archive", f"tar with {name}", _file("a.tar.gz", tar), _unpack, _inside)
    for kind, what in ((tarfile.SYMTYPE, "link"), (tarfile.LNKTYPE, "hard link"), (tarfile.CHRTYPE, "device"),
                       (tarfile.FIFOTYPE, "pipe")):  # fmt: skip
        tar = _tar_bytes([(_member("x", kind, "/etc/passwd"), None)])
        yield Attempt("archive", f"tar with a {what}", _file("a.tar.gz", tar), _unpack, _inside, True)
    whole = {"zip": _zip_bytes({"a/b.txt": b"x" * 5000}), "tar.gz": _tar_bytes([(_member("a/b.txt"), b"x" * 5000)])}
    for suffix, content in whole.items():
        yield Attempt("archive", f"{suffix} whole", _file(f"a.{suffix}", content), _unpack, _holds, False)
        for damage, damaged in _damages(content, parts):
            yield Attempt("archive", f"{suffix} {damage}", _file(f"a.{suffix}", damaged), _unpack, _holds, None)


def _holds(target):
    path = target / "a" / "b.txt"
    return path.is_file() and path.read_bytes() == b"x" * 5000


def attempts(parts):
    """Every attempt; `parts` is in how many places of a file damage is done."""
    return [
        *_images(parts), *_named(), *_shapes(), *_folders(), *_checkpoints(parts), *_yamls(), *_archives(parts),
        *more_archives(Attempt, _file, _inside), *packages(Attempt), *records(Attempt, _damages, parts),
        *catalogues(Attempt, YAMLS),
    ]  # fmt: skip
