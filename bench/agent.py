"""Runs inside the client: reads a command as a line of JSON, executes it, and answers with a line of JSON."""

import json
import resource
import socket
import subprocess
import sys

resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
idle = []


def open_idle(host, port, count):
    """Open connections, each for one request before the next is opened."""
    for _ in range(count):
        idle.append(socket.create_connection((host, port), timeout=10))
        idle[-1].sendall(b"PING\r\n")
        if (answer := idle[-1].recv(16)) != b"+PONG\r\n":
            raise ValueError(f"expected +PONG on connection {len(idle)}, found {answer!r}")
    return len(idle)


def close_idle():
    while idle:
        idle.pop().close()


for line in sys.stdin:
    asked = json.loads(line)
    try:
        if "argv" in asked:
            done = subprocess.run(asked["argv"], capture_output=True, text=True, timeout=asked["timeout"], check=True)
            answer = {"output": done.stdout}
        elif "idle" in asked:
            answer = {"answered": open_idle(asked["host"], asked["port"], asked["idle"])}
        else:
            answer = {"closed": close_idle()}
    except subprocess.CalledProcessError as error:
        answer = {"error": f"{error}: {error.stderr.strip()[-300:]}"}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
