#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells what the meshes on a host have made there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: meshes_info
short_description: Returns the containers of all meshes on a host
version_added: 1.1.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - Returns the containers of all meshes on the host, whichever controller runs their playbooks, and the links of the ambassadors.
  - It reads no map, judges nothing, and changes nothing.
extends_documentation_fragment:
  - crosshost.ambassador._docker
attributes:
  check_mode:
    support: full
    description: Runs the same in check mode, because it changes nothing.
  diff_mode:
    support: none
    description: Shows no differences.
"""

EXAMPLES = r"""
- name: Read all meshes
  crosshost.ambassador.meshes_info:
  register: found

- name: Show whose they are
  ansible.builtin.debug:
    msg: "{{ found.containers | map(attribute='mesh') | unique }}"
"""

RETURN = r"""
containers:
  description:
    - Each container has C(name), C(mesh), C(side), C(state), and C(error). C(side) is V(server) or V(client), or none if the container is
      no ambassador. C(error) is the reason why its engine does not answer, or none.
    - >-
      The first container of a side also has C(links), because all containers of a side have the same links. It maps the alias to
      C(connections) and C(targets), a list of C(name), C(address), and C(up). It is empty for the engine socat, which reports nothing.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.crosshost.ambassador.plugins.module_utils import _observation_docker as docker
from ansible_collections.crosshost.ambassador.plugins.module_utils._docker_engine import (
    ARGUMENTS,
    REQUIRED_TOGETHER,
    DockerEngine,
    SettingsError,
)
from ansible_collections.crosshost.ambassador.plugins.module_utils._names import AMBASSADOR
from ansible_collections.crosshost.ambassador.plugins.module_utils._observation_disk import side


def ambassador(container, name):
    """Return the entry of a container in the result of the module.

    :param dict container: the observation of the container
    :param str name: its name
    :rtype: dict
    """
    match = AMBASSADOR.fullmatch(name)
    is_first = match and not match[3] and container.get("directory")
    state = side(container["directory"]) if is_first else {"links": {}, "error": None}
    return {
        "name": name,
        "mesh": container["mesh"],
        "side": match[2] if match else None,
        "state": container["state"],
        "links": state["links"],
        "error": state["error"],
    }


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, required_together=REQUIRED_TOGETHER, supports_check_mode=True)
    containers = []
    try:
        engine = DockerEngine.of_module(module.params)
        for listed in engine.get("/containers/json?all=1") or []:
            if docker.mesh_of(listed.get("Labels")) is not None:
                container = docker.container(listed, engine.get(f"/containers/{listed['Id']}/json"))
                containers.append(ambassador(container, listed["Names"][0][1:]))
    except SettingsError as error:
        module.fail_json(msg=f"The connection settings of the Docker Engine are wrong. {error}")
    except OSError as error:
        module.fail_json(msg=f"The Docker Engine does not answer. {error}. Start it on the host.")
    module.exit_json(changed=False, containers=sorted(containers, key=lambda entry: (entry["mesh"], entry["name"])))


if __name__ == "__main__":
    main()
