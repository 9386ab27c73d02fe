"""Generations on disk, and the reload of an engine that refuses one. Real reloads are tested on the lab's hosts."""

import errno
import os
import re
import resource
import socket
import stat
import subprocess
import sys
import types

import pytest
from ansible_collections.crosshost.ambassador.plugins.module_utils import _endpoints as endpoints
from ansible_collections.crosshost.ambassador.plugins.module_utils import _engines as engines
from ansible_collections.crosshost.ambassador.plugins.module_utils import _observation_disk as observation
from ansible_collections.crosshost.ambassador.plugins.module_utils import _permissions as permissions
from ansible_collections.crosshost.ambassador.plugins.module_utils._files import EMPTYING
from ansible_collections.crosshost.ambassador.plugins.module_utils._mesh import METRICS
from ansible_collections.crosshost.ambassador.plugins.module_utils._permissions import HAPROXY_UID
from ansible_collections.crosshost.ambassador.plugins.modules import generation as module_file
from conftest import MasterCli, RecordedEngine, named, run_module

OWNER = os.getuid()


def module(**arguments):
    return run_module("generation", **arguments)


@pytest.fixture
def side(tmp_path):
    return tmp_path / "state" / "client"


def stage(side, content="one", **arguments):
    files = named({"haproxy.cfg": content, "links.cfg": "name @generation@\n"})
    return module(path=str(side), state="staged", owner=OWNER, **files, **arguments)


def current(side, content="one"):
    generation = stage(side, content)["generation"]
    module(path=str(side), state="current", generation=generation)
    return generation


class Engine(MasterCli):
    """What answers on a master CLI: it runs a generation, and takes or refuses every other."""

    def __init__(self, side, running, answer, run="run"):
        self.running, self.answer = running, answer
        super().__init__(side / run)

    def reply(self, command):
        return self.answer if command == "reload" else f"AMBASSADOR_GENERATION={self.running}\n\n"


def test_a_generation_is_written_under_the_name_that_it_was_given_as_it_was_given(side):
    first, again, other = stage(side), stage(side), stage(side, "two")
    assert (first["changed"], again["changed"], other["changed"]) == (True, False, True)
    assert first["generation"] == again["generation"] != other["generation"]
    assert (side / "generations" / first["generation"] / "links.cfg").read_text() == f"name {first['generation']}\n"
    given = module(path=str(side), state="staged", owner=OWNER, generation="0" * 12, files={"haproxy.cfg": "@generation@"})
    assert given["generation"] == "0" * 12
    # whoever names it has put the name in
    assert (side / "generations" / ("0" * 12) / "haproxy.cfg").read_text() == "@generation@"


def test_a_generation_of_other_files_loses_those_that_it_has_no_more(side):
    files = {"haproxy.cfg": "one", "crl.pem": "none"}
    module(path=str(side), state="staged", owner=OWNER, generation="0" * 12, files=files)
    del files["crl.pem"]
    assert module(path=str(side), state="staged", owner=OWNER, generation="0" * 12, files=files)["changed"]
    assert os.listdir(side / "generations" / ("0" * 12)) == ["haproxy.cfg"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_other_user_connects_to_the_socket_with_metrics_and_to_no_other_socket(side):
    def connect_as_other_user():
        code = "import os, socket, sys\nos.setgroups([]), os.setgid(65534), os.setuid(65534)\n"
        code += "for name in sys.argv[1:]: print(name, socket.socket(socket.AF_UNIX).connect_ex(name))"
        run = subprocess.run(
            [sys.executable, "-c", code, METRICS, "master.sock"], cwd=side / "run", capture_output=True, text=True, check=True
        )
        return dict(line.split() for line in run.stdout.splitlines())

    refused = str(errno.EACCES)
    stage(side, metrics=True)
    assert not stage(side, metrics=True)["changed"]
    # as Docker and HAProxy mount and create them
    with socket.socket(socket.AF_UNIX) as metrics, socket.socket(socket.AF_UNIX) as command:
        for listener, name, mode in ((metrics, METRICS, 0o666), (command, "master.sock", 0o600)):
            listener.bind(str(side / "run" / name))
            (side / "run" / name).chmod(mode)
            listener.listen()
        assert connect_as_other_user() == {METRICS: "0", "master.sock": refused}
        # without metrics, the directory is private
        assert stage(side)["changed"]
        assert connect_as_other_user() == {METRICS: refused, "master.sock": refused}


def test_the_directory_of_the_socket_is_for_the_engine_alone_and_the_files_for_everybody(side):
    generation = current(side)
    modes = {name: stat.S_IMODE(os.stat(side / name).st_mode) for name in ("", "generations", "run", "current/haproxy.cfg")}
    assert modes == {"": permissions.side_mode(OWNER), "generations": 0o755, "run": 0o700, "current/haproxy.cfg": 0o644}
    (side / "run").chmod(0o777)
    assert stage(side, check=True)["changed"]
    assert stat.S_IMODE(os.stat(side / "run").st_mode) == 0o777
    mended = stage(side)
    assert (mended["changed"], mended["generation"], mended["current"]) == (True, generation, True)
    assert stat.S_IMODE(os.stat(side / "run").st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(("before", "after"), [(0, HAPROXY_UID), (HAPROXY_UID, 0)])
def test_change_of_the_engine_keeps_no_program_of_the_container_before(side, tmp_path, before, after):
    def stage_for(owner, **arguments):
        engine = "haproxy" if owner else "nftables"
        return module(path=str(side), state="staged", owner=owner, engine=engine, **named({"ambassador.nft": "one"}), **arguments)

    stage_for(before)
    (elsewhere := tmp_path / "elsewhere").touch()
    (side / "run/link").symlink_to(tmp_path)
    # a program with the name of an endpoint, and more directories than Python recurses into or has descriptors for
    for name in ("program", "ask"):
        (side / "run" / name).touch()
        (side / "run" / name).chmod(0o4755)
    deep = os.open(side / "run", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=deep)
        below = os.open("deep", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    os.mkfifo(side / "run/master.sock")
    assert not stage_for(before)["changed"]
    assert stage_for(after, check=True)["changed"]
    assert len(os.listdir(side / "run")) >= 5
    assert stage_for(after)["changed"]
    assert os.listdir(side / "run") == ["master.sock"]
    assert ((side / "run").stat().st_uid, stat.S_IMODE((side / "run").stat().st_mode)) == (after, 0o700)
    assert elsewhere.exists()
    # a run that was interrupted left the owner, and this mode
    (side / "run/program").touch()
    (side / "run").chmod(EMPTYING)
    assert stage_for(after)["changed"]
    assert not (side / "run/program").exists()
    assert not stage_for(after)["changed"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_other_users_reach_the_directory_of_a_side_only_after_it_is_empty(side, monkeypatch):
    module(path=str(side), state="staged", owner=0, engine="nftables", **named({"ambassador.nft": "one"}))
    params = {"path": str(side), "engine": "haproxy", "owner": HAPROXY_UID, "runs": ["run"]}
    monkeypatch.setattr(module_file, "empty_directory", lambda *_: os.stat("/none"))
    with pytest.raises(FileNotFoundError, match="/none"):
        module_file.Generations(types.SimpleNamespace(params=params, check_mode=False))._directories()
    assert stat.S_IMODE(side.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_directory_of_a_container_that_is_gone_is_removed_with_any_content(side):
    stage(side, runs=["run", "run-2"])
    (side / "run-2/deep").mkdir()
    for name in ("ask", "master.sock"):
        os.mkfifo(side / "run-2" / name)
    assert stage(side)["changed"]
    assert endpoints.existing_runs(str(side)) == ["run"]


def test_wrong_modes_are_repaired_without_a_reload(side):
    generation = current(side)
    engine = Engine(side, generation, "Success=1\n")
    wrong = {"..": 0o750, "": 0o755, "generations": 0o700, "current": 0o750, "current/haproxy.cfg": 0o640, "current/links.cfg": 0o666}
    for name, mode in wrong.items():
        (side / name).chmod(mode)
    given = {"path": str(side), "state": "loaded", "owner": OWNER, **named({"haproxy.cfg": "one", "links.cfg": "name @generation@\n"})}
    assert module(**given, check=True)["changed"]
    assert {name: stat.S_IMODE((side / name).stat().st_mode) for name in wrong} == wrong
    assert module(**given)["changed"]
    assert {stat.S_IMODE((side / name).stat().st_mode) for name in wrong} == {0o755, permissions.side_mode(OWNER), 0o644}
    assert "reload" not in engine.asked
    assert not module(**given)["changed"]
    (side / "current/haproxy.cfg").chmod(0o640)
    staged = stage(side)
    assert (staged["changed"], staged["written"]) == (True, False)


def test_check_writes_nothing_and_shows_the_difference_to_the_current_one(side):
    rehearsal = stage(side, check=True)
    assert rehearsal["changed"]
    assert not side.exists()
    current(side)
    (difference, _) = stage(side, "two", check=True)["diff"]
    assert (difference["before"], difference["after"]) == ("one", "two")
    assert not stage(side, check=True)["changed"]


def test_a_file_changed_by_hand_is_mended(side):
    generation = current(side)
    (side / "current" / "haproxy.cfg").write_text("by hand")
    mended = stage(side)
    assert mended["changed"]
    assert mended["diff"][0]["before"] == "by hand"
    assert (side / "generations" / generation / "haproxy.cfg").read_text() == "one"


def test_what_a_crash_left_behind_is_no_obstacle(side):
    generation = current(side)
    (side / "generations" / f".{generation}").mkdir()
    os.symlink("generations/nothing", side / "current.new")
    second = current(side, "two")
    assert os.readlink(side / "current") == f"generations/{second}"
    assert stage(side)["generation"] == generation


def test_an_engine_that_takes_a_generation_is_asked_once(side):
    first, second = current(side), current(side, "two")
    engine = Engine(side, first, "Success=1\n--\nloaded\n")
    loaded = module(path=str(side), state="loaded", generation=second)
    assert loaded["changed"]
    assert engine.asked == ["@1 show env AMBASSADOR_GENERATION", "reload"]
    engine.running = second
    assert not module(path=str(side), state="loaded", generation=second)["changed"]
    assert engine.asked.count("reload") == 1


def test_what_is_loaded_is_made_the_current_one_first(side):
    first = current(side)
    engine = Engine(side, first, "Success=1\n")
    second = stage(side, "two")["generation"]
    said = module(path=str(side), state="loaded", generation=second, check=True)
    assert (said["changed"], engine.asked.count("reload"), os.readlink(side / "current")) == (True, 0, f"generations/{first}")
    assert module(path=str(side), state="loaded", generation=second)["changed"]
    assert (engine.asked.count("reload"), os.readlink(side / "current")) == (1, f"generations/{second}")
    # one that is not there is told, and nothing is asked of the engine
    failed = module(path=str(side), state="loaded", generation="0" * 12)
    assert failed["msg"].endswith(f" has no generation {'0' * 12}, only {second}. Run the roles again, which write it.")
    assert engine.asked.count("reload") == 1


def test_what_is_loaded_with_its_files_is_written_and_what_is_mended_is_loaded_again(side):
    first = current(side)
    engine = Engine(side, first, "Success=1\n")
    given = {"path": str(side), "state": "loaded", "owner": OWNER, **named({"haproxy.cfg": "two", "links.cfg": "name @generation@\n"})}
    rehearsal = module(**given, check=True)
    assert (rehearsal["changed"], rehearsal["diff"][0]["after"]) == (True, "two")
    assert (os.listdir(side / "generations"), "reload" in engine.asked) == ([first], False)
    second = module(**given)["generation"]
    assert (os.readlink(side / "current"), engine.asked.count("reload")) == (f"generations/{second}", 1)
    engine.running = second
    assert not module(**given)["changed"]
    (side / "current" / "haproxy.cfg").write_text("by hand")
    assert module(**given)["changed"]
    assert ((side / "current" / "haproxy.cfg").read_text(), engine.asked.count("reload")) == ("two", 2)
    assert "missing parameter" in module(**{**given, "owner": None})["msg"]


def test_an_engine_that_refuses_a_generation_gets_the_last_good_one_back(side):
    first, second = current(side), current(side, "two")
    engine = Engine(side, first, "Success=0\n--\n[ALERT] (1) : config : unknown keyword 'two'\n")
    refused = module(path=str(side), state="loaded", generation=second)
    assert refused["failed"]
    assert "unknown keyword 'two'" in refused["msg"]
    assert os.readlink(side / "current") == f"generations/{first}"
    # the last good one is loaded anew
    assert engine.asked.count("reload") == 2


def test_an_engine_that_does_not_answer_is_named_by_its_socket(side):
    failed = module(path=str(side), state="loaded", generation=current(side), timeout=0)
    assert failed["failed"]
    assert f"The engine does not answer on {side}/run/master.sock within 0 s: " in failed["msg"]


RUNS = ["run", "run-2"]


def test_all_containers_of_a_side_load_what_is_on_disk_and_those_that_run_it_are_left_alone(side):
    first, second = current(side), current(side, "two")
    assert stage(side, "two", runs=RUNS)["changed"]
    one, other = Engine(side, first, "Success=1\n"), Engine(side, second, "Success=1\n", "run-2")
    assert stage(side, "two", runs=RUNS)["loaded"] is False
    assert module(path=str(side), state="loaded", generation=second, runs=RUNS)["changed"]
    assert ("reload" in one.asked, "reload" in other.asked) == (True, False)
    one.running = second
    assert stage(side, "two", runs=RUNS)["loaded"] is True
    assert not module(path=str(side), state="loaded", generation=second, runs=RUNS)["changed"]
    # a directory of a container that is gone goes as well
    assert stage(side, "two")["changed"]
    assert sorted(path.name for path in side.glob("run*")) == ["run"]


def test_where_one_container_refuses_a_generation_all_run_the_last_good_one_again(side):
    first, second = current(side), current(side, "two")
    stage(side, "two", runs=RUNS)
    one, other = Engine(side, first, "Success=1\n"), Engine(side, first, "Success=0\n--\n[ALERT] no port\n", "run-2")
    refused = module(path=str(side), state="loaded", generation=second, runs=RUNS)
    assert refused["failed"]
    assert "[ALERT] no port" in refused["msg"]
    assert os.readlink(side / "current") == f"generations/{first}"
    assert [engine.asked.count("reload") for engine in (one, other)] == [2, 2]


def test_directory_in_the_place_of_the_pipe_of_another_engine_stops_no_run(side):
    """A container of HAProxy can create the directory."""
    generation = current(side)
    Engine(side, generation, "Success=1\n")
    (side / "run/ask/not_empty").mkdir(parents=True)
    assert isinstance(engines.engine_of(str(side / "run")), module_file.HAProxy)
    loaded = module(path=str(side), state="loaded", generation=generation)
    assert not loaded.get("failed"), loaded
    assert not loaded["changed"]


def test_the_generation_before_is_kept_and_no_older_one(side):
    generations = {content: current(side, content) for content in ("one", "two", "three")}
    # however old its files are
    os.utime(side / "generations" / generations["one"], (1_000_000, 1_000_000))
    assert current(side, "one") == generations["one"]
    os.utime(side / "generations" / generations["two"])
    assert current(side, "four")
    Engine(side, generations["one"], "Success=1\n")
    module(path=str(side), state="loaded", generation=current(side, "four"))
    assert sorted(os.listdir(side / "generations")) == sorted([generations["one"], current(side, "four")])


def test_a_generation_that_is_gone_is_not_made_current(side):
    generation = current(side)
    refused = module(path=str(side), state="current", generation="0" * 12)
    assert refused["failed"]
    assert "has no generation 000000000000, only " in refused["msg"]
    assert os.readlink(side / "current") == f"generations/{generation}"


def test_one_that_runs_is_asked_to_load_again_what_was_mended(side):
    generation = current(side)
    engine = Engine(side, generation, "Success=1\n")
    assert module(path=str(side), state="loaded", generation=generation, reload=True, check=True)["changed"]
    assert "reload" not in engine.asked
    assert module(path=str(side), state="loaded", generation=generation, reload=True)["changed"]
    assert engine.asked[-1] == "reload"
    assert stage(side)["loaded"]


def test_reports_a_failed_write_and_leaves_no_part_of_the_generation(side):
    first = stage(side)["generation"]
    limits, size = resource.getrlimit(resource.RLIMIT_FSIZE), 1 << 20
    # the module may write no larger file, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        said = module(path=str(side), state="staged", owner=OWNER, generation="0" * 12, files={"haproxy.cfg": "#" * (size + 1)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert said["msg"] == f"Cannot write {side}: File too large. Free space on its file system, or mount it writable."
    assert os.listdir(side / "generations") == [first]


def test_a_link_that_a_crash_left_behind_is_not_followed(side, tmp_path):
    generation = current(side)
    (tmp_path / "elsewhere").write_text("theirs")
    (side / "generations" / generation / "haproxy.cfg.new").symlink_to(tmp_path / "elsewhere")
    (side / "current/haproxy.cfg").write_text("by hand")
    assert stage(side)["written"]
    assert ((side / "current/haproxy.cfg").read_text(), (tmp_path / "elsewhere").read_text()) == ("one", "theirs")


NAMED = "listen redis\n    server vm3 {} check\n    server vm9 {}\nlisten redis.held\n    server vm3 {}\nlisten other\n    server vm3 {}\n"


def test_a_server_with_a_dns_name_begins_with_the_address_that_it_has(side):
    engine = RecordedEngine(side, "client")
    now = re.search(
        r"^redis,vm3,.*?,(198\.18\.0\.[0-9]+):6379,", engine.answers[next(one for one in engine.answers if "show stat" in one)], re.M
    )[1]
    unknown = "resolvers hosts init-addr none"
    wanted = NAMED.format(*[unknown] * 4)
    generation = current(side, wanted)
    written = (side / "generations" / generation / "haproxy.cfg").read_text()
    known = f"resolvers hosts init-addr {now},none"
    # of servers that it does not know nothing is known, nor of those of another link
    assert written == NAMED.format(known, unknown, known, unknown)
    # which is no other generation, wherever DNS leads meanwhile
    assert not stage(side, wanted)["changed"]
    assert observation.directory(str(side / "current"))["files"]["haproxy.cfg"]["sha256"] == observation.digest(wanted.encode())
    assert stage(side, wanted.replace("check", "check inter 1s"))["changed"]


def test_each_server_of_a_dns_name_begins_with_an_address_that_the_name_has(side, monkeypatch):
    targets = [{"name": "vm3", "address": "198.18.0.13:1, [2001:db8::13]:1"}, {"name": "vm9", "address": None}]
    monkeypatch.setattr(module_file.HAProxy, "read", lambda *args, **options: {"links": {"redis": {"targets": targets}}})
    module = type("Module", (), {"path": str(side), "params": {"runs": ["run"]}})
    assert module_file.Generations._held(module) == {("redis", "vm3.replica1"): "198.18.0.13", ("redis", "vm3.replica2"): "2001:db8::13"}


def test_without_an_engine_to_ask_nothing_is_known(side):
    wanted = NAMED.format(*["resolvers hosts init-addr none"] * 4)
    assert (side / "generations" / current(side, wanted) / "haproxy.cfg").read_text() == wanted


def test_engine_that_reports_a_path_in_the_place_of_a_generation_chooses_no_directory(side):
    first, second = current(side), stage(side, "two")["generation"]
    secret = side.parent.parent / "secret"
    secret.mkdir()
    engine = Engine(side, "../../../secret", "Success=0\n")
    refused = module(path=str(side), state="loaded", generation=second, timeout=1)
    assert refused["failed"]
    assert "HAProxy answers something unknown" in refused["msg"]
    assert engine.asked.count("reload") == 0
    assert os.readlink(side / "current") in (f"generations/{first}", f"generations/{second}")
    assert "is not the name of a generation" in module(path=str(side), state="current", generation="../../secret")["msg"]
    assert stage(side, "two")["loaded"] is False


def test_link_to_a_generation_elsewhere_is_replaced_and_not_followed(side):
    generation = current(side)
    secret = side.parent.parent / "secret"
    secret.mkdir()
    (secret / "haproxy.cfg").write_text("secret")
    (side / "current").unlink()
    (side / "current").symlink_to(secret)
    staged = stage(side, "two", check=True)
    assert "secret" not in str(staged)
    assert staged["current"] is False
    assert module(path=str(side), state="current", generation=generation)["changed"]
    assert os.readlink(side / "current") == f"generations/{generation}"
    assert (secret / "haproxy.cfg").read_text() == "secret"


def test_address_that_an_engine_reports_gets_into_the_configuration_only_if_it_is_one(side):
    stage(side)
    engine = RecordedEngine(side, "client", "run-2")
    stat = next(command for command in engine.answers if command.endswith("show stat"))
    engine.answers[stat] = engine.answers[stat].replace("198.18.0.13:6379", "none#x:6379")
    files = {"haproxy.cfg": "backend redis\n  server vm3 db.example.com:1 resolvers hosts init-addr none\n"}
    module(path=str(side), state="staged", owner=OWNER, runs=["run", "run-2"], generation="1" * 12, files=files)
    assert (side / "generations" / ("1" * 12) / "haproxy.cfg").read_text() == files["haproxy.cfg"]
