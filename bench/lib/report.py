"""The table of a run."""

import os
import platform
import time

from . import peers

TITLES = {
    "plain": "Plain proxying, keep-alive, no access log",
    "logs": "The same with a JSON access log (Tollgate's metrics are on in every row)",
    "half_load": "Latency with 4 connections, access log on",
    "connections": "A new connection for each request, access log on",
    "large": "Answers of 1 MB",
    "post": "POST of 16 KB",
    "routes": "10, 10,000 and 100,000 routes",
    "reload": "Reload, from SIGHUP to being in force",
    "idle": "10,000 idle keep-alive connections",
}
# Beyond this difference between nginx and itself a table proves nothing.
CONTROL = 0.10


def write(results, binary, arguments):
    text = [INTRODUCTION.format(
        day=time.strftime("%Y-%m-%d"), cpu=cpu(), cores=os.cpu_count(), kernel=platform.release(),
        tollgate=peers.version([binary, "--version"]), nginx=peers.version(["nginx", "-v"]),
        haproxy=peers.version(["haproxy", "-v"]), rounds=arguments.rounds, seconds=arguments.seconds,
    )]
    for name, result in results.items():
        text.append(f"## {TITLES[name]}\n")
        for kind, figures in (("fixed rate", "a fixed rate"), ("saturation", "saturation")):
            if kind in result:
                rate = f" of {result['rate']} requests/s" if kind == "fixed rate" else ""
                text.append(f"At {figures}{rate}:\n" if "fixed rate" in result else "")
                text.append(table(result[kind]))
        if "memory" in result:
            told = ", ".join(f"{name} {kib / 1024:.1f} MiB" for name, kib in result["memory"].items())
            text.append(f"Memory (Pss): {told}.\n")
        if "milliseconds" in result:
            told = ", ".join(f"{count} routes {ms:.0f} ms" for count, ms in result["milliseconds"].items())
            text.append(told + ".\n")
        if "bytes" in result:
            told = ", ".join(f"{name} {size:.0f} bytes" for name, size in result["bytes"].items())
            text.append(f"Memory for each: {told}.\n")
    return "\n".join(text)


def table(rows):
    named = {row["name"]: row for row in rows}
    nginx = named.get("nginx")
    best = min((row["cpu"] for name, row in named.items() if name in ("nginx", "haproxy")), default=None)
    first = rows[0]["cpu"]
    lines = ["| proxy | CPU us/request | user | system | requests/s | p50 us | p99 us | CPU against "
             + ("the better peer |" if best else "the first row |"),
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        ratio = row["cpu"] / (best or first)
        errors = f" ({row['errors']} errors!)" if row["errors"] else ""
        lines.append(f"| {row['name']}{errors} | {row['cpu']:.1f} | {row['user']:.1f} | {row['system']:.1f} | "
                     f"{row['rate']:.0f} | {number(row['p50'])} | {number(row['p99'])} | {ratio:.2f} |")
    again = named.get("nginx-again")
    if nginx and again and abs(again["cpu"] / nginx["cpu"] - 1) > CONTROL:
        lines.append(f"\n**Unreadable**: nginx differs from itself by {abs(again['cpu'] / nginx['cpu'] - 1):.0%}.")
    return "\n".join(lines) + "\n"


def number(value):
    return "-" if value is None else f"{value:.0f}"


def cpu():
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown"


INTRODUCTION = """# Benchmarks

Written by `make bench`. All figures of a table come from one run; absolute figures belong to the machine, the last column is
what to read. The method stands in [bench/README.md](../bench/README.md), the peers' configurations in `bench/peers/`.

- {day}, {cpu}, {cores} cores, Linux {kernel}
- {tollgate}; {nginx}; {haproxy}
- each proxy on one core, load and backend on the other; {rounds} rounds of {seconds} s each in the order A B B A, medians
- CPU is the proxy's own, from the kernel's accounting; `nginx-again` is the control
"""
