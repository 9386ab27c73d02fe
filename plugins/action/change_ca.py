# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Revokes certificates, or changes to a new CA, on the controller: see ``plugins/modules/change_ca.py``."""

from __future__ import annotations

import contextlib
import os
import time

from ansible.plugins.action import ActionBase
from ansible_collections.crosshost.ambassador.plugins.module_utils import _mesh as mesh_names
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._files import write_file
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _certificates as certificates
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _controller as controller
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _revocation as revocation
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _signing as signing

CA, CRL, PASSPHRASE = "ambassador_ca_certificate", "ambassador_ca_crl", "ambassador_ca_passphrase"
OPTIONS = {
    "step": {"type": "str", "choices": ["revoke", "trust", "sign", "forget"], "required": True},
    "directory": {"type": "path", "required": True},
    "host": {"type": "str", "default": ""},
    "mesh": {"type": "str", "default": mesh_names.DEFAULT},
    "separated": {"type": "bool", "default": False},
}
# the one that signs, the one that comes, and the one that goes
KEYS = ("ca.key", "next.key", "previous.key")


class ActionModule(ActionBase):
    """See ``plugins/modules/change_ca.py``."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Take the step."""
        result = super().run(tmp, task_vars)
        __, self.options = self.validate_argument_spec(OPTIONS)
        self.variables, self.directory, self.now = task_vars, self.options["directory"], time.time()
        self.is_changed = False
        problem = controller.facts_problem(task_vars, ", so the CA is not changed")
        try:
            if problem:
                raise controller.RefusedError(problem)
            others = self._revoke() if self.options["step"] == "revoke" else self._roll_over(self.options["step"])
        except controller.RefusedError as refusal:
            return {**result, "failed": True, "msg": str(refusal)}
        except OSError as error:
            msg = f"The directory {self.directory} on this controller cannot be used: {error}. Correct its permissions."
            return {**result, "failed": True, "msg": msg}
        except ValueError as error:
            msg = f"A certificate or a list of revoked certificates of the CA in {self.directory} cannot be read: {error}. Correct it."
            return {**result, "failed": True, "msg": msg}
        return {**result, "changed": self.is_changed, "other_meshes": others}

    def _variable(self, name):
        value = self._templar.template(self.variables.get(name))
        return "" if value is None else str(value)

    # -- files --------------------------------------------------------------------------------------------------------

    def _read(self, name):
        """Return a file of the controller's directory; an empty text if it is missing."""
        return controller.read(os.path.join(self.directory, name)) or ""

    def _write(self, name, content, mode=permissions.FILE):
        if self._read(name).strip() != content.strip():
            self.is_changed = True
            if not self._task.check_mode:
                write_file(os.path.join(self.directory, name), content.encode(), os.geteuid(), mode)

    def _remove(self, name):
        if os.path.lexists(os.path.join(self.directory, name)):
            self.is_changed = True
            if not self._task.check_mode:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.directory, name))

    def _keys(self):
        """Return the private keys of CAs that this controller has."""
        keys = []
        for name in KEYS:
            text = self._read(name)
            if text:
                try:
                    keys.append(signing.read_authority_key(text, self._variable(PASSPHRASE), None))
                except signing.AuthorityKeyError as error:
                    raise controller.RefusedError(
                        f"{os.path.join(self.directory, name)} cannot be used: {error}. Correct {PASSPHRASE}."
                    ) from error
        return keys

    # -- steps --------------------------------------------------------------------------------------------------------

    def _other_meshes(self, ca):
        """Return the other meshes that have certificates of these CAs."""
        known = revocation.identifiers(ca)
        meshes = {entry.mesh for entry in signing.read_log(self.directory) if entry.authority in known}
        return sorted(meshes - {"", self.options["mesh"]})

    def _complete(self, ca, crl, place, keys, issued):
        """Return the lists of revoked certificates of all CAs, or refuse."""
        try:
            return revocation.complete(ca, crl, keys, issued, self.now)
        except revocation.GapError as error:
            raise controller.RefusedError("\n".join(_gap_message(gap, place, self.options["host"]) for gap in error.gaps)) from error

    def _revoke(self):
        host, given = self.options["host"], self._variable(CA).strip()
        ca = given or self._read("ca.pem")
        # certificates of a CA that hosts no longer trust are refused without a list
        known = ("", *revocation.identifiers(ca))
        issued = {(serial, signer) for serial, signer in signing.issued_to(host, self.directory) if signer in known}
        if not issued:
            raise controller.RefusedError(
                f"revoke_host: {self.directory} has no certificates of {host or 'the host'}."
                " Set -e revoke_host=… to the inventory name of a host that this controller certified."
            )
        if given:
            self._complete(ca, self._variable(CRL), CRL, [], issued)
        else:
            lists = self._complete(ca, self._read("ca.crl"), os.path.join(self.directory, "ca.crl"), self._keys(), issued)
            self._write("ca.crl", lists)
        others = self._other_meshes(ca)
        if others:
            self._display.warning(
                f"The CA of {self.directory} also signs for mesh {', '.join(others)}."
                " This run does not reach the hosts of other meshes. Run revoke for each of them as well."
            )
        return others

    def _roll_over(self, step):
        present = certificates.blocks(self._read("ca.pem"), "CERTIFICATE")
        coming = certificates.blocks(self._read("next.pem"), "CERTIFICATE")
        others = self._other_meshes("\n".join(present))
        if others and not self.options["separated"]:
            raise controller.RefusedError(
                f"rollover: the CA of {self.directory} also signs for mesh {', '.join(others)}, whose links would break."
                " Copy this directory for each of these meshes, set ambassador_controller_dir of the mesh to its copy,"
                " and run rollover again with -e separated=true."
            )
        if not coming:
            # in check mode, nothing created it
            self.is_changed = True
            return others
        former = [block for block in present if block not in coming]
        has_switched = present[:1] == coming[:1]
        if step == "trust" and not has_switched:
            self._trust([*former, *coming])
        elif step == "sign" and not has_switched:
            # the keys first: a certificate that goes with another key signs nothing
            if not self._read("previous.key"):
                self._write("previous.key", self._read("ca.key"), permissions.PRIVATE_FILE)
            self._write("ca.key", self._read("next.key"), permissions.PRIVATE_FILE)
            self._trust([*coming, *former])
        elif step == "forget":
            self._write("ca.pem", _text(coming))
            self._trust(coming)
            # the certificate last: without it, another run would create a CA with this key
            for name in ("previous.key", "next.key", "next.crl", "next.pem"):
                self._remove(name)
        return others

    def _trust(self, trusted):
        """Have hosts trust CAs, with a list of revoked certificates of each if there is any list."""
        crl = self._read("ca.crl")
        if crl.strip():
            # before the CAs, because HAProxy requires a list of each
            place = os.path.join(self.directory, "ca.crl")
            self._write("ca.crl", self._complete(_text(trusted), crl, place, self._keys(), set()))
        self._write("ca.pem", _text(trusted))


def _text(blocks):
    return "".join(f"{block.strip()}\n" for block in blocks)


def _gap_message(gap, place, host):
    """Return what is wrong with the list of a CA, and what to do."""
    away = "The key of this CA is not on this controller."
    if gap.fault is certificates.ListFault.CANNOT_SIGN:
        return (
            f"The CA {gap.name} cannot sign a list of revoked certificates: its certificate has no key usage cRLSign."
            " Have it issued with this usage."
        )
    if gap.fault is certificates.ListFault.MISSING and not gap.serials:
        return f"{place}: the list of revoked certificates of the CA {gap.name} is missing. {away} Append its list, and run again."
    if gap.fault is certificates.ListFault.ENDED and not gap.serials:
        return f"{place}: the list of revoked certificates of the CA {gap.name} has ended. {away} Replace it, and run again."
    serials = ", ".join(f"{serial:X}" for serial in gap.serials)
    return (
        f"{place}: the list of the CA {gap.name} does not revoke the certificates of {host} with the serial numbers {serials}. {away}"
        " Revoke them with this CA, put its new list there, and run again."
    )
