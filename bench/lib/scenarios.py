"""What is measured. Each scenario gives a dictionary: rows of a proxy and its figures, at a fixed rate and at saturation."""

import statistics
import time

from . import load, peers
from .access import access
from .bodies import bodies
from .limits import limits
from .routes import reload, routes

IDLE = 10_000
# New connections in TLS a second: what one core of load can do beside what it does for the backend, twice over.
HANDSHAKES = 500
# A core with less than this to do was not what held the run up; one where others took more than that was not quiet.
SATURATED, QUIET = 0.90, 0.05


class Bench:
    """What all scenarios share."""

    def __init__(self, field, directory, seconds, rounds):
        self.field, self.directory, self.seconds, self.rounds = field, directory, seconds, rounds

    def start(self, logs, tls=False):
        """All proxies; the waiting ones cost nothing that is counted."""
        names = [name for name in self.field.names if not tls or name not in peers.WHEELS or name in peers.SPEAK_TLS]
        return [self.field.start(name, logs, tls=tls) for name in names]

    def rounds_of(self, proxies, measure):
        """Rounds in the order A B C, C B A, so that drift of the machine falls on all alike."""
        figures = {proxy.name: [] for proxy in proxies}
        for turn in range(self.rounds):
            for proxy in proxies if turn % 2 == 0 else reversed(proxies):
                figures[proxy.name].append(figures_of(measure(proxy)))
                proxy.cut_logs()
        return [summary(name, rounds) for name, rounds in figures.items()]


def figures_of(result):
    """One round: microseconds of processor time for a request beside what the load says."""
    span, requests = result.span, max(result.requests, 1)
    return {
        "cpu": span.total / requests / 1000,
        "user": span.user / requests / 1000,
        "system": span.system / requests / 1000,
        "rate": result.requests / result.seconds,
        "p50": result.p50,
        "p99": result.p99,
        "busy": span.total / result.seconds / 1e9,
        "foreign": span.foreign / result.seconds / 1e9,
        "faults": result.faults,
    }


def summary(name, rounds):
    """Medians over the rounds; faults add up."""
    row = {"name": name, "rounds": rounds, "faults": {}}
    for key in ("cpu", "user", "system", "rate", "p50", "p99", "busy", "foreign"):
        values = [figures[key] for figures in rounds if figures[key] is not None]
        row[key] = statistics.median(values) if values else None
    for figures in rounds:
        for fault, count in figures["faults"].items():
            row["faults"][fault] = row["faults"].get(fault, 0) + count
    return row


def both(bench, logs, path="/", connections=64, body=None, close=False, tls=False):
    """By wrk at saturation, by h2load at a fixed rate."""
    options = {key: value for key, value in (("body", body), ("close", 1 if close else None)) if value}

    def saturate(proxy, seconds):
        return load.saturate(proxy, seconds, path, connections, **options)

    def at_rate(proxy, rate):
        if close:
            return load.connections_at_rate(proxy, bench.seconds, rate, path)
        file = load.body(proxy.home, body) if body else None
        return load.at_rate(proxy, bench.seconds, rate, path, body=file)

    return measure(bench, bench.start(logs, tls), saturate, at_rate)


def measure(bench, proxies, saturate=None, at_rate=None, rate=None):
    """At a fixed rate, then at saturation. Unless it is given, the rate is half of what the slowest of nginx, HAProxy and
    Tollgate holds; a slower peer gets half of what it holds itself."""
    rates, result = {proxy.name: rate for proxy in proxies}, {}
    try:
        if at_rate and not rate:
            holds = {proxy.name: saturate(proxy, max(1, bench.seconds // 3)) for proxy in proxies}
            holds = {name: held.requests / held.seconds for name, held in holds.items()}
            half = round_down(min(held for name, held in holds.items() if name not in peers.WHEELS) / 2)
            rates = {name: half if name not in peers.WHEELS else min(half, round_down(held / 2)) for name, held in holds.items()}
            for proxy in proxies:
                proxy.cut_logs()
        if at_rate:
            result |= {"rates": rates, "fixed rate": bench.rounds_of(proxies, lambda proxy: at_rate(proxy, rates[proxy.name]))}
        if saturate:
            result["saturation"] = bench.rounds_of(proxies, lambda proxy: saturate(proxy, bench.seconds))
        result["memory"] = {proxy.name: proxy.memory() for proxy in proxies}
    finally:
        for proxy in proxies:
            proxy.stop()
    return result


def round_down(rate):
    """To two figures, so that the same machine gets the same rate again."""
    step = 10 ** max(0, len(str(int(rate))) - 2)
    return max(1, int(rate) // step * step)


def plain(bench):
    return both(bench, logs=False)


def logs(bench):
    return both(bench, logs=True)


def connections(bench):
    return both(bench, logs=True, close=True)


def large(bench):
    return both(bench, logs=True, path="/1m", connections=16)


def post(bench):
    return both(bench, logs=True, body=16384)


def tls(bench):
    return both(bench, logs=True, tls=True)


def handshakes(bench):
    """Every h2load client makes a full one: it has no session to resume."""
    def at_rate(proxy, rate):
        return load.connections_at_rate(proxy, bench.seconds, rate)

    return measure(bench, bench.start(logs=True, tls=True), at_rate=at_rate, rate=HANDSHAKES)


def resumed(bench):
    """wrk keeps the session of each of its connections for the one that takes its place."""
    def saturate(proxy, seconds):
        return load.saturate(proxy, seconds, connections=16, close=1)

    return measure(bench, bench.start(logs=True, tls=True), saturate)


def http2(bench):
    def at_rate(proxy, rate):
        return load.streams_at_rate(proxy, bench.seconds, rate)

    return measure(bench, bench.start(logs=True, tls=True), load.streams, at_rate)


def idle(bench):
    """What a connection adds once a proxy is warm. nginx makes its table of connections at the start."""
    rows = {}
    for name in bench.field.names:
        proxy = bench.field.start(name, logs=False)
        try:
            load.saturate(proxy, 1)
            time.sleep(1)
            before = proxy.memory()
            opened = load.open_idle(proxy.port, IDLE)
            time.sleep(2)
            after, kept = proxy.memory(), load.still_open(opened)
            for connection in opened:
                connection.close()
        finally:
            proxy.stop()
        rows[name] = {
            "connections": kept,
            "rss": (after[0] - before[0]) * 1024 / max(kept, 1),
            "pss": (after[1] - before[1]) * 1024 / max(kept, 1),
            "before": before,
        }
    return {"idle": rows}


ALL = {
    "plain": plain,
    "logs": logs,
    "connections": connections,
    "large": large,
    "post": post,
    "tls": tls,
    "handshakes": handshakes,
    "resumed": resumed,
    "http2": http2,
    "access": access,
    "bodies": bodies,
    "limits": limits,
    "routes": routes,
    "reload": reload,
    "idle": idle,
}
