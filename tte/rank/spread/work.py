"""What is left of a run, in units that processes claim: a model and a chunk of the images.

Reads and writes `work.json` and `claims/` beside the cells of a run. A claim is a lock, so that it ends with its
process; where locks do not reach from one node to the other, a unit is done twice, and its cells are the same.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tte._atomic import atomic_write
from tte._locks import held
from tte.errors import DataNotFound, InputError
from tte.rank.run.output import CELLS, digest_of

__all__ = ["Work"]

_FILE, _CLAIMS = "work.json", "claims"
_UNITS = 4  # per worker, of a model as few as that takes, as each traces it; and of each of the last models


@dataclass(frozen=True)
class Work:
    """A run as its workers find it.

    Attributes
    ----------
    way : "zero-shot" or "fine-tune"
    arguments : dict
        Of the function that ranks, as JSON.
    models : list of str
        Those that are in.
    keys : str
        Digest of the keys of all cells: a worker to whom the files look different must not go on.
    units : list of (model, [image, ...])
    version : int
        Of the cells.
    """

    way: str
    arguments: dict
    models: list
    keys: str
    units: list
    version: int = CELLS

    @classmethod
    def planned(cls, way, arguments, keys, cells, workers):
        """Plan what is missing.

        Parameters
        ----------
        keys : dict of str to dict
            {image: {model: key of their cell}}.
        cells : Cells
        workers : int
        """
        names = list(keys)
        models = list(keys[names[0]]) if names else []
        missing = {m: [n for n in names if not cells.has(keys[n][m])] for m in models}
        missing = {model: some for model, some in missing.items() if some}
        even = max(1, round(_UNITS * workers / max(1, len(missing))))
        units = []
        for left, (model, some) in zip(range(len(missing), 0, -1), missing.items(), strict=True):
            parts = _UNITS if left <= workers > 1 else even  # the last ones are waited for
            size = max(1, -(-len(some) // parts))
            units += [(model, some[i : i + size]) for i in range(0, len(some), size)]
        return cls(way, arguments, models, digest_of(keys), units)

    @classmethod
    def read(cls, folder):
        """Read the work of an output folder, or raise `DataNotFound`."""
        path = Path(folder) / _FILE
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            raise DataNotFound(f"{path}: expected the work of a run that has begun; there is none") from None

    def write(self, folder):
        """Leave the work in a folder for the workers."""
        atomic_write(Path(folder) / _FILE, json.dumps(asdict(self)) + "\n")

    def check(self, keys):
        """Raise `InputError` unless the cells of this process are those of the run."""
        if self.version != CELLS or digest_of(keys) != self.keys:
            raise InputError("the models, the images or the version of tte here are not those of the run")

    def claimed(self, keys, cells):
        """Claim one unit after the other until none is left; those that a process began and left come last.

        Yields
        ------
        dict of str to list
            {image: [model]}, what of the unit has no cell yet; the claim lasts until the next.
        """
        folder = cells.folder / _CLAIMS
        folder.mkdir(exist_ok=True)
        locks = [folder / f"{digest_of(self.keys, *unit)}.lock" for unit in self.units]
        begun = {lock for lock in locks if lock.exists()}
        for unit, lock in sorted(zip(self.units, locks, strict=True), key=lambda pair: pair[1] in begun):
            model, names = unit
            try:
                with held(lock, "claimed"):
                    missing = {name: [model] for name in names if not cells.has(keys[name][model])}
                    if missing:
                        yield missing
            except InputError:
                continue
