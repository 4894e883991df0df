"""Starts a program as systemd does: with sockets that it has opened. Takes addresses (127.0.0.1:0 or a path), `--`, and
the command. Prints where the sockets listen; then this process becomes the command."""

import os
import socket
import sys

split = sys.argv.index("--")
addresses, command = sys.argv[1:split], sys.argv[split + 1 :]
places = []
for number, address in enumerate(addresses):
    if address.startswith("/"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
    else:
        host, port = address.rsplit(":", 1)
        listener = socket.socket(socket.AF_INET)
        listener.bind((host, int(port)))
        places.append("%s:%d" % listener.getsockname())
    listener.listen(128)
    os.dup2(listener.fileno(), 3 + number, inheritable=True)
    # The original goes with the exec; where it stands at its place already, it is kept.
    if listener.detach() == 3 + number:
        os.set_inheritable(3 + number, True)
os.environ.update(LISTEN_FDS=str(len(addresses)), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=":".join(["web"] * len(addresses)))
os.execv(command[0], command)
