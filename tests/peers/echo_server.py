"""A WebSocket server that sends every message back. Prints its port when it listens."""

import asyncio

try:
    import websockets
except ImportError as error:
    raise SystemExit(print(f"missing: {error}"))


async def echo(socket, *_):
    async for message in socket:
        await socket.send(message)


async def main():
    async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())
