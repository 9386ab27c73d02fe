# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The texts about the controller: its variables, its CA, and certificates of hosts. Pure Python without Ansible."""

from __future__ import annotations

import enum

from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Fragment, Message

# what follows a request that is not the one of the collection
FIND_CHANGE = "Find out which program changed the request that this collection created."
FIND_PROGRAM = "Find out which program of the host returns them."
KEY_AWAY = "The key of this CA is not on this controller."


@enum.unique
class ControllerMessage(Message):
    """Why the controller does not do what a run requests."""

    # -- variables ----------------------------------------------------------------------------------------------------

    FACTS_REPLACE_VARIABLES = "its facts replace the variables {variables}.", FIND_PROGRAM
    FACTS_STOP_CA = "its facts replace the variables {variables}, so the CA is not changed.", FIND_PROGRAM
    FACTS_STOP_CERTIFICATE = "its facts replace the variables {variables}, so no certificate is issued.", FIND_PROGRAM
    FACTS_STOP_PASSWORD = "its facts replace the variables {variables}, so no password is read or created.", FIND_PROGRAM
    VARIABLE_NOT_READ = (
        "no playbook reads the variable {variable}. The Redis roles run where the map has links to their server.",
        "Remove the variable.",
    )
    HOSTS_DIFFER = (
        "ambassador_hosts is {pattern}, but this run has the hosts {pattern_of_run}.",
        "Set ambassador_hosts with -e or for the group all, not for single groups or hosts.",
    )

    # -- the directory and the CA -------------------------------------------------------------------------------------

    DIRECTORY_UNUSABLE = "The directory {directory} on this controller cannot be used: {error}.", "Correct its permissions."
    CA_UNREADABLE = "A certificate or a list of revoked certificates of the CA in {directory} cannot be read: {error}.", "Correct it."
    CA_KEY_UNUSABLE = "{file} cannot be used: {fault}.", "Correct {passphrase}."
    CA_KEY_CANNOT_SIGN = (
        "{key} cannot sign for {authority}: {fault}.",
        "Correct {passphrase}, or use the key of the first certificate in {authority}.",
    )
    REVOCATION_REACHES_ONE_MESH = (
        "The CA of {directory} also signs for mesh {meshes}. This run does not reach the hosts of other meshes.",
        "Run revoke for each of them as well.",
    )
    CA_OF_SEVERAL_MESHES = (
        "rollover: the CA of {directory} also signs for mesh {meshes}, whose links would break.",
        "Copy this directory for each of these meshes, set ambassador_controller_dir of the mesh to its copy,"
        " and run rollover again with -e separated=true.",
    )

    # -- revoked certificates -----------------------------------------------------------------------------------------

    REVOKED_HOST_UNKNOWN = (
        "revoke_host: {directory} has no certificates of {host}.",
        "Set -e revoke_host=… to the inventory name of a host that this controller certified.",
    )
    CA_CANNOT_SIGN_LIST = (
        "The CA {ca} cannot sign a list of revoked certificates: its certificate has no key usage cRLSign.",
        "Have it issued with this usage.",
    )
    LIST_MISSING = (
        f"{{file}}: the list of revoked certificates of the CA {{ca}} is missing. {KEY_AWAY}",
        "Append its list, and run again.",
    )
    LIST_ENDED = (
        f"{{file}}: the list of revoked certificates of the CA {{ca}} has ended. {KEY_AWAY}",
        "Replace it, and run again.",
    )
    LIST_INCOMPLETE = (
        f"{{file}}: the list of the CA {{ca}} does not revoke the certificates of {{host}} with the serial numbers {{serials}}. {KEY_AWAY}",
        "Revoke them with this CA, put its new list there, and run again.",
    )

    # -- certificates of hosts ----------------------------------------------------------------------------------------

    KEY_NOT_CERTIFIED = (
        "its key is not the key that was certified for {name}.",
        "Remove the files of the directory identity in ambassador_state_dir of this host, and run again.",
    )
    REQUEST_NOT_SIGNED = "its signing request {fault}, so no certificate is issued.", FIND_CHANGE
    REQUEST_NOT_EXPORTED = "its signing request {fault}, so it is not exported.", FIND_CHANGE
    CERTIFICATE_REFUSED = (
        "the certificate {certificate} {fault}.",
        "Let the CA of {ca} sign {request} for {names}, save the certificate as {certificate}, and run again.",
    )


@enum.unique
class Fault(Fragment):
    """What is wrong with a request or a certificate. The text follows its name."""

    MISSING = ("is missing",)
    UNREADABLE = ("is not in PEM format",)
    NOT_SIGNED = ("is not signed by its own key",)
    WEAK_KEY = ("has a key that is not of the curve P-256, P-384, or P-521",)
    OTHER_KEY = ("has another key than the host",)
    SUBJECT = ("has another subject",)
    NAMES = ("is for other names",)
    IS_CA = ("is for a CA",)
    KEY_USAGE = ("has other key usages than digitalSignature",)
    EXTENDED_KEY_USAGE = ("has other extended key usages than serverAuth and clientAuth",)
    EXTENSION = ("has an unexpected extension",)
    ATTRIBUTE = ("has other attributes than one list of extensions",)
    AUTHORITY = ("is not signed by the CA",)
    NO_AUTHORITY_KEY = ("does not name the key of its CA (authorityKeyIdentifier)",)
    LIFETIME = ("is not valid now",)
    UNCHANGED = ("is the certificate that has to be replaced",)


@enum.unique
class KeyFault(Fragment):
    """Why the key of a CA cannot be used. The text has no part of the key."""

    NO_PASSPHRASE = ("the key is encrypted, and no passphrase is given",)
    WRONG_PASSPHRASE = ("the key cannot be read with this passphrase",)
    OTHER_CA = ("the key belongs to another CA",)
