# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the controller trusts: its directory with the CA and the passwords, and its variables."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import multiprocessing
import os
import re

from ansible import constants
from ansible_collections.crosshost.ambassador.plugins.module_utils import _files as files
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions

# variable of the playbooks of this collection: the host pattern of the run
PATTERN = "run_pattern"
# of Ansible, such as inventory_hostname and inventory_dir, and parameters of playbooks
OWN_VARIABLES = {*constants.INTERNAL_STATIC_VARS, "revoke_host", "cut", "separated", PATTERN}
# globals of Jinja in templates; a variable with such a name replaces them, for example in `default(omit)`
TEMPLATE_GLOBALS = ("cycler", "dict", "joiner", "lipsum", "lookup", "namespace", "now", "omit", "q", "query", "range", "undef")
OWN_PREFIXES = ("ambassador_", "redis_server_", "redis_client_", "__ambassador_", "__redis_", "site_", "status_", "move_")
# options of plugins for connections, shells, and other users. Ansible removes some of them from facts, and not these:
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
    """The controller changes and signs nothing. The text is the message."""


def read(path):
    """Return the text of a file of the controller, or None if it is missing.

    :param str path: the file
    :rtype: str | None
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


def make_directory(path):
    """Create the directory for this user alone, and keep it out of Git. A directory that exists stays as it is.

    :param str path: the directory
    :raises OSError: if it cannot be created
    """
    if not os.path.isdir(path):
        make_private_directories(path)
        # another process may create the same directory now
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            files.write_file(os.path.join(path, ".gitignore"), b"*\n", os.geteuid(), permissions.FILE)


def hash_key():
    """Return the key with which hosts hash passwords in this run: random, and stored nowhere.

    :rtype: str
    :source: Python's documentation, "multiprocessing.Process.authkey": random, and inherited by all processes of a program
    """
    return hmac.new(multiprocessing.current_process().authkey, b"crosshost.ambassador", hashlib.sha256).hexdigest()


def overriding_facts(variables):
    """Return the facts of a host that replace variables of Ansible, of the collection, or of its playbooks.

    Each answer of a module can hold facts, and with Ansible's default ``inject_facts_as_vars`` they replace variables of the inventory,
    and even ``inventory_hostname``.

    :param dict variables: the variables of a task
    :rtype: list[str]
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
    return {name for kind, plugin in plugins for name in config.get_plugin_vars(kind, plugin)} - constants.COMMON_CONNECTION_VARS


def is_own_variable(name: str) -> bool:
    """Return whether a name is that of a variable of Ansible, of the collection, of its playbooks, or of a global of templates.

    :param name: the name of a fact. Ansible removes the prefix ``ansible_``
    """
    names = (name, f"ansible_{name}")
    return name in TEMPLATE_GLOBALS or not OWN_VARIABLES.isdisjoint(names) or name.startswith(OWN_PREFIXES)


def facts_problem(variables, effect=""):
    """Return the message about facts that replace variables, or an empty text: see :func:`overriding_facts`.

    :param dict variables: the variables of a task
    :param str effect: what does not happen because of them, after a comma
    :rtype: str
    """
    facts = overriding_facts(variables)
    if not facts:
        return ""
    found = f"Host {variables.get('inventory_hostname')}: its facts replace the variables {', '.join(facts)}{effect}."
    return f"{found} Find out which program of the host returns them."


def misplaced(variables, template):
    """Return a message if a host has parameters of the playbooks that they do not read. Playbooks of users may use these names.

    :param dict variables: the variables of a task
    :param template: callable: returns a value with its templates resolved
    :rtype: str
    """
    if PATTERN not in variables:
        return ""
    host = variables["inventory_hostname"]
    for name in REMOVED:
        if name in variables:
            return (
                f"Host {host}: no playbook reads the variable {name}. The Redis roles run where the map has links to their server. Remove"
                " the variable."
            )
    if "ambassador_hosts" in variables:
        own, whole = template(variables["ambassador_hosts"]), template(variables[PATTERN])
        own = own if isinstance(own, str) else ":".join(own)
        if own != whole:
            return (
                f"Host {host}: ambassador_hosts is {own}, but this run has the hosts {whole}. Set ambassador_hosts with -e or for the group"
                " all, not for single groups or hosts."
            )
    return ""
