"""What is asked of each container, and in what one that is there is not that."""

import copy
import json
import re

import pytest
import yaml
from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _container_description as container_description
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._ambassadors import UIDS, describe_ambassador
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_changes import (
    CHANGE_TEXTS,
    Change,
    find_differences,
    format_differences,
    needs_recreate,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_description import (
    OPTIONS_OUTSIDE_HASH,
    compute_connection_limit,
    describe_container,
    normalize_image,
    parse_size,
)
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_networks import name_alias_marker
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_numbers import add_replicas, find_side_containers
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_ports import describe_side_container, distribute_ports
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._metrics import describe_metrics_container, parse_metrics_address
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._redis_containers import describe_redis_client, describe_redis_server
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._temporary_containers import describe_check, describe_temporary_container
from conftest import ROOT
from simulation import SCRIPTS, nothing, settings

POOLS = [{"Subnet": "198.19.0.0/24", "IPRange": "198.19.0.128/25"}, {"Subnet": "2001:db8:1::/64", "IPRange": "2001:db8:1::1:0/112"}]
LINKS = [{"alias": "redis", "name": "redis", "listen": 6379}, {"alias": "pg", "name": "pg", "listen": 5432}]
PUBLISH = [
    {"address": "198.18.0.11", "port": 7000, "container_port": 6379, "protocol": "tcp"},
    {"address": "2001:db8::1", "port": 53, "container_port": 53, "protocol": "udp"},
]
WIRING = {"links": LINKS, "publish": PUBLISH, "variables": {"REDIS_PORT_6379_TCP": "tcp://redis_server:6379"}}


def a_side(side="client", wiring=WIRING, pools=POOLS, **changes):
    networks = {"ambassador": {"ours": True, "ipv6": True, "pools": pools}} if pools else {}
    return describe_ambassador(side, wiring, settings(**changes), SCRIPTS, {**nothing(), "networks": networks})


# -- names and sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "listed"),
    [
        ("redis:8.0.2", "redis:8.0.2"),
        ("redis", "redis:latest"),
        ("library/redis:8", "redis:8"),
        ("docker.io/redis:8", "redis:8"),
        ("docker.io/library/redis", "redis:latest"),
        ("index.docker.io/library/redis:8", "redis:8"),
        ("docker.io/alpine/socat:1.8.0.3", "alpine/socat:1.8.0.3"),
        ("alpine/socat", "alpine/socat:latest"),
        ("registry.test:5000/haproxy", "registry.test:5000/haproxy:latest"),
        ("registry.test:5000/library/haproxy:3.2.26", "registry.test:5000/library/haproxy:3.2.26"),
        ("registry.test:5000/a/b/c:1", "registry.test:5000/a/b/c:1"),
        ("haproxy@sha256:aa", "haproxy@sha256:aa"),
        ("docker.io/library/haproxy:3.2.26@sha256:aa", "haproxy@sha256:aa"),
        ("registry.test:5000/haproxy:3.2.26@sha256:aa", "registry.test:5000/haproxy@sha256:aa"),
    ],
)
def test_an_image_is_found_under_the_name_that_docker_lists(image, listed):
    assert normalize_image(image) == listed
    assert normalize_image(listed) == listed


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("512M", 512 << 20),
        ("512m", 512 << 20),
        ("512MB", 512 << 20),
        ("512 MiB", 512 << 20),
        ("1.5g", 3 << 29),
        ("64k", 64 << 10),
        ("100b", 100),
        ("1T", 1 << 40),
        ("1P", 1 << 50),
        (1073741824, 1 << 30),
        ("0", 0),
        ("", None),
        ("much", None),
        ("5X", None),
        ("1..2g", None),
        (".", None),
        (".5g", 1 << 29),
        ("9" * 400, None),
        (None, None),
    ],
)
def test_a_size_is_what_docker_takes_it_for(said, found):
    assert parse_size(said) == found


# -- what is asked ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("memory", "most"), [("512M", 8601), ("2G", 38092), ("64M", 100), ("32M", 100), ("0", 32000)])
def test_memory_says_how_many_connections_an_ambassador_takes(memory, most):
    assert compute_connection_limit(memory) == most


def test_a_client_side_has_the_aliases_and_an_address_of_its_own_and_a_server_side_has_neither():
    client, server = a_side("client"), a_side("server")
    assert (client["aliases"], server["aliases"]) == (["redis", "pg", name_alias_marker(["redis", "pg"])], [])
    # in any order they are the same, and one less is another set
    assert name_alias_marker(["pg", "redis"]) == name_alias_marker(["redis", "pg"]) != name_alias_marker(["redis"])
    assert a_side("client", pools=[])["aliases"] == ["redis", "pg"]
    assert client["address"] == {"ipv4_address": "198.19.0.2", "ipv6_address": "2001:db8:1::2"}
    assert server["address"] == a_side(pools=[])["address"] == {}
    assert (client["name"], server["name"]) == ("ambassador_client", "ambassador_server")


def test_ports_are_published_as_docker_writes_them():
    assert a_side()["publish"] == ["198.18.0.11:7000:6379", "[2001:db8::1]:53:53/udp"]


def test_no_ambassador_asks_a_dns_but_docker_s_own():
    assert {tuple(a_side("server", engine=engine)["dns"]) for engine in UIDS} == {("::1",)}


def test_haproxy_reads_the_whole_directory_and_over_tls_the_key_beside_it():
    plain, tls = a_side(), a_side(tls=True)
    assert plain["volumes"] == ["/var/lib/ambassador/client:/etc/ambassador:ro,z", "/var/lib/ambassador/client/run:/run/ambassador:rw,z"]
    assert set(tls["volumes"]) - set(plain["volumes"]) == {"/var/lib/ambassador/identity:/etc/ambassador-identity:ro,z"}
    assert (plain["user"], plain["entrypoint"], plain["capabilities"]) == ("99:99", ["haproxy"], None)
    assert plain["command"][-4:] == ["-f", "/etc/ambassador/current/links.cfg", "-f", "/etc/ambassador/current/haproxy.cfg"]


def test_socat_has_the_link_variables_and_as_many_processes_as_its_container_allows():
    found = a_side("server", engine="socat", pids=4096)
    assert found["env"] == {**WIRING["variables"], "AMBASSADOR_IPV6": "", "AMBASSADOR_CHILDREN": "2042"}
    assert (found["user"], found["volumes"], found["entrypoint"]) == ("65534:65534", [], ["sh", "-c"])
    assert found["command"] == [SCRIPTS["socat.sh"]]
    assert a_side("server", engine="socat", ipv6=True)["env"]["AMBASSADOR_IPV6"] == "1"
    # too few for anything still make one
    assert a_side("server", engine="socat", pids=8)["env"]["AMBASSADOR_CHILDREN"] == "1"
    assert a_side("server", engine="socat", pids="64", wiring={**WIRING, "links": LINKS[:1]})["env"]["AMBASSADOR_CHILDREN"] == "54"


def test_the_kernel_s_container_alone_may_change_a_network_and_forwards_what_it_has_an_address_for():
    found = a_side(engine="nftables")
    assert (found["user"], found["capabilities"], found["sysctls"]) == ("0:0", ["NET_ADMIN"], {"net.ipv4.ip_forward": "1"})
    assert found["command"] == [SCRIPTS["nftables.sh"], "keeper"]
    assert a_side(engine="nftables", ipv6=True)["sysctls"]["net.ipv6.conf.all.forwarding"] == "1"
    assert [a_side("server", engine=engine)["capabilities"] for engine in ("haproxy", "socat")] == [None, None]


def test_the_kernel_ends_connections_on_a_dead_path():
    for engine in ("haproxy", "socat"):
        assert a_side("server", engine=engine)["sysctls"]["net.ipv4.tcp_retries2"] == "5"
    client = a_side()
    temporary = describe_temporary_container(client, "ambassador_client_standin", "/var/lib/ambassador/client", True)
    assert temporary["sysctls"] == client["sysctls"] == a_side("server")["sysctls"]


def test_source_ports_are_enough_and_are_used_again():
    for engine in ("haproxy", "socat"):
        sysctls = a_side("server", engine=engine)["sysctls"]
        first, last = (int(port) for port in sysctls["net.ipv4.ip_local_port_range"].split())
        assert last - first > compute_connection_limit("2G")
        assert sysctls["net.ipv4.tcp_tw_reuse"] == "1"
        # a live reload may open the ports of these services
        reserved = sysctls["net.ipv4.ip_local_reserved_ports"].split(",")
        assert {"26379", "27017-27019"} <= set(reserved)


@pytest.mark.parametrize("engine", ["haproxy", "nftables"])
def test_a_generation_is_checked_by_the_same_image_without_the_sockets_of_the_one_that_runs(engine):
    asked = a_side(engine=engine)
    found = describe_check(asked, "0123456789ab")
    assert (found["name"], found["image"], found["user"]) == ("ambassador_client_check", asked["image"], asked["user"])
    assert found["volumes"] == ["/var/lib/ambassador/client:/etc/ambassador:ro,z"]
    at = "/etc/ambassador/generations/0123456789ab"
    if engine == "haproxy":
        assert found["command"] == ["-c", "-f", f"{at}/links.cfg", "-f", f"{at}/haproxy.cfg"]
    else:
        assert found["command"] == [SCRIPTS["nftables.sh"], "keeper", "check", at]
    assert describe_check(a_side(tls=True), "0")["volumes"][-1] == "/var/lib/ambassador/identity:/etc/ambassador-identity:ro,z"


def test_a_stand_in_is_the_client_side_with_a_socket_of_its_own_and_no_place_to_stay():
    asked = a_side(tls=True)
    found = describe_temporary_container(asked, "ambassador_client_standin", "/var/lib/ambassador/client", True)
    assert set(asked["volumes"]) ^ set(found["volumes"]) == {
        "/var/lib/ambassador/client/run:/run/ambassador:rw,z",
        "/var/lib/ambassador/client/standin/run:/run/ambassador:rw,z",
    }
    assert (found["publish"], found["address"], found["temporary"], found["aliases"]) == ([], {}, True, asked["aliases"])
    same = ("image", "user", "entrypoint", "command", "env", "dns", "memory", "pids", "network")
    assert all(found[key] == asked[key] for key in same)
    assert describe_temporary_container(asked, "ambassador_client_standin", "/var/lib/ambassador/client", False)["aliases"] == []


def pages(host="vm1", metrics="9105", network=None, **changes):
    """Return the container that tells the metrics of three others, and what Prometheus is told of these."""
    seen = {"mesh": "default", "addresses": ["198.18.0.11", "198.19.0.1"], "networks": {"ambassador": network} if network else {}}
    shown = [("client", 1), ("server", 1), ("server", 2)]
    found = describe_metrics_container(host, shown, {**settings(**changes), "metrics": metrics}, seen)
    told = re.search("lf-string '(.*)' if { path /targets }", found["command"][0])[1]
    return found, json.loads(told.replace("%[req.hdr(host),json(utf8s)]", "at:1").replace("%%", "%"))


def test_who_tells_metrics_reaches_their_sockets_and_nothing_else():
    found, _ = pages()
    runs = {"client": "client/run", "server": "server/run", "server_2": "server/run-2"}
    assert found["volumes"] == [f"/var/lib/ambassador/{run}:/run/ambassador/{path}:ro,z" for path, run in runs.items()]
    # not the user of HAProxy, which alone reaches the other sockets
    assert (found["user"], found["capabilities"], found["publish"]) == ("65534:65534", None, ["127.0.0.1:9105:8404"])


def test_no_mount_begins_below_a_directory_that_a_container_writes_to():
    """Docker follows a symbolic link in the path of a mount, which a container could put there."""
    sides = [a_side(side, engine=engine, metrics="9105") for side in ("client", "server") for engine in ("haproxy", "nftables")]
    temporary = describe_temporary_container(a_side(), "ambassador_client_standin", "/var/lib/ambassador/client", True)
    redis = describe_redis_server("redis_server", {**settings(), "volume": "/srv/data"})
    volumes = [volume.split(":") for each in (*sides, temporary, redis, pages()[0]) for volume in each["volumes"]]
    written = {source for source, _, options in volumes if options.startswith("rw")}
    assert written == {f"/var/lib/ambassador/{directory}/run" for directory in ("client", "server", "client/standin")}
    assert [source for source, *_ in volumes if any(source.startswith(f"{directory}/") for directory in written)] == []


def test_prometheus_is_told_where_the_metrics_of_each_container_are():
    _, told = pages("it's 100% vm1")
    assert [one["labels"]["__metrics_path__"] for one in told] == [
        f"/{path}/{page}" for path in ("client", "server", "server_2") for page in ("metrics", "generation")
    ]
    labels = {"host": "it's 100% vm1", "mesh": "default", "side": "server", "container": "ambassador_server_2", "page": "metrics"}
    assert told[4] == {"targets": ["at:1"], "labels": {"__metrics_path__": "/server_2/metrics", **labels}}


def test_metrics_on_the_loopback_are_told_to_no_other_container():
    network = {"pools": [{"Subnet": "198.19.0.0/24"}]}
    (rule,) = re.findall("http-request deny unless .*", pages(network=network)[0]["command"][0])
    assert rule == "http-request deny unless { src 198.19.0.1 }"
    assert "deny unless {" not in pages(metrics="198.18.0.11:9105", network=network)[0]["command"][0].replace("deny_status", "")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (9105, ("127.0.0.1", 9105)),
        ("9105", ("127.0.0.1", 9105)),
        ("198.18.0.11:9105", ("198.18.0.11", 9105)),
        ("[0::1]:9105", ("::1", 9105)),
        ("localhost:9105", None),
        (70000, None),
        (True, None),
        ("", None),
    ],
)
def test_where_metrics_are_told_is_a_port_or_an_address_and_a_port(said, found):
    assert parse_metrics_address(said) == found


def test_a_redis_server_reads_its_directory_and_writes_its_volume():
    told = {**settings(image="redis:8.0.2"), "volume": "data"}
    found = describe_redis_server("cache", told)
    assert found["volumes"] == ["data:/data:nocopy", "/var/lib/ambassador/cache:/etc/ambassador:ro,z"]
    assert found["user"] == "999:999"
    assert found["healthcheck"] == {"test": ["CMD", "redis-cli", "ping"], "interval": "10s", "timeout": "3s", "retries": 3}
    # the users are the fence, and data outlives the container
    assert " ".join([*found["entrypoint"], *found["command"]]) == (
        "redis-server /etc/ambassador/redis.conf --aclfile /etc/ambassador/users.acl --dir /data --appendonly yes --protected-mode no"
    )


def test_a_redis_client_only_stays_and_has_a_directory_where_it_has_passwords():
    told = settings(image="redis:8.0.2")
    found = describe_redis_client("consumer", told, {"REDIS_NAME": "/consumer/redis"}, True)
    assert (found["entrypoint"], found["command"], found["stop_signal"]) == (["sleep"], ["infinity"], "SIGKILL")
    assert found["volumes"] == ["/var/lib/ambassador/consumer:/etc/ambassador:ro,z"]
    assert found["env"] == {"REDIS_NAME": "/consumer/redis"}
    assert found["tmpfs"] == ["/data"]
    assert describe_redis_client("consumer", told, {}, False)["volumes"] == []


def test_a_description_says_all_that_the_role_hands_to_docker():
    told = (ROOT / "roles/ambassador_engine/tasks/container.yml").read_text()
    keys = set(re.findall(r"__ambassador_engine_container\.(\w+)", told))
    # of which `networks` is made
    parts = {"network", "aliases", "address"}
    for asked in (a_side(), a_side("server", engine="socat"), describe_redis_client("consumer", settings(), {}, True)):
        assert set(asked) == keys | parts
    assert describe_container("one", "image", network="a")["tmpfs"] == []
    assert describe_container("one", "image", network="a")["networks"] == [{"name": "a", "aliases": []}]


# -- the hash -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["image", "memory", "pids", "aliases", "address", "others", "name"])
def test_what_can_be_changed_while_a_container_lives_is_no_part_of_the_hash(key):
    asked, other = a_side(), {"address": {"ipv4_address": "another"}, "others": {"another": ["alias"]}}
    assert describe_container(**{**asked, key: other.get(key, "another")})["hash"] == asked["hash"]


def test_a_container_is_handed_over_with_all_its_networks():
    asked = describe_container(**{**a_side(), "others": {"shop": ["redis"], "theirs": None}})
    assert asked["networks"] == [
        {"name": "ambassador", "aliases": asked["aliases"], **asked["address"]},
        {"name": "shop", "aliases": ["redis"]},
        # as somebody else joined it
        {"name": "theirs"},
    ]


@pytest.mark.parametrize("key", sorted(set(a_side()) - {*OPTIONS_OUTSIDE_HASH}))
def test_all_else_that_is_asked_is(key):
    asked = a_side()
    assert describe_container(**{**asked, key: "another"})["hash"] != asked["hash"]


def test_a_hash_is_the_same_in_any_order_and_another_where_what_all_have_in_common_is(monkeypatch):
    asked = a_side("server", engine="socat")
    turned = {**asked, "env": dict(reversed(asked["env"].items()))}
    assert list(turned["env"]) != list(asked["env"])
    assert describe_container(**turned)["hash"] == asked["hash"]
    monkeypatch.setattr(container_description, "OPTIONS_VERSION", container_description.OPTIONS_VERSION + 1)
    assert describe_container(**turned)["hash"] != asked["hash"]


def test_what_all_containers_have_in_common_is_of_its_version():
    (task,) = yaml.safe_load((ROOT / "roles/ambassador_engine/tasks/container.yml").read_text())
    options = task["community.docker.docker_container"]
    common = {name: value for name, value in options.items() if "__ambassador_engine_" not in str(value)}
    # one that is there is made anew for another of these where COMMON is another as well
    assert (container_description.OPTIONS_VERSION, common) == (
        1,
        {
            "image_name_mismatch": "ignore",
            "command_handling": "correct",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opts": ["no-new-privileges"],
            "log_driver": "json-file",
            "log_options": {"max-size": "10m", "max-file": "3"},
        },
    )


# -- whether it is that -------------------------------------------------------------------------------------------

IMAGES = {"haproxy:3.2.26": "sha256:aa"}
ASKED = a_side()


def found(**changes):
    """Return the container that was asked for, with changes."""
    network = {"aliases": ["0123456789ab", *ASKED["aliases"]], "said": dict(ASKED["address"]), "addresses": ["198.19.0.2"]}
    one = {"hash": ASKED["hash"], "image_id": "sha256:aa", "state": "running", "publishes": list(reversed(ASKED["publish"]))}
    one |= {"networks": {"ambassador": network}, "restart": "always", "memory": 512 << 20, "pids": 4096}
    return {**copy.deepcopy(one), **changes}


def on(**changes):
    """Return its networks with changes."""
    return {"networks": {"ambassador": {**found()["networks"]["ambassador"], **changes}}}


def test_a_container_like_its_description_has_no_difference():
    assert find_differences(ASKED, found(), IMAGES) == []
    assert not needs_recreate([])


@pytest.mark.parametrize(
    ("changes", "difference", "text", "is_recreated"),
    [
        ({"state": "exited"}, (Change.STATE, "exited"), "it is exited", False),
        ({"hash": "0"}, (Change.OPTIONS, ""), "its options", True),
        ({"hash": None}, (Change.OPTIONS, ""), "its options", True),
        ({"image_id": "sha256:bb"}, (Change.IMAGE, ""), "its image", True),
        ({"publishes": ["198.18.0.11:7000:6379"]}, (Change.PORTS, ""), "what it publishes", True),
        ({"networks": {}}, (Change.NETWORK, "ambassador"), "its network ambassador", False),
        (
            {"networks": {**found()["networks"], "shop": {"aliases": []}}},
            (Change.EXTRA_NETWORK, "shop"),
            "network shop, which no link names",
            False,
        ),
        (on(aliases=["redis"]), (Change.ALIASES, ""), "its aliases", False),
        (on(said={"ipv4_address": "198.19.0.2"}), (Change.ADDRESS, ""), "its address", False),
        (on(said={**ASKED["address"], "ipv4_address": "198.19.0.3"}), (Change.ADDRESS, ""), "its address", False),
        ({"restart": "no"}, (Change.RESTART_POLICY, ""), "its restart policy", False),
        ({"restart": "unless-stopped"}, (Change.RESTART_POLICY, ""), "its restart policy", False),
        ({"memory": 0}, (Change.MEMORY_LIMIT, ""), "its memory limit", False),
        ({"pids": 0}, (Change.PROCESS_LIMIT, ""), "its limit of processes", True),
    ],
)
def test_a_difference_has_a_code_and_a_text_and_may_need_a_new_container(changes, difference, text, is_recreated):
    differences = find_differences(ASKED, found(**changes), IMAGES)
    assert differences == [difference]
    assert format_differences(differences) == text
    assert needs_recreate(differences) == is_recreated


def test_networks_of_links_that_a_container_lacks_are_named():
    wanted = {**ASKED, "others": {"shop": ["redis"], "acme": ["redis"]}}
    joined = {**found()["networks"], "acme": {"aliases": []}}
    differences = find_differences(wanted, found(networks=joined), IMAGES)
    assert differences == [(Change.NETWORK, "shop"), (Change.ALIASES_ON_NETWORK, "acme")]
    assert format_differences(differences) == "its network shop, its aliases on acme"


def test_the_most_important_difference_comes_first():
    changes = {"pids": 1, "restart": "no", "hash": "0", "state": "exited"}
    differences = find_differences(ASKED, found(**changes), IMAGES)
    assert [difference.change for difference in differences] == [
        Change.STATE,
        Change.OPTIONS,
        Change.RESTART_POLICY,
        Change.PROCESS_LIMIT,
    ]


def test_a_missing_container_is_created_and_not_recreated():
    for missing in (None, {}):
        differences = find_differences(ASKED, missing, IMAGES)
        assert differences == [(Change.MISSING, "")]
        assert format_differences(differences) == "missing"
        assert not needs_recreate(differences)


def test_every_change_has_a_text():
    assert set(CHANGE_TEXTS) == set(Change)


def test_an_image_that_is_not_here_is_another():
    assert find_differences(ASKED, found(), {}) == [(Change.IMAGE, "")]


def test_an_alias_too_many_and_an_address_that_was_not_asked_for_are_none():
    assert find_differences(ASKED, found(**on(aliases=[*ASKED["aliases"], "more"])), IMAGES) == []
    server = {**ASKED, "address": {}, "aliases": []}
    assert find_differences(server, found(), IMAGES) == []


# -- a backend of several containers ------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "replicas"), [(0, 1), (1, 1), (2, 8), (4, 8), (5, 10)])
def test_a_name_that_several_containers_answer_to_is_as_many_servers_and_has_room_for_more(count, replicas):
    def link(name, *networks):
        return {"alias": "api", "targets": [{"name": name}], "networks": list(networks)}

    there = {
        f"shop-api-{number}": {"state": "running", "networks": {"shop": {"names": [f"shop-api-{number}", "api", "Api"]}, "other": {}}}
        for number in range(count)
    }
    there["stopped"] = {"state": "exited", "networks": {"shop": {"names": ["api"]}}}
    there["elsewhere"] = {"state": "running", "networks": {"ambassador": {"names": ["api"]}}}
    wiring = {"links": [link("API", "shop"), link("api"), link("shop-api-1", "shop")]}
    found = add_replicas(wiring, "ambassador", {"containers": there})
    assert [one["replicas"] for one in found["links"]] == [replicas, 1, 1]


# -- the containers of a side -------------------------------------------------------------------------------------

A, B, C = "198.18.0.11:6379:6379", "198.18.0.11:7000:7000", "198.18.0.11:5432:5432"
# B by another address, and the same port on all of them
B_ELSEWHERE, B_EVERYWHERE = "198.18.1.11:7000:7000", "0.0.0.0:7000:7000"
SERVER = describe_container(**{**ASKED, "name": "ambassador_server", "publish": [], "aliases": [], "address": {}})
CLIENT = describe_container(**{**ASKED, "publish": []})


def beside(side, there, **changes):
    """Return an observation with the containers of a side, by their numbers, each with what it publishes."""
    asked = {"server": SERVER, "client": CLIENT}[side]
    made = {}
    for number, publish in there.items():
        one = describe_side_container(asked, number, side, publish, "default")
        network = {"aliases": one["aliases"], "said": one["address"], "addresses": ["198.19.0.2"]}
        made[one["name"]] = found(ours=one["name"], hash=one["hash"], publishes=publish, networks={"ambassador": network}, **changes)
    return {"mesh": "default", "containers": made, "images": IMAGES}


def share(side, wanted, observed, asked, idle):
    """Return what is asked of the containers of a side, which publish what they should."""
    container = {"server": SERVER, "client": CLIENT}[side]
    found_asked, found_idle = distribute_ports(side, {1: {**container, "publish": wanted}}, "haproxy", observed)
    published = {number: one["publish"] for number, one in found_asked.items()}
    assert (published, list(found_idle)) == ({number: sorted(ports) for number, ports in asked.items()}, idle)
    return found_asked


@pytest.mark.parametrize(
    ("there", "wanted", "asked", "idle"),
    [
        # all in one, where nothing is
        ({}, [A, B], {1: [A, B]}, []),
        ({1: [A, B]}, [A, B], {1: [A, B]}, []),
        # a new port is no reason to end connections, nor are two
        ({1: [A]}, [A, B, C], {1: [A], 2: [C, B]}, []),
        ({1: [A], 2: [B]}, [A, B, C], {1: [A], 2: [B], 3: [C]}, []),
        # a number that is free again is taken
        ({1: [A], 3: [C]}, [A, B, C], {1: [A], 2: [B], 3: [C]}, []),
        ({2: [B]}, [A, B], {1: [A], 2: [B]}, []),
        # one that nobody asks for any more is shut, and stays with its container as long as that has another one
        ({1: [A, B]}, [A], {1: [A, B]}, []),
        ({1: [A, B], 2: [C]}, [A], {1: [A, B]}, [2]),
        ({1: [A]}, [B], {2: [B]}, [1]),
        ({1: [A], 2: [B]}, [B], {2: [B]}, [1]),
        # what is still listened on would be let in by another way; what is in the way of another port cannot stay
        ({1: [A, B]}, [A, B_ELSEWHERE], {1: [A, B_ELSEWHERE]}, []),
        ({1: [A, B]}, [A, B_EVERYWHERE], {1: [A, B_EVERYWHERE]}, []),
    ],
)
def test_a_port_that_comes_or_goes_breaks_no_connection_of_another_one(there, wanted, asked, idle):
    observed = beside("server", there)
    found_asked = share("server", wanted, observed, asked, idle)
    # what is there already is what is asked for
    for number, ports in asked.items():
        if sorted(there.get(number, [])) == sorted(ports):
            name = names.name_side_container("server", mesh_names.DEFAULT, number)
            assert find_differences(found_asked[number], observed["containers"][name], IMAGES) == []


def test_a_container_that_is_made_anew_takes_what_is_new_and_loses_what_nobody_asks_for():
    old = {"image_id": "sha256:bb"}
    asked, idle = distribute_ports("server", {1: {**SERVER, "publish": [A, C]}}, "haproxy", beside("server", {1: [A, B]}, **old))
    assert ({number: one["publish"] for number, one in asked.items()}, idle) == ({1: sorted([A, C])}, {})
    # and each keeps what it has, for the other may still hold it
    asked, _ = distribute_ports("server", {1: {**SERVER, "publish": [A, B]}}, "haproxy", beside("server", {1: [A], 2: [B]}, **old))
    assert {number: one["publish"] for number, one in asked.items()} == {1: [A], 2: [B]}


def test_what_is_idle_loads_what_the_others_load_unless_it_runs_something_else():
    for changes, same in (({}, True), ({"image_id": "sha256:bb"}, False)):
        observed = beside("server", {1: [A], 2: [B]})
        observed["containers"]["ambassador_server_2"].update(changes)
        assert distribute_ports("server", {1: {**SERVER, "publish": [A]}}, "haproxy", observed)[1] == {2: same}


@pytest.mark.parametrize(
    ("there", "wanted", "asked", "idle"),
    [
        ({}, [A], {1: [A]}, []),
        ({1: [A]}, [B], {1: [A], 2: [B]}, []),
        ({1: [A], 2: [B]}, [B], {1: [A], 2: [B]}, []),
        ({2: [B]}, [B], {1: [], 2: [B]}, []),
        ({2: [B]}, [B, C], {1: [C], 2: [B]}, []),
        ({2: [B], 3: [C]}, [B], {1: [], 2: [B]}, [3]),
    ],
)
def test_first_container_stays_while_the_client_side_of_its_host_dials_it(there, wanted, asked, idle):
    observed = beside("server", there)
    found_asked, found_idle = distribute_ports("server", {1: {**SERVER, "publish": wanted}}, "haproxy", observed, serves_itself=True)
    published = {number: one["publish"] for number, one in found_asked.items()}
    assert (published, list(found_idle)) == ({number: sorted(ports) for number, ports in asked.items()}, idle)


LOCAL, ANOTHER = "127.0.0.1:6379:6379", "127.0.0.1:5432:5432"


@pytest.mark.parametrize(
    ("there", "wanted", "asked", "idle"),
    [
        ({}, [], {1: []}, []),
        ({}, [LOCAL, ANOTHER], {1: [], 2: [LOCAL, ANOTHER]}, []),
        ({1: []}, [LOCAL], {1: [], 2: [LOCAL]}, []),
        ({1: [], 2: [LOCAL]}, [LOCAL, ANOTHER], {1: [], 2: [LOCAL], 3: [ANOTHER]}, []),
        ({1: [], 2: [LOCAL, ANOTHER]}, [LOCAL], {1: [], 2: [LOCAL, ANOTHER]}, []),
        ({1: [], 2: [LOCAL]}, [], {1: []}, [2]),
        # as version 0.1.0 made it, and as it gives it up
        ({1: [LOCAL]}, [LOCAL], {1: [LOCAL]}, []),
        ({1: [LOCAL]}, [], {1: []}, []),
    ],
)
def test_what_the_client_side_opens_on_its_host_is_no_business_of_the_container_that_has_the_names(there, wanted, asked, idle):
    found_asked = share("client", wanted, beside("client", there), asked, idle)
    for number, one in found_asked.items():
        assert (bool(one["aliases"]), bool(one["address"]), "AMBASSADOR_LOCAL" in one["env"]) == (number == 1, number == 1, number > 1)


def test_an_engine_that_opens_all_ports_of_its_side_gives_one_up_by_another_container():
    asked, _ = distribute_ports("client", {1: {**CLIENT, "publish": [LOCAL]}}, "nftables", beside("client", {1: [], 2: [LOCAL, ANOTHER]}))
    assert asked[2]["publish"] == [LOCAL]


def test_a_container_beside_the_ambassador_has_a_name_and_a_directory_of_its_own():
    one = describe_side_container(a_side("server"), 2, "server", [A], "default")
    assert (one["name"], one["publish"]) == ("ambassador_server_2", [A])
    assert "/var/lib/ambassador/server/run-2:/run/ambassador:rw,z" in one["volumes"]
    assert "/var/lib/ambassador/server:/etc/ambassador:ro,z" in one["volumes"]


def test_a_container_of_somebody_else_s_is_none_of_a_side_and_its_name_is_taken():
    observed = beside("server", {1: [A]})
    observed["containers"]["ambassador_server_2"] = {"ours": None, "publishes": []}
    assert list(find_side_containers("server", observed)) == [1]
    assert list(distribute_ports("server", {1: {**SERVER, "publish": [A, B]}}, "haproxy", observed)[0]) == [1, 3]


def test_a_temporary_one_is_not_restarted():
    assert find_differences({**ASKED, "temporary": True}, found(restart="no"), IMAGES) == []
    assert find_differences({**ASKED, "temporary": True}, found(), IMAGES) == [(Change.RESTART_POLICY, "")]


def test_one_of_which_docker_said_little_differs_and_breaks_nothing():
    little = {"state": "running", "image_id": "sha256:aa", "publishes": [], "networks": {"ambassador": {"addresses": []}}}
    changes = [difference.change for difference in find_differences(ASKED, little, IMAGES)]
    assert changes[0] is Change.OPTIONS
    assert Change.ALIASES in changes
