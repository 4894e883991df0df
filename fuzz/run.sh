#!/bin/sh
# Runs every fuzz target for SECONDS_EACH seconds (60 unless told), or only those that are named as arguments.
# What it finds stands in fuzz/artifacts/; what it learns is added to fuzz/corpus/.
set -eu
cd "$(dirname "$0")"
seconds=${SECONDS_EACH:-60}
targets=${*:-request_head answer_head chunked url config h2_guard base64 grpc_timeout websocket proxy_header client_hello peer_certificate registry token json signature contract login waf}
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
# The sanitizer that cargo-fuzz turns on is unstable in rustc; no other toolchain is needed for it.
export RUSTC_BOOTSTRAP=1
for target in $targets; do
    mkdir -p "corpus/$target"
    echo "== $target, $seconds s"
    cargo fuzz run --fuzz-dir . "$target" -- -max_total_time="$seconds" -max_len=4096 -timeout=10
done
