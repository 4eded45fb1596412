"""Real processes that do one thing at the same time."""

from multiprocessing import get_context
from pathlib import Path

FORK = get_context("fork")  # keeps what a test has replaced


def at_once(function, n=3):
    """Run `function(number)` in n processes that start together; return their exit codes."""
    barrier = FORK.Barrier(n)

    def one(number):
        barrier.wait(60)
        function(number)

    processes = [FORK.Process(target=one, args=(number,)) for number in range(n)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def note(folder, text):
    """Add a line to a file: appends of a line are atomic."""
    with (Path(folder) / "log").open("a") as file:
        file.write(f"{text}\n")
