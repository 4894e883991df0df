"""What is measured. Each scenario gives rows: a proxy and its figures."""

import statistics
import time

from . import load, peers


class Bench:
    """What all scenarios share."""

    def __init__(self, binary, directory, seconds, rounds):
        self.binary, self.directory, self.seconds, self.rounds = binary, directory, seconds, rounds
        self.backend = peers.backend(directory)

    def start(self, logs):
        """Tollgate, its peers, and nginx once more as the control."""
        kinds = {
            "nginx": peers.nginx,
            "tollgate": peers.tollgate(self.binary),
            "haproxy": peers.haproxy,
            "nginx again": peers.nginx,
        }
        port = self.backend.port
        return [start(name.replace(" ", "-"), self.directory, port, logs) for name, start in kinds.items()]

    def compare(self, proxies, measure):
        """Rounds in the order A B C, C B A, so that drift of the machine falls on all alike."""
        figures = {proxy.name: [] for proxy in proxies}
        for proxy in proxies:
            measure(proxy)  # warm
        for turn in range(self.rounds):
            for proxy in proxies if turn % 2 == 0 else reversed(proxies):
                figures[proxy.name].append(measure(proxy))
        return [summary(name, rounds) for name, rounds in figures.items()]


def measured(proxy, run):
    """One round: processor time per request beside what the load says."""
    before = proxy.cpu()
    result = run(proxy)
    after = proxy.cpu()
    requests = max(result.requests, 1)
    return {
        "user": (after[0] - before[0]) / requests * 1e6,
        "system": (after[1] - before[1]) / requests * 1e6,
        "rate": result.requests / result.seconds,
        "p50": result.p50,
        "p99": result.p99,
        "errors": result.errors,
    }


def summary(name, rounds):
    def median(key):
        values = [figures[key] for figures in rounds if figures[key] is not None]
        return statistics.median(values) if values else None

    row = {key: median(key) for key in ("user", "system", "rate", "p50", "p99")}
    row["cpu"] = statistics.median(figures["user"] + figures["system"] for figures in rounds)
    row["errors"] = sum(figures["errors"] for figures in rounds)
    return {"name": name, **row}


def both(bench, logs, path="/", script=None, body=None, rate=15000, connections=64):
    """At a fixed rate that all can hold, then at saturation."""
    proxies = bench.start(logs)
    fixed = bench.compare(
        proxies, lambda proxy: measured(proxy, lambda p: load.at_rate(p.port, bench.seconds, rate, path, body=body))
    )
    full = bench.compare(
        proxies,
        lambda proxy: measured(
            proxy, lambda p: load.saturate(p.port, bench.seconds, path, script, connections)
        ),
    )
    memory = {proxy.name: proxy.memory() for proxy in proxies}
    for proxy in proxies:
        proxy.stop()
    return {"fixed rate": fixed, "saturation": full, "memory": memory, "rate": rate}


def plain(bench):
    return both(bench, logs=False)


def logs(bench):
    return both(bench, logs=True)


def half_load(bench):
    """Latency with few connections in turn, far from saturation."""
    proxies = bench.start(True)
    rows = bench.compare(
        proxies,
        lambda proxy: measured(proxy, lambda p: load.saturate(p.port, bench.seconds, connections=4)),
    )
    for proxy in proxies:
        proxy.stop()
    return {"saturation": rows}


def connections(bench):
    script = load.script(bench.directory, "close.lua", 'wrk.headers["Connection"] = "close"\n')
    proxies = bench.start(True)
    rows = bench.compare(
        proxies,
        lambda proxy: measured(proxy, lambda p: load.saturate(p.port, bench.seconds, "/", script)),
    )
    for proxy in proxies:
        proxy.stop()
    return {"saturation": rows}


def large(bench):
    return both(bench, logs=True, path="/1m", rate=400, connections=16)


def post(bench):
    body = load.script(bench.directory, "body", "x" * 16384)
    lua = 'wrk.method = "POST"\nwrk.body = string.rep("x", 16384)\n'
    script = load.script(bench.directory, "post.lua", lua)
    return both(bench, logs=True, script=script, body=body, rate=8000)


def routes(bench):
    counts = [10, 10_000, 100_000]
    proxies = []
    for count in counts:
        start = peers.tollgate(bench.binary, count)
        proxies.append(start(f"{count}-routes", bench.directory, bench.backend.port, True))
    memory = {proxy.name: proxy.memory() for proxy in proxies}
    paths = {}
    for count, proxy in zip(counts, proxies):
        listed = ", ".join(f'"{peers.route_path(number * (count // 10))}"' for number in range(10))
        lua = f"local paths = {{ {listed} }}\nlocal turn = 0\n"
        lua += 'request = function() turn = turn % 10 + 1; return wrk.format("GET", paths[turn]) end\n'
        paths[proxy.name] = load.script(bench.directory, f"routes{count}.lua", lua)
    rows = bench.compare(
        proxies,
        lambda proxy: measured(proxy, lambda p: load.saturate(p.port, bench.seconds, "/", paths[p.name])),
    )
    for proxy in proxies:
        proxy.stop()
    return {"saturation": rows, "memory": memory}


def reload(bench):
    """From SIGHUP until the gateway says that the new configuration is in force."""
    rows = {}
    for count in (10, 10_000, 100_000):
        start = peers.tollgate(bench.binary, count)
        proxy = start(f"reload-{count}", bench.directory, bench.backend.port, False)
        times = []
        for turn in range(3):
            with open(proxy.config, "a") as config:
                config.write(f"  - {{ match: GET /added{turn}, to: backend, access: public }}\n")
            said = open(proxy.output).read().count("reloaded")
            began = time.monotonic()
            proxy.process.send_signal(1)
            while open(proxy.output).read().count("reloaded") == said:
                if time.monotonic() > began + 60:
                    raise SystemExit("no reload within a minute")
                time.sleep(0.001)
            times.append((time.monotonic() - began) * 1000)
        rows[count] = statistics.median(times)
        proxy.stop()
    return {"milliseconds": rows}


def idle(bench):
    count = 10_000
    rows = {}
    for proxy in bench.start(False):
        before = proxy.memory()
        opened = load.idle(proxy.port, count)
        time.sleep(1)
        rows[proxy.name] = (proxy.memory() - before) * 1024 / count
        for connection in opened:
            connection.close()
        proxy.stop()
    return {"bytes": rows}


ALL = {
    "plain": plain,
    "logs": logs,
    "half_load": half_load,
    "connections": connections,
    "large": large,
    "post": post,
    "routes": routes,
    "reload": reload,
    "idle": idle,
}
