"""Starting, pinning and accounting of the processes that a run is made of."""

import os
import signal
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
STARTED = []


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command, core, log):
    """A process on one core, ended with the run."""
    output = open(log, "ab")
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command], stdout=output, stderr=output, start_new_session=True
    )
    STARTED.append(process)
    return process


def stop(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process in STARTED:
        STARTED.remove(process)


def stop_all():
    for process in list(STARTED):
        stop(process)


def wait_for_port(port, process, log):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{' '.join(process.args)} ended at once:\n{open(log).read()}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


def family(pid):
    """The process and all below it."""
    pids = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as children:
            for child in children.read().split():
                pids += family(int(child))
    return pids


def cpu_seconds(pid):
    """User and system seconds of the process and its children, from the kernel's own accounting."""
    user = system = 0
    for member in family(pid):
        with open(f"/proc/{member}/stat") as stat:
            numbers = stat.read().rsplit(")", 1)[1].split()
        user += int(numbers[11])
        system += int(numbers[12])
    return user / TICKS, system / TICKS


def memory_kib(pid):
    """Proportional resident memory of the process and its children."""
    total = 0
    for member in family(pid):
        with open(f"/proc/{member}/smaps_rollup") as rollup:
            for line in rollup:
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total
