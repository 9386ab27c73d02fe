"""What is at the two ends of the links `echo` (TCP) and `datagrams` (UDP): `serve NAME`, or `consume` until SIGTERM.

The server says its name before whatever it is sent, and resets the connection when it is told to.
The consumer opens a connection 20 times a second, keeps one to the
echo, one to Redis, and one socket of UDP, asks each of them as often, and at the end prints what it saw as JSON.
"""

import contextlib
import json
import signal
import socket
import socketserver
import struct
import sys
import threading
import time

PORT = 7007
PAUSE = 0.05
PATIENCE = 3


def serve(name):
    """Answer on TCP and UDP."""

    class Line(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                if line == b"reset\n":
                    # what SO_LINGER of 0 s makes of a close
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    return
                self.wfile.write(f"{name} ".encode() + line)

        def finish(self):
            # there is nothing to flush after a reset
            with contextlib.suppress(OSError, ValueError):
                super().finish()

    class Datagram(socketserver.DatagramRequestHandler):
        def handle(self):
            self.wfile.write(f"{name} ".encode() + self.rfile.read())

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        address_family = socket.AF_INET6

    class DatagramServer(socketserver.ThreadingUDPServer):
        address_family = socket.AF_INET6

    threading.Thread(target=Server(("::", PORT), Line).serve_forever, daemon=True).start()
    DatagramServer(("::", PORT), Datagram).serve_forever()


def exchange(link, said=b"hello\n"):
    """Return the name that answers, or for Redis its PONG."""
    link.sendall(said)
    answer = link.recv(100)
    if not answer:
        raise ConnectionError("closed")
    return answer.split()[0].decode()


class Consumer:
    """Keeps on asking; what it saw is [seconds since the epoch, what]."""

    def __init__(self):
        self.seen = {"new": [], "kept": [], "redis": [], "datagrams": [], "failures": [], "cut": []}
        self.ended = threading.Event()
        for ask in (self.new, self.kept, self.redis, self.datagrams):
            threading.Thread(target=ask, daemon=True).start()

    def note(self, kind, what):
        self.seen[kind].append([time.time(), what])

    def new(self):
        while not self.ended.wait(PAUSE):
            try:
                with socket.create_connection(("echo", PORT), timeout=PATIENCE) as link:
                    self.note("new", exchange(link))
            except OSError as error:
                self.note("failures", str(error))

    def keep(self, kind, address, said):
        while not self.ended.is_set():
            with contextlib.suppress(OSError), socket.create_connection(address, timeout=PATIENCE) as link:
                try:
                    while not self.ended.wait(PAUSE):
                        self.note(kind, exchange(link, said))
                except OSError as error:
                    self.note("cut", f"{kind}: {error}")

    def kept(self):
        self.keep("kept", ("echo", PORT), b"hello\n")

    def redis(self):
        self.keep("redis", ("redis", 6379), b"PING\r\n")

    def datagrams(self):
        link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        link.settimeout(0.2)
        link.connect((socket.gethostbyname("datagrams"), PORT))
        while not self.ended.wait(PAUSE):
            with contextlib.suppress(OSError):
                self.note("datagrams", exchange(link))


def consume():
    """Ask until SIGTERM, and say what was seen."""
    consumer = Consumer()
    signal.signal(signal.SIGTERM, lambda *_: consumer.ended.set())
    while not consumer.ended.wait(1):
        pass
    time.sleep(PAUSE)
    print(json.dumps(consumer.seen))


if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    consume()
