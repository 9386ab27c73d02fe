"""Facts of a host replace no variable that the controller reads."""

import re

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.crosshost.ambassador.plugins.lookup.trusted import LookupModule
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _controller as controller
from conftest import ROOT

TRUSTED = "lookup('crosshost.ambassador.trusted', "


@pytest.mark.parametrize("fact", ["ambassador_image_archive", "ambassador_links", "inventory_dir", "status_page"])
def test_value_is_returned_unless_facts_replace_a_variable(monkeypatch, fact):
    monkeypatch.setattr(controller.constants, "INJECT_FACTS_AS_VARS", True)
    variables = {"inventory_hostname": "vm1", "ansible_facts": {"default_ipv4": {}, "services": {}}}
    assert LookupModule().run([{"redis": {}}], variables) == [{"redis": {}}]
    variables["ansible_facts"][fact] = "forged"
    with pytest.raises(AnsibleError, match=f"Host vm1: its facts replace the variables {fact}."):
        LookupModule().run(["/srv"], variables)


def test_paths_of_the_controller_and_commands_on_another_host_are_trusted():
    (archive,) = re.findall(r"^ +src: (.*)$", (ROOT / "roles/ambassador_engine/tasks/image.yml").read_text(), re.M)
    values = [
        archive,
        yaml.safe_load((ROOT / "roles/ambassador_engine/vars/main.yml").read_text())["__ambassador_engine_controller"],
        yaml.safe_load((ROOT / "playbooks/vars/move.yml").read_text())["move_map"],
    ]
    assert [value for value in values if TRUSTED not in value] == []


def test_paths_on_hosts_that_tasks_are_delegated_to_are_trusted():
    count = 0
    for path in ROOT.glob("roles/ambassador_*/tasks/*.yml"):
        for task in yaml.safe_load(path.read_text()):
            if task.get("delegate_to", "localhost") == "localhost":
                continue
            options = next(value for key, value in task.items() if "." in key)
            for value in (options[key] for key in ("path", "src") if key in options):
                count += 1
                assert TRUSTED in value, (path, task["name"])
    assert count == 4
