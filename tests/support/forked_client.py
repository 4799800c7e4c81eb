"""Passes on what a process was started with to the server of ``forked.py``, and ends as it ends."""

import json
import os
import socket
import sys

address, executable, *arguments = sys.argv[1:]
said = {"arguments": arguments, "executable": executable, "folder": os.getcwd()}
asked = json.dumps({**said, "environment": dict(os.environ)}).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect(f"\0{address}")
    socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(asked)
    code = server.recv(1)  # nothing where the other one was killed
os._exit(code[0] if code else 1)
