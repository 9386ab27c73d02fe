"""The module that waits until every link leads through: the engine's answers were recorded, whoever is dialled is on this machine."""

import os
import socket
import threading
import time

import pytest
from ansible_collections.crosshost.ambassador.plugins.module_utils._docker_engine import DockerEngine
from ansible_collections.crosshost.ambassador.plugins.modules.verify_links import ask, client_addresses
from conftest import RecordedEngine, run_module

LINK = {"alias": "redis", "servers": ["vm3"], "backend": "redis_server:6379"}
UP = {"engine": "haproxy", "running": "eed9e6b61e70", "links": {"redis": {"targets": [{"up": True}]}}}
CLIENT = "/containers/ambassador_client/json"


@pytest.fixture
def side(tmp_path):
    return tmp_path / "client"


def verify(directory, **changes):
    arguments = {"path": str(directory), "side": "client", "host": "vm2", "links": [LINK], "patience": 0, **changes}
    return run_module("verify_links", **arguments)


def test_a_link_that_leads_through_is_no_problem_and_is_told_with_what_the_engine_says(side):
    RecordedEngine(side, "client")
    said = verify(side, patience=60)
    assert (said["changed"], said["answers"], said["problems"], said["dialled"]) == (False, True, [], {})
    assert (said["info"]["engine"], said["info"]["generation"], list(said["info"]["links"])) == ("haproxy", "051901f6ec76", ["redis"])
    assert said["info"]["links"]["redis"]["targets"][0]["check_status"] == "L7OK"


def test_links_that_nobody_asked_for_are_not_told(side):
    RecordedEngine(side, "client")
    said = verify(side, links=[])
    assert (said["answers"], said["problems"], said["info"]["links"]) == (True, [], {})


def test_a_link_that_leads_nowhere_is_a_problem_and_no_failure(side):
    RecordedEngine(side, "client_while_nothing_is_up")
    said = verify(side)
    assert not said.get("failed")
    (problem,) = said["problems"]
    assert problem.startswith("link redis: expected a target that is up, as ambassador_client on vm2 sees it, found vm1")


def test_an_engine_that_does_not_answer_is_told_by_its_socket(side):
    said = verify(side)
    assert (said["answers"], said["info"]["links"]) == (False, {})
    assert said["info"]["msg"] == f"that HAProxy does not answer on {side}/run/master.sock (No such file or directory)"
    assert said["info"]["msg"] in said["problems"][0]
    (side / "run").mkdir(parents=True)
    os.mkfifo(side / "run/ask")
    assert ask(str(side))["msg"].startswith(f"that the keeper does not answer on {side}/run/ask (")


def test_it_waits_until_the_time_is_over_and_no_longer_than_it_has_to(side):
    engine = RecordedEngine(side, "client_while_nothing_is_up")
    began = time.monotonic()
    assert verify(side, patience=2)["problems"]
    assert time.monotonic() - began > 2
    up = recorded_up(engine.answers["@!20 show stat"])
    threading.Timer(1, engine.answers.update, [{"@!20 show stat": up}]).start()
    began = time.monotonic()
    assert verify(side, patience=60)["problems"] == []
    assert time.monotonic() - began < 30


def test_a_server_side_is_waited_for_until_its_checks_have_found_out(side):
    engine = RecordedEngine(side, "server_of_a_replica")
    stat = next(command for command in engine.answers if command.endswith("show stat"))
    found_out = engine.answers[stat]
    # as a worker says that has just started
    engine.answers[stat] = found_out.replace(",DOWN,1,1,0,4,2,3,44,", ",UP,1,1,0,4,2,3,44,").replace(",L7RSP,", ",INI,")
    began = time.monotonic()
    assert verify(side, side="server", patience=1)["problems"] == []
    assert time.monotonic() - began > 1
    threading.Timer(1, engine.answers.update, [{stat: found_out}]).start()
    began = time.monotonic()
    assert verify(side, side="server", patience=60)["problems"] == []
    assert 1 < time.monotonic() - began < 30


def recorded_up(answer):
    """Return an answer in which all targets are up."""
    return answer.replace(",DOWN,", ",UP,").replace(",L4CON,", ",L4OK,")


def test_only_links_that_worked_before_are_waited_for_where_that_is_all_that_is_asked(side):
    RecordedEngine(side, "client_while_nothing_is_up")
    began = time.monotonic()
    said = verify(side, patience=30, worse_only=True)
    assert time.monotonic() - began < 15
    # they are told all the same
    assert len(said["problems"]) == 1
    began = time.monotonic()
    said = verify(side, patience=1, worse_only=True, before=UP)
    assert time.monotonic() - began > 1
    assert said["problems"][1] == "Generation eed9e6b61e70, which worked before this run, was put back on vm2."


def test_the_client_side_is_dialled_at_the_addresses_that_docker_gives_it(side, docker):
    RecordedEngine(side, "client")
    docker.answers[CLIENT] = {"NetworkSettings": {"Networks": {"ambassador": {"IPAddress": "127.0.0.1", "GlobalIPv6Address": ""}}}}
    with socket.create_server(("127.0.0.1", 0)) as there, socket.create_server(("127.0.0.1", 0)) as gone:
        dial = [{"alias": "queue", "listen": there.getsockname()[1], "protocol": "tcp", "place": 1}]
        dial.append({**dial[0], "alias": "gone", "listen": gone.getsockname()[1]})
        gone.close()
        said = verify(side, dial=dial, network="ambassador", environment=docker.environment)
    assert said["changed"] is False
    assert said["dialled"]["queue"] == "open"
    assert "refused" in said["dialled"]["gone"]
    said = verify(side, dial=dial, network="another", environment=docker.environment)
    assert said["dialled"] == {"queue": "no address", "gone": "no address"}


def test_addresses_are_told_ipv4_first_and_none_where_there_is_no_client_side(docker):
    engine = DockerEngine(docker.environment["DOCKER_HOST"])
    networks = {"ambassador": {"IPAddress": "198.19.0.2", "GlobalIPv6Address": "2001:db8::2"}}
    docker.answers[CLIENT] = {"NetworkSettings": {"Networks": networks}}
    assert client_addresses(engine, "ambassador", "default", 1) == ["198.19.0.2", "2001:db8::2"]
    del docker.answers[CLIENT]
    assert client_addresses(engine, "ambassador", "default", 1) == []


def test_without_docker_nothing_is_dialled_and_that_is_a_failure(side):
    RecordedEngine(side, "client")
    environment = {"DOCKER_HOST": "unix:///nowhere"}
    assert not verify(side, environment=environment).get("failed")
    said = verify(
        side, dial=[{"alias": "queue", "listen": 1, "protocol": "tcp", "place": 1}], network="ambassador", environment=environment
    )
    assert said["msg"] == "Host vm2: the Docker Engine does not answer. unix:///nowhere: No such file or directory. Start it on the host."


def local_link(listener, port=None, **changes):
    """Return a link whose client side is a listener, and whose ``local`` is another port of the loopback interface."""
    listen = listener.getsockname()[1]
    link = {"alias": "redis", "address": "127.0.0.1", "port": port or listen, "protocol": "tcp", "addresses": ["127.0.0.1"]}
    return {**link, "listen": listen, "place": 1, **changes}


@pytest.fixture
def client_side(side, docker):
    """A client side on the loopback interface."""
    RecordedEngine(side, "client")
    docker.answers[CLIENT] = {"NetworkSettings": {"Networks": {"ambassador": {"IPAddress": "127.0.0.1", "GlobalIPv6Address": ""}}}}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def verify_local(side, docker, *links, **changes):
    return verify(side, local=list(links), network="ambassador", environment=docker.environment, **changes)


def test_a_local_that_answers_is_no_problem(side, docker, client_side):
    said = verify_local(side, docker, local_link(client_side))
    assert (said["changed"], said["problems"], said["dialled"]) == (False, [], {})
    assert said["local"] == {
        "redis": {"address": "127.0.0.1", "port": client_side.getsockname()[1], "found": "open", "direct": None},
    }


def test_a_local_at_which_nothing_listens_is_a_problem_and_no_failure(side, docker, client_side, free_port):
    said = verify_local(side, docker, local_link(client_side, free_port))
    assert not said.get("failed")
    (problem,) = said["problems"]
    assert problem.startswith(f"Link redis, key local: host vm2 cannot use 127.0.0.1:{free_port} ([Errno 111] Connection refused), but")
    assert (said["local"]["redis"]["direct"], said["worse"]) == ("open", False)


@pytest.mark.parametrize("service_closes", [False, True])
def test_a_local_that_closes_connections_is_a_problem_if_the_client_side_does_not(side, docker, client_side, service_closes):
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        for listener in [proxy, client_side] if service_closes else [proxy]:
            threading.Thread(target=lambda one: one.accept()[0].close(), args=[listener], daemon=True).start()
        said = verify_local(side, docker, local_link(client_side, proxy.getsockname()[1]))
    assert (said["local"]["redis"]["found"], said["local"]["redis"]["direct"]) == ("closed", "closed" if service_closes else "open")
    assert len(said["problems"]) == (0 if service_closes else 1)


def test_one_of_several_addresses_of_a_local_is_enough(side, docker, client_side):
    link = local_link(client_side, address="0.0.0.0", addresses=["127.0.0.2", "127.0.0.1"])
    assert verify_local(side, docker, link)["problems"] == []
    assert len(verify_local(side, docker, {**link, "addresses": ["127.0.0.2"]})["problems"]) == 1


def test_a_local_of_udp_is_dialed_with_a_datagram(side, docker, client_side, free_port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(("127.0.0.1", 0))
        link = local_link(service, protocol="udp")
        assert verify_local(side, docker, link)["problems"] == []
        service.settimeout(1)
        assert service.recv(9) == b"\0"
        assert "refused" in verify_local(side, docker, {**link, "port": free_port})["problems"][0]


def test_waits_for_a_local_that_starts_late(side, docker, client_side, free_port):
    listeners = []
    timer = threading.Timer(1, lambda: listeners.append(socket.create_server(("127.0.0.1", free_port))))
    timer.start()
    began = time.monotonic()
    assert verify_local(side, docker, local_link(client_side, free_port), patience=60)["problems"] == []
    assert time.monotonic() - began < 30
    timer.join()
    listeners[0].close()


def test_a_local_of_an_engine_that_reports_no_links_is_dialed(side, docker, client_side, free_port):
    docker_only = side.parent / "socat"
    said = verify_local(docker_only, docker, local_link(client_side, free_port), links=[])
    assert said["answers"] is False
    assert len(said["problems"]) == 1
    assert verify_local(docker_only, docker, local_link(client_side), links=[])["problems"] == []
