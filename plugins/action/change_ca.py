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
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Problem
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_controller import ControllerMessage

CA, CRL, PASSPHRASE = "ambassador_ca_certificate", "ambassador_ca_crl", "ambassador_ca_passphrase"
OPTIONS = {
    "step": {"type": "str", "choices": ["revoke", "trust", "sign", "forget"], "required": True},
    "directory": {"type": "path", "required": True},
    "host": {"type": "str", "default": ""},
    "mesh": {"type": "str", "default": mesh_names.DEFAULT},
    "separated": {"type": "bool", "default": False},
}
# the present CA, the next one, and the previous one
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
        problem = controller.find_facts_problem(task_vars, ControllerMessage.FACTS_STOP_CA)
        try:
            if problem:
                raise controller.RefusedError(problem)
            others = self._revoke() if self.options["step"] == "revoke" else self._roll_over(self.options["step"])
        except controller.RefusedError as refusal:
            return {**result, "failed": True, "msg": str(refusal)}
        except OSError as error:
            problem = ControllerMessage.DIRECTORY_UNUSABLE.at(directory=self.directory, error=str(error))
            return {**result, "failed": True, "msg": str(problem)}
        except ValueError as error:
            return {**result, "failed": True, "msg": str(ControllerMessage.CA_UNREADABLE.at(directory=self.directory, error=str(error)))}
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
                    file = os.path.join(self.directory, name)
                    problem = ControllerMessage.CA_KEY_UNUSABLE.at(file=file, fault=str(error), passphrase=PASSPHRASE)
                    raise controller.RefusedError(problem) from error
        return keys

    # -- steps --------------------------------------------------------------------------------------------------------

    def _other_meshes(self, ca):
        """Return the other meshes that have certificates of these CAs."""
        known = revocation.list_key_identifiers(ca)
        meshes = {entry.mesh for entry in signing.read_log(self.directory) if entry.authority in known}
        return sorted(meshes - {"", self.options["mesh"]})

    def _complete(self, ca, crl, place, keys, issued):
        """Return the lists of revoked certificates of all CAs, or refuse."""
        try:
            return revocation.complete_lists(ca, crl, keys, issued, self.now)
        except revocation.GapError as error:
            raise controller.RefusedError(*(_describe_gap(gap, place, self.options["host"]) for gap in error.gaps)) from error

    def _revoke(self):
        host, given = self.options["host"], self._variable(CA).strip()
        ca = given or self._read("ca.pem")
        # certificates of a CA that hosts no longer trust are refused without a list
        known = ("", *revocation.list_key_identifiers(ca))
        issued = {(serial, signer) for serial, signer in signing.list_issued_certificates(host, self.directory) if signer in known}
        if not issued:
            problem = ControllerMessage.REVOKED_HOST_UNKNOWN.at(directory=self.directory, host=host or "the host")
            raise controller.RefusedError(problem)
        if given:
            self._complete(ca, self._variable(CRL), CRL, [], issued)
        else:
            lists = self._complete(ca, self._read("ca.crl"), os.path.join(self.directory, "ca.crl"), self._keys(), issued)
            self._write("ca.crl", lists)
        others = self._other_meshes(ca)
        if others:
            warning = ControllerMessage.REVOCATION_REACHES_ONE_MESH.at(directory=self.directory, meshes=", ".join(others))
            self._display.warning(str(warning))
        return others

    def _roll_over(self, step):
        present = certificates.find_blocks(self._read("ca.pem"), "CERTIFICATE")
        coming = certificates.find_blocks(self._read("next.pem"), "CERTIFICATE")
        others = self._other_meshes("\n".join(present))
        if others and not self.options["separated"]:
            problem = ControllerMessage.CA_OF_SEVERAL_MESHES.at(directory=self.directory, meshes=", ".join(others))
            raise controller.RefusedError(problem)
        if not coming:
            # in check mode, nothing created it
            self.is_changed = True
            return others
        former = [block for block in present if block not in coming]
        has_switched = present[:1] == coming[:1]
        if step == "trust" and not has_switched:
            self._trust([*former, *coming])
        elif step == "sign" and not has_switched:
            # the keys first: a certificate of another key signs nothing
            if not self._read("previous.key"):
                self._write("previous.key", self._read("ca.key"), permissions.PRIVATE_FILE)
            self._write("ca.key", self._read("next.key"), permissions.PRIVATE_FILE)
            self._trust([*coming, *former])
        elif step == "forget":
            self._write("ca.pem", _join_blocks(coming))
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
            self._write("ca.crl", self._complete(_join_blocks(trusted), crl, place, self._keys(), set()))
        self._write("ca.pem", _join_blocks(trusted))


def _join_blocks(blocks):
    return "".join(f"{block.strip()}\n" for block in blocks)


def _describe_gap(gap, place, host) -> Problem:
    """Return what is wrong with the list of a CA, and what to do."""
    if gap.fault is certificates.ListFault.CANNOT_SIGN:
        return ControllerMessage.CA_CANNOT_SIGN_LIST.at(ca=gap.name)
    # a new list has to revoke the certificates as well
    if gap.fault and not gap.serials:
        is_missing = gap.fault is certificates.ListFault.MISSING
        return (ControllerMessage.LIST_MISSING if is_missing else ControllerMessage.LIST_ENDED).at(file=place, ca=gap.name)
    serials = ", ".join(f"{serial:X}" for serial in gap.serials)
    return ControllerMessage.LIST_INCOMPLETE.at(file=place, ca=gap.name, host=host, serials=serials)
