"""What a dialled link says of who is on the line. Real links are dialled on the lab's hosts."""

import socket
import threading
import time

import pytest
from ansible_collections.crosshost.ambassador.plugins.module_utils._dial import dial_all

LOOPBACK = ["127.0.0.1"]


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


def queue(port):
    return {"alias": "queue", "listen": port, "protocol": "tcp"}


@pytest.mark.parametrize(
    ("answer", "found"),
    [(lambda line: line.sendall(b"220 hello\r\n"), "bytes"), (lambda line: None, "open"), (lambda line: line.close(), "closed")],
)
def test_what_becomes_of_a_connection_is_told(answer, found):
    assert dial_all(LOOPBACK, [queue(Line(answer).port)]) == {"queue": found}


def test_nobody_on_the_line_is_told_in_the_words_of_the_system():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert "refused" in dial_all(LOOPBACK, [queue(port)])["queue"]


def test_where_one_address_is_refused_the_next_is_tried():
    line = Line(lambda _: None)
    assert dial_all(["::1", "127.0.0.1"], [queue(line.port)]) == {"queue": "open"}


def test_whoever_speaks_first_is_who_is_told():
    line = Line(lambda line: line.sendall(b"220 hello\r\n"))
    assert dial_all(["127.0.0.1", "::1"], [queue(line.port)]) == {"queue": "bytes"}


def test_an_address_of_ipv6_is_dialled():
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener:
        assert dial_all(["::1"], [queue(listener.getsockname()[1])]) == {"queue": "open"}


def test_without_an_address_that_is_told():
    assert dial_all([], [queue(1)]) == {"queue": "no address"}


def test_links_are_dialled_side_by_side():
    ports = [Line(lambda _: None).port for _ in range(8)]
    began = time.monotonic()
    said = dial_all(LOOPBACK, [{"alias": f"queue-{port}", "listen": port, "protocol": "tcp"} for port in ports])
    assert said == {f"queue-{port}": "open" for port in ports}
    # each of them alone takes half a second
    assert time.monotonic() - began < 2


def test_a_datagram_tells_who_is_not_there_and_who_answers():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.bind(("127.0.0.1", 0))
        links = [{"alias": "dns", "listen": there.getsockname()[1], "protocol": "udp"}]
        assert dial_all(LOOPBACK, links) == {"dns": "open"}
        there.settimeout(1)
        assert there.recvfrom(9)[0] == b"\0"
    assert "refused" in dial_all(LOOPBACK, links)["dns"]


def test_an_answer_without_a_byte_is_one_as_well():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.bind(("127.0.0.1", 0))
        threading.Thread(target=lambda: there.sendto(b"", there.recvfrom(9)[1]), daemon=True).start()
        assert dial_all(LOOPBACK, [{"alias": "dns", "listen": there.getsockname()[1], "protocol": "udp"}]) == {"dns": "bytes"}
