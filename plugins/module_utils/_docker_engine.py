# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""GET requests to the Docker Engine, over one connection, with the HTTP and TLS clients of the Python standard library.

One module observes a host; community.docker has a module for each kind of object. ``requests`` is not used, because the observation must
report that it is missing, and its import would slow down every run.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.basic import env_fallback
from ansible.module_utils.common.parameters import AnsibleFallbackNotFound

DEFAULT = "unix:///var/run/docker.sock"
DEFAULT_TIMEOUT_SECONDS = 60
# the defaults of community.docker for a URL without a port: the modules of both collections must reach the same engine
DEFAULT_PORTS = {"http": 2376, "https": 2375}
# x509_vfy.h of OpenSSL: X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
NAME_MISMATCHES = (62, 64)


class SettingsError(OSError):
    """The connection settings are wrong. The text names the setting to correct."""


def file_of_cert_path(name: str) -> str:
    """Return the path of a file in the directory ``DOCKER_CERT_PATH``. Raise AnsibleFallbackNotFound if the variable is not set."""
    if "DOCKER_CERT_PATH" not in os.environ:
        raise AnsibleFallbackNotFound
    return os.path.join(os.environ["DOCKER_CERT_PATH"], name)


#: the connection options of a module, with the names, aliases, defaults, and environment variables of community.docker
ARGUMENTS = {
    "docker_host": {"type": "str", "default": DEFAULT, "fallback": (env_fallback, ["DOCKER_HOST"]), "aliases": ["docker_url"]},
    "tls_hostname": {"type": "str", "fallback": (env_fallback, ["DOCKER_TLS_HOSTNAME"])},
    "api_version": {
        "type": "str",
        "default": "auto",
        "fallback": (env_fallback, ["DOCKER_API_VERSION"]),
        "aliases": ["docker_api_version"],
    },
    "timeout": {"type": "int", "default": DEFAULT_TIMEOUT_SECONDS, "fallback": (env_fallback, ["DOCKER_TIMEOUT"])},
    "ca_path": {"type": "path", "fallback": (file_of_cert_path, ["ca.pem"]), "aliases": ["ca_cert", "tls_ca_cert", "cacert_path"]},
    "client_cert": {"type": "path", "fallback": (file_of_cert_path, ["cert.pem"]), "aliases": ["tls_client_cert", "cert_path"]},
    "client_key": {"type": "path", "fallback": (file_of_cert_path, ["key.pem"]), "aliases": ["tls_client_key", "key_path"]},
    "tls": {"type": "bool", "default": False, "fallback": (env_fallback, ["DOCKER_TLS"])},
    "validate_certs": {"type": "bool", "default": False, "fallback": (env_fallback, ["DOCKER_TLS_VERIFY"]), "aliases": ["tls_verify"]},
}
REQUIRED_TOGETHER = [["client_cert", "client_key"]]


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class TLSConnection(http.client.HTTPConnection):
    """HTTP over TLS, to a server whose certificate may have another name (``hostname``) than the address that is dialed."""

    def __init__(self, host: str, port: int, timeout: float, context: ssl.SSLContext, hostname: str) -> None:
        super().__init__(host, port, timeout=timeout)
        self._context, self._hostname = context, hostname

    def connect(self) -> None:
        super().connect()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self._hostname)


def check_readable(option: str, path: str) -> None:
    """Raise a SettingsError if the file that an option names is not readable."""
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise SettingsError(
            f"The file {path} of option {option} is not readable: {error.strerror}. Correct {option}, or the variable DOCKER_CERT_PATH."
        ) from error


def tls_context(verify: bool, ca_path: str | None, client_cert: str | None, client_key: str | None) -> ssl.SSLContext:
    """Return a TLS context for connections to a Docker Engine. Raise a SettingsError if a file is missing or holds something else."""
    # not create_default_context(): since Python 3.13 it refuses CAs that community.docker accepts
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_path:
        check_readable("ca_path", ca_path)
        try:
            context.load_verify_locations(ca_path)
        except ssl.SSLError as error:
            raise SettingsError(f"The file {ca_path} of option ca_path holds no CA certificate in PEM format. Correct the file.") from error
    else:
        context.load_default_certs()
    if client_cert and client_key:
        check_readable("client_cert", client_cert)
        check_readable("client_key", client_key)
        try:
            # an encrypted key is refused: without a password OpenSSL would ask for one on the terminal
            context.load_cert_chain(client_cert, client_key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise SettingsError(
                f"The files {client_cert} and {client_key} hold no certificate in PEM format with its unencrypted key."
                " Correct client_cert and client_key, or the variable DOCKER_CERT_PATH."
            ) from error
    return context


class DockerEngine:
    """A connection to the Docker Engine of this host. The parameters are the options of community.docker."""

    def __init__(
        self,
        docker_host: str = DEFAULT,
        tls_hostname: str | None = None,
        api_version: str = "auto",
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        ca_path: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        tls: bool = False,
        validate_certs: bool = False,
    ) -> None:
        self.url = docker_host.strip()
        self._has_answered, self.is_tls = False, False
        self._prefix = "" if api_version.lower() == "auto" else f"/v{api_version}"
        context = tls_context(validate_certs, ca_path, client_cert, client_key) if tls or validate_certs else None
        scheme, separator, rest = self.url.partition("://")
        if not separator:
            scheme, rest = ("tcp", self.url) if self.url else ("unix", "")
        if scheme in ("unix", "http+unix"):
            self.url = f"unix:///{rest.lstrip('/')}" if rest else DEFAULT
            self._connection = UnixConnection(self.url[len("unix://") :], timeout)
            return
        if scheme == "tcp":
            scheme = "https" if context else "http"
        if scheme not in DEFAULT_PORTS:
            raise SettingsError(
                f"The URL {self.url} of the Docker Engine is not supported. Set docker_host (DOCKER_HOST) to unix://… or tcp://…."
            )
        try:
            parts = urlsplit(f"{scheme}://{rest}")
            host, port = parts.hostname, parts.port or DEFAULT_PORTS[scheme]
        except ValueError as error:
            raise SettingsError(
                f"The URL {self.url} of the Docker Engine is not valid: {error}. Correct docker_host (DOCKER_HOST)."
            ) from error
        if not host:
            raise SettingsError(f"The URL {self.url} of the Docker Engine has no host. Correct docker_host (DOCKER_HOST).")
        self._prefix = parts.path.rstrip("/") + self._prefix
        if scheme == "http":
            self._connection = http.client.HTTPConnection(host, port, timeout=timeout)
        else:
            # like community.docker: https:// alone means the CAs that the host trusts
            self._ca = ca_path if context else None
            self._hostname = tls_hostname or host
            context = context or tls_context(True, None, None, None)
            self.is_tls = True
            self._connection = TLSConnection(host, port, timeout, context, self._hostname)

    @classmethod
    def of_module(cls, params: dict[str, Any]) -> DockerEngine:
        """Return the connection that the options of a module describe. Raise a SettingsError if one of them is wrong."""
        return cls(**{name: params[name] for name in ARGUMENTS})

    def get(self, path: str) -> Any:
        """Return the decoded answer to a path and query without a version of the API, None if there is no such object.

        Raise SettingsError if the TLS settings of both ends do not match, OSError without an answer, or for an error.
        """
        try:
            self._connection.request("GET", self._prefix + path)
            answer = self._connection.getresponse()
            body = answer.read()
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError) as error:
            # an engine that refuses a client certificate may close the connection before its reason arrives
            if isinstance(self._connection, TLSConnection) and (isinstance(error, ssl.SSLError) or not self._has_answered):
                raise SettingsError(self._describe_tls_error(error)) from error
            raise OSError(f"{self.url}: {error.strerror or error}") from error
        except http.client.HTTPException as error:
            raise OSError(f"{self.url}: {error!r}") from error
        except OSError as error:
            raise OSError(f"{self.url}: {error.strerror or error}") from error
        except ValueError as error:
            raise SettingsError(
                f"The host name of {self.url} or tls_hostname is not valid: {error}. Correct docker_host (DOCKER_HOST) or tls_hostname."
            ) from error
        self._has_answered = True
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise OSError(f"{self.url}: {answer.status} {body.decode(errors='replace').strip()}")
        try:
            return json.loads(body)
        except ValueError as error:
            raise OSError(f"{self.url}: expected JSON, found {body[:100].decode(errors='replace').strip()}") from error

    def _describe_tls_error(self, error: OSError) -> str:
        if not isinstance(error, ssl.SSLCertVerificationError):
            reason = getattr(error, "reason", None) or error.strerror or error
            return (
                f"The TLS connection to the Docker Engine at {self.url} failed: {reason}."
                " Check that the port uses TLS, and that the engine trusts the certificate of client_cert (DOCKER_CERT_PATH)."
            )
        if error.verify_code in NAME_MISMATCHES:
            return (
                f"The certificate of the Docker Engine at {self.url} is not valid for the name {self._hostname}."
                " Set tls_hostname (DOCKER_TLS_HOSTNAME) to a name that the certificate has."
            )
        return (
            f"The certificate of the Docker Engine at {self.url} is not trusted by {self._ca or 'the CAs of the host'}:"
            f" {error.verify_message}. Set ca_path (DOCKER_CERT_PATH) to the CA of the engine."
        )
