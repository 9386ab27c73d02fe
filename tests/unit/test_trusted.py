"""Facts of a host replace no variable that the controller reads."""

import re

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.plugins.loader import become_loader, connection_loader, shell_loader
from ansible.vars.clean import clean_facts
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


OPTIONS = [
    *("control_path", "sftp_executable", "scp_executable", "sshpass_prompt", "ssh_host_key_checking", "host_key_checking"),
    *("paramiko_proxy_command", "libssh_proxy_command", "docker_host", "docker_docker_host", "docker_tls_hostname", "podman_host"),
    *("lxc_executable", "kubectl_kubeconfig", "sudo_exe", "su_flags", "remote_tmp", "executable"),
]


@pytest.mark.parametrize("fact", OPTIONS)
def test_fact_is_no_option_of_a_connection(monkeypatch, fact):
    """With the control path of OpenSSH of another host, the next task would run there."""
    monkeypatch.setattr(controller.constants, "INJECT_FACTS_AS_VARS", True)
    assert controller.list_overriding_facts({"ansible_facts": {fact: "forged"}}) == [fact]


def test_fact_is_no_option_of_a_loaded_plugin(monkeypatch):
    monkeypatch.setattr(controller.constants, "INJECT_FACTS_AS_VARS", True)
    definitions = {"address": {"vars": [{"name": "ansible_tunnel_address"}, {"name": "tunnel_key"}, {"name": "ansible_user"}]}}
    monkeypatch.setattr(controller.constants.config, "_plugins", {"connection": {"tunnel": definitions}})
    facts = {"tunnel_address": "", "tunnel_key": "", "user": "", "tunnel0": {}}
    assert controller.list_overriding_facts({"ansible_facts": facts}) == ["tunnel_address", "tunnel_key"]


def test_all_options_of_plugins_of_ansible_are_refused(monkeypatch):
    """Ansible removes the others from facts itself."""
    monkeypatch.setattr(controller.constants, "INJECT_FACTS_AS_VARS", True)
    monkeypatch.setattr(controller, "list_plugin_variables", set)
    for loader in (connection_loader, shell_loader, become_loader):
        list(loader.all(class_only=True))
    for plugin in ("docker", "docker_api", "nsenter"):
        connection_loader.get(f"community.docker.{plugin}", class_only=True)
    config = controller.constants.config
    plugins = [(kind, name) for kind in ("become", "connection", "shell") for name in config.get_configuration_definitions(kind)]
    options = {option for kind, name in plugins for option in config.get_plugin_vars(kind, name) if option.startswith("ansible_")}
    facts = {name.removeprefix("ansible_"): "" for name in clean_facts(dict.fromkeys(options, ""))}
    assert {"control_path", "remote_tmp"} <= facts.keys()
    assert set(facts) - set(controller.list_overriding_facts({"ansible_facts": facts})) == set()


def test_names_of_facts_are_printable(monkeypatch):
    monkeypatch.setattr(controller.constants, "INJECT_FACTS_AS_VARS", True)
    assert controller.list_overriding_facts({"ansible_facts": {"status_\033[2J": ""}}) == [r"'status_\x1b[2J'"]


def test_facts_of_the_module_setup_are_no_options(monkeypatch):
    monkeypatch.setattr(controller.constants, "INJECT_FACTS_AS_VARS", True)
    facts = {
        *("docker0", "docker_gwbridge", "lxc_health", "lxcbr0", "lxdbr0", "podman0", "virbr0", "eth0", "default_ipv4", "local", "env"),
        *("flags", "user_id", "user_dir", "python", "python_version", "virtualization_tech_host", "ssh_host_key_rsa_public", "cmdline"),
        *("ssh_host_key_ed25519_public_keytype", "discovered_interpreter_python", "services", "packages", "machine_id", "fips", "lsb"),
    }
    assert controller.list_overriding_facts({"ansible_facts": dict.fromkeys(facts, "")}) == []


def test_paths_of_the_controller_and_commands_on_another_host_are_trusted():
    (archive,) = re.findall(r"^ +src: (.*)$", (ROOT / "roles/ambassador_engine/tasks/image.yml").read_text(), re.M)
    values = [
        archive,
        yaml.safe_load((ROOT / "roles/ambassador_engine/vars/main.yml").read_text())["__ambassador_engine_controller"],
        yaml.safe_load((ROOT / "playbooks/vars/move.yml").read_text())["move_map"],
        *yaml.safe_load((ROOT / "playbooks/status.yml").read_text())[1]["vars"].values(),
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
