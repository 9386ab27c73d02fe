# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The directory of the controller with the CA and the passwords, and the variables that the controller trusts."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import multiprocessing
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible import constants
from ansible_collections.crosshost.ambassador.plugins.module_utils import _files as files
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Message, Place, Problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_controller import ControllerMessage

# variable of the playbooks of this collection: the host pattern of the run
PATTERN = "run_pattern"
# of Ansible, such as inventory_hostname and inventory_dir, and parameters of playbooks
PROTECTED_VARIABLES = {*constants.INTERNAL_STATIC_VARS, "revoke_host", "cut", "separated", PATTERN}
# globals of Jinja in templates; a variable with such a name replaces them, for example in `default(omit)`
TEMPLATE_GLOBALS = ("cycler", "dict", "joiner", "lipsum", "lookup", "namespace", "now", "omit", "q", "query", "range", "undef")
PROTECTED_PREFIXES = ("ambassador_", "redis_server_", "redis_client_", "__ambassador_", "__redis_", "site_", "status_", "move_")
# options of plugins for connections, shells, and other users. Ansible removes some options from facts, but not these options:
# https://github.com/ansible/ansible/blob/stable-2.19/lib/ansible/vars/clean.py. Facts such as ansible_docker0 are no options.
OPTION_VARIABLES = re.compile(
    r"(control_path|(ssh_)?host_key_checking|known_hosts_file|private_key|local_become)\w*|executable|platform_type"
    r"|(sftp|scp|sshpass|paramiko|libssh|httpapi|netconf|kubectl|oc|aws_ssm|gcloud|grpc)_\w+"
    r"|(docker|podman|lxc|lxd|incus|jail|iocage|zone|func|chroot|nsenter|vmware|libvirt|libvirt_lxc|network|terminal)_"
    r"(host|user|pass\w*|port|exe|executable|extra_(args|env)|privileged|timeout|working_dir|docker_host|api_version|tls\w*|ca_\w+|client_\w+"
    r"|cacert_\w+|cert_\w+|key_\w+|validate_certs|use_ssh_client|project|remote|disable_root_check|pid|uri|path|noseclabel|(guest|tools)_\w+"
    r"|become_\w+|cli_\w+|single_user_mode|terminal_\w+|initial_\w+|std(out|err)_re)"
    r"|(doas|dzdo|enable|ksu|machinectl|pbrun|pfexec|pmrun|run0|runas|sesu|su|sudo|sudosu)"
    r"_(exe|flags|pass|user|prompt_l10n|wrap_execution|chdir|alt_method)"
    r"|remote_tmp|async_dir|system_tmpdirs|admin_users|common_remote_group|shell_\w+"
    r"|access_token_file|certificate_chain_file|root_certificates_file|lock_file_timeout|connect_timeout|command_timeout|buffer_read_timeout"
)
OPTION_PLUGINS = ("become", "connection", "shell")
# variables that playbooks no longer read
REMOVED = ("redis_server_hosts", "redis_client_hosts")


class RefusedError(Exception):
    """The controller changes and signs nothing, because of ``problems``. The text of the error is their sentences."""

    def __init__(self, *problems: Problem):
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def read(path: str) -> str | None:
    """Return the text of a file of the controller, or None if it is missing.

    :raises OSError: if it cannot be read
    """
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def make_private_directories(path: str) -> None:
    """Create a directory and the missing ones above it, all for this user alone. A directory that exists stays as it is.

    :raises OSError: if one cannot be created
    """
    if not os.path.isdir(path):
        make_private_directories(os.path.dirname(path))
        files.make_directory(path, os.geteuid(), permissions.PRIVATE_DIRECTORY)


def make_directory(path: str) -> None:
    """Create the directory for this user alone, and keep it out of Git. A directory that exists stays as it is.

    :raises OSError: if it cannot be created
    """
    if not os.path.isdir(path):
        make_private_directories(path)
        # another process may create the same directory now
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            files.write_file(os.path.join(path, ".gitignore"), b"*\n", os.geteuid(), permissions.FILE)


def derive_hash_key() -> str:
    """Return the key with which hosts hash passwords in this run: random, and stored nowhere.

    :source: Python's documentation, "multiprocessing.Process.authkey": random, and inherited by all processes of a program
    """
    return hmac.new(multiprocessing.current_process().authkey, b"crosshost.ambassador", hashlib.sha256).hexdigest()


def list_overriding_facts(variables: Mapping[str, Any]) -> list[str]:
    """Return the facts of a host that replace variables of Ansible, of the collection, or of its playbooks.

    Each answer of a module can hold facts, and with Ansible's default ``inject_facts_as_vars`` they replace variables of the inventory,
    and even ``inventory_hostname``.

    :param variables: the variables of a task
    """
    facts = variables.get("ansible_facts") or {}
    if not constants.INJECT_FACTS_AS_VARS:
        return []
    options = list_plugin_variables()
    return sorted(
        name if name.isprintable() else ascii(name)
        for name in facts
        if is_own_variable(name) or OPTION_VARIABLES.fullmatch(name) or not options.isdisjoint((name, f"ansible_{name}"))
    )


def list_plugin_variables() -> set[str]:
    """Return the variables that are options of the loaded plugins for connections, shells, and other users, if facts can replace them."""
    config = constants.config
    plugins = [(kind, plugin) for kind in OPTION_PLUGINS for plugin in config.get_configuration_definitions(kind)]
    variables = {str(name) for kind, plugin in plugins for name in config.get_plugin_vars(kind, plugin)}
    return variables - set(constants.COMMON_CONNECTION_VARS)


def is_own_variable(name: str) -> bool:
    """Return whether a name is that of a variable of Ansible, of the collection, of its playbooks, or of a global of templates.

    :param name: the name of a fact. Ansible removes the prefix ``ansible_``
    """
    names = (name, f"ansible_{name}")
    return name in TEMPLATE_GLOBALS or not PROTECTED_VARIABLES.isdisjoint(names) or name.startswith(PROTECTED_PREFIXES)


def find_facts_problem(variables: Mapping[str, Any], message: Message = ControllerMessage.FACTS_REPLACE_VARIABLES) -> Problem | None:
    """Return the problem of facts that replace variables, or None: see :func:`list_overriding_facts`.

    :param variables: the variables of a task
    :param message: the message, which can name what does not happen because of the facts
    """
    facts = list_overriding_facts(variables)
    place = Place(host=str(variables.get("inventory_hostname")))
    return message.at(place, variables=", ".join(facts)) if facts else None


def find_unread_variable(variables: Mapping[str, Any], template: Callable[[Any], Any]) -> Problem | None:
    """Return the problem of a host with parameters of the playbooks that they do not read, or None. Other playbooks may use these names.

    :param variables: the variables of a task
    :param template: returns a value with its templates resolved
    """
    if PATTERN not in variables:
        return None
    place = Place(host=variables["inventory_hostname"])
    for name in REMOVED:
        if name in variables:
            return ControllerMessage.VARIABLE_NOT_READ.at(place, variable=name)
    if "ambassador_hosts" in variables:
        pattern, pattern_of_run = template(variables["ambassador_hosts"]), template(variables[PATTERN])
        pattern = pattern if isinstance(pattern, str) else ":".join(pattern)
        if pattern != pattern_of_run:
            return ControllerMessage.HOSTS_DIFFER.at(place, pattern=pattern, pattern_of_run=pattern_of_run)
    return None
