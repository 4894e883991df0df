"""Starting, pinning and ending of the processes that a run is made of. None outlives the run."""

import ctypes
import os
import signal
import socket
import subprocess
import time

ALLOWED = sorted(os.sched_getaffinity(0))
# The proxy has a core of its own; load and backend have the others (one, on a machine with two).
PROXY_CORE, LOAD_CORES = ALLOWED[-1], ALLOWED[:-1] or ALLOWED
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
STARTED = []


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def spawn(command, cores, **options):
    """A process in a session of its own (so that Ctrl-C reaches only the harness, which then ends all),
    on these cores, ended by the kernel when the harness is killed."""

    def prepare():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        os.sched_setaffinity(0, cores)

    process = subprocess.Popen(command, preexec_fn=prepare, start_new_session=True, **options)
    STARTED.append(process)
    return process


def serve(command, cores, log, environment=None):
    """A server whose output goes to a file, opened for appending so that it may be cut between rounds."""
    with open(log, "ab") as output:
        return spawn(command, cores, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                     env={**os.environ, **(environment or {})})


def run(command, cores, patience):
    """Runs a load generator to its end; one that hangs longer than `patience` seconds is stopped and fails."""
    process = spawn(command, cores, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return finish(process, patience)


def finish(process, patience):
    try:
        return process.communicate(timeout=patience)[0]
    except subprocess.TimeoutExpired:
        return None
    finally:
        stop(process)


def stop(process):
    if process in STARTED:
        # The whole group even when its leader has ended: nginx's worker is a child.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        STARTED.remove(process)


def stop_all():
    for process in list(STARTED):
        stop(process)


def wait_for_port(port, process, log, patience=30):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            with open(log, errors="replace") as said:
                raise SystemExit(f"{' '.join(process.args)} ended at once:\n{said.read()}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"{' '.join(process.args)} does not listen on port {port}")
