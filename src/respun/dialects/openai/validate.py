"""Check a decoded JSON body against a description, and refuse in OpenAI's words (contract section 5).

Descriptions are data: what a field is, its limits, whether it is required or may be null. Faults of one object are
told in OpenAI's order: a missing required field, an unknown one, then types and values field by field.
"""

import re
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from respun.core.problems import Problem

_SHOWN: Final = 120
_MOST: Final = 2**31 - 1


class Spec(Protocol):
    """What a value must be. `expected` is how a refusal names it; `check` raises a Problem."""

    @property
    def expected(self) -> str: ...

    def check(self, value: Any, path: str, strict: bool) -> None: ...


class String(Struct, frozen=True):
    most: int | None = None
    least: int = 0
    pattern: str | None = None
    expected: str = "a string"

    def check(self, value: Any, path: str, strict: bool) -> None:
        if type(value) is not str:
            raise wrong_type(path, self.expected, value)
        if self.most is not None and len(value) > self.most:
            raise too_long(path, self.most, len(value))
        if len(value) < self.least:
            raise _empty_string(path, self.least)
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            raise _no_match(path, self.pattern)


class Choice(Struct, frozen=True):
    values: tuple[str, ...]
    expected: str = "a string"

    def check(self, value: Any, path: str, strict: bool) -> None:
        if type(value) is not str:
            raise wrong_type(path, self.expected, value)
        if value not in self.values:
            raise not_among(path, self.values, value)


class Integer(Struct, frozen=True):
    least: int = 1
    most: int = _MOST
    expected: str = "an integer"

    def check(self, value: Any, path: str, strict: bool) -> None:
        if type(value) is not int:
            raise wrong_type(path, self.expected, value)
        if not self.least <= value <= self.most:
            raise _out_of_range(path, "integer", self.least, self.most, value)


class Decimal(Struct, frozen=True):
    least: float
    most: float
    expected: str = "a decimal"

    def check(self, value: Any, path: str, strict: bool) -> None:
        if type(value) is not float and type(value) is not int:
            raise wrong_type(path, self.expected, value)
        if not self.least <= value <= self.most:
            raise _out_of_range(path, "decimal", self.least, self.most, value)


class Flag(Struct, frozen=True):
    expected: str = "a boolean"

    def check(self, value: Any, path: str, strict: bool) -> None:
        if type(value) is not bool:
            raise wrong_type(path, self.expected, value)


class Array(Struct, frozen=True):
    of: Spec
    most: int | None = None
    least: int = 0

    @property
    def expected(self) -> str:
        return "an array of objects" if self.of.expected == "an object" else "an array of strings"

    def check(self, value: Any, path: str, strict: bool) -> None:
        if type(value) is not list:
            raise wrong_type(path, self.expected, value)
        if len(value) < self.least:
            raise _empty_array(path, self.least)
        if self.most is not None and len(value) > self.most:
            raise _long_array(path, self.most, len(value))
        for index, item in enumerate(value):
            self.of.check(item, f"{path}[{index}]", strict)


class Field(Struct, frozen=True):
    spec: Spec
    required: bool = False
    nullable: bool = False


class Object(Struct, frozen=True):
    fields: dict[str, Field]
    expected: str = "an object"
    required: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        force_setattr(self, "required", tuple(name for name, field in self.fields.items() if field.required))

    def check(self, value: Any, path: str, strict: bool) -> None:
        if type(value) is not dict:
            raise wrong_type(path, self.expected, value)
        for name in self.required:
            if name not in value:
                raise missing(_inner(path, name))
        if strict and not value.keys() <= self.fields.keys():
            raise _unknown(path, self.fields, value)
        for name, item in value.items():
            field = self.fields.get(name)
            if field and not (item is None and field.nullable):
                field.spec.check(item, f"{path}.{name}" if path else name, strict)


class Tagged(Struct, frozen=True):
    """An object whose `type` says which of several it is."""

    kinds: dict[str, Object]
    expected: str = "an object"

    def check(self, value: Any, path: str, strict: bool) -> None:
        if type(value) is not dict:
            raise wrong_type(path, self.expected, value)
        if "type" not in value:
            raise missing(_inner(path, "type"))
        kind = value["type"]
        Choice(tuple(self.kinds)).check(kind, _inner(path, "type"), strict)
        self.kinds[kind].check(value, path, strict)


class Either(Struct, frozen=True):
    """A string of some sort, or a list or object."""

    string: Spec
    other: Spec

    @property
    def expected(self) -> str:
        return f"one of a string or {self.other.expected.split(' ', 1)[1]}"

    def check(self, value: Any, path: str, strict: bool) -> None:
        if type(value) is str:
            self.string.check(value, path, strict)
        elif type(value) is (list if isinstance(self.other, Array) else dict):
            self.other.check(value, path, strict)
        else:
            raise wrong_type(path, self.expected, value)


class Pairs(Struct, frozen=True):
    """Metadata: short strings by short names."""

    most: int = 16
    name: int = 64
    value: int = 512
    expected: str = "an object"

    def check(self, value: Any, path: str, strict: bool) -> None:
        if type(value) is not dict:
            raise wrong_type(path, self.expected, value)
        if len(value) > self.most:
            raise _many_properties(path, self.most, len(value))
        for name, text in value.items():
            if len(name) > self.name:
                raise _long_name(path, self.name, name)
            if type(text) is not str:
                raise wrong_type(f"{path}.{name}", "a string", text)
            if len(text) > self.value:
                raise too_long(f"{path}.{name}", self.value, len(text))


class Scalars(Struct, frozen=True):
    """Attributes: short strings, numbers and booleans by short names."""

    most: int = 16
    name: int = 64
    value: int = 512
    expected: str = "an object"

    def check(self, value: Any, path: str, strict: bool) -> None:
        if type(value) is not dict:
            raise wrong_type(path, self.expected, value)
        if len(value) > self.most:
            raise _many_properties(path, self.most, len(value))
        for name, scalar in value.items():
            if len(name) > self.name:
                raise _long_name(path, self.name, name)
            if type(scalar) not in (str, int, float, bool):
                raise wrong_type(f"{path}.{name}", "one of a string, a number or a boolean", scalar)
            if type(scalar) is str and len(scalar) > self.value:
                raise too_long(f"{path}.{name}", self.value, len(scalar))


class Anything(Struct, frozen=True):
    """An object that is kept as it came."""

    expected: str = "an object"

    def check(self, value: Any, path: str, strict: bool) -> None:
        if type(value) is not dict:
            raise wrong_type(path, self.expected, value)


# The sentences


def wrong_type(path: str, expected: str, value: Any) -> Problem:
    message = f"Invalid type for '{shown(path)}': expected {expected}, but got {_kind_of(value)} instead."
    return Problem(message, param=shown(path), code="invalid_type")


def missing(path: str) -> Problem:
    return Problem(f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter")


def not_among(path: str, values: tuple[str, ...], value: str) -> Problem:
    message = f"Invalid value: '{shown(value)}'. Supported values are: {_listed(values)}."
    return Problem(message, param=path, code="invalid_value")


def too_long(path: str, most: int, length: int) -> Problem:
    message = (
        f"Invalid '{shown(path)}': string too long. Expected a string with maximum length {most}, "
        f"but got a string with length {length} instead."
    )
    return Problem(message, param=shown(path), code="string_above_max_length")


def wrong_id(param: str, prefix: str, value: str) -> Problem:
    message = f"Invalid '{param}': '{shown(value)}'. Expected an ID that begins with '{prefix}'."
    return Problem(message, param=param, code="invalid_value")


def _unknown(path: str, fields: dict[str, Field], value: dict[str, Any]) -> Problem:
    name = shown(_inner(path, next(name for name in value if name not in fields)))
    return Problem(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def _empty_string(path: str, least: int) -> Problem:
    message = (
        f"Invalid '{path}': empty string. Expected a string with minimum length {least}, "
        "but got an empty string instead."
    )
    return Problem(message, param=path, code="empty_string")


def _no_match(path: str, pattern: str) -> Problem:
    message = (
        f"Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '^{pattern}$'."
    )
    return Problem(message, param=path, code="invalid_value")


def _out_of_range(path: str, kind: str, least: float, most: float, value: float) -> Problem:
    below = value < least
    side, sign, bound = ("below minimum", ">=", least) if below else ("above maximum", "<=", most)
    number = shown(msgspec.json.encode(value).decode())
    message = f"Invalid '{path}': {kind} {side} value. Expected a value {sign} {bound}, but got {number} instead."
    return Problem(message, param=path, code=f"{kind}_{'below_min' if below else 'above_max'}_value")


def _empty_array(path: str, least: int) -> Problem:
    message = (
        f"Invalid '{path}': empty array. Expected an array with minimum length {least}, but got an empty array instead."
    )
    return Problem(message, param=path, code="empty_array")


def _long_array(path: str, most: int, length: int) -> Problem:
    message = (
        f"Invalid '{path}': array too long. Expected an array with maximum length {most}, "
        f"but got an array with length {length} instead."
    )
    return Problem(message, param=path, code="array_above_max_length")


def _many_properties(path: str, most: int, count: int) -> Problem:
    message = (
        f"Invalid '{path}': too many properties. Expected an object with at most {most} properties, "
        f"but got an object with {count} properties instead."
    )
    return Problem(message, param=path, code="object_above_max_properties")


def _long_name(path: str, most: int, name: str) -> Problem:
    message = (
        f"Invalid property name in '{path}': '{name[:3]}...{name[-3:]}' is too long. Expected a string with maximum "
        f"length {most}, but got a string with length {len(name)} instead."
    )
    return Problem(message, param=path, code="property_name_above_max_length")


def shown(text: str) -> str:
    """As much of a caller's text as an error repeats."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _inner(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _listed(values: tuple[str, ...]) -> str:
    quoted = [f"'{value}'" for value in values]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def _kind_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
