#!/usr/bin/python
# Copyright: the crosshost.ambassador contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeps an engine's configuration in generations: what is on disk is tested, and is what runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: generation
short_description: Keeps the configuration of an engine in generations
version_added: 0.1.0
author: the crosshost.ambassador contributors (@crosshost)
description:
  - >-
    A generation is a set of files that belong together. The module writes it as a whole under C(generations/), and derives its name from
    the content. The symbolic link C(current) then points to the generation, and the engine loads it. The module reaches the engine
    through its endpoint in C(run). Each container of the engine has its own directory for the endpoint.
  - If the engine refuses a generation, the module restores the generation that runs, and fails with the message of the engine.
  - >-
    With O(files), the module also sets owner and mode of its files in O(path), and of the state directory that contains O(path). The same
    applies to the key and the certificate in C(identity) next to O(path). The umask has no effect on them.
options:
  path:
    description: The state directory of one side. It contains C(generations), C(current), and C(run).
    type: path
    required: true
  state:
    description:
      - V(staged) writes the generation, and does not change the current one.
      - V(current) makes it the current one. A crash at any point leaves the old generation or the new one.
      - V(loaded) writes the generation if O(files) is set, makes it the current one, and waits until the engine answers. Then it reloads
        the engine, unless the engine runs this generation already. It removes all generations except the new and the previous one. An
        engine that refuses the generation continues with the one that it runs.
    type: str
    choices: [staged, current, loaded]
    required: true
  files:
    description:
      - Name of each file and its content. Needed for V(staged), possible with V(loaded).
    type: dict
  generation:
    description: Name of the generation, as M(crosshost.ambassador.plan) derives it from the content.
    type: str
    required: true
  engine:
    description: The engine that runs it. Used with V(staged) and V(loaded).
    type: str
    choices: [haproxy, nftables]
    default: haproxy
  owner:
    description: Numeric user ID of the engine. It owns the directories of its endpoints. Needed with O(files).
    type: int
  runs:
    description: >-
      Names of the directories of the endpoints, one for each container. With O(files), the module removes all others, because no container
      uses them.
    type: list
    elements: str
    default: [run]
  metrics:
    description: With O(files), whether the user of another container reaches the sockets in O(runs) that every user may connect to.
    type: bool
    default: false
  reload:
    description: With V(loaded), reload also if the engine reports that it runs this generation, because its files were repaired.
    type: bool
    default: false
  timeout:
    description: With V(loaded), seconds to wait for the engine.
    type: int
    default: 15
attributes:
  check_mode:
    support: full
    description: Reports the changes, and changes nothing.
  diff_mode:
    support: full
    description: With O(files), compares the new files with those of the current generation.
"""

EXAMPLES = r"""
- name: A generation is written
  crosshost.ambassador.generation:
    path: /var/lib/ambassador/client
    state: staged
    owner: 99
    generation: c12964c32605
    files:
      haproxy.cfg: "{{ lookup('ansible.builtin.template', 'haproxy.cfg.j2') }}"
  register: staged
"""

RETURN = r"""
current:
  description: Whether the generation is the current one already.
  returned: with V(staged)
  type: bool
generation:
  description: Name of the generation.
  returned: success
  type: str
loaded:
  description: Whether the engine runs this generation already.
  returned: with V(staged)
  type: bool
log:
  description: The output of the engine during a reload.
  returned: when it was reloaded
  type: str
written:
  description: Whether the content of the generation changed. If it did not, the module changed owners and modes alone, or nothing.
  returned: with V(staged)
  type: bool
"""

import contextlib
import itertools
import os
import shutil
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints
from ansible_collections.crosshost.ambassador.plugins.module_utils import _observation_disk as observation
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._addresses import is_address, parse_endpoint
from ansible_collections.crosshost.ambassador.plugins.module_utils._engines import ENGINES
from ansible_collections.crosshost.ambassador.plugins.module_utils._files import (
    EMPTYING,
    METRICS_DIRECTORY,
    describe_failure,
    empty_directory,
    make_directory,
    set_permissions,
    write_file,
)
from ansible_collections.crosshost.ambassador.plugins.module_utils._haproxy import HAProxy


def read_files(directory):
    """Return the files of a directory.

    :param str directory: path
    :return: name -> content; empty where there is no such directory
    :rtype: dict[str, str]
    """
    if not os.path.isdir(directory):
        return {}
    files = {}
    for entry in os.scandir(directory):
        if entry.is_file(follow_symlinks=False):
            with open(entry.path, encoding="utf-8", errors="surrogateescape") as file:
                files[entry.name] = observation.without_addresses(file.read())
    return files


def with_addresses(content, held):
    """Return a configuration of HAProxy in which each server with a DNS name starts with its last address.

    A new process knows no answer of DNS. If DNS is down, it continues with the last address.

    :param str content: the configuration
    :param dict held: proxy and server -> address
    :rtype: str
    :source: HAProxy Configuration Manual, section 5.2, "init-addr"
    """
    lines, proxy = [], ""
    for line in content.splitlines(keepends=True):
        words = line.split()
        if words and not line[0].isspace():
            proxy = words[1] if len(words) > 1 else ""
        # the proxy that holds connections has the servers of its link
        address = held.get((proxy.partition(".")[0], words[1])) if words[:1] == ["server"] else None
        lines.append(observation.UNKNOWN.sub(f"resolvers hosts init-addr {address},none", line) if address else line)
    return "".join(lines)


class Generations:
    """The generations of one side.

    :param AnsibleModule module: the running module
    """

    def __init__(self, module):
        self.module = module
        self.params = module.params
        self.path = self.params["path"]
        self.link = os.path.join(self.path, "current")
        self.kind = ENGINES[self.params["engine"]]
        self.runs = [os.path.join(self.path, run) for run in self.params["runs"]]
        self.engines = [self.kind(run) for run in self.runs]

    def directory(self, generation):
        """Return the path of a generation."""
        return os.path.join(self.path, "generations", generation)

    def current(self):
        """Return the name of the current generation, or None."""
        return endpoints.current_generation(self.path)

    def staged(self):
        """Write the generation that the files make."""
        generation, (written, changed, diff) = self.params["generation"], self.write()
        self.module.exit_json(
            changed=changed,
            written=written,
            generation=generation,
            current=self.current() == generation,
            loaded=self._answers() == generation,
            diff=diff,
        )

    def write(self):
        """Write the generation that the files make, if its content differs, and repair owners and modes.

        :return: whether its content differed, whether anything was changed, and how its files differ from those of the current one
        :rtype: tuple[bool, bool, list[dict]]
        """
        generation, files = self.params["generation"], self.params["files"]
        before = read_files(endpoints.current_directory(self.path))
        changed = self._directories()
        written = read_files(self.directory(generation)) != files
        if written and not self.module.check_mode:
            self._write(generation, files)
        changed = self._repair() or changed or written
        diff = [
            {"before_header": name, "after_header": name, "before": before.get(name, ""), "after": files.get(name, "")}
            for name in sorted({*before, *files})
            if before.get(name) != files.get(name)
        ]
        return written, changed, diff

    def _held(self):
        """Return proxy and server -> its current address, as far as the engines answer: each of them has other links."""
        held = {}
        for run in self.params["runs"]:
            with contextlib.suppress(OSError), endpoints.readable(HAProxy.reader):
                links = HAProxy(os.path.join(self.path, run)).read(None, timeout=5)["links"]
                for alias, link in links.items():
                    for target in link["targets"]:
                        # a name may stand for several addresses, of which each is a server
                        addresses = (target["address"] or "").split(", ")
                        servers = [f"{target['name']}.replica{number}" for number in range(1, len(addresses) + 1)]
                        if len(addresses) == 1:
                            servers.append(target["name"])
                        # another container of the side cannot replace an answer
                        for server, address in zip(servers, addresses * len(servers)):
                            held.setdefault((alias, server), parse_endpoint(address))
        return {server: address[0] for server, address in held.items() if address and is_address(address[0])}

    def _write(self, generation, files):
        """Write a generation. A crash leaves no part of a new one, and an old one with each file whole."""
        if self.kind.file in files and observation.UNKNOWN.search(files[self.kind.file]):
            files = {**files, self.kind.file: with_addresses(files[self.kind.file], self._held())}
        directory = self.directory(generation)
        written_to = directory
        if not os.path.isdir(directory):
            written_to = self.directory(f".{generation}")
            # a run that was interrupted may have left it
            shutil.rmtree(written_to, ignore_errors=True)
        make_directory(written_to, os.geteuid(), permissions.DIRECTORY)
        try:
            for name, content in files.items():
                write_file(os.path.join(written_to, name), content.encode(), os.geteuid(), permissions.FILE)
        except OSError:
            if written_to != directory:
                shutil.rmtree(written_to, ignore_errors=True)
            raise
        for name in set(read_files(written_to)) - set(files):
            os.unlink(os.path.join(written_to, name))
        os.rename(written_to, directory)

    def _repair(self):
        """Set owner and mode of all that has a wrong one, and return whether anything had."""
        state_dir, side = os.path.split(self.path.rstrip("/"))
        state_dir = os.path.realpath(state_dir)
        wrong = permissions.find_wrong(state_dir, [side])
        if not self.module.check_mode:
            for relative, owner, mode, group in wrong:
                set_permissions(os.path.join(state_dir, relative), owner, mode, group=group)
        return bool(wrong)

    def _directories(self):
        owner, changed = self.params["owner"], False
        for run in self.runs:
            if os.path.isdir(run) and (os.lstat(run).st_uid != owner or not permissions.differs(run, owner, EMPTYING)):
                changed = True
                if not self.module.check_mode:
                    # before other users can reach the directory: the container of the other engine can leave setuid programs there
                    empty_directory(run, owner, [engine.endpoint for engine in ENGINES.values()])
        for path, owner, mode, group in (
            (self.path, os.geteuid(), permissions.side_mode(self.params["owner"]), self.params["owner"]),
            (os.path.join(self.path, "generations"), os.geteuid(), permissions.DIRECTORY, None),
            *((run, owner, METRICS_DIRECTORY if self.params["metrics"] else permissions.PRIVATE_DIRECTORY, None) for run in self.runs),
        ):
            if os.path.isdir(path) and not permissions.differs(path, owner, mode, group):
                continue
            changed = True
            if not self.module.check_mode:
                make_directory(path, owner, mode, group)
        for run in endpoints.runs(self.path):
            path = os.path.join(self.path, run)
            if path not in self.runs and os.path.isdir(path):
                changed = True
                if not self.module.check_mode:
                    empty_directory(path, os.geteuid())
                    os.rmdir(path)
        return changed

    def make_current(self, generation):
        """Rename the link, so that it points at a generation; return whether it did not."""
        before = self.current()
        if before == generation:
            return False
        if not self.module.check_mode:
            if not os.path.isdir(self.directory(generation)):
                self.module.fail_json(
                    msg=f"{self.path}/generations has no generation {generation}, only {before or 'others'}. Run the roles again, which"
                    " write it."
                )
            beside = f"{self.link}.new"
            if os.path.islink(beside):
                os.unlink(beside)
            os.symlink(os.path.join("generations", generation), beside)
            os.rename(beside, self.link)
            if before and os.path.isdir(self.directory(before)):
                # its age says when it was the current one, not when it was written
                os.utime(self.directory(before))
        return True

    def _answers(self):
        """Return the name of the generation that all engines run, or None where one does not answer, or they run several."""
        with contextlib.suppress(OSError):
            running = {engine.running() for engine in self.engines}
            return running.pop() if len(running) == 1 else None
        return None

    def running(self, engine):
        """Return the name of the generation that an engine runs; wait for the engine.

        :raises OSError: where it does not answer in time
        """
        deadline = time.monotonic() + (0 if self.module.check_mode else self.params["timeout"])
        while True:
            try:
                return engine.running()
            except OSError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def loaded(self):
        """Write the generation where its files are given, make it the current one, and reload each engine that does not run it.

        Where one refuses it, all run the last good one again.
        """
        generation, log, before = self.params["generation"], [], {}
        written, changed, diff = self.write() if self.params["files"] is not None else (False, False, [])
        result = {"generation": generation, "diff": diff}
        made_current = self.make_current(generation)
        for engine in self.engines:
            try:
                before[engine] = self.running(engine)
            except OSError as error:
                if self.module.check_mode:  # a run would start it
                    self.module.exit_json(changed=True, **result)
                self.module.fail_json(
                    msg=f"The engine does not answer on {engine.path} within {self.params['timeout']} s: {error}."
                    " See its log with `docker logs` of the container of the ambassador."
                )
        needs_reload = written or self.params["reload"]
        todo = [engine for engine, running in before.items() if running != generation or needs_reload]
        if todo and self.module.check_mode:
            self.module.exit_json(changed=True, **result)
        for number, engine in enumerate(todo):
            answer = self._reload(engine)
            if not answer.startswith("Success=1"):
                if before[engine] != generation and os.path.isdir(self.directory(before[engine])):
                    self.make_current(before[engine])
                    # and the one that refused: where a second reload fails in a row, HAProxy 3.2 leaves its worker paused
                    for other in todo[: number + 1]:
                        self._reload(other)
                self.module.fail_json(
                    msg=f"{engine.name} did not load generation {generation}, so generation {self.current()} is still the current one."
                    f" {engine.name} reported: {answer or 'nothing'}",
                    log=answer,
                )
            log.append(answer)
        self._remove_others(generation)
        self.module.exit_json(changed=made_current or changed or bool(todo), **result, **({"log": "\n".join(log)} if log else {}))

    @staticmethod
    def _reload(engine):
        """Have an engine load what is on disk; return what it said."""
        try:
            return engine.ask("reload")
        except OSError as error:
            return str(error)

    def _remove_others(self, generation):
        """Remove all generations but this one and the one before, which answers what the last change was; and all of other engines."""
        if self.module.check_mode:
            return
        others = [entry for entry in os.scandir(os.path.join(self.path, "generations")) if entry.name != generation]
        others.sort(key=lambda entry: entry.stat().st_mtime)
        for entry in others:
            if entry is not others[-1] or not os.path.exists(os.path.join(entry.path, self.kind.file)):
                shutil.rmtree(entry.path)
        for engine, run in itertools.product(ENGINES.values(), self.runs):
            if engine is not self.kind:
                # a container can put a directory there
                with contextlib.suppress(OSError):
                    os.unlink(engine(run).path)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["staged", "current", "loaded"], "required": True},
            "files": {"type": "dict"},
            "generation": {"type": "str", "required": True},
            "engine": {"type": "str", "choices": ["haproxy", "nftables"], "default": "haproxy"},
            "owner": {"type": "int"},
            "runs": {"type": "list", "elements": "str", "default": ["run"]},
            "metrics": {"type": "bool", "default": False},
            "reload": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 15},
        },
        required_if=[("state", "staged", ["files"])],
        required_by={"files": ["owner"]},
        supports_check_mode=True,
    )
    generations = Generations(module)
    if not endpoints.GENERATION.fullmatch(module.params["generation"]):
        module.fail_json(msg=f"{module.params['generation']!r} is not the name of a generation. Use 12 hexadecimal digits.")
    try:
        if module.params["state"] == "staged":
            generations.staged()
        elif module.params["state"] == "current":
            module.exit_json(changed=generations.make_current(module.params["generation"]), generation=module.params["generation"])
        else:
            generations.loaded()
    except OSError as error:
        module.fail_json(msg=describe_failure(module.params["path"], error))


if __name__ == "__main__":
    main()
