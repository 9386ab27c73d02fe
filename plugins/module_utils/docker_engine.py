# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Questions to the Docker Engine: GET requests and nothing else, over one connection, with Python's own HTTP client.

A look at a host asks for containers, networks, images and volumes; community.docker has a module for each, and each would be a Python
of its own to start. What is changed is changed by community.docker's modules.
"""

from __future__ import annotations

import http.client
import json
import os
import socket

DEFAULT = "unix:///var/run/docker.sock"


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket.

    :param str path: path of the socket
    :param float timeout: seconds to wait for each part of an answer
    """

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        """Open the connection."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class DockerEngine:
    """The Docker Engine of this host.

    :param str | None url: ``unix://PATH`` or ``tcp://ADDRESS:PORT``; by default what the variable ``DOCKER_HOST`` says, else Docker's own
        socket
    :param float timeout: seconds to wait for each part of an answer
    :raises OSError: for any other kind of URL
    :source: Docker Engine API, https://docs.docker.com/reference/api/engine/
    """

    def __init__(self, url=None, timeout=60):
        self.url = url or os.environ.get("DOCKER_HOST") or DEFAULT
        kind, __, where = self.url.partition("://")
        if kind == "unix":
            self._connection = UnixConnection(where, timeout)
        elif kind == "tcp":
            try:
                self._connection = http.client.HTTPConnection(where, timeout=timeout)
            except http.client.InvalidURL as error:
                raise OSError(f"DOCKER_HOST is {self.url}: {error}") from error
        else:
            raise OSError(f"DOCKER_HOST is {self.url}, expected unix://… or tcp://…")

    def get(self, path):
        """Return what the Docker Engine answers, decoded.

        :param str path: path and query of the request, without a version of the API
        :return: None where there is no such object
        :raises OSError: where nothing answers, or not with success; with the words of the system or of Docker
        """
        try:
            self._connection.request("GET", path)
            answer = self._connection.getresponse()
            said = answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"{self.url}: {error!r}") from error
        except OSError as error:
            raise OSError(f"{self.url}: {error.strerror or error}") from error
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise OSError(f"{self.url}: {answer.status} {said.decode(errors='replace').strip()}")
        try:
            return json.loads(said)
        except ValueError as error:
            raise OSError(f"{self.url}: expected JSON, found {said[:100].decode(errors='replace').strip()}") from error
