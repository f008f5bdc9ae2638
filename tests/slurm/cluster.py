"""A SLURM of three one-core nodes on this machine, from Debian's packages.

Needs root: the configuration must lie in /etc/slurm, because the jobs of Snakemake's plugin do
not inherit SLURM_CONF. Everything else lies in one folder; ports and munge socket are its own.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

CONFIGURATION = Path("/etc/slurm/slurm.conf")
MARK = "# Written by Grokscope's tests, which remove it.\n"
NODES = ("n1", "n2", "n3")
PACKAGES = {
    "slurmctld": "slurm-wlm",
    "slurmd": "slurm-wlm",
    "sbatch": "slurm-wlm",
    "munged": "munge",
    # Snakemake's storage plugin for file systems copies with it.
    "rsync": "rsync",
}


def install() -> None:
    """Install what is missing of SLURM and munge.

    Raises
    ------
    RuntimeError
        Where that takes another user or another distribution.
    """
    missing = sorted({PACKAGES[tool] for tool in PACKAGES if shutil.which(tool) is None})
    if os.geteuid() != 0:
        raise RuntimeError("starting SLURM takes root: sudo make test-slurm")
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise RuntimeError(f"not installed, and there is no apt-get to do it: {missing}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "--quiet"],
        ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr}")


def wait_for(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Wait until a condition holds.

    Raises
    ------
    TimeoutError
        Naming what did not come.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    """The daemons, and operations on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen] = {}

    def start(self) -> None:
        """Start munged, slurmctld and two of the nodes; the third is kept in reserve."""
        if CONFIGURATION.exists() and MARK not in CONFIGURATION.read_text():
            raise RuntimeError(f"this machine has a SLURM already: {CONFIGURATION}")
        for name in ("state", *NODES):
            (self.folder / name).mkdir(parents=True)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        CONFIGURATION.parent.mkdir(exist_ok=True)
        CONFIGURATION.write_text(self._configuration())
        files = [
            f"--{option}={self.folder}/{name}"
            for option, name in (
                ("socket", "munge.socket"),
                ("key-file", "munge.key"),
                ("pid-file", "munge.pid"),
                ("log-file", "munge.log"),
                ("seed-file", "munge.seed"),
            )
        ]
        # Forced, since others may not enter its folder.
        self._start("munged", ["--foreground", "--force", *files])
        wait_for((self.folder / "munge.socket").exists, "munge's socket", 20)
        self._start("slurmctld", ["-D"])
        for node in NODES[:2]:
            self.start_node(node)

    def _configuration(self) -> str:
        host = socket.gethostname().split(".")[0]
        control, *ports = _free_ports(1 + len(NODES))
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} "
            "CPUs=1 RealMemory=8000"
            for node, port in zip(NODES, ports, strict=True)
        ]
        lines = [
            "ClusterName=grokscope",
            f"SlurmctldHost={host}(127.0.0.1)",
            f"SlurmctldPort={control}",
            "SlurmUser=root",
            "SlurmdUser=root",
            # A job whose node died waits as long as a credential lives: 120 s by default.
            f"AuthInfo=socket={self.folder}/munge.socket,cred_expire=5",
            # No control groups, no systemd, no accounting.
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "AccountingStorageType=accounting_storage/none",
            "JobAcctGatherType=jobacct_gather/none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_Core",
            # How long squeue and scontrol know an ended job.
            "MinJobAge=86400",
            # Jobs are queued again only on request.
            "JobRequeue=0",
            # Jobs of the partition urgent take the places of others.
            "PreemptType=preempt/partition_prio",
            "PreemptMode=REQUEUE",
            "SlurmdTimeout=10",
            "SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=2",
            # The nodes have more cores than this machine.
            "SlurmdParameters=config_overrides",
            "ReturnToService=2",
            f"StateSaveLocation={self.folder}/state",
            f"SlurmctldPidFile={self.folder}/slurmctld.pid",
            f"SlurmctldLogFile={self.folder}/slurmctld.log",
            f"SlurmdSpoolDir={self.folder}/%n",
            f"SlurmdPidFile={self.folder}/%n.pid",
            f"SlurmdLogFile={self.folder}/%n.log",
            *nodes,
            "PartitionName=main Nodes=ALL Default=YES MaxTime=1-0 PriorityTier=1",
            # Here a preempted job gets SIGTERM at once, and is put back only after GraceTime.
            "PartitionName=warned Nodes=ALL MaxTime=1-0 PriorityTier=1 GraceTime=60",
            "PartitionName=urgent Nodes=ALL MaxTime=1-0 PriorityTier=2",
        ]
        return MARK + "\n".join(lines) + "\n"

    def _start(self, name: str, arguments: list[str], tool: str = "") -> None:
        # Debian's daemons are in /usr/sbin, which is not on every root's path.
        binary = shutil.which(tool or name, path=f"{os.environ['PATH']}:/usr/sbin")
        with (self.folder / f"{name}.out").open("w") as output:
            self.daemons[name] = subprocess.Popen(
                [binary, *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def start_node(self, node: str) -> None:
        """Start a node and wait until it takes jobs."""
        self._start(node, ["-D", "-N", node], tool="slurmd")
        wait_for(
            lambda: self.node_state(node) in ("idle", "mixed", "allocated"),
            f"node {node}: {self.logs()}",
            60,
        )

    def node_state(self, node: str) -> str:
        return self.call("sinfo", "--noheader", f"--nodes={node}", "--format=%T", check=False)

    def call(self, *command: str, check: bool = True) -> str:
        """Output of a SLURM command."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout.strip()

    def jobs(self, *options: str) -> dict[str, str]:
        """Ids of the jobs in the queue, and the comment of each."""
        lines = self.call("squeue", "--noheader", "--format=%A %k", *options).splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def field(self, job: str, name: str) -> str:
        """A field of scontrol's description of a job, ended or not."""
        words = self.call("scontrol", "--oneliner", "show", "job", job).split()
        return next(word.split("=", 1)[1] for word in words if word.startswith(f"{name}="))

    def processes(self, jobs: Iterable[str]) -> list[psutil.Process]:
        """All processes of some jobs on this machine: the daemons of their steps and below."""
        steps = tuple(f"slurmstepd: [{job}." for job in jobs)
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if " ".join(process.cmdline()).startswith(steps):
                    found += [process, *process.children(recursive=True)]
        return found

    def kill_node(self, node: str) -> None:
        """SIGKILL to a node's daemon and to everything that it runs, as if it lost power."""
        jobs = self.jobs(f"--nodelist={node}")
        daemon = self.daemons.pop(node)
        daemon.kill()
        daemon.wait()
        for process in self.processes(jobs):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def preempt(self, job: str) -> list[psutil.Process]:
        """Have SLURM take a running job's place for an urgent one, and wait for that to end.

        Returns the processes that the job had; they are gone.
        """
        processes = self.processes([job])
        urgent = self.call(
            "sbatch",
            "--parsable",
            "--partition=urgent",
            f"--nodelist={self.field(job, 'BatchHost')}",
            "--chdir=/",
            "--output=/dev/null",
            "--wrap=exit",
        )
        wait_for(lambda: self.field(urgent, "JobState") == "COMPLETED", f"job {urgent}")
        _, alive = psutil.wait_procs(processes, 60)
        if alive:
            raise RuntimeError(f"preempted job {job} left {alive}")
        return processes

    def stop(self) -> None:
        """Cancel all jobs, stop all daemons, remove the configuration."""
        try:
            if "slurmctld" in self.daemons:
                self.call("scancel", "--user=root", check=False)
                with suppress(TimeoutError, subprocess.TimeoutExpired):
                    wait_for(lambda: not self.jobs(), "an empty queue", 60)
        finally:
            # The nodes first, munge last.
            for daemon in reversed(self.daemons.values()):
                daemon.send_signal(signal.SIGTERM)
                try:
                    daemon.wait(20)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
            CONFIGURATION.unlink(missing_ok=True)

    def logs(self) -> str:
        """Last log lines of the daemons."""
        paths = [*self.folder.glob("*.log"), *self.folder.glob("*.out")]
        return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in paths)
