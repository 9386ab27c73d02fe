# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The descriptions of the containers of Redis servers and clients. Pure Python without Ansible."""

from __future__ import annotations

from ansible_collections.crosshost.ambassador.plugins.module_utils._permissions import REDIS_UID
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_description import describe_container, format_volume


def describe_redis_server(name, settings):
    """Return the description of the container of a Redis server.

    :param str name: name of the container
    :param dict settings: see :mod:`plan`; and ``volume``, the name of the volume of its data
    :rtype: dict
    """
    command = ["/etc/ambassador/redis.conf", "--aclfile", "/etc/ambassador/users.acl", "--dir", "/data", "--appendonly", "yes"]
    # protected mode would authorize only loopback; the network of the ambassadors and the users of Redis limit access instead
    command += ["--protected-mode", "no"]
    return describe_container(
        name,
        settings["image"],
        user=f"{REDIS_UID}:{REDIS_UID}",
        entrypoint=["redis-server"],
        command=command,
        # the whole directory: a mounted file would keep its old inode
        volumes=[f"{settings['volume']}:/data:nocopy", format_volume(f"{settings['state_dir']}/{name}", "/etc/ambassador")],
        healthcheck={"test": ["CMD", "redis-cli", "ping"], "interval": "10s", "timeout": "3s", "retries": 3},
        memory=settings["memory"],
        pids=settings["pids"],
        network=settings["network"],
    )


def describe_redis_client(name, settings, variables, has_passwords):
    """Return the description of the container of a Redis client, which only sleeps.

    :param str name: name of the container
    :param dict settings: see :mod:`plan`
    :param dict variables: the link variables of its link
    :param bool has_passwords: whether it has a directory of passwords
    :rtype: dict
    """
    return describe_container(
        name,
        settings["image"],
        user=f"{REDIS_UID}:{REDIS_UID}",
        entrypoint=["sleep"],
        command=["infinity"],
        # sleep, as the first process, ignores SIGTERM, and has nothing to lose
        stop_signal="SIGKILL",
        env=variables,
        # the whole directory: a mounted file would keep its old inode
        volumes=[format_volume(f"{settings['state_dir']}/{name}", "/etc/ambassador")] if has_passwords else [],
        # where the image declares a volume: one without a name would be left behind by every client
        tmpfs=["/data"],
        memory=settings["memory"],
        pids=settings["pids"],
        network=settings["network"],
    )
