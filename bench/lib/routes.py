"""Many routes: what a request costs among them, what they weigh, and how long a reload takes."""

import os
import pathlib
import random
import re
import signal
import statistics
import threading
import time

from . import load

COUNTS = (10, 10_000, 100_000)
# nginx matches prefixes, the nearest that it has to our templates; more of them than this it is not asked to hold.
PREFIXES = COUNTS[:2]
PATIENCE = 60
SETTLE = 4


def front(number):
    return f"/api/{number % 97}/things{number}"


def tollgate_routes(count):
    return "\n  ".join(f'- {{ match: "GET {front(n)}/{{id}}/parts", to: backend, access: public }}' for n in range(count))


def nginx_routes(count):
    return "\n".join(f"location {front(n)}/ {{ proxy_pass http://backend; }}" for n in range(count))


def start(bench, kind, count, logs=True):
    lines = tollgate_routes(count) if kind == "tollgate" else nginx_routes(count)
    return bench.field.start(kind, logs, lines, label=f"{kind}, {count:,} routes")


def contestants(bench):
    return [(kind, count) for kind, counts in (("tollgate", COUNTS), ("nginx", PREFIXES))
            if kind in bench.field.names for count in counts]


def routes(bench):
    """wrk asks for every route in turn, in one random order: no cache of the processor has the next one ready by luck."""
    proxies, paths, memory = [], {}, {}
    try:
        for kind, count in contestants(bench):
            proxy = start(bench, kind, count)
            proxies.append(proxy)
            # What starting took for a moment has been given back by then.
            time.sleep(SETTLE)
            memory[proxy.name] = proxy.memory()
            order = list(range(count))
            random.Random(count).shuffle(order)
            paths[proxy.name] = f"{bench.directory}/paths{count}"
            pathlib.Path(paths[proxy.name]).write_text("".join(f"{front(n)}/42/parts\n" for n in order))
        for proxy in proxies:
            load.saturate(proxy, max(1, bench.seconds // 3), paths=paths[proxy.name])
        rows = bench.rounds_of(proxies, lambda proxy: load.saturate(proxy, bench.seconds, paths=paths[proxy.name]))
    finally:
        for proxy in proxies:
            proxy.stop()
    return {"saturation": rows, "memory": memory}


def reload(bench):
    """From the moment a file with one more route takes the old one's place (SIGHUP follows at once) until a new
    connection's request to that route is answered, while other requests go on; those that fail are counted."""
    rows = {}
    for kind, count in contestants(bench):
        proxy = start(bench, kind, count, logs=False)
        try:
            times, failed, asked = [], 0, 0
            for turn in range(5):
                took, broken, others = reload_once(kind, count, turn, proxy)
                times.append(took)
                failed, asked = failed + broken, asked + others
        finally:
            proxy.stop()
        rows[proxy.name] = {"milliseconds": statistics.median(times), "worst": max(times), "failed": failed, "asked": asked}
    return {"reload": rows}


def reload_once(kind, count, turn, proxy):
    config = f"{proxy.home}/{kind}.{'yaml' if kind == 'tollgate' else 'conf'}"
    # Not among the others' prefixes, so that before the reload it is nobody's.
    added = f"/added{turn}"
    if kind == "tollgate":
        text = pathlib.Path(config).read_text().replace(
            "routes:\n", f'routes:\n  - {{ match: "GET {added}", to: backend, access: public }}\n', 1)
    else:
        text = re.sub(r"(listen .*\n)", rf"\g<1>location {added} {{ proxy_pass http://backend; }}\n",
                      pathlib.Path(config).read_text(), count=1)
    pathlib.Path(config + ".new").write_text(text)
    stop, told = threading.Event(), {"failed": 0, "asked": 0}
    others = threading.Thread(target=keep_asking, args=(proxy.port, f"{front(0)}/42/parts", stop, told))
    others.start()
    try:
        time.sleep(0.1)
        os.rename(config + ".new", config)
        began = time.monotonic()
        proxy.process.send_signal(signal.SIGHUP)
        while not load.get(proxy.port, added).startswith("HTTP/1.1 200"):
            if time.monotonic() > began + PATIENCE:
                raise SystemExit(f"{proxy.name}: no reload within {PATIENCE} s")
            time.sleep(0.001)
        took = (time.monotonic() - began) * 1000
    finally:
        stop.set()
        others.join()
    return took, told["failed"], told["asked"]


def keep_asking(port, path, stop, told):
    """A request each few milliseconds, each on a new connection."""
    while not stop.wait(0.005):
        told["asked"] += 1
        if not load.get(port, path).startswith("HTTP/1.1 200"):
            told["failed"] += 1
