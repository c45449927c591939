"""Attribute filters of a search: parsed once, then asked of each file's attributes.

The shape is OpenAI's (contract 1.3): comparisons `eq ne gt gte lt lte in nin` with `key` and `value`, joined by
`and` and `or`. A file without the key matches only `ne` and `nin`; values of different types are never equal and
never ordered, and a boolean is no number.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct

from respun.core.problems import Problem, wrong_type

Scalar = str | bool | int | float
Attributes = Mapping[str, Scalar]

_Ordering = Literal["eq", "ne", "gt", "gte", "lt", "lte"]
_ORDERINGS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_KINDS: Final = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "and", "or")
_DEEPEST: Final = 16
_MOST: Final = 1_000


class Comparison(Struct, frozen=True):
    kind: str
    key: str
    value: Scalar


class Membership(Struct, frozen=True):
    key: str
    values: tuple[Scalar, ...]
    inside: bool


class Joined(Struct, frozen=True):
    every: bool
    filters: tuple["Filter", ...]


Filter = Comparison | Membership | Joined


def parse(given: object, path: str = "filters") -> Filter:
    """A filter out of JSON. Raises a Problem that names the part at fault by its dotted path."""
    return _Parser().parse(given, path, 1)


def matches(wanted: Filter, attributes: Attributes) -> bool:
    match wanted:
        case Joined(every=True):
            return all(matches(each, attributes) for each in wanted.filters)
        case Joined():
            return any(matches(each, attributes) for each in wanted.filters)
        case Membership():
            found = wanted.key in attributes
            return wanted.inside == (found and any(_same(attributes[wanted.key], each) for each in wanted.values))
        case Comparison():
            return _compare(wanted, attributes.get(wanted.key))


def _compare(wanted: Comparison, value: Scalar | None) -> bool:
    if wanted.kind == "eq":
        return value is not None and _same(value, wanted.value)
    if wanted.kind == "ne":
        return value is None or not _same(value, wanted.value)
    if value is None or _family(value) != _family(wanted.value):
        return False
    return _ORDERINGS[wanted.kind](value, wanted.value)


def _same(left: Scalar, right: Scalar) -> bool:
    return _family(left) == _family(right) and left == right


def _family(value: Scalar) -> str:
    match value:
        case bool():
            return "boolean"
        case str():
            return "string"
        case _:
            return "number"


class _Parser:
    """Counts what it reads, so that a filter cannot be made to cost more than the search."""

    def __init__(self) -> None:
        self._read = 0

    def parse(self, given: object, path: str, depth: int) -> Filter:
        self._read += 1
        if depth > _DEEPEST or self._read > _MOST:
            raise _invalid(f"Invalid '{path}': at most {_MOST} filters nested {_DEEPEST} deep are supported.", path)
        fields = _object(given, path)
        kind = _required(fields, "type", path)
        if kind not in _KINDS:
            listed = ", ".join(f"'{each}'" for each in _KINDS[:-1])
            message = f"Invalid value: '{kind}'. Supported values are: {listed}, and '{_KINDS[-1]}'."
            raise _invalid(message, f"{path}.type", "invalid_value")
        if kind in ("and", "or"):
            return self._joined(fields, kind == "and", path, depth)
        return _comparison(fields, str(kind), path)

    def _joined(self, fields: Mapping[str, object], every: bool, path: str, depth: int) -> Filter:
        _only(fields, ("type", "filters"), path)
        at = f"{path}.filters"
        parts = _array(_required(fields, "filters", path), at)
        return Joined(every, tuple(self.parse(part, f"{at}[{number}]", depth + 1) for number, part in enumerate(parts)))


def _comparison(fields: Mapping[str, object], kind: str, path: str) -> Filter:
    key = _required(fields, "key", path)
    value = _required(fields, "value", path)
    _only(fields, ("type", "key", "value"), path)
    if not isinstance(key, str):
        raise wrong_type(f"{path}.key", "a string", key)
    at = f"{path}.value"
    if kind in ("in", "nin"):
        values = tuple(_scalar(each, f"{at}[{number}]") for number, each in enumerate(_array(value, at)))
        return Membership(key, values, inside=kind == "in")
    scalar = _scalar(value, at)
    if kind in _ORDERINGS and isinstance(scalar, bool):
        raise wrong_type(at, "a number or a string", value)
    return Comparison(kind, key, scalar)


def _object(given: object, path: str) -> Mapping[str, object]:
    if not isinstance(given, Mapping):
        raise wrong_type(path, "an object", given)
    return given


def _array(given: object, path: str) -> Sequence[object]:
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise wrong_type(path, "an array", given)
    if not given:
        message = (
            f"Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        raise _invalid(message, path, "empty_array")
    return given


def _scalar(given: object, path: str) -> Scalar:
    if isinstance(given, str | bool | int | float):
        return given
    raise wrong_type(path, "a string, a number, or a boolean", given)


def _required(fields: Mapping[str, object], name: str, path: str) -> object:
    if name not in fields:
        param = f"{path}.{name}"
        raise _invalid(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    return fields[name]


def _only(fields: Mapping[str, object], known: tuple[str, ...], path: str) -> None:
    for name in fields:
        if name not in known:
            raise _invalid(f"Unknown parameter: '{path}.{name}'.", f"{path}.{name}", "unknown_parameter")


def _invalid(message: str, param: str, code: str = "invalid_value") -> Problem:
    return Problem(message, param=param, code=code)
