# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certifies the key of a host, on the controller: see ``plugins/modules/sign_certificate.py``."""

from __future__ import annotations

import os
import time

from ansible.plugins.action import ActionBase
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._files import write_file
from ansible_collections.crosshost.ambassador.plugins.module_utils._mesh import DEFAULT
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _certificates as certificates
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _controller as controller
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _signing as signing
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_controller import ControllerMessage, Fault

try:
    from cryptography.hazmat.primitives import serialization
except ImportError:  # the plan reports it when a certificate has to be read
    serialization = None

# variables with secrets: as options, they could be shown
CA = "ambassador_ca_certificate"
CA_KEY = "ambassador_ca_key"
PASSPHRASE = "ambassador_ca_passphrase"
OPTIONS = {
    "request": {"type": "str", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
    "held": {"type": "str", "default": ""},
    "directory": {"type": "path", "required": True},
    "days": {"type": "int", "required": True},
    "mesh": {"type": "str", "default": DEFAULT},
}


class ActionModule(ActionBase):
    """See ``plugins/modules/sign_certificate.py``."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Certify the key, and record the certificate."""
        result = super().run(tmp, task_vars)
        __, self.options = self.validate_argument_spec(OPTIONS)
        self.variables, self.host = task_vars, task_vars["inventory_hostname"]
        self.place = Place(host=self.host)
        self.directory, self.now = self.options["directory"], time.time()
        problem = controller.find_facts_problem(task_vars, ControllerMessage.FACTS_STOP_CERTIFICATE)
        try:
            if problem:
                raise controller.RefusedError(problem)
            certificate = self._issue()
        except controller.RefusedError as refusal:
            return {**result, "failed": True, "msg": str(refusal)}
        except OSError as error:
            return {
                **result,
                "failed": True,
                "msg": str(ControllerMessage.DIRECTORY_UNUSABLE.at(directory=self.directory, error=str(error))),
            }
        return {**result, "changed": True, "certificate": certificate}

    def _variable(self, name):
        value = self._templar.template(self.variables.get(name))
        return "" if value is None else str(value)

    def _read(self, name):
        """Return a file of the controller's directory; None if it is missing."""
        return controller.read(os.path.join(self.directory, name))

    def _issue(self):
        names, given, held = self.options["names"], self._variable(CA).strip(), self.options["held"]
        authority = given or self._read("ca.pem") or ""
        try:
            # several names: the host has to prove that it has the key that was certified for the former one
            if len(names) > 1 and not certificates.proves_name(held, names[1], authority, self.now):
                raise signing.SigningError(Fault.OTHER_KEY)
            request = signing.read_request(self.options["request"], held if len(names) > 1 else None)
        except signing.SigningError as error:
            if error.fault is Fault.OTHER_KEY:
                raise controller.RefusedError(ControllerMessage.KEY_NOT_CERTIFIED.at(self.place, name=names[1])) from error
            raise controller.RefusedError(ControllerMessage.REQUEST_NOT_SIGNED.at(self.place, fault=str(error))) from error
        key, key_place = (self._variable(CA_KEY), CA_KEY) if given else (self._read("ca.key"), os.path.join(self.directory, "ca.key"))
        if key is None:
            certificate = self._read_signed_elsewhere(request, authority)
        else:
            certificate = self._sign(request, authority, CA if given else os.path.join(self.directory, "ca.pem"), key, key_place)
        entry = signing.build_log_entry(self.host, certificate, self.now, self.options["mesh"])
        if (entry.serial, entry.authority) not in [(logged.serial, logged.authority) for logged in signing.read_log(self.directory)]:
            signing.append_to_log(self.directory, entry)
        return certificate

    def _sign(self, request, authority, authority_place, key, key_place):
        """Return a certificate that the CA of this controller signs now."""
        try:
            authority_key = signing.read_authority_key(key, self._variable(PASSPHRASE), authority)
        except signing.AuthorityKeyError as error:
            problem = ControllerMessage.CA_KEY_CANNOT_SIGN.at(
                self.place, key=key_place, authority=authority_place, fault=str(error), passphrase=PASSPHRASE
            )
            raise controller.RefusedError(problem) from error
        names, days = self.options["names"], self.options["days"]
        return signing.issue_certificate(request.public_key(), names, authority, authority_key, days, self.now)

    def _read_signed_elsewhere(self, request, authority):
        """Return the certificate that another CA signed for the request. Without a usable one, export the request and refuse."""
        names = self.options["names"]
        request_file = os.path.join(self.directory, "requests", f"{self.host}.csr")
        certificate_file = os.path.join(self.directory, "certificates", f"{self.host}.pem")
        try:
            signing.check_request(request, names)
        except signing.SigningError as error:
            raise controller.RefusedError(ControllerMessage.REQUEST_NOT_EXPORTED.at(self.place, fault=str(error))) from error
        text = self._read(certificate_file)
        fault = Fault.MISSING
        if text is not None:
            try:
                return signing.check_certificate(text, request, names, authority, self.options["held"], self.now)
            except signing.SigningError as error:
                fault = error.fault
        if not self._is_requested(request_file, request, names):
            controller.make_private_directories(os.path.dirname(request_file))
            # encoded again: the text of the host may hold another request
            write_file(request_file, request.public_bytes(serialization.Encoding.PEM), os.geteuid(), permissions.FILE)
        problem = ControllerMessage.CERTIFICATE_REFUSED.at(
            self.place,
            certificate=certificate_file,
            fault=str(fault.at()),
            ca=os.path.join(self.directory, "ca.pem"),
            request=request_file,
            names=" and ".join(names),
        )
        raise controller.RefusedError(problem)

    def _is_requested(self, path, request, names):
        """Return whether a file has a request for the same key and names: then the CA may process it already."""
        text = self._read(path)
        try:
            former = signing.read_request(text or "")
            signing.check_request(former, names)
        except signing.SigningError:
            return False
        return former.public_key() == request.public_key()
