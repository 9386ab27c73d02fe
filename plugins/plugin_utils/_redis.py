# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Redis: the rights of its users, the files of its containers, the checks of its passwords, and its link. Pure Python without Ansible.

The user sets a password, or the controller stores it, or a run creates it. A run never creates a password that a host already has.
A password that the user sets may differ from the password of a host, because this is how a password is changed. A stored one may not.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _names as names
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_description import parse_size
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place, Problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_redis import RedisMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._side import SideLink

USERS = ("app", "proof", "operator")
# the variable with the password of each user on a server
VARIABLES = {"app": "redis_server_password", "proof": "redis_server_proof_password", "operator": "redis_server_operator_password"}
MIN_PASSWORD_LENGTH = 16
# rules of each user; a client without a user can only send PING and ROLE
RULES = {
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


def find_app_rule_problems(rules: object) -> list[Problem]:
    """Return the problems of the additional rules of the user app, one for each rule that is refused.

    :param rules: the variable ``redis_server_app_rules``
    :source: Redis' documentation, "ACL", section "ACL rules"
    """
    place = Place(variable="redis_server_app_rules")
    if not isinstance(rules, list):
        return [RedisMessage.RULES_NOT_A_LIST.at(place)]
    problems = []
    for position, rule in enumerate(rules):
        # Redis does not start with a pattern after "all keys" or "all channels", which the role's own rules have
        kind = next((kind for kind, begins in PATTERNS.items() if isinstance(rule, str) and rule.startswith(begins)), None)
        if not isinstance(rule, str) or not APP_RULE.fullmatch(rule):
            problems.append(RedisMessage.RULE_INVALID.at(place, rule=repr(rule)))
        elif NOT_FOR_APP.fullmatch(rule):
            problems.append(RedisMessage.RULE_ADMINISTERS.at(place, rule=rule))
        elif kind and f"reset{kind}" not in rules[:position]:
            problems.append(RedisMessage.RULE_WITHOUT_EFFECT.at(place, rule=rule, kind=kind))
    return problems


def hash_password(password: str) -> str:
    """Return the SHA-256 of a password, as Redis' ACL has it."""
    return hashlib.sha256(password.encode()).hexdigest()


def render_acl(passwords: Mapping[str, str], app_rules: Iterable[str] = ()) -> str:
    """Return the ACL file of the server.

    :param passwords: user -> password
    :param app_rules: additional rules of the user app, see :func:`find_app_rule_problems`
    :source: Redis' documentation, "ACL", section "ACL rules"
    """
    additional = {"app": app_rules}
    lines = ["user default reset on nopass +ping +role"]
    for user, rules in RULES.items():
        lines.append(" ".join([f"user {user} reset on #{hash_password(passwords[user])} {rules}", *additional.get(user, ())]))
    return "".join(f"{line}\n" for line in lines)


def quote_password(password: str) -> str:
    """Return a password as Redis reads it in a line of its configuration, or of a command."""
    return json.dumps(password, ensure_ascii=False)


def find_memory_problems(memory: object) -> list[Problem]:
    """Return why the memory limit of a server is refused, or an empty list.

    :param memory: the variable ``redis_server_memory``; 0 for no limit
    """
    if 0 < (parse_size(memory) or 0) < MIN_MEMORY_BYTES:
        place = Place(variable="redis_server_memory")
        return [RedisMessage.MEMORY_TOO_SMALL.at(place, memory=str(memory), minimum=f"{MIN_MEMORY_BYTES >> 20}M")]
    return []


def compute_limits(memory: object) -> dict[str, int | str]:
    """Return the settings that keep a server below the memory limit of its container: setting -> value in the configuration file.

    They limit clients without a password, one request or reply of any client, and replicas that do not read. They do not stop a client with
    the password of app that exhausts the memory on purpose: Redis checks ``maxmemory`` before a command or transaction, not within it.

    Redis closes the largest clients if all together exceed their part, also when clients without a password cause it. Their part holds a
    reply that exceeds its limit by its last value. It also holds a large value that a client writes and reads at once: Redis keeps the
    buffer of the request, and memory for large values is up to a quarter larger than the value.

    :param memory: the memory limit, as Docker takes it; 0 for none
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


def render_limits(memory: object) -> str:
    """Return the lines of :func:`compute_limits` in the configuration file."""
    return "".join(f"{name} {value}\n" for name, value in compute_limits(memory).items())


def render_server_files(passwords: Mapping[str, str], app_rules: Iterable[str], memory: object) -> dict[str, str]:
    """Return the files of the container of a server: name -> content.

    :param passwords: user -> password, of all its users
    :param app_rules: additional rules of the user app
    :param memory: the memory limit of the container
    """
    operator = passwords["operator"]
    return {
        "users.acl": render_acl(passwords, app_rules),
        # a replica logs in to its primary with these; a running server gets all lines with CONFIG SET
        "redis.conf": f"masteruser operator\nmasterauth {quote_password(operator)}\n{render_limits(memory)}",
        "operator": f"{operator}\n",
    }


def render_client_files(passwords: Mapping[str, str]) -> dict[str, str]:
    """Return the files of the container of a client, one password in each: name -> content.

    :param passwords: user -> password
    """
    return {user: f"{password}\n" for user, password in passwords.items()}


def render_loaded(passwords: Mapping[str, str], app_rules: Iterable[str], memory: object) -> str:
    """Return the file that records the configuration that a server has loaded. It has the hashes of the passwords.

    :param passwords: user -> password
    :param app_rules: additional rules of the user app
    :param memory: the memory limit of the container
    """
    return render_acl(passwords, app_rules) + render_limits(memory)


def list_changed_users(passwords: Mapping[str, str], held: Mapping[str, str], hash_text: Callable[[str], str] = hash_password) -> list[str]:
    """Return the users whose sessions end, because their password changes.

    :param passwords: user -> password
    :param held: user -> hash of the password with which the server runs
    :param hash_text: returns the hash of a password as ``held`` has it
    """
    return [user for user, password in passwords.items() if user in held and held[user] != hash_text(password)]


def find_weak_passwords(given: Mapping[str, str], variables: Mapping[str, str]) -> list[Problem]:
    """Return a warning for each given password that is short.

    :param given: user -> the password that was given, empty if none was
    :param variables: user -> name of the variable
    """
    return [
        RedisMessage.PASSWORD_SHORT.at(Place(variable=variables[user]), user=user, length=MIN_PASSWORD_LENGTH)
        for user, password in given.items()
        if 0 < len(password) < MIN_PASSWORD_LENGTH
    ]


def _find_value_problems(user: str, password: object, file: str = "") -> list[Problem]:
    """Return what is wrong with the value of a password, or with the name of its user. ``file`` is empty if the password was given."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", user):
        return [RedisMessage.USER_INVALID.at(user=repr(user))]
    if isinstance(password, str) and password.isprintable():
        return []
    return [RedisMessage.STORED_PASSWORD_INVALID.at(user=user, file=file) if file else RedisMessage.PASSWORD_INVALID.at(user=user)]


def find_password_problems(
    given: Mapping[str, str],
    kept: Mapping[str, str | None],
    held: Mapping[str, Mapping[str, str]],
    directory: str,
    mesh: str = mesh_names.DEFAULT,
    end: str = "",
    hash_text: Callable[[str], str] = hash_password,
) -> list[Problem]:
    """Return why passwords cannot be used, or created.

    :param given: user -> the password that was given, empty if none was
    :param kept: user -> the password that the controller stores, None if it stores none
    :param held: host -> user -> hash of the password that the host has
    :param directory: the directory on the controller
    :param mesh: the mesh
    :param end: what follows a password in what was hashed
    :param hash_text: returns the hash of a text as ``held`` has it
    """
    problems: list[Problem] = []
    for user, password in given.items():
        file, stored = f"{directory}/{names.name_password_file(user, mesh)}", kept[user]
        problems += _find_value_problems(user, password)
        if not password and stored is not None:
            problems += _find_value_problems(user, stored, file)
            if not stored:
                problems.append(RedisMessage.STORED_PASSWORD_EMPTY.at(user=user, file=file))
    for host, users in held.items():
        files = []
        for user in sorted(set(users) & {user for user, password in given.items() if not password}):
            file, stored = names.name_password_file(user, mesh), kept[user]
            if stored is None:
                files.append(f"{file} is missing")
            elif stored and hash_text(stored + end) != users[user]:
                files.append(f"{file} differs")
        if files:
            message = RedisMessage.PASSWORDS_OF_ANOTHER_CONTROLLER
            problems.append(message.at(Place(host=host), directory=directory, files=", ".join(files)))
    return problems


def is_backend(backend: str, name: str, network: str) -> bool:
    """Return whether the backend of a link is the container of the role redis_server.

    :param backend: the backend, ``name:port``
    :param name: name of the container
    :param network: the network of the ambassadors, which Docker accepts behind the name
    """
    # Docker's names have no case
    return backend.rpartition(":")[0].lower() in (name.lower(), f"{name}.{network}".lower())


def choose_link(
    links: Sequence[SideLink], wanted: str, host: str, is_map_defined: bool = True, links_with_own_server: Sequence[SideLink] = ()
) -> SideLink | Problem:
    """Return the link that a client consumes, or why it cannot be determined.

    That is the link that the user named. Otherwise, it is the only link with `check: redis`, the only link, or `redis`.
    Links to the Redis server of the role come before all others, and any of them will do.

    :param links: the links of the client side
    :param wanted: alias of the link, or the name that clients dial; empty if the user named none
    :param host: inventory name of the host
    :param is_map_defined: whether the map is defined
    :param links_with_own_server: the links whose backend is the Redis server of the role
    """
    place = Place(host=host)
    if not is_map_defined:
        return RedisMessage.MAP_UNDEFINED.at(place)
    if wanted:
        named = [link for link in links if wanted in (link["alias"], link["name"])]
        return named[0] if named else RedisMessage.LINK_NOT_CONSUMED.at(place, link=wanted, consumed=_join_aliases(links) or "none")
    candidates = links_with_own_server or links
    named = [link for link in candidates if link["name"] == "redis"]
    checked = [link for link in candidates if link["check"] == "redis"]
    for choice in (checked, candidates, named, links_with_own_server[:1]):
        if len(choice) == 1:
            return choice[0]
    if not links:
        return RedisMessage.LINK_MISSING.at(place)
    return RedisMessage.LINK_AMBIGUOUS.at(place, links=_join_aliases(checked or links))


def _join_aliases(links: Collection[SideLink]) -> str:
    return ", ".join(link["alias"] for link in links)
