"""`workflow/warm.py`: a command in a fork of the warm process ends as it would without one."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WARM = ROOT / "workflow" / "warm.py"
SCRIPT = """
import atexit, signal, os, sys, threading, time
atexit.register(print, "at exit")
threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
print("out", sys.argv[1:], os.environ.get("SEEN"))
print("err", file=sys.stderr)
how = sys.argv[1]
if how == "raise":
    raise ValueError("odd")
if how == "killed":
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit({"none": None, "3": 3, "text": "the reason"}[how])
"""
WAYS = ("none", "3", "text", "raise", "killed")


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    """{way: [(exit code, output, errors) of plain Python, the same of a fork]}; one warm process for all."""
    folder = tmp_path_factory.mktemp("warm")
    (folder / "script.py").write_text(SCRIPT, encoding="utf-8")
    forked = f"{sys.executable} -S {WARM} script.py"
    lines = [f"{forked} {way} > {way}.out 2> {way}.err; echo $? > {way}.code" for way in WAYS]
    lines.append(f"SEEN=yes {forked} none word > seen.out")
    subprocess.run([sys.executable, WARM, "with", "bash", "-c", "\n".join(lines)], cwd=folder, check=True, timeout=300)
    found = {}
    for way in WAYS:
        plain = subprocess.run([sys.executable, "script.py", way], cwd=folder, capture_output=True, text=True)
        code, out, err = ((folder / f"{way}.{kind}").read_text() for kind in ("code", "out", "err"))
        found[way] = [(plain.returncode % 256, plain.stdout, plain.stderr), (int(code), out, err)]
    return found, (folder / "seen.out").read_text()


@pytest.mark.parametrize("way", ["none", "3", "text"])
def test_it_ends_as_python_does(ends, way):
    plain, forked = ends[0][way]
    assert forked == plain and "thread\nat exit\n" in forked[1]


def test_an_error_is_shown_and_a_killed_command_is_an_error(ends):
    plain, forked = ends[0]["raise"]
    assert forked[:2] == plain[:2] and "thread\nat exit\n" in forked[1]
    assert forked[2].endswith("ValueError: odd\n") and plain[2].endswith("ValueError: odd\n")
    assert ends[0]["killed"][1][0] == 137 and "out ['killed']" in ends[0]["killed"][1][1]


def test_arguments_and_environment_are_those_of_the_command(ends):
    assert ends[1].startswith("out ['none', 'word'] yes\n")
