"""Load: wrk and h2load at saturation, h2load at a fixed rate, and idle connections. All say what went wrong."""

import math
import os
import pathlib
import re
import resource
import select
import socket
import ssl
import subprocess
import tempfile
import time

from . import processes
from .processes import LOAD_CORES

SCRIPT = pathlib.Path(__file__).with_name("wrk.lua")
WARM = 1.0
# h2load wakes a client no oftener than every 10 ms; below a hundred requests a second each wake is one request.
RATE_OF_A_CLIENT = 97
# Connections of HTTP/2, and streams at a time on each.
MULTIPLEXED, STREAMS = 10, 100


class Result:
    """What one round of load came to: `seconds` long, times in microseconds, `faults` as words."""

    def __init__(self, requests, seconds, p50, p99, span, faults):
        self.requests, self.seconds, self.p50, self.p99 = requests, seconds, p50, p99
        self.span, self.faults = span, faults


def saturate(proxy, seconds, path="/", connections=64, **options):
    """As many requests as one thread of wrk gets answered. Options are those of wrk.lua."""
    os.environ.update({f"BENCH_{key.upper()}": str(value) for key, value in options.items()})
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=5s", "--latency", "-s", str(SCRIPT),
               f"{proxy.url}{path}"]
    before = proxy.account()
    text = processes.run(command, LOAD_CORES, seconds + 30)
    span = proxy.since(before)
    for key in options:
        del os.environ[f"BENCH_{key.upper()}"]
    told = re.search(r"^BENCH (.*)$", text or "", re.MULTILINE)
    if not told:
        raise SystemExit(f"wrk failed:\n{text}")
    numbers = {key: float(value) for key, value in (pair.split("=") for pair in told.group(1).split())}
    faults = {key: int(numbers[key]) for key in ("status", "connect", "read", "write", "timeout") if numbers[key]}
    return Result(numbers["requests"], numbers["micros"] / 1e6, numbers["p50"], numbers["p99"], span, faults)


def at_rate(proxy, seconds, rate, path="/", connections=32, body=None):
    """A fixed number of requests a second. Clients are started a millisecond apart, since h2load's clients all
    follow the beat of their own start: started together they would send in bursts."""
    connections = max(connections, math.ceil(rate / RATE_OF_A_CLIENT))
    each = rate / connections
    stagger = connections / 1000
    requests = math.ceil(each * (stagger + WARM + seconds + 0.5)) * connections
    command = ["--rps", f"{each:.3f}", "-c", str(connections), "-r", "1", "--rate-period", "1ms", "-n", str(requests)]
    if body:
        command += ["-d", body]
    return h2load(proxy, ["--h1", *command], path, stagger, seconds, rate)


def streams_at_rate(proxy, seconds, rate, path="/"):
    """The same over HTTP/2. A client wakes every 10 ms, and then sends what is due at once: as many streams."""
    requests = math.ceil(rate / MULTIPLEXED * (WARM + seconds + 0.5)) * MULTIPLEXED
    command = ["--rps", f"{rate / MULTIPLEXED:.3f}", "-c", str(MULTIPLEXED), "-m", str(STREAMS), "-n", str(requests)]
    return h2load(proxy, command, path, 0, seconds, rate)


def streams(proxy, seconds, path="/"):
    """As many requests as one thread of h2load gets answered over HTTP/2."""
    command = ["-c", str(MULTIPLEXED), "-m", str(STREAMS), "-D", f"{math.ceil(WARM + seconds + 0.5)}"]
    return h2load(proxy, command, path, 0, seconds)


def connections_at_rate(proxy, seconds, rate, path="/"):
    """A fixed number of new connections a second with one request each: every one is a client of its own."""
    period = 1 if rate >= 2000 else 10
    batch = max(1, round(rate * period / 1000))
    rate = batch * 1000 / period
    count = math.ceil(rate * (WARM + seconds + 0.5))
    command = ["-c", str(count), "-n", str(count), "-r", str(batch), "--rate-period", f"{period}ms",
               "-H", "Connection: close"]
    return h2load(proxy, ["--h1", *command], path, 0, seconds, rate)


def h2load(proxy, options, path, stagger, seconds, rate=0):
    """Counts and times what ended within a window in the middle of the run, where processor time is read too."""
    with tempfile.TemporaryDirectory(dir=proxy.home) as scratch:
        log = os.path.join(scratch, "requests")
        command = ["h2load", "-t1", *options, "--log-file", log, f"{proxy.url}{path}"]
        load = processes.spawn(command, LOAD_CORES, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
        time.sleep(stagger + WARM)
        before, began = proxy.account(), time.time()
        time.sleep(seconds)
        span, ended = proxy.since(before), time.time()
        text = processes.finish(load, 3 * seconds + 30)
        if text is None:
            return Result(1, seconds, None, None, span, {"hung": 1})
        done, times, faults = window(log, began * 1e6, ended * 1e6)
    counts = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", text)
    failed, errored, late = map(int, counts.groups()) if counts else (1, 0, 0)
    for name, count in (("failed", failed), ("errored", errored), ("timeout", late)):
        if count:
            faults[name] = count
    taken = ended - began
    if done < 0.97 * rate * taken:
        faults["requests short of the rate"] = round(rate * taken - done)
    return Result(max(done, 1), taken, quantile(times, 0.5), quantile(times, 0.99), span, faults)


def window(log, began, ended):
    """Of the lines `start TAB status TAB microseconds`: how many ended in the window, their times, what failed."""
    times, done, faults = [], 0, {}
    with open(log) as lines:
        for line in lines:
            start, status, taken = line.split("\t")
            if not 200 <= int(status) < 300:
                faults["status"] = faults.get("status", 0) + 1
            elif began <= int(start) + int(taken) < ended:
                done += 1
                times.append(int(taken))
    times.sort()
    return done, times, faults


def quantile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def get(port, path, fields="", tls=False):
    return ask(port, f"GET {path} HTTP/1.1", fields, "", tls)


def post(port, path, fields, body):
    return ask(port, f"POST {path} HTTP/1.1", f"{fields}Content-Length: {len(body.encode())}\r\n", body)


def ask(port, line, fields, body, tls=False):
    """One request on a connection of its own; the whole answer, or nothing when it failed."""
    try:
        with connect(port, tls) as connection:
            connection.sendall(f"{line}\r\nHost: bench.example\r\nConnection: close\r\n{fields}\r\n{body}".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode("latin-1")
    except OSError:
        return ""


def connect(port, tls):
    connection = socket.create_connection(("127.0.0.1", port), 5)
    if not tls:
        return connection
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection)


def open_idle(port, count):
    """Opens keep-alive connections that have each had one answer, and leaves them idle."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    opened = []
    for _ in range(min(count, limit - 100)):
        connection = socket.create_connection(("127.0.0.1", port), 5)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: bench.example\r\n\r\n")
        connection.recv(4096)
        opened.append(connection)
    return opened


def still_open(opened):
    """How many of the idle connections the proxy has not closed: an idle one has nothing to read."""
    poll = select.poll()
    for connection in opened:
        poll.register(connection, select.POLLIN | select.POLLHUP)
    return len(opened) - len(poll.poll(0))


def body(directory, size):
    """A file for h2load to send."""
    path = os.path.join(directory, "posted")
    pathlib.Path(path).write_text("x" * size)
    return path
