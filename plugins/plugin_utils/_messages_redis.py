# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The texts about Redis: its variables, its passwords, and the link of its client. Pure Python without Ansible."""

from __future__ import annotations

import enum

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Message


@enum.unique
class RedisMessage(Message):
    """What is wrong with the variables of Redis, with its passwords, or with its link."""

    # -- variables ----------------------------------------------------------------------------------------------------

    RULES_NOT_A_LIST = "the value is not a list.", "Write a list of rules of Redis, for example [+eval, +evalsha]."
    RULE_INVALID = "{rule} is not a rule for a command, for keys, or for channels.", "Correct it."
    RULE_ADMINISTERS = "{rule} gives app rights over the server.", "Name the commands that the application needs."
    RULE_WITHOUT_EFFECT = "{rule} restricts nothing, because app has all {kind}.", "Put reset{kind} in front of it."
    MEMORY_TOO_SMALL = "{memory} is too little for Redis.", "Use at least {minimum}, or 0 for no limit."

    # -- passwords ----------------------------------------------------------------------------------------------------

    PASSWORD_SHORT = "the password of the Redis user {user} is shorter than {length} characters.", "Use a longer one."
    USER_INVALID = (
        "{user} is not a valid name of a Redis user.",
        "Use only letters, digits, periods, hyphens, and underscores.",
    )
    PASSWORD_INVALID = (
        "The password of the Redis user {user} is not one line of printable characters.",
        "Correct the password.",
    )
    STORED_PASSWORD_INVALID = (
        "The password of the Redis user {user} in {file} is not one line of printable characters.",
        "Correct the file.",
    )
    STORED_PASSWORD_EMPTY = "The file {file} with the password of the Redis user {user} is empty.", "Restore its content."
    PASSWORDS_OF_ANOTHER_CONTROLLER = (
        "the directory {directory} on this controller does not have the Redis passwords of this host ({files}).",
        "Copy that directory from the controller that created the passwords, set ambassador_controller_dir to its place,"
        " or set the passwords as variables.",
    )

    # -- the link of a client -----------------------------------------------------------------------------------------

    MAP_UNDEFINED = "ambassador_links, the map of links, is not defined.", "Define it for this host."
    LINK_NOT_CONSUMED = (
        "redis_client_link is {link}, but this host does not consume such a link. It consumes: {consumed}.",
        "Correct redis_client_link, or the clients of the link.",
    )
    LINK_AMBIGUOUS = (
        "the link of the Redis client cannot be determined from the links {links}.",
        "Set redis_client_link to the alias of one of them.",
    )
    LINK_MISSING = "this host consumes no link, but the Redis client needs one.", "Add the host to the clients of a link."
