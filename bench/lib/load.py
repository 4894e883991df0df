"""Load: wrk at saturation, h2load at a fixed rate. Both say what went wrong."""

import os
import re
import socket
import subprocess

from .peers import LOAD_CORE


class Result:
    """What one round of load came to."""

    def __init__(self, requests, seconds, p50, p99, errors):
        self.requests, self.seconds, self.p50, self.p99, self.errors = requests, seconds, p50, p99, errors


def saturate(port, seconds, path="/", script=None, connections=64):
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    if script:
        command += ["-s", script]
    text = subprocess.run([*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True).stdout
    count, taken = re.search(r"(\d+) requests in ([\d.]+)s", text).groups()
    errors = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", text))
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors += int(refused.group(1)) if refused else 0
    p50 = micros(re.search(r"50%\s+(\S+)", text).group(1))
    p99 = micros(re.search(r"99%\s+(\S+)", text).group(1))
    return Result(int(count), float(taken), p50, p99, errors)


def at_rate(port, seconds, rate, path="/", connections=50, body=None):
    """A fixed number of requests a second, whatever the answers take."""
    command = ["taskset", "-c", str(LOAD_CORE), "h2load", "--h1", f"-c{connections}", "-t1",
               f"--rps={rate / connections}", f"-D{seconds}"]
    if body:
        command += ["-d", body]
    text = subprocess.run([*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True).stdout
    done = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", text)
    count, _, failed, errored = (int(n) for n in done.groups())
    return Result(count, seconds, None, None, failed + errored)


def micros(text):
    found = re.match(r"([\d.]+)(us|ms|s)", text)
    if not found:  # wrk says nan when nothing was answered
        return None
    value, unit = found.groups()
    return float(value) * {"us": 1, "ms": 1000, "s": 1_000_000}[unit]


def idle(port, count):
    """Opens keep-alive connections that have each had one answer."""
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    opened = []
    for number in range(count):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(request)
        opened.append(connection)
        if number % 100 == 99:
            for waiting in opened[-100:]:
                waiting.recv(4096)
    return opened


def script(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w") as file:
        file.write(text)
    return path
