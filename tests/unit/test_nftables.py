"""The keeper of the kernel engine, run by a shell, with an nft, a conntrack and a resolver that only say what they were told.

Real rulesets are loaded on the lab's hosts.
"""

import contextlib
import os
import signal
import subprocess
import time

import pytest
from ansible_collections.crosshost.ambassador.plugins.module_utils._nftables import ask
from conftest import ROOT, named, run_module

SCRIPT = (ROOT / "roles/ambassador_engine/files/nftables.sh").read_text()
NFT = """#!/bin/sh
case $* in
  "-c -f -") grep -q nonsense && { echo 'Error: syntax error, unexpected nonsense'; exit 1; }; exit 0 ;;
  "-f -")
    cat > @/new
    grep -q nonsense @/new && { echo 'Error: syntax error, unexpected nonsense' >&2; exit 1; }
    mv @/new @/table
    ;;
  *) sed -n 's/^ *comment "\\(.*\\)"$/{"nftables": [{"table": {"handle": 3, "comment": "\\1"}}, RULES]}/p' @/table \\
    | sed "s/RULES/$(cat @/rules)/" ;;
esac
"""
CONNTRACK = """#!/bin/sh
case $* in
  "-L -f ipv4") cat @/flows ;;
  -D*) echo "$*" >> @/cut ;;
esac
"""
GETENT = """#!/bin/sh
sed -n "s/^$1 $2 //p" @/hosts
"""
LINKS = """\
define AMBASSADOR_DRAIN_REDIS = {drain}
define AMBASSADOR_DRAIN_DNS = 10
define REDIS_PORT_6379_TCP_ADDR = {redis}
define REDIS_PORT_6379_TCP_PORT = 6380
define DNS_PORT_53_UDP_ADDR = {dns}
define DNS_PORT_53_UDP_PORT = 53
"""
RULES = """\
    comment "@generation@"
        meta nfproto ipv4 tcp dport 6379 counter dnat ip to $REDIS_PORT_6379_TCP_ADDR:$REDIS_PORT_6379_TCP_PORT comment "redis vm1"
        meta nfproto ipv6 tcp dport 6379 counter dnat ip6 to $REDIS_PORT_6379_TCP_ADDR:$REDIS_PORT_6379_TCP_PORT comment "redis vm1"
        meta nfproto ipv4 udp dport 53 counter dnat ip to $DNS_PORT_53_UDP_ADDR:$DNS_PORT_53_UDP_PORT comment "dns vm1"
"""


def wait(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Kernel:
    """The keeper, the state directory of a side, and what stands for the kernel.

    :param pathlib.Path path: an empty directory
    """

    def __init__(self, path):
        self.path, self.side, self.process = path, path / "client", None
        for name, text in (("nft", NFT), ("conntrack", CONNTRACK), ("getent", GETENT)):
            (path / name).write_text(text.replace("@", str(path)))
            (path / name).chmod(0o755)
        for name in ("flows", "cut", "hosts"):
            (path / name).touch()
        (path / "rules").write_text("{}")

    def generation(self, redis="198.18.0.11", dns="198.18.0.11", rules=RULES, drain=1):
        """Write a generation and make it current; return its name."""
        files = {"links.nft": LINKS.format(redis=redis, dns=dns, drain=drain), "ambassador.nft": rules}
        staged = run_module("generation", path=str(self.side), state="staged", owner=os.getuid(), engine="nftables", **named(files))
        run_module("generation", path=str(self.side), state="current", generation=staged["generation"])
        return staged["generation"]

    def load(self, generation, fails=False, **arguments):
        """Have the module load it."""
        said = run_module("generation", path=str(self.side), state="loaded", engine="nftables", generation=generation, **arguments)
        assert said.get("failed", False) == fails, said
        return said

    def run(self, *words):
        """Start the keeper."""
        script = SCRIPT.replace("/etc/ambassador", str(self.side)).replace("/run/ambassador", str(self.side / "run"))
        environment = {"PATH": f"{self.path}:{os.environ['PATH']}"}
        out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
        self.process = subprocess.Popen(["sh", "-c", script, "keeper", *words], env=environment, **out)
        return self.process

    def table(self):
        """Return what is loaded."""
        return (self.path / "table").read_text()

    def cut(self):
        """Return the deletions of flows of IPv4."""
        lines = (self.path / "cut").read_text().splitlines()
        return [line.removeprefix("-D -f ipv4 ") for line in lines if line.startswith("-D -f ipv4 ")]


@pytest.fixture
def kernel(tmp_path):
    one = Kernel(tmp_path)
    yield one
    if one.process:
        # what ticks outlives it; in a container the namespace of processes ends with the first one
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.process.pid, signal.SIGKILL)
        one.process.wait()


def test_a_generation_is_loaded_at_the_start_and_another_by_the_module(kernel):
    first = kernel.generation()
    kernel.run()
    assert not kernel.load(first)["changed"]
    second = kernel.generation(redis="198.18.0.12")
    kernel.load(second)
    assert f'comment "{second}"' in kernel.table()
    assert "define REDIS_PORT_6379_TCP_ADDR = 198.18.0.12" in kernel.table()


def test_what_is_refused_is_told_in_the_words_of_nft_and_the_last_good_one_is_current_again(kernel):
    first = kernel.generation()
    kernel.run()
    kernel.load(first)
    refused = kernel.load(kernel.generation(rules=RULES + "nonsense\n"), fails=True)
    assert "nft reported: Success=0\nError: syntax error, unexpected nonsense" in refused["msg"]
    assert os.readlink(kernel.side / "current") == f"generations/{first}"
    assert f'comment "{first}"' in kernel.table()
    assert kernel.process.poll() is None


def test_without_a_keeper_the_module_says_so_and_does_not_wait_for_an_answer(kernel):
    generation = kernel.generation()
    process = kernel.run()
    kernel.load(generation)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    failed = kernel.load(generation, fails=True, timeout=0)
    assert f"The engine does not answer on {kernel.side}/run/ask within 0 s: " in failed["msg"]


def test_a_generation_that_cannot_be_loaded_at_the_start_ends_the_keeper_with_a_word(kernel):
    kernel.generation(rules="nonsense\n")
    process = kernel.run()
    assert process.wait(timeout=5) == 1
    assert "unexpected nonsense" in process.stdout.read()


def test_check_loads_nothing_and_needs_no_address_of_a_name(kernel):
    generation = kernel.generation(redis='"redis_server"')
    assert kernel.run("check", str(kernel.side / "generations" / generation)).wait(timeout=5) == 0
    assert not (kernel.path / "table").exists()
    generation = kernel.generation(rules="nonsense\n")
    process = kernel.run("check", str(kernel.side / "generations" / generation))
    assert process.wait(timeout=5) == 1
    assert "unexpected nonsense" in process.stdout.read()


def test_a_name_is_followed_in_each_family_and_where_it_has_none_the_link_alone_is_refused(kernel):
    generation = kernel.generation(redis='"redis_server"')
    kernel.run()
    kernel.load(generation)
    assert kernel.table().count("counter return") == 2
    assert "counter dnat ip to $DNS_PORT_53_UDP_ADDR" in kernel.table()
    # what has IPv4 alone is said to have this as well
    hosts = [
        "ahostsv4 redis_server 198.19.0.9 STREAM",
        "ahostsv4 redis_server 198.19.0.3 STREAM",
        "ahostsv6 redis_server ::ffff:198.19.0.3 STREAM",
    ]
    (kernel.path / "hosts").write_text("\n".join(hosts) + "\n")
    wait(lambda: "dnat ip to 198.19.0.3:$REDIS_PORT_6379_TCP_PORT" in kernel.table())
    assert kernel.table().count("counter return") == 1
    (kernel.path / "hosts").write_text("ahostsv6 redis_server 2001:2::3 STREAM\n")
    wait(lambda: "dnat ip6 to [2001:2::3]:$REDIS_PORT_6379_TCP_PORT" in kernel.table())


def test_what_is_no_name_is_never_executed(kernel):
    generation = kernel.generation(redis=f'"$(touch {kernel.path}/trap)"')
    kernel.run()
    kernel.load(generation)
    assert "counter return" in kernel.table()
    assert not (kernel.path / "trap").exists()


def test_a_former_target_is_cut_after_its_drain_and_udp_is_asked_anew_at_once(kernel):
    # long enough that a busy machine does both in their order
    kernel.generation(drain=6)
    kernel.run()
    wait(lambda: kernel.cut() == ["-p udp --orig-port-dst 53"])
    kernel.load(kernel.generation(redis="198.18.0.12", dns="198.18.0.12", drain=6))
    wait(lambda: len(kernel.cut()) > 2, 30)
    cut = ["-p udp --orig-port-dst 53", "-p tcp --orig-port-dst 6379 --reply-src 198.18.0.11 --reply-port-src 6380"]
    assert kernel.cut()[1:] == cut


def test_a_former_target_that_is_one_again_is_not_cut(kernel):
    first = kernel.generation(drain=10)
    kernel.run()
    kernel.load(first)
    kernel.load(kernel.generation(redis="198.18.0.12", drain=10))
    kernel.load(kernel.generation(drain=10))
    wait(lambda: any("--reply-src 198.18.0.12 " in line for line in kernel.cut()), 20)
    time.sleep(1.5)
    assert not any("--reply-src 198.18.0.11 " in line for line in kernel.cut())


def test_what_the_kernel_does_is_told_link_by_link(kernel):
    rule = (
        '{"rule": {"comment": "%s", "expr": [{"match": {"left": {"meta": {"key": "nfproto"}}, "right": "ipv4"}},'
        ' {"match": {"left": {"payload": {"protocol": "%s", "field": "dport"}}, "right": %d}}, {"counter": {"packets": %d}}, %s]}}'
    )
    dnat = '{"dnat": {"addr": "198.18.0.11", "port": %d}}'
    rules = [
        rule % ("redis vm1", "tcp", 6379, 7, dnat % 6380),
        rule % ("redis vm1", "tcp", 6379, 2, '{"return": null}'),
        rule % ("dns vm1", "udp", 53, 1, '{"return": null}'),
    ]
    (kernel.path / "rules").write_text(", ".join(rules))
    way = "src=198.19.0.9 dst=198.19.0.2 sport=4000 dport=6379 src=%s dst=198.19.0.2 sport=6380 dport=4000 [ASSURED] mark=0 use=1\n"
    flows = ["tcp 6 430000 ESTABLISHED " + way % "198.18.0.11"] * 2 + ["tcp 6 9 TIME_WAIT " + way % "198.18.0.11"]
    (kernel.path / "flows").write_text("".join([*flows, "tcp 6 430000 ESTABLISHED " + way % "198.18.0.99"]))
    generation = kernel.generation()
    kernel.run()
    kernel.load(generation)
    said = run_module("ambassador_info", path=str(kernel.side))
    assert (said["engine"], said["generation"], said["current"], said["workers"]) == ("nftables", generation, generation, [])
    assert said["counters"].isdigit()
    redis, dns = said["links"]["redis"], said["links"]["dns"]
    assert (redis["connections"], redis["total"], redis["failed"]) == (3, 9, 2)
    (target,) = redis["targets"]
    assert (target["name"], target["address"], target["state"], target["up"]) == ("vm1", "198.18.0.11:6380", "not checked", True)
    assert (target["connections"], target["total"]) == (2, 9)
    assert redis["leaving"] == [{"name": "", "address": "198.18.0.99:6380", "connections": 1}]
    assert [(target["state"], target["up"], target["address"]) for target in dns["targets"]] == [("no address", False, None)]
    assert list(run_module("ambassador_info", path=str(kernel.side), alias="dns")["links"]) == ["dns"]


def test_what_another_engine_left_goes_with_the_first_generation_that_is_loaded(kernel):
    files = named({"haproxy.cfg": "", "links.cfg": ""})
    run_module("generation", path=str(kernel.side), state="staged", owner=os.getuid(), **files)
    generation = kernel.generation()
    kernel.run()
    wait((kernel.side / "run" / "ask").exists)
    (kernel.side / "run" / "master.sock").touch()
    kernel.load(generation)
    assert os.listdir(kernel.side / "generations") == [generation]
    assert not (kernel.side / "run" / "master.sock").exists()


def test_the_pipe_is_answered_word_for_word(kernel):
    kernel.generation()
    kernel.run()
    wait((kernel.side / "run" / "ask").exists)
    assert ask(str(kernel.side / "run" / "ask"), "reload", 5) == "Success=1"
    assert sorted(os.listdir(kernel.side / "run")) == ["ask"]
    with pytest.raises(TimeoutError):
        ask(str(kernel.side / "run" / "ask"), "nothing", 1)


def test_sigterm_stops_it_at_once(kernel):
    kernel.generation()
    process = kernel.run()
    wait((kernel.side / "run" / "ask").exists)
    process.terminate()
    assert process.wait(timeout=5) == 0
