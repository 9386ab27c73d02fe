"""What the probe makes of who is on the line. Real links are dialled on the lab's hosts."""

import socket
import threading

import pytest
from conftest import run_module


class Line(threading.Thread):
    """Somebody who takes connections, and does something with each."""

    def __init__(self, answer):
        super().__init__(daemon=True)
        self.answer, self.taken = answer, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            self.taken.append(connection)
            self.answer(connection)


@pytest.mark.parametrize(
    ("answer", "found"),
    [(lambda line: line.sendall(b"220 hello\r\n"), "bytes"), (lambda line: None, "open"), (lambda line: line.close(), "closed")],
)
def test_what_becomes_of_a_connection_is_told(answer, found):
    line = Line(answer)
    said = run_module("link_probe", addresses=["127.0.0.1"], links=[{"alias": "queue", "listen": line.port}])
    assert (said["changed"], said["links"]) == (False, {"queue": found})


def test_nobody_on_the_line_is_told_in_the_words_of_the_system():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    said = run_module("link_probe", addresses=["127.0.0.1"], links=[{"alias": "queue", "listen": port}])
    assert "refused" in said["links"]["queue"]


def test_where_one_address_is_refused_the_next_is_tried():
    line = Line(lambda _: None)
    said = run_module("link_probe", addresses=["::1", "127.0.0.1"], links=[{"alias": "queue", "listen": line.port}])
    assert said["links"] == {"queue": "open"}


def test_a_datagram_tells_who_is_not_there_and_who_answers():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.bind(("127.0.0.1", 0))
        links = [{"alias": "dns", "listen": there.getsockname()[1], "protocol": "udp"}]
        assert run_module("link_probe", addresses=["127.0.0.1"], links=links)["links"] == {"dns": "open"}
        there.settimeout(1)
        assert there.recvfrom(9)[0] == b"\0"
    assert "refused" in run_module("link_probe", addresses=["127.0.0.1"], links=links)["links"]["dns"]
