# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The connection options of the modules that read from the Docker Engine."""

from __future__ import annotations


class ModuleDocFragment:
    """The options have the names, aliases, defaults, and environment variables of the modules of community.docker."""

    DOCUMENTATION = r"""
options:
  docker_host:
    description:
      - URL of the Docker Engine, for example V(unix:///var/run/docker.sock) or V(tcp://127.0.0.1:2376).
      - The engine must run on the managed host itself.
      - If this option is not set, the module uses the environment variable E(DOCKER_HOST).
    type: str
    default: unix:///var/run/docker.sock
    aliases:
      - docker_url
  tls_hostname:
    description:
      - Name that the certificate of the Docker Engine must have. The default is the host in O(docker_host).
      - If this option is not set, the module uses the environment variable E(DOCKER_TLS_HOSTNAME).
    type: str
  api_version:
    description:
      - Version of the Docker API. V(auto) means the newest version of the Docker Engine.
      - If this option is not set, the module uses the environment variable E(DOCKER_API_VERSION).
    type: str
    default: auto
    aliases:
      - docker_api_version
  timeout:
    description:
      - Seconds to wait for each part of an answer of the Docker Engine.
      - If this option is not set, the module uses the environment variable E(DOCKER_TIMEOUT).
    type: int
    default: 60
  ca_path:
    description:
      - File on the managed host with the CA certificates that verify the certificate of the Docker Engine.
      - If this option is not set, the module uses C(ca.pem) in the directory of the environment variable E(DOCKER_CERT_PATH).
      - If neither is set, the module uses the CAs that the managed host trusts.
    type: path
    aliases:
      - ca_cert
      - tls_ca_cert
      - cacert_path
  client_cert:
    description:
      - File on the managed host with the client certificate.
      - If this option is not set, the module uses C(cert.pem) in the directory of the environment variable E(DOCKER_CERT_PATH).
    type: path
    aliases:
      - tls_client_cert
      - cert_path
  client_key:
    description:
      - File on the managed host with the unencrypted key of O(client_cert).
      - If this option is not set, the module uses C(key.pem) in the directory of the environment variable E(DOCKER_CERT_PATH).
    type: path
    aliases:
      - tls_client_key
      - key_path
  tls:
    description:
      - Whether to use TLS without verifying the certificate of the Docker Engine. O(validate_certs) takes precedence.
      - If this option is not set, the module uses the environment variable E(DOCKER_TLS).
    type: bool
    default: false
  validate_certs:
    description:
      - Whether to use TLS and verify the certificate of the Docker Engine.
      - If this option is not set, the module uses the environment variable E(DOCKER_TLS_VERIFY).
    type: bool
    default: false
    aliases:
      - tls_verify
notes:
  - The connection options are those of the modules of community.docker. Set them for the modules of both collections with the
    action group C(crosshost.ambassador.docker), or with the environment variables.
"""
