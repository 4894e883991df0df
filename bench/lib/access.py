"""Who calls: what finding that out adds to a request, by keys, tokens and signatures, in the proxies that can do it; and what it
adds to count how much they do."""

from . import variants
from .credentials import AUDIENCE, ISSUER, Keys, Tokens
from .variants import Variant

ALGORITHMS = ("RS256", "ES256")
# A limit that nobody reaches.
LIMIT = "rate_limit: {{ limit: 1000000/s, by: {} }}"
# What must be refused: requests that say nothing of who calls, and those that say it with the wrong proof.
NOTHING = ""
WRONG_KEY = "X-API-Key: key0.wrong\r\n"
WRONG_SIGNATURE = f"X-API-Key: key0\r\nX-Timestamp: 1700000000\r\nX-Nonce: 0123456789abcdef\r\nX-Signature: {'0' * 64}\r\n"


def access(bench):
    """GETs of the small answer. What proves who calls is another in every request, except where a token is `known`."""
    keys = Keys(bench.directory)
    tokens = [Tokens(bench.directory, algorithm) for algorithm in ALGORITHMS]
    return variants.measure(bench, [
        Variant("nginx"),
        Variant("haproxy"),
        Variant("envoy"),
        nginx_key(keys),
        haproxy_key(keys),
        *map(haproxy_token, tokens),
        *map(envoy_token, tokens),
        Variant("tollgate, public"),
        Variant("tollgate, public and bucket", f'- {{ match: "/{{rest...}}", to: backend, access: public, {LIMIT.format("ip")} }}'),
        *tollgate(keys, tokens),
        Variant("nginx again"),
    ])


def tollgate(keys, tokens):
    """Every way to find out who calls; one that a build does not know yet is left out of its run."""
    yield way("key", "api_key: {}", keys.fields, WRONG_KEY, keys.hashed())
    yield way("key and bucket", "api_key: {}", keys.fields, WRONG_KEY, keys.hashed(), LIMIT.format("app"))
    for made in tokens:
        corp = f"jwt: {{ issuer: {ISSUER}, audience: {AUDIENCE}, jwks: {made.jwks}, algorithms: [{made.algorithm}] }}"
        yield way(f"{made.algorithm} known", corp, made.known, made.forged)
        yield way(f"{made.algorithm} new", corp, made.new, made.forged)
    yield way("signed", "hmac: { algorithm: sha256, window: 300s }", keys.sign, WRONG_SIGNATURE, keys.plain())


def way(name, auth, fields, wrong, apps="", limit=""):
    """`fields` is a file of them, or what writes one for so many seconds."""
    policies = f"access: callers, {limit}" if limit else "access: callers"
    return Variant(f"tollgate, {name}", f'- {{ match: "/{{rest...}}", to: backend, {policies} }}',
                   f"auth: {{ callers: {{ {auth} }} }}\n{apps}",
                   lambda seconds: {"fields": fields(seconds) if callable(fields) else fields}, refusing(wrong))


def peer(name, routes, lines, fields, wrong):
    return Variant(name, routes, lines, lambda seconds: {"fields": fields}, refusing(wrong))


def refusing(wrong):
    return [(NOTHING, None), (wrong, None)]


def nginx_key(keys):
    """Keys as they are, in a hash table; the app goes to the backend, the key does not."""
    return peer("nginx, key", 'location / { if ($app = "") { return 401; } proxy_pass http://backend; }', f"""
    map_hash_bucket_size 128;
    map_hash_max_size 4096;
    map $http_x_api_key $app {{ default ""; include {keys.nginx}; }}
    proxy_set_header X-App $app;
    proxy_set_header X-API-Key "";""", keys.fields, WRONG_KEY)


def haproxy_key(keys):
    """Keys as they are, in a tree."""
    return peer("haproxy, key", None, f"""
    http-request set-var(txn.app) req.hdr(x-api-key),map_str({keys.haproxy})
    http-request deny deny_status 401 unless {{ var(txn.app) -m found }}
    http-request set-header X-App %[var(txn.app)]
    http-request del-header X-API-Key""", keys.fields, WRONG_KEY)


def haproxy_token(made):
    """The claims that Tollgate looks at too; there is no memory of tokens."""
    def claim(name, kind=""):
        return f"var(txn.token),jwt_payload_query('$.{name}'{kind})"

    return peer(f"haproxy, {made.algorithm}", None, f"""
    http-request set-var(txn.token) http_auth_bearer
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_header_query('$.alg') -m str {made.algorithm} }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify({made.algorithm},{made.public}) -m int 1 }}
    http-request deny deny_status 401 unless {{ {claim("iss")} -m str {ISSUER} }}
    http-request deny deny_status 401 unless {{ {claim("aud")} -m str {AUDIENCE} }}
    http-request set-var(txn.now) date
    http-request deny deny_status 401 if {{ {claim("exp", ",'int'")},sub(txn.now) -m int lt 0 }}
    http-request set-header X-User %[{claim("sub")}]
    http-request del-header Authorization""", made.new, made.forged)


def envoy_token(made):
    """Without its memory of tokens, which is off unless asked for."""
    provider = (f'{{ issuer: "{ISSUER}", audiences: [{AUDIENCE}], local_jwks: {{ filename: {made.jwks} }}, '
                "claim_to_headers: [ { header_name: X-User, claim_name: sub } ] }")
    return peer(f"envoy, {made.algorithm}", None, (
        "- { name: envoy.filters.http.jwt_authn, typed_config: { "
        '"@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication, '
        f"providers: {{ corp: {provider} }}, rules: [ {{ match: {{ prefix: / }}, requires: {{ provider_name: corp }} }} ] }} }}"
    ), made.new, made.forged)
