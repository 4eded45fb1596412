"""Broken on purpose: every input ends in a right result or in one line that names the file, and runs no code.

The fast grid damages every format in 10 places, the slow one in 60.
"""

import signal
import warnings
from collections import Counter

import pytest

from tests.hostile.attempts import ENDINGS, attempts, outcome

LIMIT_S = 60  # of one attempt, on a machine that does much else
FAST = attempts(10)


@pytest.fixture(autouse=True)
def _time_limit():
    """An attempt that hangs fails."""

    def late(*_):
        raise TimeoutError(f"the attempt is not over after {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _ends_well(attempt, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a library says of a damaged file beside the error
        assert outcome(attempt, folder) in ENDINGS


def test_there_are_enough():
    kinds = Counter(attempt.kind for attempt in FAST)
    assert len(FAST) >= 500 and min(kinds.values()) >= 4
    assert len({(attempt.kind, attempt.name) for attempt in FAST}) == len(FAST), "each has a name of its own"


@pytest.mark.parametrize("attempt", FAST, ids=lambda attempt: ascii(f"{attempt.kind} {attempt.name}"))
def test_an_attempt_ends_well(attempt, tmp_path):
    _ends_well(attempt, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_damage_in_many_places_ends_well(part, tmp_path):
    signal.alarm(20 * LIMIT_S)
    for number, attempt in enumerate(attempts(60)[part::20]):
        folder = tmp_path / str(number)
        folder.mkdir()
        _ends_well(attempt, folder)
