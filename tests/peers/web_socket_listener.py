"""A WebSocket client that only waits for the end, and says with which code and reason it came."""

import asyncio
import sys

try:
    import websockets
except ImportError as error:
    raise SystemExit(print(f"missing: {error}"))


async def main(url):
    async with websockets.connect(url, ping_interval=None) as socket:
        print("open", flush=True)
        await socket.wait_closed()
        print(socket.close_code, socket.close_reason, flush=True)


asyncio.run(main(sys.argv[1]))
