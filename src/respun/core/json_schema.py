"""Whether a text is JSON that fits a JSON schema, and whether a schema is one that answers can be held to.

Pure: nothing is fetched, so a schema may refer to its own parts only. Values of a text are never repeated in what is
said of it; its places are.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from jsonschema_rs import Validator

Schema = dict[str, Any]

# How often one place of an answer may be looked at: branches that refer to branches double with every level.
_MOST_LOOKS: Final = 1000
_KEPT: Final = 16
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class BadSchema(ValueError):
    """It is no JSON schema, or none that answers can be held to; the message says why."""


def check_schema(schema: Schema) -> None:
    """Raises BadSchema. Draft 2020-12, unless its `$schema` names another draft."""
    _validator(_encode(schema))


def misfit(text: str, schema: Schema | None = None) -> str | None:
    """Where and why a text is not JSON that fits the schema; None if it does. Without one, it must be an object.

    Raises BadSchema.
    """
    try:
        found = msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON ({error})"
    if schema is None:
        return None if isinstance(found, dict) else "at $, it is not an object"
    validator = _validator(_encode(schema))
    # The check is quick; to say what is wrong costs a hundred times as much.
    if validator.is_valid(found):
        return None
    return _reason(validator, found)


def _reason(validator: "Validator", found: Any) -> str:
    from jsonschema_rs import ValidationError

    try:
        validator.validate(found)
    except ValidationError as error:
        return f"at {_place(error.instance_path)}, {error.message}"
    return "it does not fit"


def _place(path: list[str | int]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


@lru_cache(maxsize=_KEPT)
def _validator(encoded: bytes) -> "Validator":
    import jsonschema_rs

    schema = msgspec.json.decode(encoded)
    try:
        _check_effort(schema)
        return jsonschema_rs.validator_for(schema, offline=True, mask="the value")
    except jsonschema_rs.ValidationError as error:
        raise BadSchema(f"at {_place(error.instance_path)}, {error.message}") from None
    except (RecursionError, ValueError) as error:
        raise BadSchema(str(error) if isinstance(error, BadSchema) else "it is nested too deeply") from None


_BRANCHES: Final = ("allOf", "anyOf", "oneOf")
_SINGLE: Final = ("not", "if", "then", "else")


def _check_effort(schema: Schema) -> None:
    """Refuse what would take for ever to check an answer by."""
    known: dict[int, int] = {}
    waiting: list[Any] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if _looks(part, schema, known) > _MOST_LOOKS:
                raise BadSchema(f"its branches, references followed, are more than {_MOST_LOOKS} for one place")
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _looks(part: Any, root: Schema, known: dict[int, int]) -> int:
    """How many parts of the schema are held against one place of an answer, beginning with this one."""
    if not isinstance(part, dict):
        return 1
    if id(part) not in known:
        known[id(part)] = 0  # a circle adds nothing: the validator ends those
        known[id(part)] = min(1 + sum(_looks(each, root, known) for each in _beside(part, root)), _MOST_LOOKS + 1)
    return known[id(part)]


def _beside(part: Schema, root: Schema) -> Iterator[Any]:
    """The parts that look at the same place of an answer."""
    for name in _BRANCHES:
        branches = part.get(name)
        yield from branches if isinstance(branches, list) else ()
    yield from (part[name] for name in _SINGLE if name in part)
    depending = part.get("dependentSchemas")
    yield from depending.values() if isinstance(depending, dict) else ()
    for name in ("$ref", "$dynamicRef"):
        if isinstance(reference := part.get(name), str):
            yield _target(reference, root)


def _target(reference: str, root: Schema) -> Any:
    if reference != "#" and not reference.startswith("#/"):
        raise BadSchema(f"the reference '{reference}' must point into the schema itself, such as '#/$defs/name'")
    found: Any = root
    for step in reference[2:].split("/") if len(reference) > 1 else ():
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            found = found[int(name)] if name.isdecimal() and int(name) < len(found) else None
        else:
            found = found.get(name) if isinstance(found, dict) else None
        if found is None:
            raise BadSchema(f"the reference '{reference}' leads nowhere")
    return found
