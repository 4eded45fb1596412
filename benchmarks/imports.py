"""Processor time until the package is imported and the command line has answered, against importing everything.

`python -m benchmarks.imports` writes `results/benchmarks/imports.csv`. The baseline sets `EAGER_IMPORT`, with which
lazy_loader imports every submodule at once. Whole processes are timed, the start of Python included; what they print
and their exit codes must be the same.
"""

import os
import resource
import subprocess
import sys

from benchmarks import Row, record

ALLOWED = 0.3  # seconds of processor time
COMMANDS = {
    "import tte": (sys.executable, "-c", "import tte"),
    "tte --help": (sys.executable, "-m", "tte.cli", "--help"),
    "tte with a usage error": (sys.executable, "-m", "tte.cli", "nonsense"),
}


def seconds(command, eager):
    """Return (processor seconds of one run, its exit code and what it printed)."""
    environment = {key: value for key, value in os.environ.items() if key != "EAGER_IMPORT"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, env={**environment, **({"EAGER_IMPORT": "1"} if eager else {})}, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, (done.returncode, done.stdout, done.stderr)


def rows(repeats=2):
    """Return one row per command, the best of the repeats; the first run of each fills caches and is not timed."""
    result = []
    for name, command in COMMANDS.items():
        expected, got = (seconds(command, eager)[1] for eager in (True, False))
        assert expected == got, f"{name}: importing at once changes what it does: {expected} and {got}"
        baseline, ours = (min(seconds(command, eager)[0] for _ in range(repeats)) for eager in (True, False))
        what = f"{name} (at most {ALLOWED} s), imports where needed against all at once"
        result.append(Row(what, "one process", "s", baseline, ours, baseline / ours, baseline / ALLOWED, 0.0))
    return result


if __name__ == "__main__":
    record("imports", rows())
