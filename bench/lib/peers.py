"""The proxies: how each is configured and started. Templates stand in bench/peers."""

import os
import pathlib
import random
import subprocess

from . import processes

TEMPLATES = pathlib.Path(__file__).resolve().parent.parent / "peers"
PROXY_CORE, LOAD_CORE = 0, 1
SMALL = "x" * 300


def fill(template, target, **values):
    text = (TEMPLATES / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    pathlib.Path(target).write_text(text)
    return target


class Proxy:
    """A running proxy."""

    def __init__(self, name, process, port):
        self.name, self.process, self.port = name, process, port

    def cpu(self):
        return processes.cpu_seconds(self.process.pid)

    def memory(self):
        return processes.memory_kib(self.process.pid)

    def stop(self):
        processes.stop(self.process)


def launch(name, command, port, directory, core=PROXY_CORE):
    log = os.path.join(directory, f"{name}.out")
    process = processes.start(command, core, log)
    processes.wait_for_port(port, process, log)
    return Proxy(name, process, port)


def backend(directory):
    port = processes.free_port()
    files = os.path.join(directory, "files")
    os.makedirs(files, exist_ok=True)
    with open(os.path.join(files, "1m"), "wb") as file:
        file.write(random.Random(1).randbytes(1_000_000))
    config = fill("backend.conf", f"{directory}/backend.conf", dir=directory, port=port, small=SMALL)
    return launch("backend", ["nginx", "-c", config, "-p", directory], port, directory, LOAD_CORE)


def nginx(name, directory, backend_port, logs):
    port = processes.free_port()
    home = os.path.join(directory, f"{name}-{port}")
    os.makedirs(home)
    access = f"{home}/access.log json buffer=32k flush=1s" if logs else "off"
    config = fill("nginx.conf", f"{home}/nginx.conf", dir=home, port=port, backend=backend_port, access_log=access)
    return launch(name, ["nginx", "-c", config, "-p", home], port, home)


def haproxy(name, directory, backend_port, logs):
    port = processes.free_port()
    home = os.path.join(directory, f"{name}-{port}")
    os.makedirs(home)
    # HAProxy logs to a file through a descriptor that it inherits, here its standard output.
    form = '"%ci [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %U %{+Q}r %[uuid()]"'
    config = fill(
        "haproxy.cfg",
        f"{home}/haproxy.cfg",
        port=port,
        backend=backend_port,
        log_global="log stdout format raw local0" if logs else "",
        log_defaults=f"log global\n    log-format {form}" if logs else "",
    )
    return launch(name, ["haproxy", "-db", "-f", config], port, home)


def tollgate(binary, routes=None):
    def start(name, directory, backend_port, logs):
        port = processes.free_port()
        home = os.path.join(directory, f"{name}-{port}")
        os.makedirs(home)
        access = f"{home}/access.log" if logs else '"off"'
        config = fill("tollgate.yaml", f"{home}/tollgate.yaml", port=port, backend=backend_port, access_log=access)
        if routes:
            write_routes(config, routes)
        proxy = launch(name, [binary, "run", "-c", config], port, home)
        proxy.config = config
        proxy.output = f"{home}/{name}.out"
        return proxy

    return start


def write_routes(config, count):
    """Replaces the one route by many; the load asks for some of them in turn."""
    text = pathlib.Path(config).read_text()
    lines = [line for line in text.splitlines() if not line.startswith("routes:")]
    lines.append("routes:")
    for number in range(count):
        match = f"GET /api/{number % 97}/things{number}/{{id}}/parts"
        lines.append(f'  - {{ match: "{match}", to: backend, access: public }}')
    pathlib.Path(config).write_text("\n".join(lines) + "\n")


def route_path(number):
    return f"/api/{number % 97}/things{number}/42/parts"


def version(command):
    found = subprocess.run(command, capture_output=True, text=True)
    return (found.stdout + found.stderr).splitlines()[0].strip()
