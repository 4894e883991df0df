"""How much callers may do: what each way to count adds to a request, and what one costs that is refused."""

from . import processes, variants
from .variants import Variant

# A limit that nobody reaches, by the second, and one that all requests but the first have reached.
MOST = 1_000_000
SHARED = (("exactly", "true"), ("by leases", "fast"))
SHARED_WINDOWS = ("fixed_window", "sliding_window")
ALGORITHMS = ("token_bucket", "fixed_window", "sliding_window")


def limits(bench):
    """GETs of the small answer, all from one address, for which limits are. Redis stands beside load and backend."""
    port, log = processes.free_port(), f"{bench.directory}/redis"
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", bench.directory]
    redis = processes.serve(command, processes.LOAD_CORES, log)
    try:
        processes.wait_for_port(port, redis, log)
        return variants.measure(bench, ways(f"127.0.0.1:{port}"))
    finally:
        processes.stop(redis)


def ways(redis):
    cluster = f"cluster: {{ redis: 'redis://{redis}' }}"
    return [
        Variant("nginx"),
        Variant("haproxy"),
        Variant("envoy"),
        Variant("traefik"),
        Variant("tollgate, plain"),
        Variant("nginx, limit", access=nginx(f"{MOST}r/s", MOST)),
        Variant("haproxy, limit", access=haproxy("1s", MOST)),
        Variant("envoy, limit", access=envoy("1s", MOST)),
        Variant("traefik, limit", *traefik("1s", MOST)),
        Variant("traefik, shared exactly", *traefik("1s", MOST, redis)),
        *(Variant(f"tollgate, {name}", tollgate(f"limit: {MOST}/s, algorithm: {name}")) for name in ALGORITHMS),
        Variant("tollgate, leaky_bucket", tollgate(f"limit: {MOST}/s, algorithm: leaky_bucket, queue: 100")),
        *(Variant(f"tollgate, shared {way}", tollgate(f"limit: {MOST}/s, shared: {key}"), cluster) for way, key in SHARED),
        *(
            Variant(f"tollgate, shared {name}", tollgate(f"limit: {MOST}/s, algorithm: {name}, shared: true"), cluster)
            for name in SHARED_WINDOWS
        ),
        refused("nginx", access=nginx("1r/m", 0)),
        refused("haproxy", access=haproxy("1h", 1)),
        refused("envoy", access=envoy("3600s", 1)),
        refused("traefik", *traefik("24h", 1)),
        refused("tollgate", tollgate("limit: 1/d")),
        Variant("nginx again"),
    ]


def refused(name, routes=None, access=""):
    return Variant(f"{name}, refused", routes, access, lambda seconds: {"refused": 1}, [("", None)])


def tollgate(limit):
    return f'- {{ match: "/{{rest...}}", to: backend, access: public, rate_limit: {{ {limit} }} }}'


def nginx(rate, burst):
    burst = f"burst={burst} nodelay" if burst else ""
    return f"limit_req_zone $binary_remote_addr zone=callers:10m rate={rate}; limit_req zone=callers {burst}; limit_req_status 429;"


def haproxy(period, most):
    return f"""
    stick-table type ipv6 size 100k expire 1h store http_req_rate({period})
    http-request track-sc0 src
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {most} }}"""


def envoy(period, most):
    """One bucket for all callers: those by address need a service beside it."""
    always = "{ default_value: { numerator: 100, denominator: HUNDRED } }"
    return (
        "- { name: envoy.filters.http.local_ratelimit, typed_config: { "
        '"@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, stat_prefix: limit, '
        f"token_bucket: {{ max_tokens: {most}, tokens_per_fill: {most}, fill_interval: {period} }}, "
        f"filter_enabled: {always}, filter_enforced: {always} }} }}"
    )


def traefik(period, most, redis=None):
    """To a Redis it keeps ten connections by itself, and here as many as the load has."""
    shared = f", redis: {{ endpoints: ['{redis}'], poolSize: 64 }}" if redis else ""
    return ", limit", f", limit: {{ rateLimit: {{ average: {most}, period: {period}, burst: {most}{shared} }} }}"
