"""Calls a gRPC method without a schema and prints what came of it as one line of JSON.

Usage: grpc_client.py ADDRESS KIND METHOD [--ca FILE] [--timeout SECONDS] [--metadata NAME=VALUE]... [--size N]
                      [--cancel] [MESSAGE]...

KIND is unary, client, server or bidirectional. A bidirectional call sends a message only after the one before was
answered. --size N makes every message N bytes long. --cancel leaves after the first message of the answer.
"""

import argparse
import json
import queue
import time

try:
    import grpc
    from grpc_status import rpc_status
except ImportError as error:
    raise SystemExit(print(f"missing: {error}"))


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("kind")
    parser.add_argument("method")
    parser.add_argument("--ca")
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--metadata", action="append", default=[])
    parser.add_argument("--size", type=int)
    parser.add_argument("--cancel", action="store_true")
    parser.add_argument("messages", nargs="*")
    return parser.parse_intermixed_args()


def channel(asked):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    if asked.ca is None:
        return grpc.insecure_channel(asked.address, options)
    credentials = grpc.ssl_channel_credentials(open(asked.ca, "rb").read())
    return grpc.secure_channel(asked.address, credentials, options)


def text(value):
    return value if isinstance(value, str) else "bin:" + value.hex()


def pairs(metadata):
    return {name: text(value) for name, value in metadata or ()}


def show(message):
    return message.decode() if len(message) < 100 else f"{len(message)} bytes of {set(message)}"


def metadata(given):
    name, value = given.split("=", 1)
    return (name, bytes.fromhex(value) if name.endswith("-bin") else value)


def main():
    asked = arguments()
    messages = [(message.encode() * asked.size if asked.size else message.encode()) for message in asked.messages]
    path = f"/scenes.Echo/{asked.method}"
    options = {"timeout": asked.timeout, "metadata": [metadata(given) for given in asked.metadata]}
    began = time.monotonic()
    got = []
    with channel(asked) as open_channel:
        try:
            if asked.kind == "unary":
                call = open_channel.unary_unary(path).future(messages[0], **options)
                got.append(call.result())
            elif asked.kind == "client":
                call = open_channel.stream_unary(path).future(iter(messages), **options)
                got.append(call.result())
            elif asked.kind == "server":
                call = open_channel.unary_stream(path)(messages[0], **options)
                for message in call:
                    got.append(message)
                    if asked.cancel:
                        call.cancel()
            else:
                to_send = queue.SimpleQueue()
                call = open_channel.stream_stream(path)(iter(to_send.get, None), **options)
                for message in messages:
                    to_send.put(message)
                    got.append(next(call))
                to_send.put(None)
                got.extend(call)
            failure = None
        except grpc.RpcError as error:
            failure = error
        status = rpc_status.from_call(call) if failure is not None else None
        outcome = {
            "messages": [show(message) for message in got],
            "code": call.code().name,
            "details": call.details(),
            "initial": pairs(call.initial_metadata()),
            "trailing": pairs(call.trailing_metadata()),
            "seconds": time.monotonic() - began,
            "status": None if status is None else [str(detail.value) for detail in status.details],
        }
    print(json.dumps(outcome), flush=True)


main()
