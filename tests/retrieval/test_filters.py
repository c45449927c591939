"""Attribute filters: against a naive oracle, and what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from respun.core.problems import Problem
from respun.retrieval.filters import Scalar, matches, parse

keys = some.sampled_from(["a", "b", "c"])
scalars = some.one_of(
    some.sampled_from(["", "x", "y", "1"]), some.booleans(), some.integers(-2, 2), some.floats(-2, 2, allow_nan=False)
)
attributes = some.dictionaries(keys, scalars)
ordered = some.builds(
    lambda kind, key, value: {"type": kind, "key": key, "value": value},
    some.sampled_from(["gt", "gte", "lt", "lte"]),
    keys,
    scalars.filter(lambda value: not isinstance(value, bool)),
)
equal = some.builds(
    lambda kind, key, value: {"type": kind, "key": key, "value": value}, some.sampled_from(["eq", "ne"]), keys, scalars
)
member = some.builds(
    lambda kind, key, values: {"type": kind, "key": key, "value": values},
    some.sampled_from(["in", "nin"]),
    keys,
    some.lists(scalars, min_size=1, max_size=3),
)
filters = some.recursive(
    some.one_of(ordered, equal, member),
    lambda inner: some.builds(
        lambda kind, parts: {"type": kind, "filters": parts},
        some.sampled_from(["and", "or"]),
        some.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=8,
)


def oracle(wanted: dict[str, Any], has: dict[str, Scalar]) -> bool:
    kind = wanted["type"]
    if kind in ("and", "or"):
        found = [oracle(part, has) for part in wanted["filters"]]
        return all(found) if kind == "and" else any(found)
    value = has.get(wanted["key"])
    if kind in ("ne", "nin"):
        return not oracle({**wanted, "type": {"ne": "eq", "nin": "in"}[kind]}, has)
    if value is None:
        return False
    if kind == "in":
        return any(oracle({**wanted, "type": "eq", "value": each}, has) for each in wanted["value"])
    other = wanted["value"]
    if isinstance(value, bool) != isinstance(other, bool) or isinstance(value, str) != isinstance(other, str):
        return False
    signs = {"eq": value == other}
    if kind != "eq":
        signs |= {"gt": value > other, "gte": value >= other, "lt": value < other, "lte": value <= other}
    return signs[kind]


@given(filters, attributes)
def test_a_filter_decides_as_the_naive_reading_does(wanted: dict[str, Any], has: dict[str, Scalar]) -> None:
    assert matches(parse(wanted), has) is oracle(wanted, has)


@pytest.mark.parametrize(
    ("given_filter", "param", "code"),
    [
        ("year", "filters", "invalid_type"),
        ({}, "filters.type", "missing_required_parameter"),
        ({"type": "like", "key": "a", "value": 1}, "filters.type", "invalid_value"),
        ({"type": ["eq"], "key": "a", "value": 1}, "filters.type", "invalid_value"),
        ({"type": "eq", "value": 1}, "filters.key", "missing_required_parameter"),
        ({"type": "eq", "key": 3, "value": 1}, "filters.key", "invalid_type"),
        ({"type": "eq", "key": "a", "value": None}, "filters.value", "invalid_type"),
        ({"type": "gt", "key": "a", "value": True}, "filters.value", "invalid_type"),
        ({"type": "in", "key": "a", "value": "x"}, "filters.value", "invalid_type"),
        ({"type": "in", "key": "a", "value": [1, {}]}, "filters.value[1]", "invalid_type"),
        ({"type": "eq", "key": "a", "value": 1, "or": 2}, "filters.or", "unknown_parameter"),
        ({"type": "and", "filters": []}, "filters.filters", "empty_array"),
        (
            {"type": "or", "filters": [{"type": "eq", "key": "a", "value": 1}, 7]},
            "filters.filters[1]",
            "invalid_type",
        ),
    ],
)
def test_a_malformed_filter_is_refused_at_its_place(given_filter: object, param: str, code: str) -> None:
    with pytest.raises(Problem) as raised:
        parse(given_filter)
    assert (raised.value.param, raised.value.code) == (param, code)


def test_a_filter_nested_too_deep_is_refused() -> None:
    nested: dict[str, Any] = {"type": "eq", "key": "a", "value": 1}
    for _ in range(2_000):
        nested = {"type": "and", "filters": [nested]}
    with pytest.raises(Problem, match="nested 16 deep"):
        parse(nested)
