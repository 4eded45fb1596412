"""A Slurm of one node in a temporary folder: munged, slurmctld and slurmd of this machine while the tests last.

Needs the programs of `slurm-wlm` and `munge`, and root, as slurmd does. A job that takes more memory than it asked for
is killed.
"""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

__all__ = ["Cluster", "why_not"]

CONFIGURATION = Path("/etc/slurm/slurm.conf")  # where jobs look, as no variable of theirs says another place
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
MpiDefault=none
ReturnToService=2
MinJobAge=600
KillWait=2
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=2-00:00:00 State=UP
"""


def why_not():
    """Say why there can be no such cluster here, or return ""."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)}: install the packages slurm-wlm and munge"
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    return f"this machine has a Slurm of its own: {CONFIGURATION}" if CONFIGURATION.exists() else ""


class Cluster:
    """The cluster.

    Parameters
    ----------
    folder : path
        Of its state and logs.
    """

    def __init__(self, folder):
        self.folder, self.host = Path(folder), socket.gethostname().split(".")[0]
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)  # or munged takes its socket for unsafe
        self._running = {}

    def start(self):
        """Start everything, and wait until the node takes jobs."""
        CONFIGURATION.parent.mkdir(parents=True, exist_ok=True)
        CONFIGURATION.unlink(missing_ok=True)  # a link that leads nowhere, of a test that was killed
        (self.folder / "slurm.conf").write_text(CONF.format(host=self.host, folder=self.folder, ports=_free_ports(2)))
        CONFIGURATION.symlink_to(self.folder / "slurm.conf")
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        places = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munge.pid", "seed-file": "munge.seed",
                  "log-file": "munge.log"}  # fmt: skip
        self._run("munged", "--foreground", "--force", *(f"--{k}={self.folder / v}" for k, v in places.items()))
        self._until(lambda: (self.folder / "munge.socket").exists(), "munged")
        self.start_controller()
        self._run("slurmd", "-D", "-N", self.host)
        self._until(lambda: "idle" in self.command("sinfo", "-h", "-o", "%T", check=False), "a node that is idle")

    def start_controller(self):
        """Start slurmctld, which goes on from its state."""
        self._run("slurmctld", "-D")
        self._until(lambda: "is UP" in self.command("scontrol", "ping", check=False), "slurmctld")

    def stop_controller(self):
        """End slurmctld, while jobs run."""
        self._running["slurmctld"].terminate()
        self._running.pop("slurmctld").wait()

    def stop(self):
        """Cancel what runs and stop everything."""
        self.command("scancel", "--user", "root", check=False)
        for name in ("slurmd", "slurmctld", "munged"):
            if name in self._running:
                self._running[name].terminate()
                self._running.pop(name).wait()
        CONFIGURATION.unlink()

    def command(self, *arguments, check=True):
        """Return what a command of Slurm prints."""
        done = subprocess.run(arguments, capture_output=True, text=True, check=check, timeout=60)
        return done.stdout

    def jobs(self, state="RUNNING"):
        """Return the ids of the jobs in a state."""
        return self.command("squeue", "-h", "-o", "%i", "-t", state).split()

    def ended(self):
        """Return how often jobs ended in each state."""
        log = self.folder / "jobs.txt"
        words = [word for line in (log.read_text().splitlines() if log.exists() else []) for word in line.split()]
        states = [word.removeprefix("JobState=") for word in words if word.startswith("JobState=")]
        return {state: states.count(state) for state in states}

    def _run(self, name, *arguments):
        with (self.folder / f"{name}.out").open("a") as out:
            self._running[name] = subprocess.Popen([name, *arguments], stdout=out, stderr=out)

    def _until(self, ready, what, seconds=30):
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                told = "\n".join(path.read_text()[-2000:] for path in self.folder.glob("*.out"))
                raise RuntimeError(f"waited {seconds} s for {what}:\n{told}")
            time.sleep(0.2)


def _free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
