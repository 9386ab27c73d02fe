"""Reports for tests: of two hosts, of six hosts, and of sixty hosts with two hundred links."""

import random

TARGET = {"side": "client", "port": 6379, "listens": True, "check": "L7OK", "connections": 3, "total": 7, "since": 90}
STATES = {"up": "UP", "degraded": "UP 1/3", "down": "DOWN"}


def target(link, client, server, health="up", **more):
    """Return what a client side sees of a server."""
    address = f"198.18.0.11:{TARGET['port']}"
    return {**TARGET, "link": link, "host": client, "target": server, "address": address, "state": STATES[health], "health": health, **more}


def status(clients, servers, **more):
    """Return the status of a mesh without links."""
    values = {"generation": "c12964c32605", "certificate": {"not_after": "2027-02-22T00:00:00Z", "days": 85}}
    sides = {**dict.fromkeys(clients, "client"), **dict.fromkeys(servers, "server")}
    return {
        "format": 1,
        "time": "2026-11-28T12:30:00Z",
        "mesh": "default",
        "well": True,
        "verdict": "Link redis on 2 hosts is up.",
        "problems": [],
        "warnings": [],
        "hosts": [
            {"name": host, "reached": True, "engine": "haproxy", "sides": [{"side": side, **values}]} for host, side in sides.items()
        ],
        "links": [],
        "targets": [],
        "history": [
            {
                "time": "2026-11-28T12:00:00Z",
                "host": clients[0],
                "side": "client",
                "lines": [f"+ redis {clients[0]} -> {servers[0]} (198.18.0.11:6379)"],
                "worked": True,
            }
        ],
        **more,
    }


def small(clients=("vm2",)):
    """Return the status of one link: its server vm1, and clients."""
    link = {"alias": "redis", "health": "up", "servers": ["vm1"], "clients": list(clients)}
    return status(clients, ["vm1"], links=[link], targets=[target("redis", client, "vm1") for client in clients])


def big():
    """Return the status of sixty hosts and two hundred links, some of them with problems."""
    draw = random.Random(16)
    clients, servers = ([f"{kind}{number:02}.prod.example.com" for number in range(1, 31)] for kind in ("web", "db"))
    report = status(clients, servers, well=False, verdict="3 problems in 200 links on 60 hosts.")
    for number in range(200):
        health = "down" if number in (7, 80, 150) else "degraded" if number % 70 == 9 else "up"
        alias = f"{draw.choice(['redis', 'postgres', 'search', 'queue', 'billing-events'])}-{number}"
        ends = (
            sorted(draw.sample(clients, 20 if number % 50 == 0 else draw.choice([1, 2, 3]))),
            sorted(draw.sample(servers, draw.choice([1, 2, 3]))),
        )
        report["links"].append({"alias": alias, "health": health, "servers": ends[1], "clients": ends[0]})
        report["targets"] += [
            target(alias, client, server, health, connections=draw.randrange(40), since=draw.randrange(10**6))
            for client in ends[0]
            for server in ends[1]
        ]
        sentence = f"Link {alias}, host {ends[0][0]}: one target of the client side has been down for 1m30s. {ends[1][0]} {STATES[health]}."
        if health != "up":
            report["problems" if health == "down" else "warnings"].append(sentence)
    return report


def some():
    """Return the status of six hosts and four links: one of them is down, and one in part."""
    web, store = ["web1", "web2", "web3"], ["store1", "store2"]
    ends = {"postgresql": (web, ["store1"]), "redis": (web, store), "search": (["web1"], ["search1"]), "queue": (web[:2], ["store1"])}
    report = status(web, [*store, "search1"], well=False, verdict="1 problem in 4 links on 6 hosts.")
    for alias, (clients, servers) in ends.items():
        states = {"search1": "down", "store2": "degraded"}
        report["targets"] += [target(alias, client, server, states.get(server, "up")) for client in clients for server in servers]
        health = "down" if alias == "search" else "degraded" if alias == "redis" else "up"
        report["links"].append({"alias": alias, "health": health, "servers": servers, "clients": clients})
    report["problems"] = [
        "Link search, host web1: the link is down on the client side. search1 (198.18.0.11:6379) DOWN: L4CON, Layer4 connection problem,"
        " Connection refused at step 1 of tcp-check (connect). Start the service there, or repair the network path."
    ]
    return report
