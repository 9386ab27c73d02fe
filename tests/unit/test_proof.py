"""The proof: which links of a side lead through to a backend, and which did before."""

import base64
import datetime

import pytest
from ansible_collections.crosshost.ambassador.plugins.filter.proof import FilterModule
from ansible_collections.crosshost.ambassador.plugins.module_utils._observation_disk import link_of
from ansible_collections.crosshost.ambassador.plugins.module_utils._proof import proof, refused_handshakes, unchecked, undecided
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import OBSERVED
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._plan_proof import get_former_side
from signer import Signer


def target(name="vm1", up=True, check="L7OK"):
    state = "UP" if up else "DOWN"
    return {"name": name, "address": "192.0.2.1:6379", "up": up, "state": state, "check_status": check, "last_check": "said"}


def info(*targets, engine="haproxy"):
    """What the engine says."""
    return {"engine": engine, "generation": "0123", "links": {"redis": {"connections": 1, "targets": list(targets)}}}


def was(*targets, **engine):
    """What was observed of it before the run changed anything."""
    said = info(*targets, **engine)
    links = {alias: link_of(link) for alias, link in said["links"].items()}
    return get_former_side({"engine": said["engine"], "running": said["generation"], "links": links})


LINKS = [{"alias": "redis", "servers": ["vm1"], "backend": "redis_server:6379"}]
DOWN = target(up=False, check="L4CON")


@pytest.mark.parametrize(
    ("found", "direct", "problem"),
    [
        ("open", None, None),
        ("bytes", None, None),
        ("[Errno 111] Connection refused", "open", "([Errno 111] Connection refused)"),
        ("timed out", "bytes", "(timed out)"),
        ("closed", "open", "(the connection is closed)"),
        ("timed out", "closed", "(timed out)"),
        # the service closes idle connections, or the link is down
        ("closed", "closed", None),
        ("[Errno 111] Connection refused", "[Errno 111] Connection refused", None),
    ],
)
def test_local_has_to_answer_as_the_client_side_does(found, direct, problem):
    local = {"redis": {"address": "::1", "port": 6380, "found": found, "direct": direct}}
    judged = proof(info(target()), LINKS, "vm2", "client", was(target()), local=local)
    expected = [
        f"Link redis, key local: host vm2 cannot use [::1]:6380 {problem}, but the client side answers."
        " Check the firewall of vm2, and that its Docker Engine can publish on this address, or set local to another address."
    ]
    # no earlier generation is put back for it
    assert judged == {"problems": expected if problem else [], "worse": False, "unresolved": []}
    assert FilterModule().filters()["proof"]({"info": info(target()), "local": local}, LINKS, "vm2", "client", {})["problems"] == (
        expected if problem else []
    )


def test_local_of_a_link_that_is_down_is_no_further_problem():
    local = {"redis": {"address": "::1", "port": 6380, "found": "closed", "direct": "open"}}
    (problem,) = proof(info(DOWN), LINKS, "vm2", "client", {}, local=local)["problems"]
    assert problem.startswith("link redis: expected a target that is up")


def test_one_target_that_is_up_is_enough():
    assert proof(info(DOWN, target("vm3")), LINKS, "vm2", "client", {}) == {"problems": [], "worse": False, "unresolved": []}


def test_none_is_a_sentence_that_names_link_host_hop_and_remedy():
    (sentence,) = proof(info(DOWN), LINKS, "vm2", "client", {})["problems"]
    parts = (
        "link redis:",
        "ambassador_client on vm2",
        "vm1 (192.0.2.1:6379) DOWN",
        "nothing listens there",
        "redis_server:6379",
        "for vm1",
    )
    for part in parts:
        assert part in sentence


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, "vm1 (192.0.2.1:6379) DOWN: L4CON, said (nothing listens there: its server side does not run, or has shut the port"),
        (
            {"check_status": "L6RSP"},
            "DOWN: L6RSP, said (the handshake is refused: the log of the server side says whose certificate, and why);",
        ),
        (
            {"check_status": "L4TOUT"},
            "DOWN: L4TOUT, said, so open port 6379 in the firewall of vm1 (the host is slower than its `connect`, or cannot be reached);",
        ),
        ({"check_status": "L7STS"}, "found vm1 (192.0.2.1:6379) DOWN: L7STS, said;"),
        (
            {"check_status": None, "last_check": None, "address": None, "state": "MAINT (resolution)"},
            "found vm1 MAINT (resolution): no name server of the host knows this name,",
        ),
        ({"last_check": None}, "found vm1 (192.0.2.1:6379) DOWN: L4CON (nothing"),
    ],
)
def test_what_a_check_found_is_told_with_what_it_means(changes, found):
    (sentence,) = proof(info(DOWN | changes), LINKS, "vm2", "client", {})["problems"]
    assert found in sentence


def test_server_side_on_the_same_host_is_named_as_a_container():
    unknown = DOWN | {"check_status": None, "last_check": None, "address": None, "state": "MAINT (resolution)"}
    links = [{**LINKS[0], "targets": [{"name": "vm1", "port": 6379, "on_this_host": True}]}]
    (sentence,) = proof(info(unknown), links, "vm1", "client", {})["problems"]
    assert "found vm1 MAINT (resolution): no container on the network of the ambassadors answers to this name" in sentence
    # no firewall of the host is between the two
    (sentence,) = proof(info(DOWN | {"check_status": "L4TOUT"}), links, "vm1", "client", {})["problems"]
    assert "firewall" not in sentence


def test_dialled_link_without_an_answer_names_the_port_to_open():
    links = [{**LINKS[0], "targets": [{"name": "vm1", "port": 7000}]}]
    dialled = {"links": {"redis": "timed out"}, "before": [], "after": []}
    (sentence,) = proof(info(target(), engine="nftables"), links, "vm2", "client", {}, dialled)["problems"]
    assert "found timed out, so open port 7000 in the firewall of vm1;" in sentence


def test_an_address_that_cannot_be_reached_says_where_it_came_from_and_which_others_there_are():
    away = DOWN | {"check_status": "L4TOUT"}

    def said(target, **addresses):
        return proof(info(target), LINKS, "vm2", "client", {}, None, {"vm1": addresses} if addresses else {"vm9": {}})["problems"][0]

    assert (
        "(the host is slower than its `connect`, or cannot be reached at this address, which is its fact default_ipv4 of eth0, vm1 has"
        " also 192.0.2.7, 2001:db8::7:"
        " set ambassador_interface or ambassador_address for vm1 if it is another one);"
    ) in said(away, origin="fact default_ipv4 of eth0", others=["192.0.2.7", "2001:db8::7"])
    assert "which is its ambassador_address: set ambassador_interface" in said(away, origin="ambassador_address", others=[])
    assert "(the host is slower than its `connect`, or cannot be reached);" in said(away)
    # whoever refuses has been reached
    assert "which is its" not in said(DOWN, origin="ambassador_address", others=[])


@pytest.mark.parametrize(
    ("held", "found"),
    [
        ({"vm1": "0A", "vm2": "0B"}, "vm2 holds a certificate of the CA 0B, vm1 one of the CA 0A: two controllers have certified them;"),
        ({"vm1": "0A", "vm2": "0A"}, "the log of the server side says whose certificate"),
        ({"vm2": "0B"}, "the log of the server side says whose certificate"),
    ],
)
def test_a_handshake_between_two_authorities_names_both(held, found):
    refused = info(target(up=False, check="L6RSP"))
    assert refused_handshakes(refused) == ["vm1"]
    (sentence,) = proof(refused, LINKS, "vm2", "client", {}, authorities=held)["problems"]
    assert found in sentence


def test_a_server_side_is_not_judged_by_what_its_host_dialled_nor_is_a_link_that_is_not_carried():
    carried = target("redis_server", check=None) | {"state": "not checked"}
    dialled = {"links": {"redis": "refused"}, "before": counted(5), "after": counted(5)}
    assert proof(info(carried), LINKS, "vm1", "server", {}, dialled)["problems"] == []
    assert proof(info(carried), LINKS, "vm2", "client", {}, dialled)["problems"] != []
    nothing = {"engine": "haproxy", "generation": "0123", "links": {}}
    assert "found none;" in proof(nothing, LINKS, "vm2", "client", {}, dialled)["problems"][0]


def test_a_link_that_did_not_work_before_is_no_reason_to_go_back():
    assert not proof(info(DOWN), LINKS, "vm2", "client", was(DOWN))["worse"]
    assert not proof(info(DOWN), LINKS, "vm2", "client", {"dialled": {}})["worse"]


def test_a_link_that_worked_before_is():
    judged = proof(info(DOWN), LINKS, "vm2", "client", was(target()))
    assert judged["worse"]
    assert judged["problems"][1] == "Generation 0123, which worked before this run, was put back on vm2."


def test_a_link_that_is_not_carried_is_not_proved():
    assert "found no answer;" in proof({"msg": "no answer"}, LINKS, "vm2", "client", {})["problems"][0]


def test_a_server_side_is_judged_by_its_own_backend_and_only_where_that_was_up():
    own = target("redis_server", up=False, check="L7TOUT")
    assert proof(info(own, target("vm3")), LINKS, "vm1", "server", {})["problems"] == []
    judged = proof(info(own, target("vm3")), LINKS, "vm1", "server", was(target("redis_server")))
    assert judged["worse"]
    assert "run was limited" not in judged["problems"][0]


@pytest.mark.parametrize(
    ("own", "open_yet"),
    [
        (target(check="L7OK"), False),
        # one without a check
        (target(check=None), False),
        (DOWN, False),
        # before the first check, and while the last ones that failed are not enough of them
        (target(check="INI"), True),
        (target(check="L7TOUT"), True),
    ],
)
def test_a_server_side_has_found_out_when_a_check_has_said_it(own, open_yet):
    assert undecided(info(own, target("vm3", check="INI")), LINKS) == open_yet


def test_a_server_side_that_says_nothing_has_not_found_out():
    assert undecided({"msg": "that it does not answer"}, LINKS)
    assert undecided(info(), LINKS)
    assert not undecided({"msg": "that it does not answer"}, [])


@pytest.mark.parametrize(("check", "problems"), [("INI", 1), ("L4CON", 1), ("L7OK", 0), ("L7OKC", 0), (None, 0)])
def test_a_target_that_no_check_has_seen_yet_is_no_proof(check, problems):
    judged = proof(info(target(check=check)), LINKS, "vm1", "server", was(target()))
    assert (judged["worse"], len(judged["problems"])) == (bool(problems), 2 * problems)


def counted(total, failed=0, counters="7"):
    return [{"links": {"redis": {"targets": [{"total": total}], "failed": failed}}, "counters": counters}, {"msg": "no answer"}]


@pytest.mark.parametrize(
    ("found", "after", "problem"),
    [
        ("open", counted(6), None),
        ("bytes", counted(6), None),
        ("open", [{"msg": "no answer"}], None),
        ("open", counted(5), "no server side handed the connection to its backend"),
        ("open", counted(6, failed=1), "no server side handed the connection to its backend"),
        # another ruleset or worker, loaded meanwhile: what it has counted since is new, and that it has none says nothing
        ("open", counted(1, counters="8"), None),
        ("open", counted(0, counters="8"), None),
        ("closed", counted(6), "found a connection that was closed"),
        ("[Errno 111] Connection refused", counted(5), "found [Errno 111] Connection refused"),
    ],
)
def test_a_link_without_checks_is_proved_by_a_connection_that_its_backend_has_got(found, after, problem):
    carried = target(check=None) | {"state": "no check"}
    dialled = {"links": {"redis": found}, "before": counted(5), "after": after}
    problems = proof(info(carried), LINKS, "vm2", "client", {}, dialled)["problems"]
    assert (problems == []) == (problem is None)
    if problem:
        assert problem in problems[0]


def test_what_led_nowhere_before_is_no_reason_to_go_back_nor_is_what_another_engine_carried():
    carried = target(check=None) | {"state": "not checked"}
    dialled = {"links": {"redis": "refused"}, "before": counted(5), "after": counted(5)}
    for observed, worse in (
        (was(carried), True),
        (was(carried) | {"dialled": {"redis": "refused"}}, False),
        (was(carried) | {"dialled": {"redis": "open"}}, True),
        (was(carried, engine="nftables"), False),
    ):
        judged = proof(info(carried), LINKS, "vm2", "client", observed, dialled)
        assert (judged["worse"], len(judged["problems"])) == (worse, 1 + worse)


def test_the_filter_hands_on_what_was_verified_and_the_last_two_counts():
    judge = FilterModule().filters()["proof"]
    verified = {"info": info(target(check=None) | {"state": "no check"}), "dialled": {"redis": "open"}}
    assert judge(verified, LINKS, "vm2", "client", {}) == {"problems": [], "worse": False, "unresolved": []}
    # those of the server side's own verification come first
    assert judge(verified, LINKS, "vm2", "client", {}, [counted(9), counted(9), counted(5), counted(6)])["problems"] == []
    (problem,) = judge(verified, LINKS, "vm2", "client", {}, [counted(5), counted(6), counted(6), counted(6)])["problems"]
    assert "no server side handed the connection to its backend" in problem
    # one list says nothing of what has come since
    assert judge(verified, LINKS, "vm2", "client", {}, [counted(5)])["problems"] == []


def test_links_that_nobody_checks_are_dialled_and_with_the_kernel_all_are():
    def a_link(alias, check):
        return {"alias": alias, "check": check, "listen": 1, "protocol": "tcp", "servers": ["vm1"], "place": 1, "balance": "first"}

    wiring = {"links": [a_link("redis", "redis"), a_link("queue", "none")]}
    assert unchecked(wiring, "haproxy") == [{"alias": "queue", "listen": 1, "protocol": "tcp", "servers": ["vm1"], "place": 1}]
    assert [link["alias"] for link in unchecked(wiring, "nftables")] == ["redis", "queue"]


def test_a_link_that_only_waits_for_dns_is_no_problem_but_one_that_worked_is():
    unknown = {"name": "vm1", "address": None, "state": "MAINT (resolution)", "up": False, "check_status": None, "last_check": None}
    link = {
        "alias": "redis",
        "check": "redis",
        "servers": ["vm1"],
        "backend": "db:1",
        "targets": [{"address": "vm1.example.com", "dns": "A"}],
    }
    info = {"engine": "haproxy", "links": {"redis": {"targets": [unknown]}}}
    found = proof(info, [link], "vm2", "client", {})
    assert (found["problems"], found["worse"]) == ([], False)
    assert found["unresolved"][0].startswith("link redis: expected vm1.example.com to resolve, found that no name server of vm2 knows it;")
    before = {"engine": "haproxy", "running": "a1", "links": {"redis": {"targets": [{"up": True}]}}}
    found = proof(info, [link], "vm2", "client", before)
    assert (len(found["problems"]), found["worse"], found["unresolved"]) == (2, True, [])


@pytest.mark.parametrize(
    ("check", "clocks", "words"),
    [
        # the client side refuses the certificate of the server side
        (
            "L6RSP",
            {"vm1": 0, "vm2": -7200},
            "vm1 is not valid before 2001-09-09T01:46:40Z, and the clock of vm2 is 2 hours",
        ),
        # the server side refuses the certificate of the client side
        (
            "L7RSP",
            {"vm1": -7200, "vm2": None},
            "vm2 is not valid before 2001-09-09T01:46:40Z, and the clock of vm1 is 2 hours",
        ),
        ("L6RSP", {"vm1": 0, "vm2": -3599}, None),
        ("L4CON", {"vm1": -7200, "vm2": -7200}, None),
        ("L6RSP", {}, None),
    ],
)
def test_a_wrong_clock_is_the_reason_of_a_refused_handshake(check, clocks, words):
    lifetime = {"not_before": 1_000_000_000, "not_after": 1_000_000_000 + 90 * 86400}
    times = {"lifetimes": {"vm1": lifetime, "vm2": lifetime}, "clocks": clocks, "now": 1_000_000_000 + 3599}
    (sentence,) = proof(info(target(up=False, check=check)), LINKS, "vm2", "client", {}, times=times)["problems"]
    if words:
        assert f"(the certificate of {words}" in sentence
        assert sentence.endswith(f" Set the clock of {min(clocks, key=lambda host: clocks[host] or 0)}, for example with chrony.")
    assert ("clock" in sentence, "start the backend" in sentence) == (bool(words), not words)


def test_the_filter_reads_clocks_and_certificates_from_the_observations():
    def observed(host, offset):
        identity = {"certificate": ends.certify(host, 2, begin=now), "key": "own"}
        return {"__ambassador_engine_observed": {"identity": identity, "clock_offset": offset}}

    ends, now = Signer("a"), datetime.datetime.now(datetime.UTC).replace(microsecond=0) - datetime.timedelta(minutes=1)
    hostvars, verified = {"vm1": observed("vm1", -7200), "vm2": observed("vm2", 0)}, {"info": info(target(up=False, check="L7RSP"))}
    (problem,) = FilterModule().filters()["proof"](verified, LINKS, "vm2", "client", {}, hostvars=hostvars)["problems"]
    assert f"the certificate of vm2 is not valid before {now:%Y-%m-%dT%H:%M:%SZ}, and the clock of vm1 is 2 hours behind" in problem


def test_the_filter_reads_the_certificates_of_both_ends():
    def read(host, signer):
        text = base64.b64encode(signer.certify(host, 2).encode()).decode()
        return {"ansible_loop_var": "end", "end": host, "content": text}

    judge = FilterModule().filters()["proof"]
    verified, ends = {"info": info(target(up=False, check="L6RSP"))}, [read("vm1", Signer("a")), read("vm2", Signer("b"))]
    (problem,) = judge(verified, LINKS, "vm2", "client", {}, [], {}, ends)["problems"]
    assert "two controllers have certified them" in problem
    # one that could not be reached
    ends[0] = {"ansible_loop_var": "end", "end": "vm1", "unreachable": True}
    (problem,) = judge(verified, LINKS, "vm2", "client", {}, [], {}, ends)["problems"]
    assert "the log of the server side says whose certificate" in problem


GARBAGE = [None, 7, [], {}, "x", "w6TDtg", base64.b64encode(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").decode()]
GARBAGE += [base64.b64encode(b"\xff\xfe").decode(), 10**400, -(10**400), True]


@pytest.mark.parametrize("content", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("is_whole", [False, True])
def test_answers_of_other_hosts_do_not_stop_a_rollback(content, is_whole):
    """The proof is judged before a configuration that worked is put back."""
    certificate = base64.b64encode(Signer("one").certify("vm2", 2).encode()).decode()
    judged = FilterModule().filters()["proof"](
        {"info": info(target(up=False, check="L6RSP")), "dialled": {"redis": "open"}},
        LINKS,
        "vm2",
        "client",
        was(target()),
        [[{"links": {"redis": content}}], [{"links": {"redis": {"targets": [content], "failed": content}}, "counters": content}]],
        {},
        [{"ansible_loop_var": "end", "end": "vm1", "content": content}, {"ansible_loop_var": "end", "end": "vm2", "content": certificate}],
        hostvars={"vm1": {OBSERVED: content if is_whole else {"clock_offset": content, "identity": content}}},
    )
    assert judged["worse"]
