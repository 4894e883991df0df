"""The same proxies with different work to do: each variant has its own configuration, requests, and what it must refuse."""

import pathlib
import re
import time

from . import load

PATIENCE = 20


class Variant:
    """`routes` and `access` are lines of the proxy's own language. `options` gives those of wrk.lua for so many seconds of
    load, anew for every round. `refused` are fields and bodies of requests that must not be answered 200."""

    def __init__(self, name, routes=None, access="", options=lambda seconds: {}, refused=()):
        self.name, self.kind = name, re.match(r"\w+", name).group()
        self.routes, self.access, self.options, self.refused = routes, access, options, refused


def measure(bench, variants):
    """By wrk at saturation. A variant that this build of Tollgate does not know yet is left out, and that is told."""
    variants = [variant for variant in variants if variant.kind in bench.field.names]
    proxies, skipped = [], {}
    try:
        for variant in variants:
            refusal = variant.kind == "tollgate" and bench.field.refusal(variant.name, variant.routes, variant.access)
            if refusal:
                skipped[variant.name] = refusal
                continue
            proxies.append(bench.field.start(variant.kind, True, variant.routes, variant.name, access=variant.access))
            prove(proxies[-1], variant)
        named = {variant.name: variant for variant in variants}

        def saturate(proxy, seconds):
            return load.saturate(proxy, seconds, **named[proxy.name].options(seconds))

        for proxy in proxies:
            saturate(proxy, max(1, bench.seconds // 3))
            proxy.cut_logs()
        rows = bench.rounds_of(proxies, lambda proxy: saturate(proxy, bench.seconds))
    finally:
        for proxy in proxies:
            proxy.stop()
    return {"saturation": rows, "without": without(variants), "skipped": skipped}


def without(variants):
    """For each variant the first of the same proxy: that one does all but what is measured."""
    first = {}
    return {variant.name: first.setdefault(variant.kind, variant.name) for variant in variants}


def prove(proxy, variant):
    """It does what it is measured for: it answers the requests of the load, and refuses what it must."""
    deadline = time.monotonic() + PATIENCE
    while not answers(proxy, *first_request(variant.options(0))):
        if time.monotonic() > deadline:
            raise SystemExit(f"{proxy.name} does not answer 200 within {PATIENCE} s")
        time.sleep(0.02)
    for fields, body in variant.refused:
        if answers(proxy, fields, body):
            raise SystemExit(f"{proxy.name} lets pass what it must refuse: {fields or body or 'a request that says nothing'}")


def first_request(options):
    """Fields and body of the first request that wrk would send."""
    fields, body = "", None
    if "fields" in options:
        with open(options["fields"]) as lines:
            fields = next(lines).rstrip("\n").replace("\t", "\r\n") + "\r\n"
    if "json" in options:
        fields, body = fields + "Content-Type: application/json\r\n", pathlib.Path(options["json"]).read_text()
    return fields, body


def answers(proxy, fields, body):
    answer = load.get(proxy.port, "/", fields) if body is None else load.post(proxy.port, "/", fields, body)
    return answer.startswith("HTTP/1.1 200")
