"""A worker: a process that does a share of a run that another one has begun, until nothing is left to claim.

Reads the work of an output folder and the files that it names; writes cells there.
"""

import time
from pathlib import Path

from tte.errors import DataNotFound
from tte.rank.fine_tune import share_fine_tune
from tte.rank.run.output import cells_of
from tte.rank.spread.work import Work
from tte.rank.zero_shot import share_zero_shot

__all__ = ["help_run"]

_WAYS = {"zero-shot": share_zero_shot, "fine-tune": share_fine_tune}


def help_run(out):
    """Do a share of the run in an output folder.

    Raises
    ------
    DataNotFound
        No run has left work there, or a file of it is not here.
    InputError
        The models or images here are others than those of the run.

    Examples
    --------
    >>> help_run("no-such-folder")
    Traceback (most recent call last):
    tte.errors.DataNotFound: no-such-folder: expected the output folder of a run with workers
    """
    cells = cells_of(out)
    if cells is None:
        raise DataNotFound(f"{Path(out)}: expected the output folder of a run with workers")
    work = Work.read(cells.folder)
    _WAYS[work.way](work, cells)
    print(f"{time.process_time():.1f} s of a processor")
