"""The status as a terminal, a file and a callback get it, from Ansible itself."""

import json
import os
import subprocess

import jsonschema
import pytest
import yaml
from ansible_collections.crosshost.ambassador.plugins.action.status import LOOKED, ActionModule
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _page as page
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._hosts import OBSERVED
from conftest import ROOT
from test_status import SCHEMA, find, link

PLAY = """
- hosts: vm1:vm2:vm3
  gather_facts: false
  tasks:
    - crosshost.ambassador.status:
        mesh: "{{ status_mesh | default(omit) }}"
        page: "{{ status_page | default(omit) }}"
      run_once: true
"""
SAID = """\
host  side    link   port  target        address           state  check  connections  since
vm1   server  redis  6379  redis_server  198.19.34.2:6379  UP     L7OK   1            1m30s
vm2   client  redis  6379  vm1           198.18.0.11:6379  DOWN   L4CON  1            1m30s
problem: host vm2, client side, link redis: expected a target that is up, found vm1 (198.18.0.11:6379) DOWN: L4CON,\
 Connection refused; start the service there, or mend the way to it.
problem: host vm3: expected Ansible to reach it, found: no route; make it reachable.
expected no trouble, found 2 problems
"""


@pytest.fixture
def run(tmp_path):
    """Runs the action over three hosts, of which one is not reached."""
    answers = find({"redis": {"port": 6379, "servers": "one", "clients": "clients", "backend": "redis_server:6379"}})
    link(answers, "vm2", "client")["targets"][0].update(state="DOWN", up=False, check_status="L4CON", last_check="Connection refused")
    observed = {host: answer.pop("observed") for host, answer in answers.items()}
    hosts = {host: {OBSERVED: observed[host], LOOKED: answer} for host, answer in answers.items()}
    hosts["vm3"] = {OBSERVED: {"unreachable": True, "msg": "no route"}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    (tmp_path / "play.yml").write_text(PLAY)

    own = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}

    def run(*arguments, **environment):
        return subprocess.run(
            ["ansible-playbook", f"--inventory={tmp_path}/hosts.yml", str(tmp_path / "play.yml"), *arguments],
            env={**os.environ, **own, **environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    return run


def test_a_terminal_gets_plain_lines_and_no_colour_where_none_is_wanted(run, tmp_path):
    said = run(f"--extra-vars=status_page={tmp_path}/status.html", ANSIBLE_NOCOLOR="1")
    assert f"\n{SAID}" in said
    assert "\033" not in said
    assert "changed=1" in said
    # beside the page the same as JSON
    found = json.loads((tmp_path / "status.json").read_text())
    jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
    assert (tmp_path / "status.html").read_text() == page.render(found)


def test_the_page_about_it_shows_what_a_terminal_shows():
    assert "\n".join(SAID.splitlines()[:3]) in (ROOT / "docs/status.md").read_text()


def test_states_are_coloured_as_the_user_has_it(run):
    lines = SAID.splitlines()
    said = run(ANSIBLE_FORCE_COLOR="1", ANSIBLE_COLOR_OK="blue")
    assert f"\n{lines[0]}\n\033[0;34m{lines[1]}\033[0m\n\033[0;31m{lines[2]}\033[0m\n" in said
    assert "changed=0" in said


def test_a_callback_that_prints_json_prints_nothing_else_and_holds_the_lines(run, tmp_path):
    said = run("--check", f"--extra-vars=status_page={tmp_path}/status.html", ANSIBLE_STDOUT_CALLBACK="ansible.posix.jsonl")
    events = [json.loads(line) for line in said.splitlines()]
    (result,) = (event["hosts"]["vm1"] for event in events if event["_event"] == "v2_runner_on_ok")
    assert result["lines"] == SAID.splitlines()
    assert result["status"]["well"] is False
    assert not (tmp_path / "status.html").exists()


def test_what_all_meshes_have_is_shown_and_not_judged(run):
    container = {"name": "ambassador_client", "mesh": "default", "side": "client", "state": "running", "error": None, "links": {}}
    told = {"containers": [container]}
    said = run("--extra-vars", json.dumps({"status_mesh": "all", "status_meshes": told}))
    rows = [line.split()[:5] for line in said.partition("\nhost  mesh")[2].splitlines()[1:4]]
    assert rows == [[host, "default", "client", "ambassador_client", "running"] for host in ("vm1", "vm2", "vm3")]


def test_a_page_of_another_kind_is_refused(run):
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run("--extra-vars=status_page=status.txt")
    assert "status_page: expected the name of a file that ends in .html, found status.txt" in failed.value.output + failed.value.stderr


def test_a_page_that_a_fact_of_a_host_names_is_not_written(run, tmp_path):
    variables = tmp_path / "facts.yml"
    variables.write_text("- hosts: vm1\n  gather_facts: false\n  tasks: [{set_fact: {status_page: x, cacheable: true}}]\n")
    play = tmp_path / "play.yml"
    play.write_text(variables.read_text() + play.read_text())
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(ANSIBLE_INJECT_FACT_VARS="true")
    assert "Host vm1: its facts replace the variables status_page." in failed.value.output + failed.value.stderr


@pytest.mark.parametrize("fact", ["status_page", "status_meshes", "__ambassador_engine_status"])
def test_facts_of_another_host_are_no_answer_and_stop_no_status(run, tmp_path, fact):
    facts = {fact: {"x": "/srv"}, "cacheable": True}
    play = tmp_path / "play.yml"
    play.write_text(yaml.safe_dump([{"hosts": "vm2", "gather_facts": False, "tasks": [{"set_fact": facts}]}]) + play.read_text())
    said = run(ANSIBLE_NOCOLOR="1", ANSIBLE_INJECT_FACT_VARS="true")
    assert "\n".join(SAID.splitlines()[:2]) in said
    assert f"problem: host vm2: expected Ansible to reach it, found: facts that replace the variables {fact}; make it reachable." in said
    assert "vm2   client" not in said


@pytest.mark.parametrize("answer", [{OBSERVED: "x"}, {LOOKED: ["x"]}])
def test_answers_of_any_kind_stop_no_status(run, tmp_path, answer):
    hosts = yaml.safe_load((tmp_path / "hosts.yml").read_text())
    hosts["all"]["hosts"]["vm3"] = answer
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(hosts))
    said = run(f"--extra-vars=status_page={tmp_path}/status.html", ANSIBLE_NOCOLOR="1")
    assert "\n".join(SAID.splitlines()[:3]) in said
    assert "problem: host vm3: expected Ansible to reach it" in said


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**5000, {("a",): 1}], ids=range(4))
def test_answer_that_is_no_json_counts_as_none(value):
    assert list(ActionModule._answer({OBSERVED: {"version": value}})) == ["unreachable"]
