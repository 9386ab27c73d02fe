# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Redis: its users and what each may do, the files of its container, and when a password may be used or made. Pure Python without Ansible.

A password is given by the user, or kept on the controller, or made there; it is never made anew where a host holds one. A given one may
differ from what hosts hold, for that is how it is changed; a kept one may not.
"""

from __future__ import annotations

import hashlib
import json
import re

from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_description import parse_size

USERS = ("app", "proof", "operator")
# the variable with the password of each user on a server
VARIABLES = {"app": "redis_server_password", "proof": "redis_server_proof_password", "operator": "redis_server_operator_password"}
MIN_PASSWORD_LENGTH = 16
# rules of each user; a client without a user can only PING and ask for the ROLE
MAY = {
    # scripts run with the rights of all keys and can block the server
    "app": "~* &* +@all -@admin -@dangerous -@scripting +info +role +sort +sort_ro",
    "proof": "+ping +role +info",
    # to replicate and to take part in a move, and to change passwords while it runs
    "operator": "+ping +role +info +psync +replconf +replicaof +client|pause +client|unpause +client|kill +acl|load +config|set",
}


# a rule that a user of the role may add for app: a command, perhaps with a subcommand; keys; channels
APP_RULE = re.compile(r"[+-][a-z][a-z0-9._-]*(\|[a-z0-9._-]+)?|-@[a-z]+|(~|%(R|W|RW)~|&)\S+|(all|reset)(keys|channels)")
# what none of them may allow: administration, and scripts that stay on the server for other clients
NOT_FOR_APP = re.compile(
    r"\+(function|acl|config|module|debug|shutdown|replicaof|slaveof|psync|sync|monitor|migrate|failover|cluster)(\|.*)?"
    r"|\+script(\|(flush|kill|debug))?"
)


# the least that Redis accepts for a request, and the default that is the most that it stores as one value
MIN_REQUEST_BYTES, MAX_VALUE_BYTES = 1 << 20, 512 << 20
# an idle server has 14 MiB; below the minimum, little is left for data
IDLE_BYTES, MIN_MEMORY_BYTES = 16 << 20, 32 << 20
# the clients of a container without a memory limit have the same part as with this limit; the replicas have Redis' default
UNLIMITED_BYTES, UNLIMITED_REPLICAS_BYTES = 512 << 20, 256 << 20


# kind of patterns -> how rules with them begin
PATTERNS = {"keys": ("~", "%"), "channels": ("&",)}


def app_rule_problems(rules):
    """Return what is wrong with the additional rules of the user app.

    :param rules: the variable ``redis_server_app_rules``
    :return: a message for each rule that is refused
    :rtype: list[str]
    :source: Redis' documentation, "ACL", section "ACL rules"
    """
    variable = "Variable redis_server_app_rules:"
    if not isinstance(rules, list):
        return [f"{variable} it is not a list. Write a list of rules of Redis, for example [+eval, +evalsha]."]
    problems = []
    for position, rule in enumerate(rules):
        # Redis does not start with a pattern after "all keys" or "all channels", which the role's own rules have
        kind = next((kind for kind, begins in PATTERNS.items() if isinstance(rule, str) and rule.startswith(begins)), None)
        if not isinstance(rule, str) or not APP_RULE.fullmatch(rule):
            problems.append(f"{variable} {rule!r} is not a rule for a command, for keys, or for channels. Correct it.")
        elif NOT_FOR_APP.fullmatch(rule):
            problems.append(f"{variable} {rule} gives app rights over the server. Name the commands that the application needs.")
        elif kind and f"reset{kind}" not in rules[:position]:
            problems.append(f"{variable} {rule} restricts nothing, because app has all {kind}. Put reset{kind} in front of it.")
    return problems


def digest(password):
    """Return the SHA-256 of a password, as Redis' ACL has it.

    :param str password: the password
    :rtype: str
    """
    return hashlib.sha256(password.encode()).hexdigest()


def users_acl(passwords, app_rules=()):
    """Return the ACL file of the server.

    :param dict[str, str] passwords: user -> password
    :param app_rules: additional rules of the user app, see :func:`app_rule_problems`
    :rtype: str
    :source: Redis' documentation, "ACL", section "ACL rules"
    """
    more = {"app": app_rules}
    lines = ["user default reset on nopass +ping +role"]
    lines += [" ".join([f"user {user} reset on #{digest(passwords[user])} {may}", *more.get(user, ())]) for user, may in MAY.items()]
    return "".join(f"{line}\n" for line in lines)


def quoted(password):
    """Return a password as Redis reads it in a line of its configuration, or of a command.

    :param str password: the password
    :rtype: str
    """
    return json.dumps(password, ensure_ascii=False)


def memory_problems(memory):
    """Return why the memory limit of a server is refused.

    :param memory: the variable ``redis_server_memory``; 0 for no limit
    :return: a list of at most one message
    :rtype: list[str]
    """
    if 0 < (parse_size(memory) or 0) < MIN_MEMORY_BYTES:
        return [
            f"Variable redis_server_memory: {memory} is too little for Redis. Use at least {MIN_MEMORY_BYTES >> 20}M, or 0 for no limit."
        ]
    return []


def limits(memory):
    """Return the settings that keep a server below the memory limit of its container.

    They limit clients without a password, one request or reply of any client, and replicas that do not read. They do not stop a client with
    the password of app that exhausts the memory on purpose: Redis checks ``maxmemory`` before a command or transaction, not within it.

    Redis closes the largest clients if all together exceed their part, also when clients without a password cause it. Their part holds a
    reply that exceeds its limit by its last value. It also holds a large value that a client writes and reads at once: Redis keeps the
    buffer of the request, and memory for large values is up to a quarter larger than the value.

    :param memory: the memory limit, as Docker takes it; 0 for none
    :return: setting -> value, as the configuration file has it
    :rtype: dict[str, int | str]
    :source: Redis' documentation, "Client handling", sections "Output buffer limits", "Query buffer hard limit" and "Client eviction"
    """
    limit = parse_size(memory) or 0
    usable = max((limit or UNLIMITED_BYTES) - IDLE_BYTES, MIN_MEMORY_BYTES - IDLE_BYTES)
    request, reply = max(usable * 5 // 32, MIN_REQUEST_BYTES), usable * 3 // 16
    replicas = usable * 3 // 32 if limit else UNLIMITED_REPLICAS_BYTES
    return {
        "maxmemory": usable * 9 // 16 if limit else 0,
        "maxmemory-clients": usable * 11 // 32,
        "client-query-buffer-limit": request,
        # commands such as SETRANGE make large values of small requests
        "proto-max-bulk-len": min(request, MAX_VALUE_BYTES),
        # for each client; all replicas share one buffer
        "client-output-buffer-limit": f'"normal {reply} 0 0 replica {replicas} 0 0"',
    }


def limit_lines(memory):
    """Return the lines of :func:`limits` in the configuration file."""
    return "".join(f"{name} {value}\n" for name, value in limits(memory).items())


def server_files(passwords, app_rules, memory):
    """Return the files of a server's container.

    :param dict[str, str] passwords: user -> password, of all its users
    :param app_rules: additional rules of the user app
    :param memory: the memory limit of the container
    :return: name -> content
    :rtype: dict[str, str]
    """
    return {
        "users.acl": users_acl(passwords, app_rules),
        # a replica's own way to its master; a server that runs gets all of it by CONFIG SET
        "redis.conf": f"masteruser operator\nmasterauth {quoted(passwords['operator'])}\n{limit_lines(memory)}",
        "operator": f"{passwords['operator']}\n",
    }


def client_files(passwords):
    """Return the files of a client's container: a password each.

    :param dict[str, str] passwords: user -> password
    :return: name -> content
    :rtype: dict[str, str]
    """
    return {user: f"{password}\n" for user, password in passwords.items()}


def loaded(passwords, app_rules, memory):
    """Return the content of the file that says what a server runs with. It has the hashes of the passwords.

    :param dict[str, str] passwords: user -> password
    :param app_rules: additional rules of the user app
    :param memory: the memory limit of the container
    :rtype: str
    """
    return users_acl(passwords, app_rules) + limit_lines(memory)


def changed_users(passwords, held, hashed=digest):
    """Return the users whose sessions end, because their password changes.

    :param dict[str, str] passwords: user -> password
    :param dict[str, str] held: user -> hash of the password with which the server runs
    :param hashed: returns the hash of a password as ``held`` has it
    :rtype: list[str]
    """
    return [user for user, password in passwords.items() if user in held and held[user] != hashed(password)]


def weak_passwords(given, variables):
    """Return a warning for each password that was given and is short.

    :param dict[str, str] given: user -> the password that was given, empty where none was
    :param dict[str, str] variables: user -> name of the variable
    :rtype: list[str]
    """
    return [
        f"Variable {variables[user]}: the password of the Redis user {user} is shorter than {MIN_PASSWORD_LENGTH} characters."
        " Use a longer one."
        for user, password in given.items()
        if 0 < len(password) < MIN_PASSWORD_LENGTH
    ]


def wrong(user, password, where):
    """Return what is wrong with a password itself: a list of at most one sentence."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", user):
        return [f"Redis' user {user!r}: expected a name of letters, digits, points, dashes and underscores, found another; rename it."]
    if not isinstance(password, str) or not password.isprintable():
        return [f"the password of Redis' user {user}{where}: expected one line of printable characters, found something else; correct it."]
    return []


def judge(given, kept, held, directory, mesh=mesh_names.DEFAULT, end="", hashed=digest):
    """Tell whether passwords may be used, or made.

    :param dict[str, str] given: user -> the password that was given, empty where none was
    :param dict[str, str | None] kept: user -> the password that the controller keeps, None where it keeps none
    :param dict[str, dict[str, str]] held: host -> user -> hash of the password that the host holds
    :param str directory: the directory on the controller
    :param str mesh: the mesh
    :param str end: what follows a password in what was hashed
    :param hashed: returns the hash of a text as ``held`` has it
    :return: a list of sentences, empty where all is well
    :rtype: list[str]
    """
    problems = []
    for user, password in given.items():
        file = f"{directory}/{names.name_password_file(user, mesh)}"
        problems += wrong(user, password, "")
        if not password and kept[user] is not None:
            problems += wrong(user, kept[user], f" in {file}")
            if not kept[user]:
                problems.append(
                    f"the password of Redis' user {user} in {file}: expected one, found the file empty; put back what was in it."
                )
    for host, users in held.items():
        found = []
        for user in sorted(set(users) & {user for user, password in given.items() if not password}):
            if kept[user] is None:
                found.append(f"no {names.name_password_file(user, mesh)}")
            elif kept[user] and hashed(kept[user] + end) != users[user]:
                found.append(f"another one in {names.name_password_file(user, mesh)}")
        if found:
            problems.append(
                f"host {host}: expected {directory} on the controller to hold the passwords of Redis that this host has, found"
                f" {', '.join(found)}; copy that directory from the controller that made it, set ambassador_controller_dir to where it is,"
                " or give the passwords."
            )
    return problems


def is_backend(backend, name, network):
    """Return whether the backend of a link is the container of the role redis_server.

    :param str backend: the backend, ``name:port``
    :param str name: name of the container
    :param str network: the network of the ambassadors, which Docker accepts behind the name
    :rtype: bool
    """
    # Docker's names have no case
    return backend.rpartition(":")[0].lower() in (name.lower(), f"{name}.{network}".lower())


def link_of(links, said, host, defined=True, own=()):
    """Return the link that a client consumes.

    That is the link that the user named. Otherwise, it is the only link with `check: redis`, the only link, or `redis`.
    Links to the Redis server of the role come before all others, and any of them will do.

    :param list[dict] links: the links of the client side
    :param str said: alias of the link, or the name that consumers dial; empty where none was said
    :param str host: inventory name of the host
    :param bool defined: whether the map is defined at all
    :param list[dict] own: the links whose backend is the Redis server of the role
    :return: the link and None, or None and a sentence
    :rtype: tuple[dict | None, str | None]
    """
    consumed = ", ".join(link["alias"] for link in links) or "none"
    if not defined:
        return None, f"host {host}: expected the map of links in ambassador_links, found it undefined; define it for this host."
    if said:
        found = [link for link in links if said in (link["alias"], link["name"])]
        problem = (
            f"redis_client_link: expected a link whose clients hold host {host}, found {said}"
            f" (this host consumes: {consumed}); correct redis_client_link or the link's clients."
        )
        return (found[0], None) if found else (None, problem)
    candidates = own or links
    named = [link for link in candidates if link["name"] == "redis"]
    checked = [link for link in candidates if link["check"] == "redis"]
    for found in (checked, candidates, named, own[:1]):
        if len(found) == 1:
            return found[0], None
    return None, (
        f"redis_client_link: expected host {host} to consume one link with check redis, one at all, or the link redis, found"
        f" {', '.join(link['alias'] for link in checked or links) or 'none'};"
        " set redis_client_link to the alias of one, or correct its clients."
    )
