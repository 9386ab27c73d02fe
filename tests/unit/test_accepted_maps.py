"""Random maps: the engines load the configuration of each side whose plan has no problems."""

import shutil
import subprocess

import pytest
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import ENGINES
from hypothesis import given, note, settings
from hypothesis import strategies as st
from simulation import SCRIPTS, Fleet, Host
from test_haproxy import IMAGE, install_key, program
from test_haproxy import certificates as certificates
from test_plan import THEIRS

KERNEL_IMAGE = "crosshost-lab/nftables"
# validates the directories that it reads; prints an exit code for each
LOOP = 'while read -r directory; do ( cd "$directory" && {check} ) > "$directory/log" 2>&1; echo $?; done'
HAPROXY_CHECK = "haproxy -c -f generation/links.cfg -f generation/haproxy.cfg"
KERNEL_CHECK = "sh {directory}/nftables.sh check generation"

ALIASES = ("redis", "Redis", "pg", "my-cache", "MASTER", "global", "listen", "docker", "haproxy", "path", "target1", "localhost", "a" * 63)
# a certificate can hold these names
CERTIFIED_HOSTS = ("vm1", "VM2", "vm_1", "db", "target1", "web.example.com", "v" * 70, "db.replica1", ".held")
HOSTS = (*CERTIFIED_HOSTS, "vm@1", 'a "b"', "é")
ADDRESSES = ("198.18.0.{}", "vm{}.example.com", "_x{}.example.com", "::ffff:198.18.0.{}", "2001:DB8:0::{}")
BACKENDS = (
    *("db", "DB", "redis", "pg", "host", "vm1", "vm2", "VM2", "198.18.0.77", "2001:db8::77", "a..b", "a.b", "example.com.", "a-", "a_b"),
    *("1234", "127.1", "0x7f.1", "db.replica1", "d" * 63, "d" * 64, "redis.ambassador", "server", "::ffff:198.18.0.77"),
)
NETWORKS = ("shop_default", "ambassador", "n..x.", "n" * 200)
TARGETS = (
    *("198.18.0.77", "db.example.com", "_db.example.com", "[2001:DB8::77]", "a..example.com", "1.2.3", "[::ffff:198.18.0.77]"),
    *("a_.example.com", "-a.example.com", "a.example.com."),
)
RECORDS = ("srv:_redis._tcp.example.com", "srv:redis.example.com", "srv:_redis._tcp." + "x" * 63 + ".example.com")


def often(values):
    """Draw the first value in four of five cases."""
    return st.sampled_from([*values[:1] * 4 * len(values), *values])


@st.composite
def maps(draw, hosts, engine):
    """Draw a map; the engine accepts many of them."""
    group = st.lists(st.sampled_from(hosts), min_size=1, max_size=3, unique=True).map(":".join)
    links = {}
    for number, alias in enumerate(draw(st.lists(st.sampled_from(ALIASES), min_size=1, max_size=3, unique=True))):
        port = 6000 + draw(st.sampled_from([number, number, 0]))
        link = {"port": port, "publish": 6000 + number, "servers": draw(group), "clients": draw(group)}
        optional = {
            "check": ["tcp", "redis", "postgresql", "mysql", "http", "smtp", "none"],
            "check_interval": [0.05, "2.5", 99],
            "balance": ["roundrobin", "first", "leastconn", "source"],
            "connect": [0.2, 99],
            "wait": [0, 9999],
            "drain": [0, 9999],
            "max_connections": [1, 9999999],
            "local": ["127.0.0.1", "0.0.0.0", "[::1]"],
            "send_proxy": [True],
            "protocol": ["udp", "tcp"],
            "network": NETWORKS,
            "networks": [[network] for network in NETWORKS],
        }
        possible = [key for key in optional if key not in ENGINES[engine] and (key != "protocol" or engine == "nftables")]
        for key in draw(st.sets(st.sampled_from(possible), max_size=3)):
            link[key] = draw(often(optional[key]))
        if engine == "nftables":
            link["balance"] = draw(st.sampled_from(["roundrobin", "source"]))
        several = draw(st.sampled_from([False, False, True]))
        if "local" in link and not several:
            link["local"] += f":{8000 + number}"
        elif link.get("local") == "[::1]":
            link["local"] = "::1"
        has_targets = draw(st.sampled_from([False, False, True]))
        suffix = "" if several else f":{draw(st.sampled_from([1, 6379, 65535]))}"
        if has_targets:
            link["targets"] = [target + suffix for target in draw(st.lists(often(TARGETS), min_size=1, max_size=3, unique=True))]
            if not several and draw(st.booleans()):
                link["targets"] = draw(st.sampled_from(RECORDS))
        if not has_targets or draw(st.booleans()):
            backend = draw(often(BACKENDS))
            link["backend"] = (f"[{backend}]" if ":" in backend and not several else backend) + suffix
        else:
            link = {key: value for key, value in link.items() if key not in ("servers", "publish", "network")}
        if several:
            del link["port"]
            link.pop("protocol", None)
            link["ports"] = draw(st.sampled_from([[port], [port, 7000 + number], [port, f"{port}/udp"]]))
            link.pop("publish", None)
        links[alias] = link
    return links


@st.composite
def fleets(draw, engine):
    """Draw hosts and a map for them."""
    tls = engine == "haproxy" and draw(st.booleans())
    names = draw(st.lists(st.sampled_from(CERTIFIED_HOSTS if tls else HOSTS), min_size=3, max_size=3, unique=True))
    ipv6 = draw(st.booleans())
    hosts, hostvars = {}, {}
    for number, name in enumerate(names, 1):
        hosts[name] = Host(name, [f"198.18.0.{number}", f"2001:db8::{number}"])
        address = draw(often(ADDRESSES[::-1] if ipv6 and engine == "nftables" else ADDRESSES))
        hostvars[name] = {"ambassador_address": address.format(number)}
        pool = {"pools": [{"Subnet": f"198.19.{number}.0/24", "IPRange": None, "Gateway": None}], "ipv6": False}
        hosts[name].observed["networks"] = {network: {"ours": False, **pool} for network in NETWORKS if network != "ambassador"}
        scaled = {network: {"names": ["db"], "aliases": [], "addresses": []} for network in NETWORKS}
        if draw(st.booleans()):
            hosts[name].observed["containers"] = {f"db{replica}": {**THEIRS, "networks": scaled} for replica in (1, 2)}
    metrics = draw(st.sampled_from(["", "9105"])) if engine == "haproxy" else ""
    return Fleet(draw(maps(names, engine)), hosts, hostvars, engine=engine, ipv6=ipv6, tls=tls, metrics=metrics)


def generations(fleet):
    """Return the generations of a server side and a client side, for the sides that have a plan without problems."""
    files_by_side = {}
    for side in ("server", "client"):
        for name, host in fleet.hosts.items():
            plan = fleet.plan(name, side)
            if not plan["problems"] and plan.get("generation"):
                # with the network, the configuration has rules of its subnets
                host._network(plan, fleet.settings, fleet.authority)
                plan = fleet.plan(name, side)
                assert plan["problems"] == []
                files_by_side[side] = plan["generation"]["files"]
                break
    return files_by_side


@pytest.fixture(scope="module")
def validate(tmp_path_factory, certificates):
    """Return a function that has an engine check a generation, and returns the exit code and the output."""
    directory, started, count = tmp_path_factory.mktemp("accepted"), {}, 0
    # the container's user reads the files
    install_key(directory, certificates)
    (directory / "nftables.sh").write_text(SCRIPTS["nftables.sh"])

    def start(engine):
        if engine == "haproxy":
            command, check = program(), HAPROXY_CHECK
            image = [f"--volume={directory}:{directory}", "--interactive", "--entrypoint=sh", IMAGE]
            command = ["docker", "run", "--network=none", *command[2:3], *command[4:], *image] if command[1:] else ["sh"]
        else:
            check = KERNEL_CHECK.format(directory=directory)
            image = [f"--volume={directory}:{directory}", "--interactive", "--entrypoint=sh", KERNEL_IMAGE]
            command = ["docker", "run", "--rm", "--network=none", "--cap-add=NET_ADMIN", *image]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        return subprocess.Popen([*command, "-c", LOOP.format(check=check)], **pipes)

    def run(engine, files):
        nonlocal count
        if engine not in started:
            started[engine] = start(engine)
        count += 1
        place = directory / str(count)
        (place / "generation").mkdir(parents=True)
        for file, text in files.items():
            moved = text.replace("/etc/ambassador-identity", f"{directory}/etc-identity").replace("/run/ambassador", f"{place}/run")
            moved = moved.replace("/etc/ambassador/generations", f"{place}/generations")
            (place / "generation" / file).write_text(moved)
        for file, name in (("cert.pem", "vm1.pem"), ("ca.pem", "ca.pem")):
            shutil.copy(certificates / name, place / "generation" / file)
        (place / "generations").mkdir()
        name = next((line.split()[2] for line in files.get("links.cfg", "").splitlines() if "AMBASSADOR_GENERATION" in line), "none")
        (place / "generations" / name).symlink_to("../generation")
        (place / "run").mkdir()
        process = started[engine]
        process.stdin.write(f"{place}\n")
        process.stdin.flush()
        code = process.stdout.readline().strip()
        output = (place / "log").read_text()
        shutil.rmtree(place)
        return code, output

    yield run
    for process in started.values():
        process.stdin.close()
        process.wait()


def has_engine(engine):
    """Return whether the program or image exists."""
    if engine == "haproxy":
        return bool(program())
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([docker, "image", "inspect", KERNEL_IMAGE], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("engine", ["haproxy", "nftables"])
def test_engine_loads_the_configuration_of_every_accepted_map(engine, validate):
    if not has_engine(engine):
        pytest.skip(f"no program or image of {engine}")
    loaded = 0

    @settings(max_examples=40)
    @given(fleets(engine))
    def check(fleet):
        nonlocal loaded
        note(f"{fleet.links} {fleet.hostvars} TLS {fleet.settings['tls']} IPv6 {fleet.settings['ipv6']}")
        for files in generations(fleet).values():
            code, output = validate(engine, files)
            assert code == "0", output
            loaded += 1

    check()
    # many maps are accepted
    assert loaded >= 8
