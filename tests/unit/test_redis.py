"""Redis: what each user may do, the files of a container, and a request through a link that proves it."""

import hashlib
import re

import pytest
from ansible_collections.crosshost.ambassador.plugins.filter import redis_files as files_filter
from ansible_collections.crosshost.ambassador.plugins.filter import redis_proof as proof_filter
from ansible_collections.crosshost.ambassador.plugins.module_utils._observation_disk import users
from ansible_collections.crosshost.ambassador.plugins.plugin_utils import _redis as redis
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._container_description import parse_size
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_redis import RedisMessage

redis_files = files_filter.FilterModule().filters()["redis_files"]
redis_proof = proof_filter.FilterModule().filters()["redis_proof"]
PASSWORDS = {"app": "one", "proof": "two", "operator": 'th"ree\\ ä'}


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


# -- the files ----------------------------------------------------------------------------------------------------


def test_server_has_files_for_users_configuration_and_operator():
    files = redis_files(PASSWORDS, "server", memory="512M")
    assert list(files) == ["users.acl", "redis.conf", "operator"]
    assert files["redis.conf"] == (
        'masteruser operator\nmasterauth "th\\"ree\\\\ ä"\n'
        "maxmemory 292552704\nmaxmemory-clients 178782208\nclient-query-buffer-limit 81264640\nproto-max-bulk-len 81264640\n"
        'client-output-buffer-limit "normal 97517568 0 0 replica 48758784 0 0"\n'
    )
    assert files["operator"] == 'th"ree\\ ä\n'


def test_acl_has_hashes_and_no_password():
    lines = redis.render_acl(PASSWORDS).splitlines()
    # whoever does not say who he is may ask whether the server lives, and whether it is the master
    assert lines[0] == "user default reset on nopass +ping +role"
    assert [re.match(r"user (\w+) reset on #([0-9a-f]{64}) ", line).groups() for line in lines[1:]] == [
        (user, sha256(password)) for user, password in PASSWORDS.items()
    ]
    assert not [line for line in lines for password in PASSWORDS.values() if password in line]
    # as the observation of a host reads it
    assert users(redis.render_acl(PASSWORDS)) == {user: sha256(password) for user, password in PASSWORDS.items()}


def test_each_user_has_only_the_rights_of_its_purpose():
    may = {user: rules.split() for user, rules in redis.RULES.items()}
    assert list(may) == list(redis.USERS)
    assert may["app"].index("-@dangerous") > may["app"].index("+@all")
    assert "-@admin" in may["app"]
    assert may["proof"] == ["+ping", "+role", "+info"]
    # keys are for the application alone
    assert [user for user, rules in may.items() if "~*" in rules] == ["app"]
    assert {"+psync", "+replconf", "+replicaof", "+acl|load"} <= set(may["operator"])
    assert not [rule for rule in may["operator"] if "@" in rule]


def test_app_runs_no_scripts_unless_a_rule_allows_it():
    def rules(*more):
        return redis.render_acl(PASSWORDS, more).splitlines()[1].split()[5:]

    assert rules().index("-@scripting") > rules().index("+@all")
    assert not [rule for rule in rules() if rule.startswith(("+eval", "+script", "+function", "+fcall"))]
    # the last rule counts
    assert rules("+eval", "resetkeys", "~shop:*") == [*rules(), "+eval", "resetkeys", "~shop:*"]
    assert redis.render_acl(PASSWORDS, ["+eval"]).splitlines()[2:] == redis.render_acl(PASSWORDS).splitlines()[2:]
    assert redis.render_loaded(PASSWORDS, ["+eval"], "1G") != redis.render_loaded(PASSWORDS, [], "1G")
    assert redis_files(PASSWORDS, "server", ["+eval"], "1G") == redis.render_server_files(PASSWORDS, ["+eval"], "1G")


@pytest.mark.parametrize(
    "rules",
    [
        *([rule] for rule in ("+eval", "+evalsha_ro", "+fcall", "+script|load", "+script|exists", "+json.set", "-@write", "-flushdb")),
        *([rule] for rule in ("allkeys", "resetkeys", "resetchannels", "allchannels", "+client|setname")),
        ["resetkeys", "~shop:*", "%R~news:*", "%RW~a*", "+eval"],
        ["+eval", "resetchannels", "&news:*"],
    ],
    ids=" ".join,
)
def test_accepts_rules_for_app(rules):
    assert redis.find_app_rule_problems(rules) == []


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        *((rule, RedisMessage.RULE_ADMINISTERS) for rule in ("+function", "+function|load", "+function|flush", "+acl|setuser")),
        *((rule, RedisMessage.RULE_ADMINISTERS) for rule in ("+script", "+script|flush", "+script|kill", "+config|set", "+module")),
        *(
            (rule, RedisMessage.RULE_INVALID)
            for rule in ("allcommands", "nocommands", "on", "off", "reset", "nopass", ">password", "<password")
        ),
        *((rule, RedisMessage.RULE_INVALID) for rule in ("#" + "0" * 64, "+@all", "+@slow", "+@write", "+@scripting", "+EVAL", "+get|a|b")),
        *((rule, RedisMessage.RULE_INVALID) for rule in ("+eval +evalsha", "+eval\nuser default on nopass +@all", "~a ~b", "", "~", "+")),
        *((rule, RedisMessage.RULE_INVALID) for rule in ("(+get ~a)", "clearselectors", "sanitize-payload", 7, None)),
        *((rule, RedisMessage.RULE_WITHOUT_EFFECT) for rule in ("~shop:*", "%R~shop:*")),
        ("&news", RedisMessage.RULE_WITHOUT_EFFECT),
    ],
)
def test_refuses_a_rule_that_is_not_for_app(rule, message):
    (problem,) = redis.find_app_rule_problems([rule])
    assert (problem.message, problem.place.variable) == (message, "redis_server_app_rules")
    # behind a pattern it is too late
    assert redis.find_app_rule_problems([rule, "resetkeys", "resetchannels"]) == [problem]


def test_refuses_rules_that_are_not_a_list():
    (problem,) = redis.find_app_rule_problems("+eval")
    assert problem == RedisMessage.RULES_NOT_A_LIST.at(Place(variable="redis_server_app_rules"))


def test_client_has_one_password_in_each_file():
    assert redis_files({"app": "one", "proof": "two"}, "client") == {"app": "one\n", "proof": "two\n"}
    assert redis_files({}, "client") == {}


def test_record_of_a_server_has_no_password_and_differs_for_others():
    text = redis.render_loaded(PASSWORDS, [], "512M")
    assert redis_files(PASSWORDS, "loaded", memory="512M") == {"loaded": text}
    assert not [password for password in PASSWORDS.values() if password in text]
    assert users(text) == {user: sha256(password) for user, password in PASSWORDS.items()}
    assert len({text, redis.render_loaded({**PASSWORDS, "app": "another"}, [], "512M"), redis.render_loaded(PASSWORDS, [], "1G")}) == 3


MEMORY = ["32M", "64M", "128M", "512M", "2G", "16G", 1 << 30, "1.5g"]


def parts(memory):
    """Return the limits, with the limits of output buffers as numbers."""
    limits = redis.compute_limits(memory)
    reply, replicas = re.fullmatch('"normal ([0-9]+) 0 0 replica ([0-9]+) 0 0"', limits["client-output-buffer-limit"]).groups()
    return {**limits, "reply": int(reply), "replicas": int(replicas)}


@pytest.mark.parametrize("memory", MEMORY)
def test_data_clients_and_replicas_together_stay_below_the_limit_of_the_container(memory):
    memory_limit, limits = parse_size(memory), parts(memory)
    # an idle server has 14 MiB
    assert limits["maxmemory"] + limits["maxmemory-clients"] + limits["replicas"] + (16 << 20) <= memory_limit
    assert limits["maxmemory"] >= (memory_limit - (16 << 20)) // 2


@pytest.mark.parametrize("memory", [*MEMORY, "0"])
def test_value_fits_into_a_request_and_a_reply(memory):
    limits = parts(memory)
    assert 1 << 20 <= limits["proto-max-bulk-len"] <= 512 << 20
    assert limits["proto-max-bulk-len"] == min(limits["client-query-buffer-limit"], 512 << 20)
    assert limits["client-query-buffer-limit"] < limits["reply"] < limits["maxmemory-clients"]
    assert limits["reply"] + limits["proto-max-bulk-len"] <= limits["maxmemory-clients"] + 1


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ("64M", (28311552, 17301504, 7864320, 7864320, 9437184, 4718592)),
        ("128M", (66060288, 40370176, 18350080, 18350080, 22020096, 11010048)),
        ("512M", (292552704, 178782208, 81264640, 81264640, 97517568, 48758784)),
        ("2G", (1198522368, 732430336, 332922880, 332922880, 399507456, 199753728)),
        # Redis' default for replicas, and as many clients as with 512M
        ("0", (0, 178782208, 81264640, 81264640, 97517568, 268435456)),
    ],
)
def test_limits_are_shares_of_the_memory_without_that_of_an_idle_server(memory, expected):
    limits = parts(memory)
    names = ("maxmemory", "maxmemory-clients", "client-query-buffer-limit", "proto-max-bulk-len", "reply", "replicas")
    assert tuple(limits[name] for name in names) == expected


@pytest.mark.parametrize("memory", [0, "", "0"])
def test_clients_are_limited_without_a_limit_of_the_container(memory):
    limits, expected = parts(memory), parts("512M")
    same = ("maxmemory-clients", "client-query-buffer-limit", "proto-max-bulk-len", "reply")
    assert [limits[name] for name in same] == [expected[name] for name in same]
    assert limits["maxmemory"] == 0


@pytest.mark.parametrize("memory", ["6M", "31M", 1 << 24])
def test_refuses_a_memory_limit_that_is_too_small(memory):
    place = Place(variable="redis_server_memory")
    assert redis.find_memory_problems(memory) == [RedisMessage.MEMORY_TOO_SMALL.at(place, memory=str(memory), minimum="32M")]


@pytest.mark.parametrize("memory", [*MEMORY, 0, "0", ""])
def test_accepts_a_memory_limit(memory):
    assert redis.find_memory_problems(memory) == []


@pytest.mark.parametrize(
    ("held", "changed"),
    [
        ({}, []),
        (PASSWORDS, []),
        (PASSWORDS | {"app": "another"}, ["app"]),
        ({"app": "another", "operator": "another", "unknown": "another"}, ["app", "operator"]),
    ],
    ids=["nothing held", "the same", "one", "two"],
)
def test_sessions_end_of_users_whose_password_changes(held, changed):
    assert redis.list_changed_users(PASSWORDS, {user: sha256(password) for user, password in held.items()}) == changed


# -- the proof ----------------------------------------------------------------------------------------------------

LINK = {
    "alias": "redis",
    "listen": 6379,
    "backend": "redis_server:6379",
    "servers": ["vm1", "vm3"],
    "targets": [{"address": "198.18.0.11", "port": 6379}, {"address": "2001:db8::3", "port": 7000}],
}
CONSUMER = {"host": "vm2", "mesh": "default", "container": "redis_client", "user": "proof", "engine": "haproxy"}
ANSWER = {"stdout": "vm2\r\n# Server\r\nredis_version:8.0.2\r\nrun_id:0123abcd\r\ntcp_port:6379"}
SERVERS = [{"stdout": "# Server\r\nrun_id:ffff"}, {"stdout": "# Server\r\nrun_id:0123abcd\r\n"}]


def judge(answer=ANSWER, servers=SERVERS, **changes):
    return redis_proof(answer, servers, {**LINK, **changes}, CONSUMER)


def test_answer_of_a_server_of_the_link_proves_the_link():
    assert judge() == {
        "problem": "",
        "path": "redis_client -> redis:6379 -> ambassador_client on vm2 (haproxy) -> tcp://198.18.0.11:6379 or tcp://[2001:db8::3]:7000"
        " -> ambassador_server -> redis_server:6379",
    }


@pytest.mark.parametrize(
    "servers", [[], [{"stdout": "run_id:0123abcd"}, {"msg": "unreachable"}], [{"stdout": None}, {}], [{"stdout": ["run_id:a"]}, "x"]]
)
def test_path_names_a_server_that_could_not_be_asked(servers):
    judged = judge(servers=servers)
    assert judged["problem"] == ""
    assert judged["path"].endswith("redis_server:6379 (not verified, because it could not be asked)")


def test_answer_of_another_server_is_a_problem_with_its_address():
    judged = judge({"stdout": "vm2\nrun_id:beef"})
    assert judged["problem"] == (
        "Link redis, host vm2: another server than Redis on vm1, vm3 (run_id ffff, 0123abcd) answers on 198.18.0.11, 2001:db8::3"
        " (run_id beef). Correct the address, or stop that server."
    )


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        ({"stdout": "", "stderr": "Could not connect to Redis"}, "Could not connect to Redis"),
        ({"stdout": "NOAUTH Authentication required.\n"}, "NOAUTH Authentication required."),
        # somebody else's answer
        ({"stdout": "vm9\nrun_id:0123abcd"}, "vm9\nrun_id:0123abcd"),
        ({"msg": "no such container"}, "no such container"),
        ({}, "no answer"),
    ],
)
def test_problem_without_an_answer_has_the_output_of_the_client(answer, output):
    assert judge(answer)["problem"] == (
        "Link redis, host vm2: tcp://198.18.0.11:6379 or tcp://[2001:db8::3]:7000 does not answer PING and INFO of user proof through"
        f" ambassador_client: {output}. If the run was limited, run it for vm1, vm3 as well."
    )


def test_problem_of_a_redis_without_passwords_names_no_user():
    judged = redis_proof({}, [], {**LINK, "servers": []}, {**CONSUMER, "user": ""})["problem"]
    assert "PING and INFO through ambassador_client" in judged
    assert "run it for the targets as well" in judged
