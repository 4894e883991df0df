#!/bin/sh
# Installs what the build and the scenes need beside Rust, where it is missing (Debian, Ubuntu): a C compiler, and the
# foreign programs that the scenes talk to. Does nothing, and asks for nothing, when all of it is there.
set -eu

has() { command -v "$1" >/dev/null 2>&1; }

missing=""
need() { missing="$missing $1"; }

# A compiler without the C library's headers is not enough.
printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | cc -x c -o /dev/null - >/dev/null 2>&1 ||
    need build-essential
has curl || need curl
# Debian does not put it on everybody's path.
has nginx || [ -x /usr/sbin/nginx ] || need nginx-light
has wrk || need wrk
# `kill` as a program: not every image has it.
[ -x /bin/kill ] || [ -x /usr/bin/kill ] || need procps
# Debian's Python has Debian's packages; another may stand earlier on the path.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
has "$python" || need python3
"$python" -c 'import websockets' >/dev/null 2>&1 || need python3-websockets

[ -n "$missing" ] || exit 0

if ! has apt-get; then
    echo "tests/install.sh: this is no Debian or Ubuntu; please install, under the names that they have here:$missing" >&2
    exit 1
fi
as_root=""
if [ "$(id -u)" != 0 ]; then
    if ! has sudo; then
        echo "tests/install.sh: please run as root: apt-get install$missing" >&2
        exit 1
    fi
    as_root="sudo"
fi
echo "tests/install.sh: installing$missing" >&2

# Nothing is asked, and Debian is kept from starting an nginx of its own. `sudo` passes no environment on, `env` does.
apt_get() {
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq "$@"
}
# Tried without a fresh package list first: it is the slow half. Its complaint is not the last word.
# shellcheck disable=SC2086
apt_get install -y --no-install-recommends $missing >/dev/null 2>&1 || {
    apt_get update
    apt_get install -y --no-install-recommends $missing
}
# Where it was started all the same, it would only hold port 80.
case "$missing" in
*nginx*) $as_root service nginx stop >/dev/null 2>&1 || true ;;
esac
