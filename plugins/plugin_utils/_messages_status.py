# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The texts of the status: problems, warnings, and the summary. Pure Python without Ansible."""

from __future__ import annotations

import enum

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Message

# a deployment fixes most problems
DEPLOY = "Run crosshost.ambassador.site."
DEPLOY_REMOVES = "Run crosshost.ambassador.site, which removes it."
DEPLOY_RENEWS = "Run crosshost.ambassador.site, which renews it."


@enum.unique
class StatusMessage(Message):
    """What the status reports. The place of a message has its host and its link."""

    # -- problems of a host -------------------------------------------------------------------------------------------

    HOST_UNREACHABLE = "Ansible cannot connect: {reason}.", "Make the host reachable."
    ANSWER_UNREADABLE = (
        "its answer cannot be read ({error}).",
        "Find out which program of the host changed the answer, and run the status again.",
    )
    CONTAINER_MISSING = "container {container} of the {side} side is missing.", DEPLOY
    CONTAINER_STOPPED = (
        "container {container} of the {side} side does not run (state {state}).",
        "See its log with `docker logs {container}` on the host.",
    )
    ENGINE_NOT_ASKED = "the state of the {side} side is not known, because the side has no configuration on the host.", DEPLOY
    ENGINE_FAILED = ("the engine of the {side} side does not report its state. {reason}",)
    GENERATION_DIFFERS = (
        "the {side} side runs generation {running}, but generation {current} is on disk.",
        "Run crosshost.ambassador.site, which loads the generation or reports why it is refused.",
    )
    CERTIFICATE_NOT_YET_VALID = (
        "the certificate of the {side} side is not valid before {not_before}, which is later than the clock of the host.",
        "Set the clock of the host, for example with chrony.",
    )
    CERTIFICATE_EXPIRED = "the certificate of the {side} side expired on {not_after}.", DEPLOY_RENEWS

    # -- problems of a link -------------------------------------------------------------------------------------------

    LINK_DOWN = "the link is down on the {side} side. {targets}", "Start the service there, or repair the network path."
    LINK_NOT_FORWARDED = "the engine of the {side} side does not forward this link.", DEPLOY
    VARIABLE_MISSING = "the container of the {side} side has no variable {variable}.", DEPLOY
    SEVERAL_PRIMARIES = (
        "the Redis servers on {hosts} all answer ROLE master, and each lacks the writes of the others.",
        "Make all but one a replica (REPLICAOF).",
    )

    # -- warnings -----------------------------------------------------------------------------------------------------

    CONTAINER_UNUSED = "no link uses container {container}.", DEPLOY_REMOVES
    CERTIFICATE_EXPIRES = "the certificate of the {side} side expires on {not_after}.", DEPLOY_RENEWS
    LINK_NOT_IN_MAP = "the {side} side still forwards this link, but the map does not have it.", DEPLOY_REMOVES
    TARGET_DOWN = ("one target of the {side} side is down. {target}",)
    TARGET_DOWN_SINCE = ("one target of the {side} side has been down for {age}. {target}",)
    TARGET_ADDRESSES_DOWN = ("some addresses of a target of the {side} side are down. {target}",)
    TARGETS_DIFFER = "the {side} side has the targets {running}, but the map has the targets {expected}.", DEPLOY
    CONNECTIONS_HELD = ("the {side} side holds {connections}, because no target is up.",)

    # -- summaries ----------------------------------------------------------------------------------------------------

    PROBLEMS = ("{problems} in {links} on {hosts}.",)
    PROBLEMS_WITHOUT_LINKS = ("{problems} on {hosts}.",)
    NO_LINKS = ("The map has no links for {hosts}.",)
    NO_LINKS_WITH_WARNINGS = ("The map has no links for {hosts}, with {warnings}.",)
    # nothing tells whether a link without checks is up
    NO_PROBLEM = ("No problem in {links} on {hosts}.",)
    NO_PROBLEM_WITH_WARNINGS = ("No problem in {links} on {hosts}, with {warnings}.",)
    LINK_UP = ("Link {link} on {hosts} is up.",)
    LINKS_UP = ("All {links} on {hosts} are up.",)
    LINK_UP_WITH_WARNINGS = ("Link {link} on {hosts} is up, with {warnings}.",)
    LINKS_UP_WITH_WARNINGS = ("All {links} on {hosts} are up, with {warnings}.",)

    # -- the page -----------------------------------------------------------------------------------------------------

    PAGE_OF_ALL_MESHES = (
        "a page shows one mesh, but ambassador_mesh is {mesh}.",
        "Set ambassador_mesh to one mesh, or remove status_page.",
    )
    PAGE_NOT_HTML = "the name of the file {path} does not end in .html.", "Use such a name. The JSON file gets the same name with .json."
    PAGE_DIRECTORY_MISSING = "the controller has no directory {directory}.", "Create the directory, or use another one."
    PAGE_DIFFERS = (
        "status_page is {page}, but this run writes {page_of_run}.",
        "Set status_page with -e or for the group all, not for single groups or hosts.",
    )


def format_count(number: int, noun: str) -> str:
    """Return a number of things with its noun, such as ``2 links``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
