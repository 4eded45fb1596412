"""The record behind the page "Guarantees": how every attempt of the fast grid ended, a row each.

Writes `results/guarantees.csv`, the same bytes from the same code; run as `python -m tests.hostile.record`.
"""

import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import pandas as pd

from companion.analysis.guarantees import COLUMNS, WRONG
from tests.hostile.attempts import ENDINGS, attempts, outcome
from tte._atomic import atomic_write

PATH = Path(__file__).parents[2] / "results" / "guarantees.csv"
PARTS = 10  # places of a file in which damage is done, as in the fast tests
LIMIT_S = 60  # of one attempt; one that takes longer is wrong


def record(every):
    """Return a DataFrame of COLUMNS: kind, attempt, ending, and a sentence where the ending is wrong."""
    rows = []
    for attempt in every:
        with tempfile.TemporaryDirectory(prefix="tte-hostile-") as folder:
            ended = _outcome(attempt, Path(folder)).replace(folder, "FOLDER")
        whole = ended in ENDINGS
        rows.append((attempt.kind, attempt.name, ended if whole else WRONG, "" if whole else ended))
    return pd.DataFrame(rows, columns=COLUMNS)


def _outcome(attempt, folder):
    def late(*_):
        raise TimeoutError(f"not over after {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT_S)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a library says of a damaged file beside the error
            return outcome(attempt, folder)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main():
    """Carry out the attempts, write the record and say how they ended; the exit status is 1 where one was wrong."""
    started = time.perf_counter()
    table = record(attempts(PARTS))
    atomic_write(PATH, table.to_csv(index=False, lineterminator="\n"))
    for ending, number in table["ending"].value_counts().items():
        print(f"{number:4d} {ending}")
    print(f"{len(table)} attempts in {time.perf_counter() - started:.0f} s: results/{PATH.name}")
    return int((table["ending"] == WRONG).any())


if __name__ == "__main__":
    sys.exit(main())
