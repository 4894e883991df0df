"""A WebSocket client: sends each line of its input, prints each message that comes back, closes at the end."""

import asyncio
import sys

try:
    import websockets
except ImportError as error:
    raise SystemExit(print(f"missing: {error}"))


async def main(url):
    loop = asyncio.get_running_loop()
    # Pings would be traffic of the client's own; the scenes decide what is sent and when.
    async with websockets.connect(url, max_size=None, ping_interval=None) as socket:
        print("open", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            await socket.send(line.rstrip("\n"))
            print(await socket.recv(), flush=True)
        await socket.close()
        print(socket.close_code, flush=True)


asyncio.run(main(sys.argv[1]))
