"""The tables of a run, and what of DESIGN's numbers they hold."""

import os
import platform
import re
import time

from . import peers, processes, scenarios

TITLES = {
    "plain": "Plain proxying, keep-alive, no access log",
    "logs": "The same with a JSON access log",
    "connections": "A new connection for each request, access log on",
    "large": "Answers of 1 MB, access log on",
    "post": "POST of 16 KB, access log on",
    "tls": "TLS 1.3, keep-alive, access log on",
    "handshakes": "A full TLS 1.3 handshake for each request, access log on",
    "resumed": "A resumed TLS 1.3 session for each request, access log on",
    "http2": "HTTP/2 over TLS, 10 connections of 100 streams, to a backend of HTTP/1.1, access log on",
    "access": "Who calls: keys, tokens and signatures, access log on",
    "bodies": "What a JSON body of 1 KB says: schema and attacks, access log on",
    "limits": "How much callers may do: limits, and what a refused request costs, access log on",
    "routes": "10, 10,000 and 100,000 routes, access log on",
    "reload": "Reload with one more route, while requests go on",
    "idle": "10,000 idle keep-alive connections",
}
# Beyond this difference between nginx and itself a table proves nothing.
CONTROL = 0.10


def write(run):
    """`run` is what bench/run collects: results by scenario, versions, courtesies and settings."""
    results = run["results"]
    text = [INTRODUCTION.format(
        day=time.strftime("%Y-%m-%d"), cpu=cpu(), cores=os.cpu_count(), kernel=kernel(),
        versions=", ".join(run["versions"]), rounds=run["rounds"], seconds=run["seconds"],
        load_cores="another" if len(processes.LOAD_CORES) == 1 else f"{len(processes.LOAD_CORES)} others",
    )]
    if run["quick"]:
        text.append("**A quick run: rounds too short to prove anything.**\n")
    held = numbers(results)
    if held:
        text += ["## Numbers to hold\n", "| what | to hold | measured | |", "| --- | --- | --- | --- |", *held, ""]
    for name, result in results.items():
        text += [f"## {TITLES[name]}\n", *section(result)]
    text += ["## What the proxies do alike\n", "| proxy | fields to the backend | fields to the client |", "| --- | --- | --- |"]
    for name, fields in run["courtesies"].items():
        text.append(f"| {name} | {', '.join(fields['to the backend'])} | {', '.join(fields['to the client'])} |")
    return "\n".join(text) + "\n"


def section(result):
    lines = []
    if "fixed rate" in result:
        told = max(result["rates"].values())
        slower = " (peers that cannot hold twice that: half of what they hold)" if "saturation" in result else ""
        lines += [f"At a fixed rate of {told:,} requests/s{slower}:\n", *table(result["fixed rate"])]
    if "saturation" in result:
        lines += ["At saturation:\n", *table(result["saturation"], result.get("without"))]
    for name, refusal in result.get("skipped", {}).items():
        lines.append(f"Not measured: {name}: {refusal}.\n")
    if "memory" in result:
        told = ", ".join(f"{name} {rss / 1024:.1f} / {pss / 1024:.1f}" for name, (rss, pss) in result["memory"].items())
        lines.append(f"Memory (Rss / Pss, MiB): {told}.\n")
    if "reload" in result:
        lines += ["| proxy | median ms | worst ms | other requests | of them failed |", "| --- | --- | --- | --- | --- |"]
        lines += [f"| {name} | {row['milliseconds']:.0f} | {row['worst']:.0f} | {row['asked']} | {row['failed']} |"
                  for name, row in result["reload"].items()] + [""]
    if "idle" in result:
        lines += ["| proxy | bytes each, Rss | Pss | before, Rss MiB | held open |", "| --- | --- | --- | --- | --- |"]
        lines += [f"| {name} | {row['rss']:.0f} | {row['pss']:.0f} | {row['before'][0] / 1024:.1f} | {row['connections']:,} |"
                  for name, row in result["idle"].items()] + [""]
    return lines


def table(rows, without=None):
    """Absolute figures and two ratios: to nginx, and to the best peer by processor time, or to what the same proxy needs
    `without` what is measured."""
    named = {row["name"]: row for row in rows}
    nginx, best = named.get("nginx"), best_peer(rows)
    other = "itself without" if without else "best peer"
    lines = [f"| proxy | CPU us/request | user | system | requests/s | p50 us | p99 us | core busy | CPU to nginx | to {other} |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        lines.append("| " + " | ".join([
            row["name"], number(row["cpu"], 1), number(row["user"], 1), number(row["system"], 1), number(row["rate"]),
            number(row["p50"]), number(row["p99"]), f"{row['busy']:.0%}",
            ratio(row, nginx), ratio(row, named.get(without[row["name"]]) if without else best),
        ]) + " |")
    return [*lines, "", *remarks(rows)]


def remarks(rows):
    """What makes figures doubtful: said, not hidden."""
    told = []
    apart = unreadable(rows)
    if apart:
        told.append(f"**Unreadable**: nginx differs from itself by {apart:.0%}.")
    for row in rows:
        if row["faults"]:
            told.append(f"**{row['name']}: not clean**: " + ", ".join(f"{count} {fault}" for fault, count in row["faults"].items()) + ".")
    noisy = [f"{row['name']} {row['foreign']:.0%}" for row in rows if row["foreign"] > scenarios.QUIET]
    if noisy:
        told.append(f"Not quiet: of the proxy's core others took: {', '.join(noisy)}.")
    return [line + "\n" for line in told]


def best_peer(rows):
    """The peer with the least processor time; the control and ours are none."""
    found = [row for row in rows if row["name"] in ("nginx", "haproxy", *peers.WHEELS)]
    return min(found, key=lambda row: row["cpu"], default=None)


def unreadable(rows):
    """How far nginx is from itself, when that is too far."""
    named = {row["name"]: row for row in rows}
    if "nginx" not in named or "nginx again" not in named:
        return None
    one, two = named["nginx"]["cpu"], named["nginx again"]["cpu"]
    apart = max(one, two) / min(one, two) - 1
    return apart if apart > CONTROL else None


def ratio(row, to):
    return f"{row['cpu'] / to['cpu']:.2f}" if to else "-"


def number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def numbers(results):
    """DESIGN's "Numbers to hold", as far as this run measured them."""
    held = []

    def judge(what, bound, measured, shown, note=None):
        verdict = note or ("held" if measured <= bound else "**missed**")
        held.append(f"| {what} | {shown.format(bound)} | {shown.format(measured)} | {verdict} |")

    def rows_of(name, kind="fixed rate"):
        return {row["name"]: row for row in results.get(name, {}).get(kind, [])}

    def doubt(rows, compared=("tollgate", "nginx")):
        if unreadable(list(rows.values())):
            return "unreadable"
        return "not clean" if any(rows[name]["faults"] for name in compared) else None

    for name, what, bound, rivals in (
        ("logs", "plain proxy with log and metrics, CPU to the better of nginx and HAProxy", 0.85, ("nginx", "haproxy")),
        ("connections", "new connection for each request, CPU to nginx", 1.0, ("nginx",)),
        ("large", "answers of 1 MB, CPU to nginx", 1.0, ("nginx",)),
        ("post", "POST of 16 KB, CPU to nginx", 1.0, ("nginx",)),
        ("tls", "TLS 1.3, keep-alive, CPU to nginx", 1.0, ("nginx",)),
        ("handshakes", "full TLS 1.3 handshake, CPU to nginx", 1.0, ("nginx",)),
        ("resumed", "resumed TLS 1.3 session, CPU to nginx", 1.0, ("nginx",)),
        ("http2", "HTTP/2 multiplexed, CPU to nginx", 1.0, ("nginx",)),
    ):
        rows = rows_of(name) or rows_of(name, "saturation")
        if "tollgate" in rows:
            judge(what, bound, rows["tollgate"]["cpu"] / min(rows[rival]["cpu"] for rival in rivals), "{:.2f}", doubt(rows))
    rows = rows_of("logs")
    if "tollgate" in rows and rows["tollgate"]["p99"] and rows["nginx"]["p99"]:
        judge("p99 at half load, to nginx", 1.0, rows["tollgate"]["p99"] / rows["nginx"]["p99"], "{:.2f}", doubt(rows))
    rows = rows_of("access", "saturation")
    public = "tollgate, public"
    for name, what, bound in (
        ("tollgate, key", "API key, CPU to a public route", 1.15),
        ("tollgate, key and bucket", "API key and token bucket, CPU to a public route", 1.15),
        ("tollgate, public and bucket", "token bucket, CPU to a public route", 1.05),
    ):
        if public in rows and name in rows:
            judge(what, bound, rows[name]["cpu"] / rows[public]["cpu"], "{:.2f}", doubt(rows, (public, name)))
    rows = rows_of("limits", "saturation")
    plain = "tollgate, plain"
    for name, what, bound in (
        ("tollgate, token_bucket", "token bucket, CPU to none", 1.05),
        ("tollgate, refused", "a request that a limit refuses, CPU to one that is proxied", 0.5),
    ):
        if plain in rows and name in rows:
            judge(what, bound, rows[name]["cpu"] / rows[plain]["cpu"], "{:.2f}", doubt(rows, (plain, name)))
    rows = rows_of("routes", "saturation")
    names = {count: f"tollgate, {count:,} routes" for count in (10, 10_000, 100_000)}
    if names[10] in rows:
        for count, bound in ((10_000, 1.05), (100_000, 1.10)):
            judge(f"{count:,} routes to 10, CPU", bound, rows[names[count]]["cpu"] / rows[names[10]]["cpu"], "{:.2f}")
        memory = results["routes"]["memory"]
        judge("memory of a route", 1024, (memory[names[100_000]][1] - memory[names[10]][1]) * 1024 / 99_990, "{:.0f} bytes")
    reloads = results.get("reload", {}).get("reload", {})
    for count, bound in ((10_000, 300), (100_000, 50)):
        if names[count] in reloads:
            row = reloads[names[count]]
            what = f"reload of {count:,} routes" if count == 10_000 else f"one route changed among {count:,}"
            judge(what, bound, row["milliseconds"], "{:.0f} ms", "requests failed" if row["failed"] else None)
    idle = results.get("idle", {}).get("idle", {})
    if "tollgate" in idle:
        judge("an idle keep-alive connection", 3072, idle["tollgate"]["rss"], "{:.0f} bytes")
    return held


def cpu():
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def kernel():
    """The version without the name that a distributor or a cloud appends."""
    return re.match(r"[\d.]+", platform.release()).group()


INTRODUCTION = """# Benchmarks

Written by `make bench`. All figures of a table come from one run; absolute figures belong to the machine, the ratios are
what to read. The method stands in [bench/README.md](../bench/README.md), the configurations in `bench/peers/`.

- {day}, {cpu}, {cores} cores, Linux {kernel}
- {versions}
- each proxy on one core, load and backend on {load_cores}; {rounds} rounds of {seconds} s in the order A B B A, medians
- CPU is the proxy's own (all its processes), from the kernel's accounting; `nginx again` is the control
- at saturation, where the core is busy for less than 90 %, the load generator was the limit, not the proxy: read
  the CPU column, not requests/s
"""
