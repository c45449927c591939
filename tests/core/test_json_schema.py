"""Schemas that answers are held to: which are taken, and what is said of texts that do not fit."""

from typing import Any

import pytest

from respun.core.json_schema import BadSchema, check_schema, misfit

OPEN: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}


def doubling(levels: int) -> dict[str, Any]:
    """Branches that refer to branches: two to the power of the levels."""
    branches = {f"b{at}": {"anyOf": [{"$ref": f"#/$defs/b{at + 1}"}] * 2} for at in range(levels)}
    return {"$defs": {**branches, f"b{levels}": {"type": "null"}}, "$ref": "#/$defs/b0"}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


def chained(links: int) -> dict[str, Any]:
    return {"$defs": {f"c{at}": {"$ref": f"#/$defs/c{at + 1}"} for at in range(links)} | {f"c{links}": {}}}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        OPEN,
        {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}},
        {"$defs": {"a/b": {"type": "null"}}, "anyOf": [{"$ref": "#/$defs/a~1b"}, {"$ref": "#/anyOf/2"}, True]},
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {}}, "$ref": "#/definitions/a"},
        {"allOf": [{"$ref": "#"}]},
        nested(50),
    ],
)
def test_schemas_of_every_day_are_taken(schema: dict[str, Any]) -> None:
    check_schema(schema)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "nonsense"}, r"at \$\.type"),
        ({"properties": {"a": {"minimum": "3"}}}, r"at \$\.properties\.a\.minimum"),
        ({"pattern": "("}, "regex"),
        ({"$ref": "http://127.0.0.1/x.json"}, "into the schema itself"),
        ({"$ref": "file:///etc/passwd"}, "into the schema itself"),
        ({"$ref": "#/$defs/gone"}, "leads nowhere"),
        ({"$schema": "http://example.com/own"}, "meta-schema"),
        (doubling(40), "more than 1000"),
        (nested(400), "too deeply"),
        (chained(5000), "too deeply|more than"),
    ],
)
def test_what_no_answer_can_be_held_to_is_refused_with_the_reason(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(BadSchema, match=why):
        check_schema(schema)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}', None),
        ("{}", None),
        ('{"a": "hush"}', 'at $.a, the value is not of type "integer"'),
        ('{"b": 1}', "Additional properties"),
        ("[]", 'at $, the value is not of type "object"'),
        ("Sure: {}", "it is not JSON"),
        ("", "it is not JSON"),
        ("[" * 5000, "it is not JSON"),
    ],
)
def test_a_text_is_told_where_it_does_not_fit(text: str, said: str | None) -> None:
    found = misfit(text, OPEN)
    assert found == said if said is None else said in (found or "")
    assert "hush" not in (found or "")
