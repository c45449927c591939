"""Check a decoded JSON body against a description, and refuse in OpenAI's words (contract section 5).

Descriptions are data: what a field is, its limits, whether it is required or may be null. Faults of one object are
told in OpenAI's order: a missing required field, an unknown one, then types and values field by field.
"""

import re
from typing import Any, Final, Protocol

from msgspec import Struct
from msgspec.structs import force_setattr

from respun.dialects.openai.sentences import (
    empty_array,
    empty_string,
    inner,
    long_array,
    long_name,
    many_properties,
    missing,
    no_match,
    no_url,
    not_among,
    out_of_range,
    too_long,
    unknown,
    wrong_type,
)

_MOST: Final = 2**31 - 1
_LINK: Final = re.compile(r"https?://[^\s/]|data:image/", re.IGNORECASE)


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
            raise empty_string(path, self.least)
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            raise no_match(path, self.pattern)


class Link(Struct, frozen=True):
    """What a model can fetch an image from: on the web, or in the address itself."""

    expected: str = "a string"

    def check(self, value: Any, path: str, strict: bool) -> None:
        if type(value) is not str:
            raise wrong_type(path, self.expected, value)
        if not _LINK.match(value):
            raise no_url(path)


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
            raise out_of_range(path, "integer", self.least, self.most, value)


class Decimal(Struct, frozen=True):
    least: float
    most: float
    expected: str = "a decimal"

    def check(self, value: Any, path: str, strict: bool) -> None:
        if type(value) is not float and type(value) is not int:
            raise wrong_type(path, self.expected, value)
        if not self.least <= value <= self.most:
            raise out_of_range(path, "decimal", self.least, self.most, value)


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
            raise empty_array(path, self.least)
        if self.most is not None and len(value) > self.most:
            raise long_array(path, self.most, len(value))
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
                raise missing(inner(path, name))
        if strict and not value.keys() <= self.fields.keys():
            raise unknown(path, self.fields, value)
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
            raise missing(inner(path, "type"))
        kind = value["type"]
        Choice(tuple(self.kinds)).check(kind, inner(path, "type"), strict)
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
            raise many_properties(path, self.most, len(value))
        for name, text in value.items():
            if len(name) > self.name:
                raise long_name(path, self.name, name)
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
            raise many_properties(path, self.most, len(value))
        for name, scalar in value.items():
            if len(name) > self.name:
                raise long_name(path, self.name, name)
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
