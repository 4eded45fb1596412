"""The catalogue: what is known about every dataset, in one table (`catalogue.yml`).

Reads the table that lies beside this module; writes nothing. What is not known about a dataset stays empty.
"""

import difflib
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files

from tte._yaml import parsed_yaml
from tte.errors import ConfigError
from tte.images.layout import CODINGS, KINDS, LAYOUTS, Layout

__all__ = ["CatalogueEntry", "Download", "catalogue", "catalogue_entry", "title_of"]

PAPERS = ("CC-FV", "CTE", "companion", "")


@dataclass(frozen=True)
class Download:
    """One file of a dataset: its address, its checksum, and where it goes.

    Attributes
    ----------
    url : str
        Address of an archive (tar or zip), or of a plain file.
    checksum : str
        ``"md5:..."`` or ``"sha256:..."``; empty if unknown.
    into : str
        Folder below the dataset's own that takes the content; empty for the dataset's folder itself.
    """

    url: str
    checksum: str = ""
    into: str = ""


@dataclass(frozen=True)
class CatalogueEntry(Layout):
    """One dataset of the catalogue: what it holds, where it comes from and on which terms.

    Attributes
    ----------
    name : str
        Name that `open_dataset` takes, e.g. ``"nuclei/dsb2018-256"``; the others of `Layout` say how its files lie.
    title : str
        What people call it; the heading of its page.
    task, modality : str
        What is segmented, and how the images were made.
    licence, citation, source, landing : str
        Terms of use, what to cite, where these files were taken from, and the page of the original.
    redistribute : bool
        True only where the stated licence allows passing the images on.
    paper : "CC-FV", "CTE", "companion" or ""
        Which of the two papers uses it; "companion" for the data of this book, empty for none of them.
    role : str
        What the paper uses it for, e.g. ``"source, target"``.
    size : int or None
        Bytes to download; None if unknown.
    downloads : tuple of Download
        The files to download; empty if no direct address is known, or if MONAI knows it (`companion.data.fetch`).
    registration : bool
        True if the files are handed out only after registration at `landing`.
    normalisation : dict
        ``{"percentiles": [low, high]}`` of the intensities of the whole target that become 0 and 1.
    rows_first : bool
        True where the axes of the volumes are rows and columns of upright slices, whatever their headers say.
    note : str
        What a reader of a result must know.
    parameters : dict
        Settings of the generator, for phantoms only.
    """

    title: str = ""
    task: str = ""
    modality: str = ""
    licence: str = ""
    citation: str = ""
    source: str = ""
    landing: str = ""
    redistribute: bool = False
    paper: str = "companion"
    role: str = ""
    size: int | None = None
    downloads: tuple[Download, ...] = ()
    registration: bool = False
    normalisation: dict = field(default_factory=dict, hash=False)
    rows_first: bool = False
    note: str = ""
    parameters: dict = field(default_factory=dict, hash=False)

    @property
    def how(self):
        """How to get the dataset, in one sentence."""
        if self.phantom:
            return (
                f"`python -m companion data phantom {self.name} --root DIR` makes it; "
                "then pass DIR as the data root or set TTE_DATA."
            )
        places = " or ".join(place for place in (self.landing, self.source) if place)
        return (
            f"Get it from {places} (`python -m companion data fetch {self.name} --root DIR` does so, or says what "
            f"it needs), lay it out as {self.folder}/ with {self.files}, "
            "and pass the folder above as the data root or set TTE_DATA."
        )

    @property
    def pictured(self):
        """True if a few small pictures of it are tracked with the project: its licence is CC0, CC-BY or MIT."""
        return self.redistribute and self.licence.replace(" ", "-").startswith(("CC0", "CC-BY-4", "CC-BY-3", "MIT"))

    @property
    def phantom(self):
        """True if the images are generated rather than measured."""
        return bool(self.parameters)


@cache
def catalogue():
    """All datasets known by name: those of the table, then a phantom for each row of ``phantoms/rows.yml``.

    Returns
    -------
    dict of str to CatalogueEntry
        In the order of the table.

    Raises
    ------
    ConfigError
        The table has an unknown kind, layout or key, or a phantom stands for an unknown dataset.

    Examples
    --------
    >>> catalogue()["msd/Task04_Hippocampus"].classes
    {'anterior': (1,), 'posterior': (2,)}
    """
    entries = {name: _entry(name, row) for name, row in _table("catalogue.yml").items()}
    for base, row in _table("phantoms", "rows.yml").items():
        if base not in entries:
            raise ConfigError(f"phantoms/rows.yml: {base!r} is not a dataset of the catalogue")
        entries[f"phantom/{base}"] = _phantom(entries[base], row)
    return entries


def _table(*path):
    return parsed_yaml(files(__package__).joinpath(*path).read_text(encoding="utf-8"))


def _entry(name, row):
    try:
        return _checked_entry(name, row)
    except ConfigError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"catalogue entry {name}: {' '.join(str(error).split())[:200]}") from None


def _checked_entry(name, row):
    known = set(CatalogueEntry.__dataclass_fields__) - {"name"}
    if unknown := set(row) - known:
        raise ConfigError(f"catalogue entry {name}: unknown keys {sorted(unknown)}; known are {sorted(known)}")
    row = dict(row)
    if row.get("spacing") is not None:
        row["spacing"] = tuple(float(x) for x in row["spacing"])
    row["classes"] = {key: tuple(ids) for key, ids in row.get("classes", {}).items()}
    row["ignore"] = tuple(row.get("ignore", ()))
    row["downloads"] = tuple(Download(**download) for download in row.get("downloads", ()))
    entry = CatalogueEntry(name=name, **row)
    for key, choices in (("kind", KINDS), ("layout", LAYOUTS), ("coding", CODINGS), ("paper", PAPERS)):
        if (value := getattr(entry, key)) not in choices:
            raise ConfigError(f"catalogue entry {name}: {key} is one of {', '.join(choices)}; got {value!r}")
    if not entry.title:
        raise ConfigError(f"catalogue entry {name}: title is missing, the heading of its page in words")
    return entry


def _phantom(base, row):
    """The entry of the phantom that stands for `base`: read like it, and free of its terms and addresses."""
    files_only = {name: {"files": split["files"]} for name, split in base.splits.items() if "files" in split}
    return replace(
        base,
        name=f"phantom/{base.name}",
        title=f"{base.title}, a phantom",
        folder=f"phantom/{base.folder}",
        modality=f"generated {base.modality}",
        splits=files_only,
        licence="MIT",
        citation="",
        source="generated by tte",
        landing="",
        redistribute=True,
        paper="",
        role="",
        size=None,
        downloads=(),
        registration=False,
        parameters=row,
        note=f"Phantom: stands for {base.name}.",
    )


def catalogue_entry(name):
    """The catalogue entry called `name`.

    Parameters
    ----------
    name : str
        A name of `catalogue()`.

    Returns
    -------
    CatalogueEntry

    Raises
    ------
    ConfigError
        No dataset has this name; the message offers the nearest ones.

    Examples
    --------
    >>> catalogue_entry("mitochondria/vnc").spacing
    (4.6, 4.6)
    """
    entries = catalogue()
    if name in entries:
        return entries[name]
    near = difflib.get_close_matches(str(name), entries, n=3, cutoff=0.5)
    near += [other for other in entries if str(name) and str(name) == other.rpartition("/")[2] and other not in near]
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    listing = f"`python -m companion data list` prints all {len(entries)} names"
    raise ConfigError(f"unknown dataset {name!r}: {hint}{listing}")


def title_of(name):
    """Return what people call a dataset; a name that the catalogue lacks stays as it is.

    >>> title_of("ct/OpenKBP/right-parotid"), title_of("nuclei/mine")
    ('Right parotid gland', 'nuclei/mine')
    """
    return catalogue()[name].title if name in catalogue() else name
