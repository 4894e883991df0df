#!/bin/sh
# Installs what the build and the scenes need beside Rust, where it is missing: a C compiler and foreign programs from
# the distribution (Debian, Ubuntu), and suites and peers from crates.io, PyPI and npm, which go into target/peers. Does nothing, and
# asks for nothing, when all of it is there.
set -eu
cd "$(dirname "$0")/.."

# The suite of HTTP/2, from crates.io.
httpwg=0.2.5
# The source of Python's jsonschema, which holds the official suite of JSON Schema.
jsonschema=4.26.0

has() { command -v "$1" >/dev/null 2>&1; }

missing=""
need() { missing="$missing $1"; }

# A compiler without the C library's headers is not enough.
printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | cc -x c -o /dev/null - >/dev/null 2>&1 ||
    need build-essential
has curl || need curl
has htpasswd || need apache2-utils
has openssl || need openssl
# Debian does not put it on everybody's path.
has nginx || [ -x /usr/sbin/nginx ] || need nginx-light
has wrk || need wrk
has openssl || need openssl
has h2load && has nghttp || need nghttp2-client
has haproxy || [ -x /usr/sbin/haproxy ] || need haproxy
has redis-server || need redis-server
has faketime || need faketime
has etcd || need etcd-server
has dnsmasq || [ -x /usr/sbin/dnsmasq ] || need dnsmasq-base
has varnishtest || need varnish
has chromium || need chromium
has node || need nodejs
has npm || need npm
has slowhttptest || need slowhttptest
has setsid || need util-linux
# `kill` as a program: not every image has it.
[ -x /bin/kill ] || [ -x /usr/bin/kill ] || need procps
# Debian's Python has Debian's packages; another may stand earlier on the path.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
has "$python" || need python3
"$python" -c 'import websockets' >/dev/null 2>&1 || need python3-websockets
"$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || need python3-venv

# Nothing is asked, and Debian is kept from starting servers of its own. `sudo` passes no environment on, `env` does.
as_root=""
apt_get() {
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq "$@"
}

install_packages() {
    if ! has apt-get; then
        echo "tests/install.sh: this is no Debian or Ubuntu; please install, under the names that they have here:$missing" >&2
        exit 1
    fi
    if [ "$(id -u)" != 0 ]; then
        if ! has sudo; then
            echo "tests/install.sh: please run as root: apt-get install$missing" >&2
            exit 1
        fi
        as_root="sudo"
    fi
    echo "tests/install.sh: installing$missing" >&2

    # Tried without a fresh package list first: it is the slow half. Its complaint is not the last word.
    # shellcheck disable=SC2086
    apt_get install -y --no-install-recommends $missing >/dev/null 2>&1 || {
        apt_get update
        apt_get install -y --no-install-recommends $missing
    }
    # Where they were started all the same, they would only hold ports.
    for service in nginx haproxy redis-server varnish varnishncsa etcd; do
        case "$missing" in
        *"$service"*) $as_root service "$service" stop >/dev/null 2>&1 || true ;;
        esac
    done
}
[ -z "$missing" ] || install_packages

# The suites. What is installed is written down last, so that an interrupted installation is done again.
peers="${CARGO_TARGET_DIR:-target}/peers"
mkdir -p "$peers"

if [ "$(cat "$peers/httpwg.installed" 2>/dev/null)" != "$httpwg" ]; then
    echo "tests/install.sh: installing httpwg-cli $httpwg" >&2
    "${CARGO:-cargo}" install --quiet --locked --debug --force --root "$peers" \
        --target-dir "$peers/build" --version "$httpwg" httpwg-cli
    rm -rf "$peers/build"
    echo "$httpwg" >"$peers/httpwg.installed"
fi

if ! cmp -s tests/requirements.txt "$peers/requirements.installed"; then
    echo "tests/install.sh: installing tests/requirements.txt" >&2
    "$python" -m venv --clear "$peers/venv"
    # Nothing is compiled; sslyze comes as source, but is Python alone.
    "$peers/venv/bin/python" -m pip install -qq --disable-pip-version-check --no-input \
        --only-binary :all: --no-binary sslyze --requirement tests/requirements.txt
    cp tests/requirements.txt "$peers/requirements.installed"
fi

if [ "$(cat "$peers/jsonschema.installed" 2>/dev/null)" != "$jsonschema" ]; then
    echo "tests/install.sh: fetching the suite of JSON Schema (in jsonschema $jsonschema)" >&2
    rm -rf "$peers/jsonschema"
    mkdir -p "$peers/jsonschema"
    "$peers/venv/bin/python" -m pip download -qq --disable-pip-version-check --no-input --no-deps \
        --no-binary jsonschema --dest "$peers/jsonschema" "jsonschema==$jsonschema"
    tar -xzf "$peers/jsonschema/jsonschema-$jsonschema.tar.gz" -C "$peers/jsonschema" --strip-components=2 \
        "jsonschema-$jsonschema/json"
    echo "$jsonschema" >"$peers/jsonschema.installed"
fi

if ! cmp -s tests/package-lock.json "$peers/node/installed"; then
    echo "tests/install.sh: installing tests/package.json" >&2
    mkdir -p "$peers/node"
    cp tests/package.json tests/package-lock.json "$peers/node"
    npm ci --prefix "$peers/node" --ignore-scripts --no-audit --no-fund --loglevel=error
    cp tests/package-lock.json "$peers/node/installed"
fi
