"""What the roles say of themselves holds."""

import os
import re
import subprocess
import sys

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from conftest import ROOT

sys.path.insert(0, str(ROOT / "docs/site"))
import readmes

ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())


def read(role, name):
    return yaml.safe_load((ROOT / "roles" / role / name).read_text())


@pytest.mark.parametrize("role", ROLES)
def test_argument_specs_and_defaults_say_the_same(role):
    options = read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    said = {name: option["default"] for name, option in options.items() if "default" in option}
    # what the other roles of the play say
    found = set(read(role, "defaults/main.yml")) & {"ambassador_server_clean"}
    assert said == {name: value for name, value in read(role, "defaults/main.yml").items() if name not in found}
    # a map that is missing is a mistake, and no empty one
    assert set(options) - set(said) == found | ({"ambassador_links"} if role == "ambassador_engine" else set())
    assert all(option["description"] and option["type"] for option in options.values())


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_is_made_from_the_argument_specs(role):
    assert (ROOT / "roles" / role / "README.md").read_text() == readmes.readme(role), "make readmes"


def test_the_examples_of_the_roles_are_plays_with_known_options(tmp_path):
    examples = [read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["examples"] for role in ROLES]
    plays = [play for example in examples for play in yaml.safe_load(example)]
    known = {name for role in ROLES for name in read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]}
    set_in_them = {name for play in plays for part in (play.get("vars", {}), *play["roles"]) for name in part if name != "role"}
    assert set_in_them
    assert set_in_them <= known
    (tmp_path / "plays.yml").write_text("".join(examples))
    run = subprocess.run(
        ["ansible-playbook", "--syntax-check", tmp_path / "plays.yml"],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("role", ROLES)
def test_inputs_and_internals_carry_their_prefix(role):
    prefix = "ambassador_" if role == "ambassador_engine" else f"{role}_"
    assert all(name.startswith(prefix) for name in read(role, "defaults/main.yml"))
    if (ROOT / "roles" / role / "vars").exists():
        assert all(name.startswith(f"__{role}_") for name in read(role, "vars/main.yml"))


def test_no_address_is_written_in_roles_or_playbooks():
    texts = {path: path.read_text() for folder in ("roles", "playbooks") for path in (ROOT / folder).rglob("*") if path.is_file()}
    found = [match for text in texts.values() for match in re.findall(r".*(?:[0-9]{1,3}\.){3}[0-9]{1,3}.*", text)]
    # a version of socat has four numbers as well
    assert [line for line in found if "alpine/socat:" not in line] == []


def test_images_are_pinned():
    images = [(name, value) for role in ROLES for name, value in read(role, "defaults/main.yml").items() if name.endswith("_image")]
    assert images
    assert [name for name, value in images if not re.search(r":\d+\.\d+\.\d+", value)] == []


def tasks_of(path):
    """Return all tasks of a file, those of blocks among them."""
    ahead = list(yaml.safe_load(path.read_text()) or [])
    while ahead:
        task = ahead.pop()
        ahead += [inner for part in ("block", "rescue", "always", "tasks") for inner in task.get(part, [])]
        yield task


# modules that create files or directories with the mode of the umask, unless a task sets another
CREATE = {
    *(
        f"ansible.builtin.{name}"
        for name in ("assemble", "blockinfile", "copy", "get_url", "lineinfile", "replace", "template", "unarchive")
    ),
    *(f"community.crypto.{name}" for name in ("openssl_csr", "openssl_pkcs12", "openssl_privatekey", "x509_certificate", "x509_crl")),
}


def test_tasks_set_the_mode_of_what_they_create():
    found = 0
    for path in [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/handlers/*.yml"), *ROOT.glob("playbooks/**/*.yml")]:
        for task in tasks_of(path) if path.parent.name != "vars" else ():
            arguments = next((task[name] for name in CREATE if name in task), None) or task.get("ansible.builtin.file", {})
            if not arguments or arguments.get("state") == "absent":
                continue
            found += 1
            assert re.fullmatch("0[0-7]{3}", arguments.get("mode", "")), (path, task["name"])
            # on the controller the user of the run owns them
            if "ambassador_state_dir" in arguments.get("path", arguments.get("dest", "")):
                assert {"owner", "group"} <= set(arguments), (path, task["name"])
    assert found >= 8


def test_delegated_tasks_leave_facts_with_the_delegated_host():
    """Each answer of a module can hold facts: without ``delegate_facts``, a host would set variables of another one."""
    found = 0
    for path in [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/**/*.yml")]:
        for task in tasks_of(path) if path.parent.name != "vars" else ():
            if task.get("delegate_to", "localhost") != "localhost":
                found += 1
                assert task["delegate_facts"] is True, (path, task["name"])
    assert found >= 5


def test_hosts_without_an_answer_stop_no_delegated_task():
    found = 0
    for path in ROOT.glob("roles/*/tasks/*.yml"):
        for task in tasks_of(path):
            if task.get("delegate_to", "localhost") != "localhost":
                found += 1
                handled = [task.get(key) for key in ("ignore_unreachable", "any_errors_fatal", "failed_when")]
                assert handled == [True, False, False], (path, task["name"])
    assert found >= 5


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"problems": []}, None),
        ({"problems": ["Link a"]}, "Link a"),
        ({"problems": 7}, "7"),
        ({"unreachable": True, "msg": "x"}, "Links of vm1 are not verified"),
        ({"failed": True, "module_stderr": "x"}, "Links of vm1 are not verified"),
    ],
)
def test_links_of_each_late_host_are_judged(answer, problem):
    (task,) = [task for task in tasks_of(ROOT / "roles/ambassador_client/tasks/late.yml") if "ansible.builtin.fail" in task]
    results = [{**answer, "__ambassador_client_host": "vm1"}, {"problems": ["Link b"], "__ambassador_client_host": "vm2"}]
    variables = {name: trust_as_template(text) for name, text in task["vars"].items()}
    templar = Templar(DataLoader(), {**variables, "__ambassador_client_late": {"results": results}})
    text = templar.template(trust_as_template(task["ansible.builtin.fail"]["msg"]))
    assert [line.partition(",")[0] for line in text.split("\n") if line != "Link b"] == ([problem] if problem else [])
    assert "Link b" in text


def test_nobody_becomes_root_on_the_controller():
    """`become` of a task loses to the variable, which an inventory sets for all hosts: only a variable of the task is above that."""
    found = 0
    for path in [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/**/*.yml")]:
        for task in tasks_of(path) if path.parent.name != "vars" else ():
            if "localhost" in (task.get("delegate_to"), task.get("args", {}).get("apply", {}).get("delegate_to")):
                found += 1
                assert task["vars"]["ansible_become"] is False, (path, task["name"])
                assert task["vars"]["ansible_connection"] == "local", (path, task["name"])
    assert found >= 2


def test_answers_of_a_host_choose_no_host_that_the_controller_connects_to():
    """A container that is taken over names the servers in HAProxy's statistics."""
    (task,) = [task for task in tasks_of(ROOT / "roles/ambassador_engine/tasks/judge.yml") if "ansible.builtin.slurp" in task]

    def ends(*refused):
        variables = {
            "inventory_hostname": "vm2",
            "__ambassador_engine_verified": {"refused_handshakes": list(refused)},
            "__ambassador_engine_plan": {"wiring": {"links": [{"servers": ["vm1", "vm3"]}, {"servers": ["vm1"]}]}},
        }
        variables |= {name: trust_as_template(text) for name, text in task["vars"].items()}
        return Templar(DataLoader(), variables).template(trust_as_template(task["loop"]))

    assert ends("vm1") == ["vm2", "vm1"]
    assert ends("-oProxyCommand=touch /tmp/x", "vm9", "localhost") == []
    assert ends("localhost", "vm3") == ["vm2", "vm3"]


def test_hosts_that_tasks_are_delegated_to_come_from_a_plan_or_the_user():
    sources = {
        "__ambassador_engine_end": "__ambassador_engine_refused",
        "__ambassador_engine_other": None,
        "__ambassador_engine_server": "__ambassador_engine_plan.unchecked",
        "__ambassador_client_host": "__ambassador_client_plan.late_hosts",
        "__redis_client_server": "__redis_client_plan.link",
        "move_from": None,
    }
    found = set()
    for path in [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/*.yml")]:
        for task in tasks_of(path):
            place = task.get("delegate_to", "localhost")
            if place != "localhost":
                name = place.strip("{} ")
                found.add(name)
                assert name in sources, (path, task["name"])
                assert sources[name] is None or sources[name] in task["loop"], (path, task["name"])
    assert found == set(sources)
    ask = (ROOT / "roles/ambassador_engine/tasks/ask.yml").read_text()
    assert "__ambassador_engine_plan.ask.facts | default([]) + __ambassador_engine_plan.ask.certificates | default([])" in ask


def test_containers_that_run_once_have_the_limits_of_the_others():
    once = 0
    for path in ROOT.glob("roles/*/tasks/*.yml"):
        for task in tasks_of(path):
            container = task.get("community.docker.docker_container", {})
            if "image" in container and container.get("detach") is False:
                once += 1
                assert {"user", "memory", "pids_limit"} <= set(container), (path, task["name"])
                assert (container["read_only"], container["cap_drop"]) == (True, ["ALL"]), (path, task["name"])
                assert container["security_opts"] == ["no-new-privileges"], (path, task["name"])
    assert once == 2
