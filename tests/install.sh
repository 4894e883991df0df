#!/bin/sh
# Installs the foreign programs that the scenes talk to, where they are missing (Debian, Ubuntu).
set -eu

missing=""
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || missing="$missing nginx-light"
command -v curl >/dev/null 2>&1 || missing="$missing curl"
command -v wrk >/dev/null 2>&1 || missing="$missing wrk"
command -v python3 >/dev/null 2>&1 || missing="$missing python3"
# Debian's Python has Debian's packages; another may stand earlier on the path.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
"$python" -c 'import websockets' >/dev/null 2>&1 || missing="$missing python3-websockets"

[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "please install:$missing" >&2
    exit 1
fi
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"
export DEBIAN_FRONTEND=noninteractive
# Tried without a fresh package list first: it is the slow half.
# shellcheck disable=SC2086
$as_root apt-get install -y --no-install-recommends $missing ||
    { $as_root apt-get update && $as_root apt-get install -y --no-install-recommends $missing; }
# Debian starts an nginx of its own when it installs one.
case "$missing" in
*nginx*) $as_root service nginx stop >/dev/null 2>&1 || true ;;
esac
