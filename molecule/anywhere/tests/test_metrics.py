"""Metrics: Prometheus scrapes them, all queries of the rules and of the dashboard are answered, alerts fire and are resolved."""

import json
import pathlib
import re
import time
import urllib.parse

import pytest
import yaml
from conftest import ROOT, inspect, lab_image, until

PAGE = (ROOT / "docs/metrics.md").read_text()
MONITORING = ROOT / "roles/ambassador_engine/files/monitoring"
LINK = {"port": 6379, "publish": 6379, "servers": "VM1", "clients": "VM2", "backend": "redis_server:6379"}
# two with one port: the client side has two containers
LINKS = {"redis": LINK, "again": LINK}
SIDES = {"vm1": "server", "vm2": "client"}
# without the proxy that a host may have in its environment
GET = "import sys, urllib.request as r; print(r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=5).read().decode())"


@pytest.fixture(scope="module")
def run(playbook):
    """Runs site.yml with the links."""

    def with_metrics(**variables):
        done = playbook("site.yml", "-e", json.dumps({"ambassador_links": LINKS, **variables}))
        assert done.returncode == 0, done.stdout
        return done.stdout

    return with_metrics


@pytest.fixture(scope="module", autouse=True)
def deployed(run):
    run()


@pytest.fixture(scope="module")
def there(hosts, deployed):
    """Returns the ambassadors of both hosts: name of the host -> names of its containers."""
    listed = "docker ps --format '{{.Names}}' --filter name=ambassador_%s | sort"
    found = {host: hosts[host].check_output(listed, side).split() for host, side in SIDES.items()}
    assert {host: len(names) for host, names in found.items()} == {"vm1": 1, "vm2": 2}
    return found


@pytest.fixture(scope="module")
def ask(vm2, deployed):
    """Runs Prometheus on vm2 as docs/metrics.md says, but in a hurry, and asks its API."""
    config = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.S)[1])
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for place in config["scrape_configs"][0]["http_sd_configs"]:
        place["refresh_interval"] = "1s"
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        rule["for"] = "5s"
    files = {"prometheus.yml": yaml.safe_dump(config), "alerts.yml": yaml.safe_dump(rules)}
    files |= {
        f"shipped/{path.name}": path.read_text() for path in (MONITORING / "alerts.yml", pathlib.Path(__file__).parent / "alerts_test.yml")
    }
    vm2.check_output("mkdir -p /run/prometheus/shipped && chmod 755 /run/prometheus /run/prometheus/shipped")
    for name, content in files.items():
        vm2.check_output("printf %%s %s > %s && chmod 644 %s", content, f"/run/prometheus/{name}", f"/run/prometheus/{name}")
    vm2.check_output(
        "docker run -d --name prometheus --network host --volume /run/prometheus:/etc/prometheus:ro %s"
        " --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/tmp --web.listen-address=127.0.0.1:9090",
        lab_image(vm2, "prometheus:lab"),
    )

    def get(path, **parameters):
        said = vm2.check_output("python3 -c %s %s", GET, f"http://127.0.0.1:9090/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        return json.loads(said)["data"]

    until(vm2, f"python3 -c '{GET}' http://127.0.0.1:9090/-/ready")
    yield get
    vm2.check_output("docker rm -f prometheus")


def eventually(look, wanted):
    """Look until what is seen is what is wanted, 40 s at most."""
    deadline = time.monotonic() + 40
    while (seen := look()) != wanted:
        assert time.monotonic() < deadline, seen
        time.sleep(0.3)


def queries():
    """Return all queries, by their names: of the rules, without the bound that an alert is beyond, of the dashboard, and of the page."""
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
    found = {rule["alert"]: re.sub(r" (==|<|>) (?=[0-9])", r" \1 bool ", rule["expr"]) for rule in rules}
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$mesh", ".*").replace("$host", ".*").replace("$__rate_interval", "10s")
            found[f"{panel['title']} {target['refId']}"] = text
    shown = re.findall(r"`((?:haproxy|ambassador)_\w+(?:\{.*?\})?)`", PAGE.partition("| series |")[2].partition("\n\n")[0])
    return found | {query: query for query in shown}


def test_metrics_are_told_on_the_loopback_alone_unless_an_address_is_said(vm1, vm2):
    assert vm2.check_output("ss -Hltn 'sport = :9105' | awk '{print $4}'") == "127.0.0.1:9105"
    assert vm1.check_output("ss -Hltn 'sport = :9105' | awk '{print $4}'") == "198.18.0.11:9105"
    # or the firewall of vm2 drops it
    refused = vm1.run("python3 -c %s %s", GET, "http://198.18.0.12:9105/targets").stderr
    assert refused.endswith(("Connection refused>\n", "timed out>\n")), refused
    # nor to a consumer on the network of the ambassadors
    asked = vm2.run(f"docker run --rm --network ambassador {lab_image(vm2)} python3 -c %s http://ambassador_metrics:8404/targets", GET)
    assert "403: Forbidden" in asked.stderr, asked


def test_who_tells_metrics_reaches_nothing_but_metrics(vm2, there):
    seen = vm2.run("docker exec ambassador_metrics find /run/ambassador /etc/ambassador /etc/ambassador-identity -type s,f").stdout.split()
    # it lists no directory
    assert seen == []
    for name in there["vm2"]:
        path = f"/run/{name.replace('_', '/', 1)}"
        for socket, is_reached in (("metrics.sock", True), ("master.sock", False)):
            assert vm2.run(f"docker exec ambassador_metrics test -S {path}/{socket}").rc == 0
            assert (vm2.run(f"docker exec ambassador_metrics test -w {path}/{socket}").rc == 0) == is_reached, socket


def test_the_rules_are_what_prometheus_reads_and_hold_what_they_say(vm2, ask):
    for what in ("check rules alerts.yml", "test rules alerts_test.yml"):
        said = vm2.run(f"docker exec --workdir /etc/prometheus/shipped prometheus promtool {what}")
        assert said.rc == 0, said.stdout + said.stderr


def test_each_container_is_scraped_and_says_what_it_runs(hosts, there, ask):
    pages = sorted((name, page) for names in there.values() for name in names for page in ("generation", "metrics"))

    def scraped():
        targets = [target for target in ask("targets")["activeTargets"] if target["health"] == "up"]
        return sorted((target["labels"]["container"], target["labels"]["page"]) for target in targets)

    eventually(scraped, pages)
    for name, names in there.items():
        generation = hosts[name].check_output(f"basename $(readlink /var/lib/ambassador/{SIDES[name]}/current)")
        seen = ask("query", query=f'ambassador_generation_info{{host="{name}"}}')["result"]
        assert [one["metric"]["generation"] for one in seen] == [generation] * len(names)
        certificate = "$(openssl x509 -in /var/lib/ambassador/identity/cert.pem -noout -enddate | cut -d= -f2)"
        seen = ask("query", query=f'ambassador_certificate_not_after_seconds{{host="{name}"}}')["result"]
        assert {one["value"][1] for one in seen} == {hosts[name].check_output(f'date -d "{certificate}" +%s')}


@pytest.mark.parametrize("name", queries())
def test_a_query_is_answered_for_all_links(ask, name):
    query = queries()[name]
    hosts = {"vm2"} if 'side="client"' in query else {"vm1"} if 'side="server"' in query else {"vm1", "vm2"}
    # of a link each, or of what a host has once
    proxies = LINKS if "proxy!~" in query else [None]

    def answered():
        found = {(one["metric"]["host"], one["metric"].get("proxy")) for one in ask("query", query=query)["result"]}
        return found if "proxy!~" in query else {(host, None) for host, _ in found}

    eventually(answered, {(host, proxy) for host in hosts for proxy in proxies})


def test_an_alert_is_pending_and_fires_when_a_backend_is_killed_and_is_resolved_when_it_is_back(vm1, vm2, there, ask):
    states = []

    def alerts():
        seen = {(alert["labels"]["alertname"], alert["labels"].get("proxy"), alert["state"]) for alert in ask("alerts")["alerts"]}
        states.extend(state for name, proxy, state in seen if (name, proxy) == ("AmbassadorLinkDown", "redis"))
        return seen

    eventually(alerts, set())
    try:
        vm1.check_output("docker kill redis_server")
        vm2.check_output("docker stop -t 1 %s", there["vm2"][1])
        fires = {("AmbassadorLinkDown", "redis"), ("AmbassadorBackendDown", "redis"), ("AmbassadorBackendDown", "again")}
        fires |= {("AmbassadorScrapeGone", None)}
        eventually(alerts, {(*one, "firing") for one in fires})
        assert list(dict.fromkeys(states)) == ["pending", "firing"]
    finally:
        vm1.check_output("docker start redis_server")
        vm2.check_output("docker start %s", there["vm2"][1])
    eventually(alerts, set())


def test_without_metrics_nothing_is_left_of_them_and_no_link_notices(hosts, there, run):
    started = [(host, name, inspect(hosts[host], name)["State"]["StartedAt"]) for host, names in there.items() for name in names]
    said = run(ambassador_metrics="")
    for name in there:
        assert f"- container ambassador_metrics on {name}" in said
        assert hosts[name].run("docker inspect ambassador_metrics").rc == 1
        assert hosts[name].check_output("ss -Hltn 'sport = :9105'") == ""
    assert [(host, name, inspect(hosts[host], name)["State"]["StartedAt"]) for host, name, _ in started] == started
