"""Writes numbers into a list of Redis, each over a connection of its own, and says a line for each: when, who answered, and what.

The first word of a line is the time of the answer, or of its lack, in seconds since 1970; then the number, the server's run_id and
what it said to the write.
"""

import itertools
import re
import socket
import sys
import time

# as consumers have it; a connection that met the old primary's end is held where that was, and given up then
PATIENCE = 1
address, name = (sys.argv[1], int(sys.argv[2])), sys.argv[3]


def asked(link, command):
    """Send a command; return the answer, which ends with a line."""
    link.sendall(command.encode() + b"\r\n")
    said = b""
    while not said.endswith(b"\r\n") or (said.startswith(b"$") and len(said) < int(said[1:].split(b"\r\n")[0])):
        said += (more := link.recv(65536))
        if not more:
            raise ConnectionError("closed")
    return said.decode().strip()


for number in itertools.count(1):
    start, server, said = time.time(), "-", "nothing"
    try:
        with socket.create_connection(address, timeout=PATIENCE) as link:
            server = re.search("run_id:([0-9a-f]+)", asked(link, "INFO server"))[1]
            answered = time.time()
            said = asked(link, f"RPUSH {name} {number}")
    except OSError as error:
        answered, said = time.time(), f"nothing, {error}"
    print(f"{answered:.3f} {number} {server} {said}", flush=True)
    time.sleep(max(0, start + 0.05 - time.time()))
