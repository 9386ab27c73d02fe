"""The status on a terminal, in a file, and for a callback, from Ansible itself."""

import json
import os
import subprocess

import jsonschema
import pytest
import yaml
from ansible_collections.crosshost.ambassador.plugins.action.status import SIDES, ActionModule
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
LINES = """\
host  side    link   port  target        address           state  check  connections  since
vm1   server  redis  6379  redis_server  198.19.34.2:6379  UP     L7OK   1            1m30s
vm2   client  redis  6379  vm1           198.18.0.11:6379  DOWN   L4CON  1            1m30s
problem: Link redis, host vm2: the link is down on the client side. vm1 (198.18.0.11:6379) DOWN: L4CON, Connection refused.\
 Start the service there, or repair the network path.
problem: Host vm3: Ansible cannot connect: no route. Make the host reachable.
2 problems in 1 link on 3 hosts.
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that runs the action on three hosts, of which one cannot be reached."""
    answers = find({"redis": {"port": 6379, "servers": "one", "clients": "clients", "backend": "redis_server:6379"}})
    link(answers, "vm2", "client")["targets"][0].update(state="DOWN", up=False, check_status="L4CON", last_check="Connection refused")
    observed = {host: answer.pop("observed") for host, answer in answers.items()}
    hosts = {host: {OBSERVED: observed[host], SIDES: answer} for host, answer in answers.items()}
    hosts["vm3"] = {OBSERVED: {"unreachable": True, "msg": "no route"}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    (tmp_path / "play.yml").write_text(PLAY)

    configuration = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}

    def run(*arguments, **environment):
        return subprocess.run(
            ["ansible-playbook", f"--inventory={tmp_path}/hosts.yml", str(tmp_path / "play.yml"), *arguments],
            env={**os.environ, **configuration, **environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    return run


def test_terminal_gets_lines_without_color_if_it_is_off(run, tmp_path):
    stdout = run(f"--extra-vars=status_page={tmp_path}/status.html", ANSIBLE_NOCOLOR="1")
    assert f"\n{LINES}" in stdout
    assert "\033" not in stdout
    assert "changed=1" in stdout
    report = json.loads((tmp_path / "status.json").read_text())
    jsonschema.validate(report, SCHEMA, jsonschema.Draft202012Validator)
    assert (tmp_path / "status.html").read_text() == page.render_page(report)


def test_documentation_shows_the_lines_of_a_terminal():
    assert "\n".join(LINES.splitlines()[:3]) in (ROOT / "docs/status.md").read_text()


def test_states_have_the_colors_of_the_user(run):
    lines = LINES.splitlines()
    stdout = run(ANSIBLE_FORCE_COLOR="1", ANSIBLE_COLOR_OK="blue")
    assert f"\n{lines[0]}\n\033[0;34m{lines[1]}\033[0m\n\033[0;31m{lines[2]}\033[0m\n" in stdout
    assert "changed=0" in stdout


def test_json_callback_prints_only_json_with_the_lines(run, tmp_path):
    stdout = run("--check", f"--extra-vars=status_page={tmp_path}/status.html", ANSIBLE_STDOUT_CALLBACK="ansible.posix.jsonl")
    events = [json.loads(line) for line in stdout.splitlines()]
    (result,) = (event["hosts"]["vm1"] for event in events if event["_event"] == "v2_runner_on_ok")
    assert result["lines"] == LINES.splitlines()
    assert result["status"]["well"] is False
    assert not (tmp_path / "status.html").exists()


def test_status_of_all_meshes_is_not_judged(run):
    container = {"name": "ambassador_client", "mesh": "default", "side": "client", "state": "running", "error": None, "links": {}}
    result = {"containers": [container]}
    stdout = run("--extra-vars", json.dumps({"status_mesh": "all", "status_meshes": result}))
    rows = [line.split()[:5] for line in stdout.partition("\nhost  mesh")[2].splitlines()[1:4]]
    assert rows == [[host, "default", "client", "ambassador_client", "running"] for host in ("vm1", "vm2", "vm3")]


def test_page_that_is_not_html_is_refused(run):
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run("--extra-vars=status_page=status.txt")
    assert "Variable status_page: the name of the file status.txt does not end in .html." in failed.value.output + failed.value.stderr


def test_page_is_not_written_if_a_fact_names_it(run, tmp_path):
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
    stdout = run(ANSIBLE_NOCOLOR="1", ANSIBLE_INJECT_FACT_VARS="true")
    assert "\n".join(LINES.splitlines()[:2]) in stdout
    assert f"problem: Host vm2: its answer cannot be read (facts replace the variables {fact})." in stdout
    assert "vm2   client" not in stdout


@pytest.mark.parametrize("answer", [{OBSERVED: "x"}, {SIDES: ["x"]}])
def test_answers_of_any_kind_stop_no_status(run, tmp_path, answer):
    hosts = yaml.safe_load((tmp_path / "hosts.yml").read_text())
    hosts["all"]["hosts"]["vm3"] = answer
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(hosts))
    stdout = run(f"--extra-vars=status_page={tmp_path}/status.html", ANSIBLE_NOCOLOR="1")
    assert "\n".join(LINES.splitlines()[:3]) in stdout
    assert "problem: Host vm3: Ansible cannot connect: no answer." in stdout


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**5000, {("a",): 1}], ids=range(4))
def test_answer_that_is_no_json_counts_as_none(value):
    assert list(ActionModule._read_answer({OBSERVED: {"version": value}})) == ["unreadable"]
