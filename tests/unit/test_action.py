"""The action plugin that plans: what it makes of the inventory, of the controller and of what was observed of the other hosts."""

import base64
import datetime
import json
import re
import time
import types
import zlib

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.crosshost.ambassador.plugins.action import plan as action
from ansible_collections.crosshost.ambassador.plugins.module_utils import _packing as packing
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._observation_disk import digest, keyed
from ansible_collections.crosshost.ambassador.plugins.modules import plan as documented
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _controller as controller
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _inventory as inventory
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _redis as redis
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _wiring as wiring
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_map import MapMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_redis import RedisMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._observation import unpacked
from conftest import ROOT
from signer import Signer
from simulation import MADE, Fleet, Host

MANAGED = "Ansible managed, by the tests"
LINK = {"port": 6379, "servers": "vm1", "clients": "vm2", "backend": "redis_server:6379", "check": "redis"}
ADDRESSES = {"vm1": "198.18.0.11", "vm2": "198.18.0.12", "vm3": "198.18.0.13"}
OBSERVED, SERVER_PLAN, REDIS_PLAN = "__ambassador_engine_observed", "__ambassador_server_plan", "__redis_server_plan"
REDIS = {
    "redis_server": {"name": "redis_server", "image": "redis:8.0.2", "volume": "data", "purge": False, "memory": "512M", "pids": 256}
    | {"app_rules": []},
    "redis_client": {"name": "redis_client", "image": "redis:8.0.2", "link": "", "memory": "64M", "pids": 64},
}
GIVEN = {"redis_server": {"app": "", "proof": "", "operator": ""}, "redis_client": {"app": "", "proof": ""}}


class HostVars(dict):
    """The magic variable."""

    def raw_get(self, host):
        """Return the variables of a host as they are written."""
        return self[host]


class Play:
    """A run over hosts.

    :param pathlib.Path controller: the directory on the controller
    :param list[str] hosts: hosts of the play; all hosts of the inventory are ``ADDRESSES``
    """

    def __init__(self, controller, hosts=tuple(ADDRESSES), links=None, **settings):
        self.hosts = {name: Host(name, [address]) for name, address in ADDRESSES.items()}
        self.links = {"redis": LINK} if links is None else links
        #: the hosts of the play; None where Ansible says none
        self.play_hosts = list(hosts)
        #: the hosts whose turn it is, with serial
        self.batch = None
        self.controller = controller
        self.settings = {
            **{
                "mesh": "default",
                "engine": "haproxy",
                "network": "ambassador",
                "ipv6": False,
                "nameservers": [],
                "tls": False,
                "prove": True,
                "metrics": "",
                "registry": "",
            },
            **{"ca": "", "ca_key": False, "ca_crl": "", "certificate_days": 90, "cut": ""},
            **{"state_dir": "/var/lib/ambassador", "controller_dir": str(controller), "memory": "512M", "pids": 4096},
            **{"haproxy_image": "haproxy:3.2.26", "socat_image": "alpine/socat:1.8.0.3", "nftables_image": "ambassador-nftables:1.1.3"},
            **settings,
        }
        #: variables of hosts beside their addresses
        self.more = {name: {} for name in ADDRESSES}

    def plan(self, host, part, **arguments):
        """Run the plugin for a part of a host; return what it says."""
        hostvars = HostVars()
        for name, address in ADDRESSES.items():
            hostvars[name] = {"ambassador_address": address, "ambassador_controller_dir": str(self.controller), **self.more[name]}
            if name in (self.play_hosts or [host]):
                hostvars[name][OBSERVED] = self.hosts[name].look()
        variables = {**hostvars[host], "inventory_hostname": host, "hostvars": hostvars}
        if self.play_hosts:
            variables["ansible_play_hosts_all"] = self.play_hosts
            variables["ansible_play_batch"] = self.batch or self.play_hosts
        variables |= {"groups": {"all": list(ADDRESSES), **{name: [name] for name in ADDRESSES}}, "ansible_managed": MANAGED}
        if self.links is not None:
            variables["ambassador_links"] = self.links
        if part in REDIS:
            arguments["redis"] = {**REDIS[part], "given": GIVEN[part], **arguments.get("redis", {})}
        given = {"part": part, "settings": self.settings, "observed": self.hosts[host].look(), **arguments}
        task = types.SimpleNamespace(args=given, async_val=0, check_mode=False, action="plan")
        connection = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir="/nowhere"))
        loader = DataLoader()
        return action.ActionModule(task, connection, None, loader, Templar(loader, variables), None).run(None, variables)

    def run(self, host, part):
        """Take the steps of a plan."""
        told = {**self.settings, "image": self.settings["haproxy_image"]}
        for only in (MADE, ("configuration", "container", "load", "variables", "remove")):
            found = self.plan(host, part)
            assert found["problems"] == []
            self.hosts[host].apply(found, told, only=only)


@pytest.fixture
def play(tmp_path):
    return Play(tmp_path / "controller")


# -- what the roles hand over -------------------------------------------------------------------------------------


def test_the_roles_hand_over_what_the_plugin_reads(play):
    told = yaml.safe_load((ROOT / "roles/ambassador_engine/vars/main.yml").read_text())["__ambassador_engine_settings"]
    assert set(told) == set(play.settings)
    for role in REDIS:
        told = yaml.safe_load((ROOT / "roles" / role / "vars/main.yml").read_text())[f"__{role}_inputs"]
        assert set(told) == {*REDIS[role], "given"}
    for role in ("ambassador_server", "ambassador_client", *REDIS):
        (task,) = yaml.safe_load((ROOT / "roles" / role / "tasks/plan.yml").read_text())
        assert set(task["crosshost.ambassador.plan"]) <= action.ActionModule._VALID_ARGS


def test_the_documentation_names_what_the_plugin_takes():
    assert set(yaml.safe_load(documented.DOCUMENTATION)["options"]) == action.ActionModule._VALID_ARGS


def test_the_documentation_names_what_the_plugin_returns(play):
    said = play.plan("vm2", "client")
    assert set(yaml.safe_load(documented.RETURN)) <= {*said, "map"}


# -- the sides ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["haproxy", "socat", "nftables"])
def test_it_plans_what_the_wiring_the_observation_and_the_settings_make(play, engine):
    link = LINK if engine == "haproxy" else {key: value for key, value in LINK.items() if key != "check"}
    play.links, play.settings["engine"] = {"redis": link}, engine
    hostvars = {name: {"ambassador_address": address} for name, address in ADDRESSES.items()}
    fleet = Fleet(
        play.links, play.hosts, hostvars, engine=engine, image=play.settings[f"{engine}_image"], controller_dir=str(play.controller)
    )
    for host, side in (("vm1", "server"), ("vm2", "client"), ("vm3", "client")):
        said, expected = play.plan(host, side), fleet.plan(host, side, managed=MANAGED)
        assert {key: said[key] for key in expected} == expected
        assert (said["changed"], said["open"]) == (False, bool(expected["steps"]))


def test_what_was_made_needs_no_other_and_is_not_open(play):
    for host, side in (("vm1", "server"), ("vm2", "client")):
        assert play.plan(host, side)["open"]
        play.run(host, side)
        said = play.plan(host, side)
        assert (said["steps"], said["open"]) == ([], False)


def test_an_image_comes_from_the_registry_that_is_set(play):
    play.settings["registry"] = "registry.test:5000"
    assert play.plan("vm1", "server")["container"]["image"] == "registry.test:5000/haproxy:3.2.26"
    assert play.plan("vm1", "redis_server")["container"]["image"] == "registry.test:5000/redis:8.0.2"


def test_lines_that_were_told_are_not_told_again_and_a_problem_opens(play):
    (line,) = play.plan("vm2", "client")["lines"]
    assert play.plan("vm2", "client", said=[line])["lines"] == []
    play.hosts["vm2"].observed["docker"]["error"] = "no answer"
    said = play.plan("vm2", "client")
    assert (said["open"], said["steps"], len(said["problems"])) == (True, [], 1)


def test_one_warning_names_all_hosts_with_an_engine_that_opens_ports_of_containers(play):
    versions = {"vm1": "28.0.0-rc.1", "vm2": "27.5.1+dfsg1", "vm3": "9.0.0"}
    for host, version in versions.items():
        play.hosts[host].observed["docker"]["version"] = version
    warnings = {host: play.plan(host, "client")["warnings"] for host in versions}
    assert warnings == {
        "vm1": [],
        "vm2": [
            "Docker Engine before version 28 on vm2, vm3: hosts on the same network can connect to all ports of containers, not only to"
            " published ports. Upgrade Docker Engine to version 28 or later."
        ],
        "vm3": [],
    }
    assert play.plan("vm2", "server")["warnings"] == warnings["vm2"]
    play.hosts["vm2"].observed["docker"]["version"] = "100.0"
    play.hosts["vm3"].observed["docker"]["version"] = "library-import"
    assert play.plan("vm2", "client")["warnings"] == []


def test_an_image_that_was_tested_in_this_run_is_not_tested_again(play):
    play.hosts["vm2"].pull("haproxy:3.2.26")
    assert "image" in play.plan("vm2", "client")["steps"]
    assert "image" not in play.plan("vm2", "client", tested=["haproxy:3.2.26"])["steps"]


def test_the_gateway_of_the_network_is_let_in_where_the_host_itself_is_a_client(play):
    play.links = {"redis": {**LINK, "clients": "vm1"}}
    observed = play.hosts["vm1"].observed
    observed["networks"]["ambassador"] = {"ours": False, "ipv6": False, "pools": [{"Subnet": "198.19.7.0/24"}]}
    observed["addresses"].append("198.19.7.1")
    said = play.plan("vm1", "server")
    assert "redis/198.19.7.1\n" in said["generation"]["files"]["admitted.lst"]
    # a network of somebody else's gives no address of its own
    assert play.plan("vm1", "client")["container"]["address"] == {}


def test_an_engine_that_is_none_is_told(play):
    play.settings["engine"] = "envoy"
    for host, side in (("vm1", "server"), ("vm3", "client")):
        values = {"engine": "'envoy'", "engines": "haproxy, socat, or nftables"}
        assert play.plan(host, side)["problems"] == [str(MapMessage.ENGINE_UNKNOWN.at(Place(variable="ambassador_engine"), **values))]


# -- the map ------------------------------------------------------------------------------------------------------


def test_a_map_that_is_not_defined_is_no_wish_to_remove_what_is_there(play):
    play.run("vm2", "client")
    play.links, play.more["vm2"] = None, {"ambassador_link": {}}
    (problem,) = play.plan("vm2", "client")["problems"]
    values = {"deployed": "links redis", "similar": "ambassador_link"}
    assert problem == str(MapMessage.MAP_MISSPELLED.at(Place(host="vm2"), **values))
    assert play.plan("vm3", "client")["problems"] == []
    # a removal that is asked for needs no map
    assert play.plan("vm2", "client", state="absent")["steps"] == ["remove"]


def test_the_map_of_the_server_side_is_told_and_a_client_side_that_sees_another_is_refused(play):
    said = play.plan("vm1", "server")
    assert json.loads(said["map"]) == {"redis": LINK}
    assert "map" not in play.plan("vm2", "client")
    play.more["vm1"] = {SERVER_PLAN: said}
    assert play.plan("vm2", "client")["problems"] == []
    play.links = {"redis": {**LINK, "port": 6380}}
    (problem,) = play.plan("vm2", "client")["problems"]
    place, values = Place(link="redis", key="port"), {"value": "6380", "other_value": "6379"}
    assert problem == str(MapMessage.LINK_DIFFERS.at(place, host="vm2", other="vm1", **values))


def test_a_map_that_lacks_a_link_of_another_host_is_refused_and_links_of_others_may_differ(play):
    theirs = {**LINK, "servers": "vm3", "clients": "vm3", "port": 7000}
    play.links = {"redis": LINK, "theirs": theirs}
    play.more["vm1"] = {SERVER_PLAN: play.plan("vm1", "server")}
    play.links = {"redis": LINK}
    assert play.plan("vm2", "client")["problems"] == []
    play.links = {}
    (problem,) = play.plan("vm2", "client")["problems"]
    assert problem == str(MapMessage.LINK_MISSING_ON_HOST.at(Place(link="redis"), host="vm1", other="vm2"))
    # the server sides plan first, and compare with nobody
    play.more["vm2"] = {SERVER_PLAN: {"map": json.dumps({"redis": {**LINK, "port": 1}})}}
    play.links = {"redis": LINK}
    assert play.plan("vm1", "server")["problems"] == []
    # of what is no map each side says so
    play.links = {"redis": {**LINK, "servers": ["vm1"]}}
    refusal = MapMessage.PATTERN_INVALID.at(Place(link="redis", key="servers"), value="['vm1']")
    assert play.plan("vm1", "server")["problems"][0] == str(refusal)
    assert "Link redis" in play.plan("vm2", "client")["problems"][0]
    for wrong in (["redis"], "redis", 6379):
        play.links = wrong
        for host, side in (("vm1", "server"), ("vm2", "client")):
            assert "and not a map from aliases to settings" in play.plan(host, side)["problems"][0]


def test_files_are_marked_as_the_user_wants_them_marked(play):
    files = play.plan("vm2", "client")["generation"]["files"]
    assert [name for name, content in files.items() if f"# {MANAGED}\n" in content] == ["links.cfg", "haproxy.cfg"]


def test_a_host_that_runs_alone_is_its_own_play(play):
    play.play_hosts = None
    play.settings["tls"] = True
    said = play.plan("vm2", "client")
    assert (said["problems"], said["ask"]) == ([], {"certificates": ["vm1"]})


def test_a_run_that_removes_most_links_names_the_file_of_its_map(play, tmp_path):
    play.run("vm2", "client")
    (tmp_path / "links.yml").write_text("ambassador_links: {}\n")
    play.links = DataLoader().load_from_file(str(tmp_path / "links.yml"))["ambassador_links"]
    (warning,) = play.plan("vm2", "client")["warnings"]
    assert warning.startswith("host vm2: this run removes 1 of the 1 links of its client side (redis). The map is that of")
    assert f"{tmp_path}/links.yml:1" in warning
    # one that a program made has no file
    play.links = {}
    assert play.plan("vm2", "client")["warnings"] == ["host vm2: this run removes 1 of the 1 links of its client side (redis)."]


def test_a_map_is_templated_and_one_that_cannot_be_is_told_in_ansible_s_words(play):
    play.more["vm2"] = {"the_port": 6399}
    play.links = {"redis": {**LINK, "port": trust_as_template("{{ the_port }}")}}
    assert play.plan("vm2", "client")["wiring"]["links"][0]["listen"] == 6399
    (problem,) = play.plan("vm1", "server")["problems"]
    assert problem.startswith("Host vm1, variable ambassador_links: Ansible cannot resolve the value: ")
    assert "the_port" in problem


# -- the controller -----------------------------------------------------------------------------------------------


@pytest.fixture
def over_tls(play, monkeypatch):
    """A run over TLS; the CA of the controller, which is not made yet."""
    play.settings["tls"] = True
    play.signer = Signer("one")
    now = play.signer_now = time.mktime((2026, 11, 25, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(time, "time", lambda: now)
    return play


def make_ca(play):
    play.controller.mkdir(exist_ok=True)
    (play.controller / "ca.pem").write_text(play.signer.pem)


def certify(play, host, serial=7, name=None):
    certificate = play.signer.certify(name or host, serial, names=[name or host])
    play.hosts[host].observed["identity"] = {"certificate": certificate, "key": "own"}
    return certificate


def test_facts_do_not_replace_variables_of_the_collection(play, monkeypatch):
    monkeypatch.setattr(action.constants, "INJECT_FACTS_AS_VARS", True)
    play.more["vm2"] = {"ansible_facts": {"default_ipv4": {}, "ambassador_links": {}, "redis_server_image": "theirs"}}
    refused = play.plan("vm2", "client")
    assert refused["failed"]
    assert refused["msg"].startswith("Host vm2: its facts replace the variables ambassador_links, redis_server_image. ")
    # without the default they replace nothing
    monkeypatch.setattr(action.constants, "INJECT_FACTS_AS_VARS", False)
    assert play.plan("vm2", "client")["problems"] == []


@pytest.mark.parametrize("fact", ["omit", "query", "limit", "inventory_dir"])
def test_facts_replace_no_global_of_templates_and_no_variable_of_ansible(play, monkeypatch, fact):
    """The values of `default(omit)` in tasks of the controller would come from the host."""
    monkeypatch.setattr(action.constants, "INJECT_FACTS_AS_VARS", True)
    play.more["vm2"] = {"ansible_facts": {"default_ipv4": {}, fact: "/srv"}}
    assert f"its facts replace the variables {fact}." in play.plan("vm2", "client")["msg"]


def test_fact_of_another_host_makes_no_backend_a_redis_server(play, monkeypatch):
    """Its clients would send a password of Redis to it."""
    monkeypatch.setattr(action.constants, "INJECT_FACTS_AS_VARS", True)
    play.links = {"pg": {**LINK, "port": 5432, "backend": "postgres:5432"}}
    play.more["vm1"] = {"redis_server_name": "postgres"}
    assert play.plan("vm2", "client")["uses_redis"]
    play.more["vm1"]["ansible_facts"] = {"redis_server_name": "postgres"}
    assert not play.plan("vm2", "client")["uses_redis"]


@pytest.mark.parametrize("name", ["VM1", "*.example.com", "a,b"])
def test_a_former_name_that_could_be_another_host_s_is_not_kept(over_tls, name):
    make_ca(over_tls)
    certify(over_tls, "vm2", name=name)
    found = over_tls.plan("vm2", "client")
    assert (found["former_name"], found["new_key"]) == (None, True)


def test_refuses_a_key_of_the_ca_that_other_users_can_read(over_tls):
    make_ca(over_tls)
    key = over_tls.controller / "ca.key"
    key.write_text("")
    for mode, is_refused in ((0o600, False), (0o400, False), (0o640, True), (0o604, True), (0o620, True)):
        key.chmod(mode)
        problem = f"The CA key {key} on this controller is accessible to other users (mode {mode:04o}). Run: chmod 600 {key}"
        assert over_tls.plan("vm2", "client")["problems"] == ([problem] if is_refused else [])


def test_a_certificate_that_is_there_is_in_the_generation_beside_the_ca(over_tls):
    said = over_tls.plan("vm2", "client")
    assert (said["why"]["certificate"], said["generation"]["files"]["cert.pem"]) == ("the certificate of vm2 is made", "(made by a run)\n")
    make_ca(over_tls)
    certificate = certify(over_tls, "vm2")
    said = over_tls.plan("vm2", "client")
    assert "certificate" not in said["steps"]
    assert (said["generation"]["files"]["cert.pem"], said["generation"]["files"]["ca.pem"]) == (certificate, over_tls.signer.pem.strip())
    assert "crl.pem" not in said["generation"]["files"]
    certify(over_tls, "vm2", name="vm1")
    assert over_tls.plan("vm2", "client")["why"]["certificate"] == "the certificate of vm2 is of vm1"


def test_the_former_name_of_a_renamed_host_is_kept_and_that_of_a_copy_is_not(over_tls):
    def names():
        found = over_tls.plan("vm2", "client")
        return found["former_name"], found["new_key"]

    make_ca(over_tls)
    certificate = certify(over_tls, "vm2", name="vm9")
    assert names() == ("vm9", False)
    # another host has the same key
    over_tls.hosts["vm1"].observed["identity"] = {"certificate": certificate, "key": "own"}
    assert names() == (None, True)
    over_tls.hosts["vm1"].observed["identity"] = {"certificate": "", "key": "none"}
    # the name is that of another host
    certify(over_tls, "vm2", name="vm1")
    assert names() == (None, True)
    # it names the key of the CA, which did not sign it
    forger = Signer("one")
    forged = forger.certify("vm9", 7, authority=over_tls.signer)
    over_tls.hosts["vm2"].observed["identity"] = {"certificate": forged, "key": "own"}
    assert names() == (None, True)


def test_a_list_of_revoked_ones_goes_to_all_and_makes_the_revoked_one_due(over_tls):
    make_ca(over_tls)
    certify(over_tls, "vm2", serial=0xABC)
    revoked = over_tls.signer.revoke(0xABC)
    (over_tls.controller / "ca.crl").write_text(revoked)
    said = over_tls.plan("vm2", "client")
    assert said["why"]["certificate"] == "the certificate of vm2 is revoked"
    assert said["generation"]["files"]["crl.pem"] == revoked.strip()
    assert "0ABC 20261124120000Z" in over_tls.plan("vm1", "server")["generation"]["files"]["revoked.lst"]


def test_a_list_of_one_ca_of_two_is_refused_and_its_numbers_are_not_those_of_the_other(over_tls):
    other = Signer("other")
    make_ca(over_tls)
    (over_tls.controller / "ca.pem").write_text(over_tls.signer.pem + other.pem)
    certify(over_tls, "vm2", serial=0xABC)
    (over_tls.controller / "ca.crl").write_text(other.revoke(0xABC))
    (problem,) = over_tls.plan("vm2", "client")["problems"]
    assert problem.startswith(f"{over_tls.controller}/ca.crl: the list of revoked certificates of the CA CN=one is missing.")
    (over_tls.controller / "ca.crl").write_text(other.revoke(0xABC) + over_tls.signer.revoke())
    found = over_tls.plan("vm2", "client")
    assert (found["problems"], "certificate" in found["steps"]) == ([], False)


def test_connections_are_closed_once_in_a_run(over_tls):
    make_ca(over_tls)
    certify(over_tls, "vm1")
    over_tls.settings["cut"] = "vm3"
    assert "cut" in over_tls.plan("vm1", "server", leaving="keep")["steps"]
    assert "cut" not in over_tls.plan("vm1", "server", leaving="turned")["steps"]


@pytest.mark.parametrize(
    ("offset", "serial", "problem"),
    [
        (-7200, 7, None),
        # revoked, so this run issues another one
        (-7200, 8, "Host vm1: the certificate of vm2 is not valid before 2026-11-24T23:00:00Z, and the clock of vm1 is 2 hours behind"),
        (-60, 8, None),
    ],
)
def test_refuses_a_clock_by_which_a_new_certificate_of_a_peer_is_not_valid(over_tls, offset, serial, problem):
    make_ca(over_tls)
    certify(over_tls, "vm1")
    certify(over_tls, "vm2", serial=serial)
    (over_tls.controller / "ca.crl").write_text(over_tls.signer.revoke(8))
    over_tls.hosts["vm1"].observed["clock_offset"] = offset
    assert [found.partition(" the clock of the controller.")[0] for found in over_tls.plan("vm1", "server")["problems"]] == (
        [problem] if problem else []
    )


@pytest.mark.parametrize("is_forged", [False, True])
def test_forged_certificate_of_a_peer_has_no_lifetime(over_tls, is_forged):
    make_ca(over_tls)
    certify(over_tls, "vm1")
    signer = Signer("forged") if is_forged else over_tls.signer
    begin = datetime.datetime.fromtimestamp(time.time(), datetime.UTC) - datetime.timedelta(hours=1)
    text = signer.certify("vm2", 9, begin=begin, authority=over_tls.signer)
    over_tls.hosts["vm2"].observed["identity"] = {"certificate": text, "key": "own"}
    over_tls.hosts["vm1"].observed["clock_offset"] = -7200
    assert ("vm2 is not valid before" in str(over_tls.plan("vm1", "server")["problems"])) is not is_forged


def test_another_host_of_the_run_that_holds_a_certificate_keeps_the_controller_from_making_a_ca(over_tls):
    certify(over_tls, "vm1")
    (problem,) = over_tls.plan("vm2", "client")["problems"]
    assert problem.startswith(f"hosts vm1: expected the CA of their certificates in {over_tls.controller} on this controller, found none;")
    (problem,) = over_tls.plan("vm1", "server")["problems"]
    assert problem.startswith(f"host vm1: expected the CA of its certificate in {over_tls.controller} on this controller, found none;")
    make_ca(over_tls)
    assert over_tls.plan("vm2", "client")["problems"] == []


def test_hosts_of_the_map_outside_the_run_are_asked_first_and_once(over_tls):
    over_tls.play_hosts = ["vm2"]
    said = over_tls.plan("vm2", "client")
    assert (said["ask"], said["open"]) == ({"certificates": ["vm1"]}, True)
    assert over_tls.plan("vm2", "client", asked=[])["ask"] == {}
    (problem,) = over_tls.plan("vm2", "client", asked=["vm1"])["problems"]
    assert problem.startswith("hosts vm1: expected the CA of their certificates")
    make_ca(over_tls)
    assert over_tls.plan("vm2", "client")["ask"] == {}


def test_hosts_that_come_to_two_directories_are_told(over_tls, tmp_path):
    over_tls.more["vm1"] = {"ambassador_controller_dir": str(tmp_path / "another")}
    (problem,) = over_tls.plan("vm2", "client")["problems"]
    directories = {"directory": str(over_tls.controller), "other_directory": f"{tmp_path}/another"}
    place = Place(variable="ambassador_controller_dir")
    assert problem == str(MapMessage.CONTROLLER_DIRECTORIES_DIFFER.at(place, host="vm2", other="vm1", **directories))
    assert over_tls.plan("vm1", "server")["problems"] == []
    # one that a playbook says for all is not in the host's variables
    over_tls.settings["controller_dir"] = str(tmp_path / "third")
    assert over_tls.plan("vm2", "client")["problems"] == []


def test_hosts_of_two_inventories_come_to_two_directories(over_tls, tmp_path):
    for host in ("vm1", "vm2"):
        (tmp_path / host).mkdir()
        over_tls.more[host] = {"ambassador_controller_dir": None, "inventory_dir": str(tmp_path / host)}
    over_tls.settings["controller_dir"] = str(tmp_path / "vm2/.ambassador")
    (problem,) = over_tls.plan("vm2", "client")["problems"]
    directories = {"directory": f"{tmp_path}/vm2/.ambassador", "other_directory": f"{tmp_path}/vm1/.ambassador"}
    place = Place(variable="ambassador_controller_dir")
    assert problem == str(MapMessage.CONTROLLER_DIRECTORIES_DIFFER.at(place, host="vm2", other="vm1", **directories))


def test_hosts_of_two_meshes_are_told(play):
    assert play.plan("vm2", "client")["problems"] == []
    play.more["vm2"] = {"ambassador_mesh": "blue"}
    (problem,) = play.plan("vm1", "server")["problems"]
    place, values = Place(variable="ambassador_mesh"), {"mesh": "default", "other_mesh": "blue"}
    assert problem == str(MapMessage.MESHES_DIFFER.at(place, host="vm1", other="vm2", **values))
    # a playbook that says one for all is above the variables of the hosts
    for host in play.hosts.values():
        host.observed["mesh"] = "green"
    play.settings["mesh"] = "green"
    assert play.plan("vm1", "server")["problems"] == []


def test_a_ca_that_was_given_is_taken_and_the_controller_s_directory_is_not_looked_at(over_tls):
    make_ca(over_tls)
    text = (over_tls.controller / "ca.pem").read_text()
    certify(over_tls, "vm1")
    over_tls.controller = over_tls.controller / "nothing"
    over_tls.settings |= {"controller_dir": str(over_tls.controller), "ca": text, "ca_key": True}
    said = over_tls.plan("vm1", "server")
    assert said["problems"] == []
    assert said["generation"]["files"]["ca.pem"].strip() == text.strip()
    assert "certificate" not in said["steps"]
    # nor is it missed that hosts come to several
    over_tls.more["vm2"] = {"ambassador_controller_dir": "/elsewhere"}
    assert over_tls.plan("vm1", "server")["problems"] == []
    # its key is needed where there is something to sign
    over_tls.settings["ca_key"] = False
    assert over_tls.plan("vm1", "server")["problems"] == []
    assert over_tls.plan("vm2", "client")["problems"] == [
        "host vm2, ambassador_ca_key: expected the key of ambassador_ca_certificate, which has to sign for the host, found none;"
        " set it, from a vault or a store of secrets."
    ]
    for wrong in ("none", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"):
        over_tls.settings |= {"ca": wrong, "ca_key": True}
        assert over_tls.plan("vm1", "server")["problems"] == [
            "ambassador_ca_certificate: expected a certificate, PEM, found none in it; correct it."
        ]


def test_refuses_an_issuing_ca_without_its_root(over_tls):
    root = Signer("root")
    issuing = Signer("issuing", root)
    over_tls.settings |= {"ca": issuing.pem, "ca_key": True}
    sentence = "the issuer CN=root of the CA CN=issuing is missing. Append the certificate of the issuer to it."
    assert over_tls.plan("vm2", "client")["problems"] == [f"ambassador_ca_certificate: {sentence}"]
    over_tls.settings["ca"] += root.pem
    assert over_tls.plan("vm2", "client")["problems"] == []
    make_ca(over_tls)
    (over_tls.controller / "ca.pem").write_text(issuing.pem)
    over_tls.settings |= {"ca": "", "ca_key": False}
    assert over_tls.plan("vm2", "client")["problems"] == [f"{over_tls.controller}/ca.pem: {sentence}"]


@pytest.mark.parametrize("part", ["server", "client", "redis_server", "redis_client"])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_another_mesh_has_observed_is_observed_anew_first(play, part, state):
    play.hosts["vm1"].observed["mesh"] = "blue"
    said = play.plan("vm1", part, state=state)
    assert (said["ask"], said["open"], said["steps"], said["problems"]) == ({"observation": ["vm1"]}, True, [], [])
    play.hosts["vm1"].observed["mesh"] = "default"
    assert "observation" not in play.plan("vm1", part, state=state)["ask"]


def test_what_a_play_for_another_mesh_has_planned_and_observed_is_none_of_this_one(play):
    play.links = {"redis": LINK}
    theirs = {"mesh": "blue", "map": json.dumps({"redis": {**LINK, "port": 1}})}
    play.more["vm1"] = {SERVER_PLAN: theirs}
    assert play.plan("vm2", "client")["problems"] == []
    play.more["vm1"] = {SERVER_PLAN: {**theirs, "mesh": "default"}}
    assert play.plan("vm2", "client")["problems"] != []
    play.more["vm1"] = {REDIS_PLAN: {"steps": [], "mesh": "blue"}}
    assert "expected passwords of Redis" in play.plan("vm2", "redis_client")["problems"][0]
    hold(play, "vm1", app="one")
    play.hosts["vm1"].observed["mesh"] = "blue"
    assert play.plan("vm3", "redis_server")["problems"] == []
    play.hosts["vm1"].observed["mesh"] = "default"
    assert play.plan("vm3", "redis_server")["problems"] != []


def test_the_directory_of_the_controller_is_found_behind_links_and_at_home(play, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    play.settings["controller_dir"] = "~/link"
    (tmp_path / "real/redis_app.password").write_text("\n")
    (problem,) = play.plan("vm1", "redis_server")["problems"]
    assert problem == str(RedisMessage.STORED_PASSWORD_EMPTY.at(user="app", file=f"{tmp_path}/real/redis_app.password"))


# -- Redis --------------------------------------------------------------------------------------------------------


def keep(play, **passwords):
    play.controller.mkdir(exist_ok=True)
    for user, password in passwords.items():
        (play.controller / f"redis_{user}.password").write_text(f"{password}\n")


def hashed(text):
    """Return the hash of a text as a host returns it in this run."""
    return keyed(digest(text.encode()), controller.derive_hash_key())


def hold(play, host, name="redis_server", where="users", **passwords):
    """Have a host hold passwords of a server, as its ACL says."""
    if where == "loaded_users":
        hold(play, host, name, **dict.fromkeys(passwords, "written"))
    play.hosts[host].observed[where][name] = {user: hashed(password) for user, password in passwords.items()}


def test_passwords_that_are_missing_are_to_be_made(play):
    said = play.plan("vm1", "redis_server")
    assert (said["problems"], said["makes_passwords"]) == ([], True)
    assert said["steps"] == ["image", "network", "data", "directory", "container", "verify"]
    keep(play, app="one", proof="two", operator="three")
    assert play.plan("vm1", "redis_server")["makes_passwords"] is False


def test_passwords_that_a_host_of_the_run_holds_are_not_made_anew(play):
    hold(play, "vm3", app="one", proof="two")
    (problem,) = play.plan("vm1", "redis_server")["problems"]
    assert problem.startswith(
        f"Host vm3: the directory {play.controller} on this controller does not have the Redis passwords of this host"
    )
    assert "(redis_app.password is missing, redis_proof.password is missing)." in problem
    keep(play, app="one", proof="another")
    (problem,) = play.plan("vm1", "redis_server")["problems"]
    assert "(redis_proof.password differs)." in problem
    given = {"app": "", "proof": "given", "operator": ""}
    assert play.plan("vm1", "redis_server", redis={"given": given})["problems"] == []


def test_a_server_that_has_its_passwords_loaded_is_left_alone(play):
    known = {"app": "one", "proof": "two", "operator": "three"}
    keep(play, **known)
    observed = play.hosts["vm1"].observed
    hashes = {name: hashed(content) for name, content in redis.render_server_files(known, [], "512M").items()}
    hashes["loaded"] = hashed(redis.render_loaded(known, [], "512M"))
    files = {name: {"owner": permissions.REDIS_UID, "mode": "0600", "sha256": sha256} for name, sha256 in hashes.items()}
    observed["directories"]["redis_server"] = {"owner": permissions.REDIS_UID, "mode": "0700", "files": files}
    assert "directory" not in play.plan("vm1", "redis_server")["steps"]
    given = {"app": "given", "proof": "", "operator": ""}
    assert "directory" in play.plan("vm1", "redis_server", redis={"given": given})["steps"]


@pytest.mark.parametrize("where", ["users", "loaded_users"])
def test_sessions_of_a_user_end_with_its_password(play, where):
    given = {"app": "one", "proof": "two", "operator": "three"}
    assert play.plan("vm1", "redis_server", redis={"given": given})["changed_users"] == []
    # a run that stopped has written the users, and the server runs with the former ones
    hold(play, "vm1", where=where, **given)
    assert play.plan("vm1", "redis_server", redis={"given": given})["changed_users"] == []
    hold(play, "vm1", where=where, **given | {"app": "former"})
    assert play.plan("vm1", "redis_server", redis={"given": given})["changed_users"] == ["app"]


@pytest.mark.parametrize(
    ("host", "part", "given", "variables"),
    [
        ("vm1", "redis_server", {"app": "15 characters..", "proof": "16 characters...", "operator": ""}, ["redis_server_password"]),
        ("vm1", "redis_server", {"app": "", "proof": "p", "operator": ""}, ["redis_server_proof_password"]),
        ("vm1", "redis_server", {"app": "", "proof": "", "operator": "o"}, ["redis_server_operator_password"]),
        ("vm2", "redis_client", {"app": "short", "proof": "p"}, ["redis_server_password", "redis_server_proof_password"]),
        ("vm2", "redis_client", {"app": "short"}, ["redis_client_password"]),
        ("vm2", "redis_client", {"reader": "short"}, ["redis_client_password"]),
        ("vm2", "redis_client", {"app": "16 characters..."}, []),
    ],
)
def test_warns_of_a_short_password_and_names_its_variable(play, monkeypatch, host, part, given, variables):
    warnings = []
    monkeypatch.setattr("ansible.utils.display.Display.warning", lambda _, message: warnings.append(message))
    keep(play, app="x", proof="x", operator="x")
    play.plan(host, part, redis={"given": given})
    assert [re.match(r"Variable (\w+): the password of the Redis user \w+ is shorter than 16", line)[1] for line in warnings] == variables


def test_refuses_a_redis_server_with_too_little_memory(play):
    (problem,) = play.plan("vm1", "redis_server", redis={"memory": "31M"})["problems"]
    assert problem.startswith("Variable redis_server_memory: 31M is too little for Redis.")
    assert play.plan("vm1", "redis_server", redis={"memory": "32M"})["problems"] == []


def test_no_password_and_no_hash_of_one_is_told(play):
    keep(play, app="a secret", proof="two secrets", operator="three secrets")
    for host, part in (("vm1", "redis_server"), ("vm2", "redis_client")):
        told = str(play.plan(host, part))
        for secret in ("a secret", "two secrets", "three secrets"):
            assert secret not in told
            assert redis.hash_password(secret) not in told


def test_a_client_takes_the_passwords_that_are_kept_given_or_made_by_the_servers_of_the_same_run(play):
    (problem,) = play.plan("vm2", "redis_client")["problems"]
    assert problem == (
        f"host vm2: expected passwords of Redis' users app, proof, found none in {play.controller} on the controller; run it for the"
        " servers of link redis as well, set redis_client_password, or set redis_client_user to '' for a Redis that asks for no password."
    )
    said = play.plan("vm2", "redis_client", redis={"given": {"app": "given", "proof": "given"}})
    assert (said["problems"], said["makes_passwords"], said["link"]["alias"]) == ([], False, "redis")
    play.more["vm1"] = {REDIS_PLAN: {"steps": [], "mesh": "default"}}
    said = play.plan("vm2", "redis_client")
    assert (said["problems"], said["makes_passwords"]) == ([], True)
    play.more["vm1"] = {}
    keep(play, app="one", proof="two")
    assert play.plan("vm2", "redis_client")["problems"] == []
    # a Redis of somebody else's that asks for none
    said = play.plan("vm2", "redis_client", redis={"given": {}})
    assert (said["problems"], said["container"]["volumes"], "directory" in said["steps"]) == ([], [], False)


def test_a_client_of_a_playbook_of_the_collection_takes_passwords_that_this_run_will_make(play):
    play.more["vm1"] = {SERVER_PLAN: {"mesh": "default", "uses_redis": True}}
    assert play.plan("vm2", "redis_client")["problems"] != []
    play.more["vm2"] = {controller.PATTERN: "VM1:VM2"}
    assert play.plan("vm2", "redis_client")["problems"] == []
    play.more["vm1"][SERVER_PLAN]["uses_redis"] = False
    assert play.plan("vm2", "redis_client")["problems"] != []


@pytest.mark.parametrize(
    ("backend", "is_used"),
    [
        ("redis_server:6379", True),
        ("Redis_Server:6379", True),
        ("redis_server.ambassador:6379", True),
        ("redis_server.other:6379", False),
        ("db:5432", False),
        ("host:6379", False),
    ],
)
def test_the_map_decides_where_redis_runs(play, backend, is_used):
    play.links = {"redis": LINK | {"backend": backend}, "pg": {"port": 5432, "servers": "vm3", "clients": "vm2", "backend": "db:5432"}}
    uses = {(host, side): play.plan(host, side)["uses_redis"] for host in ADDRESSES for side in ("server", "client")}
    assert {place for place, found in uses.items() if found} == ({("vm1", "server"), ("vm2", "client")} if is_used else set())
    # a host whose address is not known yet
    play.more["vm1"] = {"ambassador_address": None}
    assert play.plan("vm2", "client")["uses_redis"] is is_used


def test_redis_has_the_name_that_its_server_host_gives_it(play):
    play.links = {"redis": LINK | {"backend": "store:6379"}}
    play.more["vm1"] = {"redis_server_name": "store"}
    assert [play.plan(host, side)["uses_redis"] for host, side in (("vm1", "server"), ("vm2", "client"))] == [True, True]
    # a side that is to be removed, and a mesh with another container
    assert play.plan("vm1", "server", state="absent")["uses_redis"] is False
    play.more["vm1"] = {}
    assert play.plan("vm1", "server")["uses_redis"] is False


def test_a_client_proves_a_link_to_its_own_redis(play):
    keep(play, app="one", proof="two")
    play.links = {
        "theirs": LINK | {"port": 6380, "backend": "theirs:6379"},
        "mine": LINK | {"port": 6381, "check": "none"},
        "more": LINK | {"port": 6382, "check": "none"},
    }
    said = play.plan("vm2", "redis_client")
    assert (said["problems"], said["link"]["alias"]) == ([], "mine")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            {"ambassador_hosts": "VM1"},
            "Host vm1: ambassador_hosts is VM1, but this run has the hosts VM1:VM2. Set ambassador_hosts with -e",
        ),
        ({"ambassador_hosts": "VM1:VM2"}, None),
        ({"ambassador_hosts": ["VM1", "VM2"]}, None),
        ({"redis_server_hosts": "VM1"}, "Host vm1: no playbook reads the variable redis_server_hosts."),
        ({"redis_client_hosts": "VM2"}, "Host vm1: no playbook reads the variable redis_client_hosts."),
    ],
)
def test_parameters_that_the_run_does_not_have_are_refused(play, own, message):
    play.more["vm1"] = own
    # a playbook of a user may have variables of these names
    assert "failed" not in play.plan("vm1", "server")
    play.more["vm1"] = own | {controller.PATTERN: "VM1:VM2"}
    found = play.plan("vm1", "server")
    assert found.get("msg", "").startswith(message) if message else "failed" not in found


def test_a_client_whose_files_hold_other_passwords_is_told(play):
    files = {"app": {"owner": 999, "mode": "0600", "sha256": hashed("one\n")}}
    play.hosts["vm2"].observed["directories"]["redis_client"] = {"owner": 999, "mode": "0700", "files": files}
    keep(play, app="one", proof="two")
    assert play.plan("vm2", "redis_client")["problems"] == []
    keep(play, app="another")
    (problem,) = play.plan("vm2", "redis_client")["problems"]
    assert "Host vm2: " in problem
    assert "(redis_app.password differs)." in problem


def test_a_client_has_the_variables_of_its_link_and_dials_its_alias(play):
    keep(play, app="one", proof="two")
    said = play.plan("vm2", "redis_client")
    assert said["container"]["env"]["REDIS_PORT_6379_TCP"] == "tcp://redis:6379"
    (problem,) = play.plan("vm2", "redis_client", redis={"link": "pg"})["problems"]
    assert problem == str(RedisMessage.LINK_NOT_CONSUMED.at(Place(host="vm2"), link="pg", consumed="redis"))
    (problem,) = play.plan("vm1", "redis_client")["problems"]
    assert problem == str(RedisMessage.LINK_MISSING.at(Place(host="vm1")))


def test_what_is_wrong_with_the_map_is_told_by_a_client_once(play):
    play.links = {"redis": {**LINK, "port": "none"}}
    (problem,) = play.plan("vm2", "redis_client")["problems"]
    assert problem.startswith("Link redis, key port: ")


def test_a_client_asks_for_facts_as_its_side_does(play):
    play.more["vm1"] = {"ambassador_address": None}
    keep(play, app="one", proof="two")
    said = play.plan("vm2", "redis_client")
    assert (said["ask"], said["open"]) == ({"facts": ["vm1"]}, True)
    play.more["vm1"] |= {"ansible_facts": {"default_ipv4": {"address": "198.18.0.11"}}}
    assert play.plan("vm2", "redis_client")["ask"] == {}


def test_a_removal_takes_the_data_where_it_was_asked_for(play):
    observed = play.hosts["vm1"].observed
    observed["volumes"]["data"] = {"ours": True, "path": "/data"}
    observed["entries"] = ["redis_server"]
    said = play.plan("vm1", "redis_server", state="absent")
    assert said["remove"] == {"containers": [], "paths": ["/var/lib/ambassador"], "network": None, "volume": None}
    assert play.plan("vm1", "redis_server", state="absent", redis={"purge": True})["remove"]["volume"] == "data"
    assert play.plan("vm1", "server", state="absent")["open"] is False


# -- what leaves a host -------------------------------------------------------------------------------------------


def test_what_leaves_a_host_is_served_until_its_clients_have_turned(play):
    plain = {**LINK, "port": 6380, "backend": "plain:6379"}
    play.links = {"redis": LINK, "plain": plain}
    for host, part in (("vm1", "server"), ("vm2", "client")):
        play.run(host, part)
    play.links = {"redis": LINK, "plain": {**plain, "servers": "vm3"}}

    kept = play.plan("vm1", "server", leaving="keep")
    assert (kept["steps"], kept["phases"]["contract"]) == ([], ["configuration", "load", "verify"])
    # who has not turned, and who is not in the run, is told, once
    for hosts, why in ((list(ADDRESSES), "vm2, which still dials it"), (["vm1"], "vm2, which is not in this run, or does not answer")):
        play.play_hosts = hosts
        waiting = play.plan("vm1", "server", leaving="turned")
        assert (waiting["steps"], waiting["open"]) == ([], True)
        assert waiting["lines"] == [f"= host vm1: ambassador_server serves what it served, until the next run that reaches {why}"]
        assert not play.plan("vm1", "server", leaving="turned", said=waiting["lines"])["open"]

    play.play_hosts = list(ADDRESSES)
    play.run("vm2", "client")
    assert "configuration" in play.plan("vm1", "server", leaving="turned")["steps"]
    assert "configuration" in play.plan("vm1", "server")["steps"]


def test_client_that_left_a_link_is_refused_while_the_side_waits_for_another_link(play):
    """A compromised client can report forever that it still uses a former link."""
    plain = {**LINK, "port": 6380, "backend": "plain:6379"}
    play.settings["tls"] = False
    play.links = {"redis": {**LINK, "clients": "vm2:vm3"}, "plain": plain}
    for host, part in (("vm1", "server"), ("vm2", "client"), ("vm3", "client")):
        play.run(host, part)
    play.links = {"redis": {**LINK, "clients": "vm3"}}
    planned = play.plan("vm1", "server", leaving="turned")
    assert planned["lines"][-1].endswith("until the next run that reaches vm2, which still dials it")
    assert "configuration" in planned["steps"]
    assert planned["before"] == {}
    links = {link["alias"]: link for link in planned["wiring"]["links"]}
    assert (links["redis"]["clients"], links["plain"]["clients"]) == (["vm3"], ["vm2"])
    assert ADDRESSES["vm2"] not in links["redis"]["admitted"]


def test_links_that_a_host_stores_name_no_host_that_the_controller_connects_to(play):
    plain = {**LINK, "port": 6380, "backend": "plain:6379"}
    play.links = {"redis": LINK, "plain": plain}
    play.run("vm1", "server")
    side = play.hosts["vm1"].observed["sides"]["server"]
    stored = json.loads(unpacked(side["wiring"]))
    for link in stored["links"]:
        link["servers"] = ["vm1", "-oProxyCommand=touch /tmp/x", "localhost"]
    side["wiring"] = packing.packed(json.dumps(stored).encode())
    play.links = {"redis": LINK}
    links = play.plan("vm1", "server", leaving="keep")["wiring"]["links"]
    assert {link["alias"]: link["servers"] for link in links} == {"redis": ["vm1"], "plain": ["vm1"]}


BOMB = base64.b64encode(zlib.compress(b" " * (packing.MAX_PACKED_BYTES + 1))).decode()
GARBAGE = [None, 7, "x", [], ["x"], {}, {"client": 7}, {"client": {"links": BOMB}}, {"client": {"links": "eJw="}}]
GARBAGE += [
    {"client": {"links": {"plain": {"targets": [7]}}}},
    {"client": {"links": {"plain": {"targets": [{"name": [], "address": {}}]}}}},
]
GARBAGE += [{"client": {"links": {}, "certificate": 7}}, {"version": "9" * 10_000}, {"certificate": "-----BEGIN CERTIFICATE-----\n"}]
GARBAGE += [{"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "key": []}, {"redis_server": ["app"]}]


GARBAGE += [{family: value} for family in ("default_ipv4", "all_ipv4_addresses") for value in (7, "x", [7, {}], {"address": []})]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_answers_of_one_host_stop_no_plan_of_another(over_tls, garbage):
    make_ca(over_tls)
    plain = {**LINK, "port": 6380, "backend": "plain:6379"}
    over_tls.links = {"redis": LINK, "plain": plain}
    for host, part in (("vm1", "server"), ("vm2", "client")):
        certify(over_tls, host)
        over_tls.run(host, part)
    over_tls.hosts["vm1"].observed["clock_offset"] = 3600
    over_tls.links = {"redis": LINK, "plain": {**plain, "servers": "vm3"}}
    for place in ("sides", "identity", "docker", "users", "facts"):
        true = over_tls.hosts["vm2"].observed.get(place)
        over_tls.hosts["vm2"].observed[place] = garbage
        assert over_tls.plan("vm1", "server")["problems"] == []
        assert "problems" in over_tls.plan("vm1", "redis_server")
        waiting = over_tls.plan("vm1", "server", leaving="turned")
        assert waiting["problems"] == []
        # what cannot be read is no proof that the host no longer uses the link
        is_readable = place != "sides" or garbage == {}
        assert any("vm2, which is not in this run, or does not answer" in line for line in waiting["lines"]) is not is_readable
        over_tls.hosts["vm2"].observed[place] = true
    del over_tls.hosts["vm2"].observed["sides"]
    assert any(
        "vm2, which is not in this run, or does not answer" in line for line in over_tls.plan("vm1", "server", leaving="turned")["lines"]
    )


def test_a_link_whose_server_host_is_still_to_come_is_proved_by_the_last_host_of_the_play(play):
    play.play_hosts = ["vm1", "vm2"]
    play.links = {"redis": {**LINK, "servers": "vm2", "clients": "vm1"}, "own": {**LINK, "port": 1, "servers": "vm1", "clients": "vm1"}}
    play.batch = ["vm1"]
    said = play.plan("vm1", "client")
    assert "= redis vm1 -> vm2: proved when this run has reached its server hosts" in said["lines"]
    assert [link["alias"] for link in said["late"]] == ["redis"]
    assert [link["alias"] for link in said["wiring"]["links"]] == ["own"]
    assert "late_hosts" in play.plan("vm2", "client")
    play.more["vm1"]["__ambassador_client_plan"] = {"late": said["late"], "mesh": "default"}
    play.batch = ["vm2"]
    assert play.plan("vm2", "client")["late_hosts"] == ["vm1"]
    # one that has planned its server side is there, as one is that this run does not hold
    play.batch = ["vm1"]
    play.more["vm2"][SERVER_PLAN] = {"problems": [], "mesh": "default"}
    assert play.plan("vm1", "client")["late"] == []


def test_the_variables_that_are_read_are_known():
    options = set()
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            options |= set(entry["options"])
    assert len(options) > 40
    assert action.known_variables() >= options
    # and those of the playbooks, and of hosts
    texts = "".join(path.read_text() for path in [*(ROOT / "playbooks").rglob("*.yml"), ROOT / "plugins/plugin_utils/_hosts.py"])
    read = set(re.findall(r"\b(?:ambassador|redis_server|redis_client)_(?:hosts|address|interface|bind)\b", texts))
    assert read <= action.known_variables()


@pytest.mark.parametrize("is_forged", [False, True])
def test_a_host_relies_on_the_plan_of_the_first_host_and_not_on_its_facts(play, monkeypatch, is_forged):
    play.links = {"redis": LINK, "wrong": {**LINK, "port": "x"}}
    told = {
        "mesh": "default",
        "map": json.dumps(play.links),
        "map_settings": ["haproxy", False, False, "default", "ambassador"],
        "map_first": "vm1",
    }
    play.more["vm1"] = {SERVER_PLAN: told, **({"ansible_facts": {SERVER_PLAN: told}} if is_forged else {})}
    play.links["wrong"]["servers"] = play.links["wrong"]["clients"] = "vm3"
    play.more["vm1"][SERVER_PLAN]["map"] = json.dumps(play.links)
    monkeypatch.setattr(controller.constants, "INJECT_FACTS_AS_VARS", True)
    assert len(play.plan("vm2", "client")["problems"]) == is_forged
    # another engine or an engine with TLS may not do what the map asks for
    play.settings["engine"] = "socat"
    assert len(play.plan("vm2", "client")["problems"]) > 0


@pytest.mark.parametrize("forged", ["x", {"mesh": "default", "map": "{"}, {"mesh": "default", "map": "[]", "late": ["x"]}])
def test_facts_of_a_host_are_no_plan(play, forged):
    for name in (SERVER_PLAN, "__ambassador_client_plan", REDIS_PLAN):
        play.more["vm1"] = {name: forged, "ansible_facts": {name: forged}}
        found = play.plan("vm3", "client")
        assert (found["problems"], found["late_hosts"]) == ([], [])


def test_the_first_host_tells_the_others_which_hosts_have_certificates(play):
    play.settings["tls"], play.links = True, {"redis": {**LINK, "clients": "vm2:vm3"}}
    play.hosts["vm3"].observed["identity"] = {"certificate": Signer("one").certify("vm3", 1), "key": "own"}
    problems = play.plan("vm2", "client")["problems"]
    assert "vm3" in problems[0]
    first = play.plan("vm1", "server")
    assert first["holders"] == ["vm3"]
    play.more["vm1"] = {SERVER_PLAN: first}
    assert play.plan("vm2", "client")["problems"] == problems
    # with serial the first host has planned before the others were observed
    play.more["vm1"] = {SERVER_PLAN: {**first, "holders": []}}
    play.batch = ["vm2", "vm3"]
    assert play.plan("vm2", "client")["problems"] == problems


# -- many hosts ---------------------------------------------------------------------------------------------------


class Counted(list):
    """A list that counts the elements which are looked at one after the other."""

    looked_at = 0

    def __contains__(self, name):
        Counted.looked_at += len(self)
        return super().__contains__(name)

    def __iter__(self):
        for one in super().__iter__():
            Counted.looked_at += 1
            yield one


class CountedVars(HostVars):
    """The magic variable, which looks up all variables of a host each time that it is asked."""

    lookups = 0

    def __getitem__(self, host):
        CountedVars.lookups += 1
        return super().__getitem__(host)

    def get(self, host, default=None):
        CountedVars.lookups += 1
        return super().get(host, default)

    def values(self):
        return [self[host] for host in self]

    def items(self):
        return [(host, self[host]) for host in self]


def work_of_a_plan(play, count, monkeypatch, tls):
    """Return what the plans of both sides of one of many hosts look at, after the first host has planned."""
    hosts = Counted(f"web{number}" for number in range(count))
    groups = {"all": hosts, "front": Counted(hosts[-5:]), "back": Counted(hosts[:2])}
    links = {f"all-{number}": {**LINK, "port": 7000 + number, "servers": "web0:web1", "clients": "back:!web1"} for number in range(20)}
    links |= {
        "redis": {**LINK, "servers": "web0", "clients": "front"},
        "wide": {**LINK, "port": 6000, "servers": "back", "clients": "web0"},
    }
    hostvars, given = CountedVars(), {**play.settings, "tls": tls}
    for number, host in enumerate(hosts):
        address = f"198.18.{number // 250}.{number % 250 + 1}"
        hostvars[host] = {"ambassador_address": address, "ambassador_controller_dir": str(play.controller)}
        dict.__getitem__(hostvars, host)[OBSERVED] = Host(host, [address]).look()
    counts, parse = {"parse": 0, "managers": 0}, wiring.parse_entry

    def parsed(*arguments):
        counts["parse"] += 1
        return parse(*arguments)

    def manager(*_arguments, **_options):
        counts["managers"] += 1

    monkeypatch.setattr(wiring, "parse_entry", parsed)
    monkeypatch.setattr(inventory, "InventoryManager", manager)

    def planned(host, part):
        names = [name for name, members in groups.items() if list.__contains__(members, host) and name != "all"]
        variables = {**dict.__getitem__(hostvars, host), "inventory_hostname": host, "hostvars": hostvars, "groups": groups}
        variables |= {"ambassador_links": links, "ansible_managed": MANAGED, "group_names": names}
        variables |= {"ansible_play_hosts_all": hosts, "ansible_play_hosts": Counted(hosts), "ansible_play_batch": hosts}
        task = types.SimpleNamespace(
            args={"part": part, "settings": given, "observed": variables[OBSERVED]}, async_val=0, check_mode=False, action="plan"
        )
        connection, loader = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir="/nowhere")), DataLoader()
        Counted.looked_at = CountedVars.lookups = counts["parse"] = counts["managers"] = 0
        said = action.ActionModule(task, connection, None, loader, Templar(loader, variables), None).run(None, variables)
        assert said["problems"] == []
        return said, {**counts, "looked_at": Counted.looked_at, "lookups": CountedVars.lookups}

    first, work = planned(hosts[0], "server")
    assert (work["parse"], work["managers"]) == (len(links), 0)
    dict.__getitem__(hostvars, hosts[0])[SERVER_PLAN] = first
    assert planned(hosts[0], "server")[0]["map"] == first["map"]
    work = {}
    for part in ("server", "client"):
        said, work[part] = planned(hosts[-2], part)
        assert "map" not in said
        assert len(json.dumps(said.get("wiring", {}))) < 2000
        assert [link["alias"] for link in said.get("wiring", {}).get("links", [])] == (["redis"] if part == "client" else [])
    return work


@pytest.mark.parametrize("tls", [False, True])
def test_the_work_of_a_plan_does_not_grow_with_the_hosts(play, monkeypatch, tls):
    few, many = (work_of_a_plan(play, count, monkeypatch, tls) for count in (20, 200))
    for part, work in many.items():
        assert (work["parse"], work["managers"]) == (1, 0)
        # without a CA a host looks for certificates of hosts that are not in the play, in the names alone
        limit = 4 * 200 if tls else few[part]["looked_at"]
        assert work["looked_at"] <= limit, part
        assert work["lookups"] == few[part]["lookups"] < 12
