"""The web application of the tutorial shows rows of its PostgreSQL, which is on another host."""

import re
import shutil
import urllib.error
import urllib.request

import pytest
from conftest import ROOT, inspect, until

EXAMPLE, SCENARIO = ROOT / "examples/shop", ROOT / "molecule/examples"
PAGE = "http://198.18.0.12:8080"


def visit():
    """Return the number of the row that a visit of the page makes in PostgreSQL."""
    with urllib.request.urlopen(PAGE, timeout=10) as answer:
        return int(re.fullmatch(r"Visit (\d+)\n", answer.read().decode())[1])


@pytest.fixture(scope="module")
def database(hosts):
    return hosts["db1.example.com"]


@pytest.fixture(scope="module")
def web(hosts):
    return hosts["web1.example.com"]


def rows(database):
    """Return the highest number that PostgreSQL itself has."""
    return int(database.check_output("docker exec shop-db-1 psql -U postgres -tAc 'SELECT max(number) FROM visits'"))


def test_the_page_shows_a_row_of_postgresql_on_the_other_host(database):
    number = visit()
    assert rows(database) == number
    assert visit() == number + 1


def test_a_second_run_of_the_larger_playbook_changes_nothing(playbook):
    done = playbook(str(EXAMPLE / "site.yml"))
    assert done.returncode == 0, done.stdout
    assert re.findall(r" : ok=\d+ +changed=(\d+) ", done.stdout) == ["0", "0"], done.stdout


def test_site_runs_no_redis_for_a_map_without_it(playbook):
    done = playbook("site.yml")
    assert done.returncode == 0, done.stdout
    assert re.findall(r" : ok=\d+ +changed=(\d+) ", done.stdout) == ["0", "0"], done.stdout
    assert "redis" not in done.stdout


def test_status_knows_the_link_of_a_larger_playbook(playbook):
    done = playbook("playbooks/status.yml")
    assert done.returncode == 0, done.stdout
    assert "Link db on 2 hosts is up." in done.stdout


def test_a_database_that_is_killed_and_started_again_is_reached_again(database, web):
    number, before = visit(), inspect(web, "web-web-1")["State"]["StartedAt"]
    database.check_output("docker kill shop-db-1")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        visit()
    database.check_output("docker start shop-db-1")
    dial = "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8080')"
    until(web, f'python3 -c "{dial}"')
    assert visit() > number
    assert rows(database) > number
    assert inspect(web, "web-web-1")["State"]["StartedAt"] == before


def test_hosts_of_a_cloud_are_linked_at_their_private_addresses(playbook, web, tmp_path):
    """What `ansible-inventory --list` said of two instances by amazon.aws.aws_ec2, with addresses of the lab's second network."""
    number = visit()
    inventory = tmp_path / "inventory"
    shutil.copytree(EXAMPLE / "inventory_aws", inventory)
    (inventory / "aws_ec2.yml").unlink()
    shutil.copy(SCENARIO / "inventory/lab.yml", inventory)
    (inventory / "aws").write_text(f"#!/bin/sh\nexec cat {SCENARIO}/aws.json\n")
    (inventory / "aws").chmod(0o755)
    kept = f"ambassador_controller_dir={SCENARIO}/inventory/.ambassador"
    done = playbook(str(EXAMPLE / "site.yml"), "--extra-vars", kept, inventory=inventory)
    assert done.returncode == 0, done.stdout
    assert "tcp://198.18.1.11:5432" in web.check_output("cat /var/lib/ambassador/client/current/links.cfg")
    assert visit() > number


def test_what_the_collection_made_is_removed_and_the_projects_stay(playbook, database, web):
    assert playbook("playbooks/teardown.yml").returncode == 0
    left = [host.check_output("docker ps -a --format '{{.Names}}'").split() for host in (database, web)]
    assert left == [["shop-db-1"], ["web-web-1"]]
