"""The modules run on the oldest Python that this ansible-core takes on hosts, as Ansible runs them, where one is here."""

import os
import pathlib
import shutil
import subprocess

import pytest
import yaml
from ansible.release import __version__ as core
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import Wiring
from conftest import ROOT

# porting guides of ansible-core: what its modules need on hosts
OLDEST = "3.8" if core.startswith("2.19") else "3.9"
PYENV = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"


def works(python):
    return (
        subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 8))"], capture_output=True, check=False).returncode == 0
    )


FOUND = [path for path in (shutil.which(f"python{OLDEST}"), *map(str, PYENV.glob(f"{OLDEST}.*/bin/python"))) if path and works(path)]


@pytest.mark.skipif(not FOUND, reason=f"no Python {OLDEST} here; vermin has read what needs a later one")
def test_the_modules_run_on_the_oldest_python_of_a_host(tmp_path):
    side = {"path": f"{tmp_path}/state/client"}
    files = {"haproxy.cfg": "", "links.cfg": ""}
    there = {"vm1": {"ambassador_address": "127.0.0.1"}}
    map_of_one = {"redis": {"port": 6379, "servers": "vm1", "clients": "vm2", "backend": "redis_server:6379"}}
    links = Wiring(map_of_one, lambda pattern: [pattern]).side("vm2", "client", there | {"vm2": {}})["links"]
    modules = {
        "observation_info": {"state_dir": f"{tmp_path}/state"},
        "generation": {**side, "state": "staged", "generation": "0" * 12, "owner": os.getuid(), "files": files},
        "private_directory": {"path": f"{tmp_path}/state/redis_client", "owner": os.getuid(), "files": {"app": "secret"}},
        "variable_files": {"path": f"{tmp_path}/state/links", "files": {"redis.env": ""}},
        # nothing answers
        "ambassador_info": side,
        "verify_links": {**side, "side": "client", "host": "vm2", "links": links, "dial": links, "patience": 0},
    }
    tasks = [{f"crosshost.ambassador.{name}": arguments, "register": name, "failed_when": False} for name, arguments in modules.items()]
    tasks += [{"ansible.builtin.debug": {"msg": "{{ {name: lookup('ansible.builtin.vars', name)} }}"}, "loop": list(modules)}]
    tasks[-1]["loop_control"] = {"loop_var": "name"}
    said = [
        "observation_info.sides == {}",
        "generation is changed",
        "private_directory is changed",
        "ambassador_info.msg is match('There is no socket of an engine at ')",
    ]
    said += ["variable_files is changed", "verify_links.answers == false"]
    tasks += [{"ansible.builtin.assert": {"that": said}}]
    variables = {"ansible_connection": "local", "ansible_python_interpreter": FOUND[0]}
    play = {"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": tasks}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    run = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", f"{tmp_path}/play.yml"],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
