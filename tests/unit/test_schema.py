"""The schema of a link: the documentation shows it, and its defaults, limits, engines, and examples hold."""

import dataclasses

import pytest
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._links import Link
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages import Place
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._messages_map import MapMessage
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._schema import ENGINE_NAMES, FEATURES, SCHEMA, Ability, Kind, Required
from ansible_collections.crosshost.ambassador.plugins.plugin_utils._wiring import Wiring
from conftest import ROOT

LINK = {"port": 6379, "servers": "VM1", "clients": "VM2", "backend": "redis_server:6379"}
KEYS = list(SCHEMA.values())
UNSUPPORTED = (
    MapMessage.FEATURE_UNSUPPORTED,
    MapMessage.FEATURE_UNSUPPORTED_WITH_TLS,
    MapMessage.FEATURES_CONFLICT,
    MapMessage.BALANCE_UNSUPPORTED,
    MapMessage.BALANCES_CONFLICT,
)


def problems(settings, engine="haproxy"):
    return Wiring({"redis": settings}, {"VM1": ["vm1"], "VM2": ["vm2"]}.get, engine).problems


def rows(page, head):
    """Return the cells of each row of a table."""
    table = (ROOT / page).read_text().partition(head)[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.removeprefix("|").removesuffix("|").split(" |")] for row in table.strip().splitlines()]


def link_of(key, value):
    """Return a link that has a key."""
    if key.kind is Kind.PORTS:
        return {**{name: LINK[name] for name in ("servers", "clients")}, "backend": "redis_server", key.name: value}
    return {**LINK, key.name: value}


def engines_of(key, value):
    """Return the engines that support a value of a key."""
    # the example of `ports` has a port of UDP
    return ["nftables"] if key.kind is Kind.PORTS else key.engines_of_choice.get(value, key.engines) if key.choices else key.engines


def default_of(key):
    """Return the default of a key as the page of the map prints it."""
    if key.default_text or key.default is None:
        return key.default_text
    return str(key.default) if isinstance(key.default, int) and key.default else f"`{str(key.default).lower()}`"


def test_page_of_the_map_shows_every_key_with_its_meaning_and_default():
    expected = [[f"`{key.name}`", key.meaning, default_of(key)] for key in KEYS]
    assert rows("docs/map.md", "| key | meaning | default |\n|---|---|---|\n") == expected


def test_page_of_changes_shows_the_effects_of_every_key():
    table = rows("docs/changes.md", "| change | server side | client side |\n|---|---|---|\n")
    effects = {name.strip("`"): (server, client) for names, server, client in table for name in names.split(", ") if name.startswith("`")}
    assert effects == {key.name: tuple(effect.value for effect in key.effects) for key in KEYS}


@pytest.mark.parametrize("key", KEYS, ids=SCHEMA)
def test_example_is_accepted_by_the_engines_of_the_key(key):
    for engine in engines_of(key, key.example):
        assert problems(link_of(key, key.example), engine) == [], engine


@pytest.mark.parametrize("key", KEYS, ids=SCHEMA)
def test_engines_without_the_key_refuse_it(key):
    for value, engines in key.engines_of_choice.items() or [(key.example, key.engines)]:
        feature = f"{key.name} {value}" if key.engines_of_choice else key.name
        for engine in ENGINE_NAMES:
            refusals = [dict(problem.values) for problem in problems(link_of(key, value), engine) if problem.message in UNSUPPORTED]
            is_refused = any((values["engine"], values["feature"]) == (engine, feature) for values in refusals)
            assert is_refused == (engine not in engines), (value, engine)


@pytest.mark.parametrize("key", [key for key in KEYS if key.maximum and key.kind is not Kind.PORTS], ids=lambda key: key.name)
def test_limits_are_accepted_and_values_beyond_are_refused(key):
    beyond = [round(key.minimum - (0.01 if key.kind is Kind.FRACTION else 1), 2), key.maximum + 1]
    assert [problems(link_of(key, value)) for value in (key.minimum, key.maximum)] == [[], []]
    for value in beyond:
        (problem,) = problems(link_of(key, value))
        assert problem.place == Place(link="redis", key=key.name)
        assert dict(problem.values) == {"value": str(value), "minimum": str(key.minimum), "maximum": str(key.maximum)}


@pytest.mark.parametrize("key", KEYS, ids=SCHEMA)
def test_missing_key_is_refused_if_it_is_required(key):
    def is_refused(settings):
        others = {name: value for name, value in settings.items() if name != key.name}
        return MapMessage.KEY_MISSING.at(Place(link="redis"), key=key.name) in problems(others)

    assert is_refused(LINK) == (key.required is not Required.NEVER)
    assert is_refused({"port": 6379, "clients": "VM2", "targets": ["192.0.2.1:6379"]}) == (key.required is Required.ALWAYS)


def test_unknown_key_gets_the_closest_one_as_a_suggestion():
    for key in KEYS:
        (problem,) = problems({**LINK, f"{key.name}_": 1})
        assert problem == MapMessage.KEY_MISSPELLED.at(Place(link="redis"), key=f"'{key.name}_'", suggestion=key.name)


def test_link_has_a_field_for_every_key():
    fields = {field.name: field.default for field in dataclasses.fields(Link)}
    # a link of `ports` has one port
    assert [key.name for key in KEYS if key.name not in fields and key.kind is not Kind.PORTS] == []
    assert [key.name for key in KEYS if key.default is not None and fields[key.name] != key.default] == []


def test_features_are_abilities_or_values_of_keys():
    known = {*Ability, *SCHEMA, *(f"{key.name} {choice}" for key in KEYS for choice in key.choices)}
    assert set(FEATURES) <= known
    assert all(set(engines) < set(ENGINE_NAMES) for engines in FEATURES.values())
