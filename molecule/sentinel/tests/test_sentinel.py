"""A Redis, or a Valkey, that elects its own primary: consumers dial one link, and who speaks Sentinel gets addresses that are links."""

import pathlib
import re
import time
import uuid
from datetime import datetime
from typing import NamedTuple

import pytest
from conftest import ROOT, engine, lab_image, until

SCENARIO = ROOT / "molecule" / "sentinel"
WRITER = (SCENARIO / "writer.py").read_text()
LAG = int(re.search(r"min-replicas-max-lag (\d+)", (SCENARIO / "store.conf").read_text())[1])
# Redis counts the lag in whole seconds, and looks at it once a second
BOUND = LAG + 2
# seconds from the election on; a busy machine may make one host late, twice that, but not all three of them
FOLLOWS = 2
CUT = ("PREROUTING -i", "POSTROUTING -o")
SENTINEL = """
import sys
from redis.sentinel import MasterNotFoundError, Sentinel
sentinel = Sentinel([(f"sentinel-{number}", 26380 + number) for number in (1, 2, 3)], socket_timeout=3)
try:
    print(*sentinel.discover_master(sys.argv[1]))
    primary, (name, value) = sentinel.master_for(sys.argv[1], socket_timeout=3), sys.argv[2:]
    print(primary.set(name, value), primary.get(name).decode(), primary.info("server")["run_id"])
    print(*sorted(f"{name} {port}" for name, port in sentinel.discover_slaves(sys.argv[1])))
except MasterNotFoundError as error:
    print(error)
"""


class Line(NamedTuple):
    """What a writer said: see writer.py."""

    at: float
    number: int
    server: str
    said: str

    @property
    def acknowledged(self):
        return self.said.startswith(":")


class Store:
    """What runs on the hosts, and who is what in it; hosts are known by their place, from 1."""

    def __init__(self, hosts, program):
        self.hosts = dict(enumerate(hosts.values(), 1))
        self.program = program

    def ask(self, place, *command, container="store", port=6379):
        words = " ".join(command)
        return self.hosts[place].check_output(f"docker exec {container} {self.program}-cli -p {port} {words}")

    def run_id(self, place):
        return re.search(r"run_id:(\w+)", self.ask(place, "info server"))[1]

    def named(self, place):
        """Return the place of the primary that a host's Sentinel names."""
        alias, port = self.ask(place, "sentinel get-master-addr-by-name mymaster", container="sentinel", port=26379).split()
        assert alias == f"store-{int(port) - 6380}"
        return int(port) - 6380

    def settle(self):
        """Wait until all Sentinels know each other and the servers, and one server is followed by both others; return its place."""
        asked = f"docker exec sentinel {self.program}-cli -p 26379 sentinel master mymaster | paste -sd' ' > /run/known"
        known = ("flags master ", "num-slaves 2 ", "num-other-sentinels 2 ")
        for host in self.hosts.values():
            until(host, " && ".join([asked, *(f"grep -q '{one}' /run/known" for one in known)]))
        primary = self.named(1)
        until(self.hosts[primary], f"test $(docker exec store {self.program}-cli info replication | grep -c state=online) = 2")
        return primary

    def rejoined(self, place, primary):
        """Wait until the server of a host follows the primary."""
        asked = f"docker exec store {self.program}-cli role | paste -sd' '"
        until(self.hosts[place], f"{asked} | grep -q 'slave store-{primary} .* connected'")

    def elected(self, place, others):
        """Wait until others have one as primary that is not this; return its place."""
        asked = f"docker exec sentinel {self.program}-cli -p 26379 sentinel get-master-addr-by-name mymaster"
        for other in others:
            until(self.hosts[other], f"{asked} | grep -q 'store-[^{place}]'")
        (found,) = {self.named(other) for other in others}
        return found

    def elected_at(self, place):
        """Return when one became the primary, in seconds since 1970; all clocks are one, that of the machine."""
        lines = self.hosts[place].check_output("docker logs --timestamps store 2>&1 | grep -E '(MASTER|PRIMARY) MODE enabled' | tail -1")
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z.*", r"\1+00:00", lines)).timestamp()


@pytest.fixture(scope="module", params=["redis", "valkey"])
def store(request, hosts, playbook):
    """Redis as the scenario has begun it, or Valkey in its place; the ambassadors are the same."""
    found = Store(hosts, request.param)
    if not re.search(request.param, next(iter(hosts.values())).check_output("docker inspect --format '{{.Config.Image}}' store")):
        done = playbook(str(pathlib.Path(request.config.option.ansible_inventory).parent / "store.yml"), "-e", f"program={request.param}")
        assert done.returncode == 0, done.stdout
    for host in hosts.values():
        host.run("docker rm -f client")
        host.check_output(f"docker run -d --name client --network ambassador {lab_image(host)}")
    return found


class Writer:
    """A consumer on a host that writes through the link `redis`: see writer.py."""

    def __init__(self, host, name):
        self.host, self.name, self.list = host, name, f"{name}:{uuid.uuid4().hex[:8]}"
        self.remove()
        self.host.check_output(
            f"docker run -d --name {name} --network ambassador {lab_image(host)} python3 -uc %s redis 6379 %s", WRITER, self.list
        )

    def lines(self):
        said = self.host.check_output(f"docker logs {self.name}")
        split = (line.split(" ", 3) for line in said.splitlines())
        return [Line(float(at), int(number), server, said) for at, number, server, said in split]

    def more(self, lines):
        """Wait until so many more of its writes are acknowledged."""
        count = f"docker logs {self.name} | grep -c ' :'"
        until(self.host, f"test $({count}) -ge {int(self.host.run(count).stdout or 0) + lines}")

    def stop(self):
        """End it; return what it said, and what is there of it: a list of Line, and a set of numbers."""
        self.host.check_output(f"docker stop -t 1 {self.name}")
        there = self.host.check_output(f"docker exec client redis-cli -h redis lrange {self.list} 0 -1").split()
        return self.lines(), {int(number) for number in there}

    def remove(self):
        self.host.run(f"docker rm -f {self.name}")


@pytest.fixture
def writer(store):
    """Starts a consumer on the host of a place."""
    started = []

    def start(place):
        started.append(Writer(store.hosts[place], f"writer{place}"))
        return started[-1]

    yield start
    for one in started:
        one.remove()


def speak(host, name, key="spoken", value="yes"):
    """Return the lines of a consumer that asks the Sentinels where the primary is, and dials what they say."""
    return host.check_output("docker exec client python3 -c %s %s %s %s", SENTINEL, name, key, value).splitlines()


def speaks(store, place, primary):
    """Tell whether who speaks Sentinel on a host is given addresses that work there; return who answered."""
    given, answered, replicas = speak(store.hosts[place], "mymaster", f"spoken:{place}")
    assert given == f"store-{primary} {6380 + primary}"
    assert re.findall(r"store-\d 638\d", replicas) == [f"store-{one} {6380 + one}" for one in store.hosts if one != primary]
    written, read, server = answered.split()
    assert (written, read) == ("True", "yes")
    return server


def report(capsys, what, **figures):
    with capsys.disabled():
        print(f"\n{what}: " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items()))


def lost(lines, there):
    return [line for line in lines if line.acknowledged and line.number not in there]


def test_a_second_run_changes_nothing(playbook, request):
    done = playbook(str(pathlib.Path(request.config.option.ansible_inventory).parent / "links.yml"))
    assert re.findall(r"changed=(\d+)", done.stdout) == ["0", "0", "0"], done.stdout


def test_link_is_answered_on_its_own_server_host_behind_a_firewall(store):
    """The rule drops connections of containers to the address of their host. Connections of other hosts to containers pass FORWARD."""
    rule = "INPUT ! -i lo -p tcp --syn -j DROP"
    for place, host in store.hosts.items():
        host.check_output(f"iptables -I {rule}")
        try:
            server = host.check_output(f"docker exec client timeout 5 redis-cli -h store-{place} -p {6380 + place} info server")
        finally:
            host.check_output(f"iptables -D {rule}")
        assert f"run_id:{store.run_id(place)}" in server


def test_the_link_follows_the_primary_that_is_elected(store, writer, capsys):
    before = store.settle()
    others = [place for place in store.hosts if place != before]
    writers = [writer(place) for place in store.hosts]
    old = {speaks(store, place, before) for place in store.hosts}
    for one in writers:
        one.more(10)
    killed = time.time()
    store.hosts[before].check_output("docker kill store")
    after = store.elected(before, others)
    for one in writers:
        one.more(10)
    back = time.time()
    store.hosts[before].check_output("docker start store")
    store.rejoined(before, after)
    for one in writers:
        one.more(20)
    # no client side has taken it for the primary, not even for a moment
    name = store.hosts[before].check_output("hostname")
    for host in store.hosts.values():
        assert f"Server redis/{name} is UP" not in host.check_output(f"docker logs --since {back:.3f} ambassador_client 2>&1")
    # it is down as a replica is, of which no alert tells
    (own,) = [row for row in engine(store.hosts[before], "server", "@1 show stat").splitlines() if row.startswith("redis,store,")]
    assert re.search(",DOWN,.*,(\\* )?L7RSP,", own), own
    # a consumer that speaks Sentinel, and one that does not, are with the same one
    (now,) = {speaks(store, place, after) for place in store.hosts}
    assert old == {one for one in old if one != now}
    elected, followed = store.elected_at(after), []
    for one in writers:
        lines, there = one.stop()
        first = next(line.at for line in lines if line.server == now)
        served = next(line.at for line in lines if line.server == now and line.acknowledged)
        gone = lost(lines, there)
        report(
            capsys,
            f"{store.program}, {one.name}, primary killed",
            elected_after=f"{elected - killed:.2f} s",
            followed_after=f"{first - elected:.2f} s",
            written_to_after=f"{served - elected:.2f} s",
            lost_by_itself=f"{len(gone)} of {sum(line.acknowledged for line in lines)} acknowledged",
        )
        assert {line.server for line in lines if line.at < killed} == old
        followed.append(first - elected)
        # what was acknowledged and had not reached a replica yet
        assert [line for line in gone if line.at < killed - BOUND or line.server == now] == []
        # the old one, which has come back, has never been asked again, and nothing was refused for its sake
        assert {line.server for line in lines if line.at > first} == {now}
        assert [line for line in lines if line.at > served and not line.acknowledged] == []
    assert min(followed) < FOLLOWS
    assert max(followed) < 2 * FOLLOWS


def cut(host, how):
    """Begin (`I`) or end (`D`) that nothing comes to a host from others, nor leaves it for them."""
    for chain in CUT:
        host.check_output(f"iptables -t mangle -{how} {chain} eth0 -j DROP")


def test_a_primary_that_is_cut_off_acknowledges_no_more_than_what_is_on_its_way(store, writer, capsys):
    before = store.settle()
    host, others = store.hosts[before], [place for place in store.hosts if place != before]
    old = store.run_id(before)
    alone, beside = writer(before), writer(others[0])
    for one in (alone, beside):
        one.more(10)
    begun = time.time()
    cut(host, "I")
    try:
        after = store.elected(before, others)
        now = store.run_id(after)
        until(beside.host, f"docker logs {beside.name} | grep -q '{now} :'")
        time.sleep(max(0, begun + BOUND + 2 - time.time()))
        unbound = time.time()
        # all that it acknowledges now is lost
        store.ask(before, "config set min-replicas-to-write 0")
        alone.more(10)
        store.ask(before, "config set min-replicas-to-write 1")
    finally:
        cut(host, "D")
    store.rejoined(before, after)
    alone.more(10)
    lines, there = alone.stop()
    acknowledged = [line for line in lines if line.acknowledged and line.server == old]
    bounded = [line for line in acknowledged if begun < line.at < unbound]
    gone = lost(lines, there)
    report(
        capsys,
        f"{store.program}, primary cut off",
        bound=f"{BOUND} s",
        acknowledged_within_the_bound=len(bounded),
        the_last_after=f"{max((line.at for line in bounded), default=begun) - begun:.2f} s",
        acknowledged_without_it=sum(line.at >= unbound for line in acknowledged),
        lost_by_itself=len(gone),
    )
    assert [line for line in bounded if line.at > begun + BOUND] == []
    assert [line for line in lines if begun + BOUND < line.at < unbound and not line.said.startswith("-NOREPLICAS")] == []
    # lost is what the old one acknowledged when it was alone, and nothing else
    assert [line for line in gone if line.server != old or line.at < begun - BOUND] == []
    assert len([line for line in gone if line.at >= unbound]) >= 10
    lines, there = beside.stop()
    # once the old one is back among them it says for a while that it is the primary, and refuses
    assert {line.said.split()[0] for line in lines if line.at > unbound and line.server == old} <= {"-NOREPLICAS", "-READONLY"}
    assert [line for line in lost(lines, there) if line.server != old or line.at < begun - BOUND] == []


def test_a_name_that_sentinel_does_not_know_is_said_by_its_client(store):
    (said,) = speak(store.hosts[2], "other")
    assert said.startswith("No master found for 'other'")
    answered = store.hosts[2].check_output("docker exec client redis-cli -h sentinel-1 -p 26381 sentinel master other")
    assert answered == "ERR No such master with that name"
