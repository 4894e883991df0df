"""A gRPC server without a schema: its messages are bytes. Prints its port when it listens, then what happens to its calls.

Usage: grpc_server.py [CERTIFICATE KEY]
"""

import sys
import time
from concurrent import futures

try:
    import grpc
    from google.protobuf import any_pb2
    from google.rpc import error_details_pb2, status_pb2
    from grpc_health.v1 import health, health_pb2_grpc
    from grpc_status import rpc_status
except ImportError as error:
    raise SystemExit(print(f"missing: {error}"))


def say(*words):
    print(*words, flush=True)


def greet(context):
    """The caller's metadata whose names begin with x- comes back, before and behind the answer."""
    known = [(name, value) for name, value in context.invocation_metadata() if name.startswith("x-m")]
    context.send_initial_metadata(known)
    context.set_trailing_metadata(tuple(known) + (("x-end-bin", b"\x00\xff"),))


def unary(message, context):
    greet(context)
    return message


def client_stream(messages, context):
    greet(context)
    return b"+".join(messages)


def server_stream(message, context):
    greet(context)
    for number in range(int(message)):
        yield b"%d" % number


def repeat(message, context):
    greet(context)
    for _ in range(3):
        yield message


def bidirectional(messages, context):
    greet(context)
    for message in messages:
        yield b"<" + message + b">"


def fail(_, context):
    """Fails before anything is sent: an answer that is all trailers."""
    context.set_trailing_metadata((("x-why", "because"),))
    context.abort(grpc.StatusCode.NOT_FOUND, "100 % größer")


def fail_late(_, context):
    yield b"one"
    context.abort(grpc.StatusCode.DATA_LOSS, "gone")


def fail_in_detail(_, context):
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason="TOO_MANY", domain="scenes"))
    status = status_pb2.Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="no", details=[detail])
    context.abort_with_status(rpc_status.to_status(status))


def deadline(_, context):
    left = context.time_remaining()
    return b"none" if left is None or left > 1e6 else b"%.3f" % left


def wait(_, context):
    """Sends one message and then none, until the call is over."""
    context.add_callback(lambda: say("over"))
    say("waiting")
    yield b"first"
    while context.is_active():
        time.sleep(0.01)


def silent(_, context):
    context.add_callback(lambda: say("over"))
    say("waiting")
    while context.is_active():
        time.sleep(0.01)
    return b""


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "Repeat": grpc.unary_stream_rpc_method_handler(repeat),
    "Bidirectional": grpc.stream_stream_rpc_method_handler(bidirectional),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
    "FailInDetail": grpc.unary_unary_rpc_method_handler(fail_in_detail),
    "Deadline": grpc.unary_unary_rpc_method_handler(deadline),
    "Wait": grpc.unary_stream_rpc_method_handler(wait),
    "Silent": grpc.unary_unary_rpc_method_handler(silent),
}


def main():
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(32), options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("scenes.Echo", METHODS),))
    # It says of the server as a whole that it serves.
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    if len(sys.argv) == 3:
        certificate, key = (open(name, "rb").read() for name in sys.argv[1:])
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    say(port)
    server.wait_for_termination()


main()
