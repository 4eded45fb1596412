"""The licences of what is installed: a table of the packages that `constraints.txt` names, from their own metadata.

`python workflow/licences.py` writes `book/licences.csv`, a table of the page on data and licences.
"""

import csv
import io
import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from tte._atomic import atomic_write

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "book" / "licences.csv"
CLASSIFIER = "License :: "


def licence_of(name):
    """Return what a package says of its licence in one line, or "" where it says nothing.

    An expression by SPDX stands first, then the classifiers, then the first line of the free text.
    """
    about = metadata(name)
    if about.get("License-Expression"):
        return about["License-Expression"]
    named = [text for text in about.get_all("Classifier") or () if text.startswith(CLASSIFIER)]
    words = [text.rpartition(" :: ")[2] for text in named if text.count(" :: ") > 1]
    text = (about.get("License") or "").strip().partition("\n")[0].strip()
    return "; ".join(dict.fromkeys(words)) or re.sub(r"\s+", " ", text)


def rows():
    """Return (package, version, licence) of every package that is pinned and installed."""
    pins = [line.strip() for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()]
    for pin in pins:
        name, _, version = pin.partition("==")
        if not version or name.startswith("#"):
            continue
        try:
            yield name, version, licence_of(name) or "not stated"
        except PackageNotFoundError:
            yield name, version, "not installed"


def main():
    """Write the table and say where."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("package", "version", "licence"))
    writer.writerows(rows())
    atomic_write(TABLE, text.getvalue())
    print(TABLE.relative_to(ROOT))


if __name__ == "__main__":
    main()
