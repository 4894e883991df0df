"""Runs the cases of a WebSocket conformance suite (kosoku) against a server, and prints for each its verdicts: of the
messages, of the closing, and the code that the server closed with."""

import asyncio
import os
import sys

try:
    import kosoku
except ImportError as error:
    raise SystemExit(print(f"missing: {error}"))

# Limits and speed (9), and compression (12, 13), which a gateway passes on as it passes on all messages.
LEFT_OUT = ["9.*", "12.*", "13.*"]


async def main(url):
    try:
        results = await kosoku.run_fuzzingclient(url, None, LEFT_OUT, concurrency=8)
    except kosoku.FailureError as failure:
        results = failure.results
    for case in results:
        print(case.case_id, case.behavior.value, case.behavior_close.value, case.remote_close_code)
    sys.stdout.flush()
    # Its threads are not ended in order: now and then the interpreter aborts over them.
    os._exit(0)


asyncio.run(main(sys.argv[1]))
