"""Attempts on what is no image: records, the catalogue, packages and bundles, archives that hold more than they say.

Every attempt writes its own input into a folder that is given; see `attempts`.
"""

import gzip
import io
import json
import stat
import struct
import tarfile
import zipfile

import numpy as np
import torch
import yaml

from companion.data.catalogue import _entry
from companion.records import Records, rows
from tte._yaml import read_yaml
from tte.images.archives import unpack
from tte.zoo.file import BankEntry
from tte.zoo.load import load

__all__ = ["catalogues", "more_archives", "packages", "records"]

CELLS = ("a", "b")


# Records


def _tables(cell):
    rng = np.random.default_rng(CELLS.index(cell))
    images = [{"image": f"i{k}", "value": value, "seed": 0} for k, value in enumerate(rng.random(30))]
    scores = [{"model": f"m{k}", "seed": 0, "score": score} for k, score in enumerate(rng.random(5))]
    return {"scores": rows("scores", cell, scores), "per_image": rows("per_image", cell, images)}


def _record(folder):
    store = Records(folder)
    for cell in CELLS:
        tables = _tables(cell)
        store.write(cell, tables, {"identity": {"of": cell}, "rows": {n: len(t) for n, t in tables.items()}})


def _found(path):
    return {cell: Records(path.parent).find(cell) for cell in CELLS}


def _whole_or_none(found):
    """Each cell is there with all its rows, all of them numbers, or is not there and would be computed again."""
    return all(
        one is None
        or (
            {name: len(table) for name, table in one.tables.items() if len(table)} == one.provenance["rows"]
            and one.tables["scores"]["score"].dtype == float
        )
        for one in found.values()
    )


def _unchanged(found):
    return all(
        one is None or np.allclose(one.tables[name][value], _tables(cell)[name][value])
        for cell, one in found.items()
        for name, value in (("scores", "score"), ("per_image", "value"))
    )


def _changed(name, change):
    def make(folder):
        _record(folder / "tiny")
        path = folder / "tiny" / name
        path.write_bytes(change(path.read_bytes()))
        return path

    return make


def _without_column(content):
    lines = content.decode().splitlines()
    return ("\n".join(line.partition(",")[2] for line in lines) + "\n").encode()


def _gz(change):
    return lambda content: gzip.compress(change(gzip.decompress(content)), mtime=0)


def _entries(change):
    return lambda content: json.dumps(change(json.loads(content))).encode()


def records(attempt, damages, parts):
    """Yield attempts on the tables of a study and on what says how they were made."""
    texts = {
        "without its first column": _without_column,
        "with a column more": lambda c: c.replace(b"\n", b",7\n").replace(b"cell,7", b"cell,extra"),
        "with a text for a number": lambda c: c.replace(b"0.", b"zero.", 1),
        "with NaN for a number": lambda c: c.replace(c.split(b"\n")[1].split(b",")[9], b"NaN", 1),
        "with a row twice": lambda c: c + c.splitlines()[-1] + b"\n",
        "without its last row": lambda c: b"\n".join(c.splitlines()[:-1]) + b"\n",
        "without its last digit": lambda c: c[:-2],
        "without its heads": lambda c: b"\n".join(c.splitlines()[1:]) + b"\n",
        "with quotes that do not end": lambda c: c.replace(b"m1", b'"m1', 1),
        "with a null byte": lambda c: c.replace(b"m1", b"m\0", 1),
        "in UTF-16": lambda c: c.decode().encode("utf-16"),
    }
    for name, change in texts.items():
        yield attempt("records", f"scores.csv {name}", _changed("scores.csv", change), _found, _whole_or_none)
        packed = _changed("per_image.csv.gz", _gz(change))
        yield attempt("records", f"per_image.csv.gz {name}", packed, _found, _whole_or_none)
    for file in ("scores.csv", "per_image.csv.gz", "provenance.json"):
        for damage, _ in damages(b"x" * 400, parts):
            change = lambda c, damage=damage: dict(damages(c, parts))[damage]  # noqa: E731
            yield attempt(
                "records", f"{file} {damage}", _changed(file, change), _found, _whole_or_none, whole=_unchanged
            )
    jsons = {
        "a list": lambda e: list(e),
        "a list for a cell": lambda e: {**e, "a": [1]},
        "a number for an identity": lambda e: {**e, "a": {"identity": 7}},
        "no identity": lambda e: {**e, "a": {"rows": e["a"]["rows"]}},
        "more rows than there are": lambda e: {**e, "a": {**e["a"], "rows": {"scores": 10**9}}},
        "a cell of no rows": lambda e: {**e, "c": {"identity": {}}},
    }
    for name, change in jsons.items():
        make = _changed("provenance.json", _entries(change))
        yield attempt("records", f"provenance.json with {name}", make, _found, _whole_or_none)
    deep = _changed("provenance.json", lambda c: b"[" * 50_000 + b"]" * 50_000)
    yield attempt("records", "provenance.json nested deep", deep, _found, _whole_or_none, True)


# The catalogue

ROW = {"title": "X", "kind": "instance", "layout": "pairs", "folder": "x"}
CATALOGUES = {
    "an unknown key": {**ROW, "colour": "red"},
    "an unknown kind": {**ROW, "kind": "os.system"},
    "an unknown layout": {**ROW, "layout": 7},
    "an unknown coding": {**ROW, "coding": ["ids"]},
    "no folder": {"title": "X", "kind": "instance", "layout": "pairs"},
    "a list for a row": ["a", "b"],
    "a number for a row": 7,
    "nothing for a row": None,
    "texts for a spacing": {**ROW, "spacing": ["a", "b"]},
    "a number for a spacing": {**ROW, "spacing": 7},
    "a list for classes": {**ROW, "classes": [1, 2]},
    "a number for a class": {**ROW, "classes": {"a": 1}},
    "a download without an address": {**ROW, "downloads": [{"checksum": "md5:0"}]},
    "a download of another form": {**ROW, "downloads": ["http://127.0.0.1"]},
    "a number to ignore": {**ROW, "ignore": 3},
}


def _catalogue(row):
    def make(folder):
        path = folder / "catalogue.yml"
        path.write_text(row if isinstance(row, str) else yaml.safe_dump({"x/y": row}))
        return path

    return make


def _read_catalogue(path):
    return {name: _entry(name, row) for name, row in read_yaml(path).items()}


def catalogues(attempt, texts):
    """Yield attempts on a table of datasets: rows of every wrong form, and YAML that is none."""
    yield attempt(
        "catalogue", "whole", _catalogue(ROW), _read_catalogue, lambda found: found["x/y"].folder == "x", False
    )
    for name, row in CATALOGUES.items():
        yield attempt("catalogue", f"a row: {name}", _catalogue(row), _read_catalogue, bool, True)
    for name, text in texts.items():
        make = _catalogue(text)
        yield attempt("catalogue", name, lambda folder, make=make: make(folder), _read_catalogue, dict, None)


# Packages and bundles

BOMB = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{chr(98 + k)}: &{chr(98 + k)} {{<<: [{', '.join([f'*{chr(97 + k)}'] * 9)}]}}\n" for k in range(8)
)


def _package(description, **more):
    def make(folder):
        place = folder / "package"
        place.mkdir()
        text = description if isinstance(description, str) else yaml.safe_dump(description)
        (place / "rdf.yaml").write_text(text.replace("CANARY", str(folder / "code-was-run")))
        torch.save({}, place / "weights.pt")
        for name, content in more.items():
            (place / name).write_text(content.replace("CANARY", str(folder / "code-was-run")))
        return place

    return make


def _rdf(architecture, source="weights.pt", **more):
    weights = {"pytorch_state_dict": {"source": source, "architecture": architecture}}
    axes = [{"type": "batch"}, {"type": "channel", "channel_names": ["c"]}]
    axes += [{"type": "space", "id": axis, "size": 16} for axis in "yx"]
    tensor = {"axes": axes, "data": {"type": "float32"}}
    inputs, outputs = [{"id": "i", **tensor}], [{"id": "o", **tensor}]
    what = {"type": "model", "format_version": "0.5.4", "name": "evil", "weights": weights}
    return what | {"inputs": inputs, "outputs": outputs, **more}


def _bundle(network, suffix="json"):
    def make(folder):
        place = folder / "bundle"
        for name in ("configs", "models"):
            (place / name).mkdir(parents=True)
        text = network if isinstance(network, str) else json.dumps({"network_def": network})
        (place / "configs" / f"inference.{suffix}").write_text(text.replace("CANARY", str(folder / "code-was-run")))
        (place / "configs" / "metadata.json").write_text("{}")
        torch.save({}, place / "models" / "model.pt")
        return place

    return make


def _load(source):
    def act(path):
        return load(BankEntry(name="evil", source=source, weights=str(path)))

    return act


RUNS = "touch 'CANARY'"
UNET = {"callable": "UNet", "import_from": "monai.networks.nets"}
SYSTEM = {"_target_": "os.system", "command": RUNS}
PACKAGES = {
    "a tag that runs a command": f'weights: !!python/object/apply:os.system ["{RUNS}"]\n',
    "merges that grow": BOMB,
    "a deep nest": "weights: " + "[" * 3000 + "]" * 3000 + "\n",
    "no weights": {"type": "model", "name": "evil"},
    "weights as a list": {"type": "model", "weights": ["a"]},
    "a function of os for an architecture": _rdf(
        {"callable": "system", "import_from": "os", "kwargs": {"command": RUNS}}
    ),
    "a file of its own for an architecture": _rdf({"callable": "Net", "source": "net.py"}),
    "weights outside the package": _rdf(UNET, "../../../etc/passwd"),
    "weights at an absolute path": _rdf(UNET, "/etc/passwd"),
    "weights that are no text": _rdf(UNET, ["a"]),
}  # fmt: skip
BUNDLES = {
    "os.system for a network": SYSTEM,
    "subprocess for a network": {"_target_": "subprocess.run", "args": ["touch", "CANARY"]},
    "an expression for a network": {"_target_": "UNet", "spatial_dims": "$__import__('os').system(\"touch 'CANARY'\")"},
    "a target inside an argument": {"_target_": "UNet", "spatial_dims": 2, "act": SYSTEM},
    "a reference to a file": {"_target_": "UNet", "spatial_dims": "%/etc/passwd"},
    "a private name": {"_target_": "monai.networks.nets.unet.__builtins__", "a": 1},
    "a class that is no network": {"_target_": "monai.networks.nets.unet.warnings.warn", "message": "x"},
    "a number for a target": {"_target_": 7},
    "a list for a network": ["UNet"],
    "a text": "touch",
}  # fmt: skip


def packages(attempt):
    """Yield attempts on packages and bundles of strangers: none may run anything without being trusted."""
    code = "import os\nos.system(\"touch 'CANARY'\")\nclass Net: pass\n"
    for name, description in PACKAGES.items():
        make = _package(description, **{"net.py": code})
        yield attempt("package", name, make, _load("bioimageio"), bool, True)
    for name, network in BUNDLES.items():
        content = network if name != "a text" else json.dumps({"network_def": network})
        yield attempt("bundle", name, _bundle(content), _load("monai-bundle"), bool, True)
    tagged = f'network_def: !!python/object/apply:os.system ["{RUNS}"]\n'
    yield attempt("bundle", "a tag that runs a command", _bundle(tagged, "yaml"), _load("monai-bundle"), bool, True)
    bomb = BOMB + "network_def: *i\n"
    yield attempt("bundle", "merges that grow", _bundle(bomb, "yaml"), _load("monai-bundle"), bool, True)


# Archives


def _link_in_zip():
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        info = zipfile.ZipInfo("a/link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return memory.getvalue()


def _zeros(n):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", bytes(n))
    return memory.getvalue()


def _says(content, size):
    """The zip with another size of its only file in both of its directories."""
    content = bytearray(content)
    at, end = content.find(b"PK\x01\x02"), content.find(b"PK\x03\x04")
    struct.pack_into("<I", content, at + 24, size)
    struct.pack_into("<I", content, end + 22, size)
    return bytes(content)


def _overlapping():
    """A zip whose directory names one file two thousand times: little data that would become much."""
    content = _zeros(2_000_000)
    at, end = content.find(b"PK\x01\x02"), content.find(b"PK\x05\x06")
    entry, tail = content[at:end], bytearray(content[end:])
    entries = b"".join(entry[:46] + b"%05d" % k + entry[51:] for k in range(2000))
    struct.pack_into("<HHI", tail, 8, 2000, 2000, len(entries))
    return content[:at] + entries + bytes(tail)


def _sparse():
    """A tar of a kilobyte with a file of 50 GB of holes, as GNU tar writes it."""
    header = bytearray(512)
    header[:5] = b"a.bin"
    header[100:108], header[124:136] = b"0000644\0", b"%011o\0" % 0
    header[156:157], header[257:265] = b"S", b"ustar  \0"
    header[386:410] = b"%011o\0" % (50 * 10**9 // 2**3) + b"%011o\0" % 0
    header[483:495] = b"%011o\0" % (2**33 - 1)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


def more_archives(attempt, file, inside):
    """Yield attempts on archives whose content is larger, smaller or elsewhere than they say."""

    def act(path):
        target = path.parent / "unpacked"
        target.mkdir(exist_ok=True)
        unpack(path, target)
        return target

    kinds = {
        "zip with a link": ("a.zip", _link_in_zip()),
        "zip that says less than it holds": ("a.zip", _says(_zeros(5_000_000), 10)),
        "zip that says more than it holds": ("a.zip", _says(_zeros(5000), 4_000_000)),
        "zip that says 4 GB": ("a.zip", _says(_zeros(5000), 2**32 - 2)),
        "zip of two thousand names of one file": ("a.zip", _overlapping()),
        "tar of 8 GB of holes": ("a.tar", _sparse()),
        "tar of 100 MB of zeros, twice compressed": ("a.tar.xz", _tar_of_zeros()),
    }
    for name, (path, content) in kinds.items():
        yield attempt("archive", name, file(path, content), act, inside, True)


def _tar_of_zeros():
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:xz") as archive:
        member = tarfile.TarInfo("a.bin")
        member.size = 100_000_000
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    return memory.getvalue()
