"""Python without its imports: commands forked from one process that has loaded the libraries already.

    warm.py with COMMAND …        run a command; beneath it, the two forms below come from one warm process
    warm.py -m MODULE ARGUMENT …  as `python -m`
    warm.py SCRIPT ARGUMENT …     as `python SCRIPT`

Half the time of a page is PyTorch, MONAI and their like being loaded. Each command is a fork of its own, so nothing it
does reaches another one. Where there is no warm process, the last two forms are what they stand for; Jupyter's kernel
`python3` is the second.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "TTE_WARM"  # the variable that says where the warm process listens
# beside what the notebooks import: what runs them, and what a kernel, a table and an optimizer import at first use
LIBRARIES = (
    *("papermill", "nbclient", "jupytext", "ipykernel.kernelapp", "ipykernel.debugger", "yaml"),
    *("pandas.io.formats.style", "torch._dynamo", "tabulate"),
)
INLINE = "module://matplotlib_inline.backend_inline"  # matplotlib reads it once, when it is imported


def run_with(command):
    """Run a command beside a warm process that ends with it; return the command's exit code."""
    with tempfile.TemporaryDirectory(prefix="tte-") as folder:
        kernel = Path(folder, "kernels", "python3")
        kernel.mkdir(parents=True)
        argv = [sys.executable, "-S", str(Path(__file__).resolve()), "-m", "ipykernel_launcher", "-f"]
        spec = {"argv": [*argv, "{connection_file}"], "display_name": "Python 3 (ipykernel)", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
        paths = [folder, *filter(None, [os.environ.get("JUPYTER_PATH")])]
        address = os.path.join(folder, "socket")
        environment = {**os.environ, ADDRESS: address, "JUPYTER_PATH": os.pathsep.join(paths)}
        fixed = {"PYTHONHASHSEED": "0", "MPLBACKEND": INLINE, "OMP_NUM_THREADS": "1"}
        fixed["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # nobody debugs a page, and the debugger remarks on it
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen(64)
            server = subprocess.Popen(
                [sys.executable, __file__, "serve", str(listener.fileno())],
                stdin=subprocess.PIPE, env={**os.environ, **fixed}, pass_fds=[listener.fileno()], cwd=ROOT,
            )  # fmt: skip
        try:
            return subprocess.call(command, env=environment)
        finally:
            server.stdin.close()  # at once, or when this process is killed: the warm one ends at the end of its input
            server.wait()


def serve(listener):
    """Fork a child for every client until standard input ends; a child whose client went away is ended."""
    for number in (signal.SIGINT, signal.SIGTERM):  # clients die of them, and the children with their clients
        signal.signal(number, signal.SIG_IGN)
    children = {}  # by what becomes readable at the end of either side: (client, its child, handle of the child)
    loaded = False
    while 0 not in (ready := select.select([listener, 0, *children], [], [])[0]):
        for end in ready:
            if end in children:
                _finish(children, end)
        if listener in ready:
            client, _ = listener.accept()
            streams, asked = _read(client)
            loaded = loaded or _load()
            if not (child := os.fork()):
                client.close()
                _become(streams, asked)  # does not return
            for stream in streams:
                os.close(stream)
            pair = client, child, os.pidfd_open(child)
            children[client] = children[pair[2]] = pair
    for end in list(children):
        if end in children:
            _finish(children, end)
    return None


def _finish(children, end):
    """End a child, if it has not ended itself, and tell its client the exit code, if that is still there."""
    client, child, handle = children[end]
    del children[client], children[handle]
    if end is not handle:
        for kill in (os.killpg, os.kill):  # it may not lead a group yet, or have ended by now
            with contextlib.suppress(ProcessLookupError):
                kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        client.sendall(str(status if status >= 0 else 128 - status).encode())
    client.close()
    os.close(handle)


def _read(client):
    """Return the streams of a client and what it asks for; after that, a client has nothing to say but its end."""
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    with client.makefile() as lines:
        return streams, json.loads(lines.readline())


def _become(streams, asked):
    """Turn this fork into what its client asks for: its folder, environment and streams, then its module or script."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"], JPY_PARENT_PID=str(os.getppid()))  # a kernel looks whether it is alive
    try:
        _run(asked)
        status = 0
    except SystemExit as end:
        status = 0 if end.code is None else end.code
        if not isinstance(status, int):  # a reason, as `sys.exit` takes it
            print(status, file=sys.stderr)
            status = 1
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        status = 130 if isinstance(error, KeyboardInterrupt) else 1
    _leave(status)


def _run(asked):
    """Run the module or the script."""
    import runpy

    if asked["arguments"][0] == "-m":
        _, name, *arguments = asked["arguments"]
        sys.argv[:], sys.path[0] = [name, *arguments], asked["folder"]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        sys.argv[:], sys.path[0] = asked["arguments"], str(Path(asked["arguments"][0]).resolve().parent)
        runpy.run_path(sys.argv[0], run_name="__main__")


def _leave(status):
    """End as Python does, but for taking every library apart, which would copy all memory of the warm process first."""
    import atexit
    import threading

    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more, or it was closed
            stream.flush()
    os._exit(status)


def _load():
    """Import what the notebooks import, and what runs them."""
    import ast
    import gc
    import importlib

    sys.path.insert(0, str(ROOT))
    names = set(LIBRARIES)
    for source in (ROOT / "notebooks").glob("*.py"):
        for node in ast.parse(source.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    for name in sorted(names):
        with contextlib.suppress(Exception):  # a function, or a module whose fault its notebook has to report
            importlib.import_module(name)
    sys.path.remove(str(ROOT))
    gc.freeze()
    return True


def ask(arguments):
    """Run `python ARGUMENT …` in a fork of the warm process, or become it where there is none; return the exit code."""
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(os.environ.get(ADDRESS, ""))
        except OSError:
            os.execv(sys.executable, [sys.executable, *arguments])
        socket.send_fds(server, [b"!"], [0, 1, 2])
        wanted = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
        server.sendall(json.dumps(wanted).encode() + b"\n")
        try:
            return int(server.recv(8) or 1)
        except KeyboardInterrupt:  # the fork ends with its client
            return 130


def main(arguments):
    """Run the command line."""
    match arguments:
        case ["with", _, *_] if hasattr(os, "pidfd_open"):
            return run_with(arguments[1:])
        case ["with", _, *_]:  # no Linux: no fork of a process that has loaded this much
            return subprocess.call(arguments[1:])
        case ["serve", number]:
            return serve(socket.socket(fileno=int(number)))
        case ["-m", _, *_] | [_, *_]:
            return ask(arguments)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
