"""The fields of a body or a query, read one by one; wrong ones are refused as FastAPI would (contract 2.4).

JSON holds values, forms hold texts: there a boolean is `true` or `false`, and an object is JSON in a text. Fields
that nobody asks for are ignored, and a NUL character, which no database keeps, becomes U+FFFD.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Receive, Scope

from respun.core.problems import Problem
from respun.dialects.backboard.problems import Invalid, Issue, missing

_TRUE: Final = frozenset({"true", "1", "yes", "on", "t", "y"})
_FALSE: Final = frozenset({"false", "0", "no", "off", "f", "n"})
_DEEPEST: Final = 100
_MOST_FILES: Final = 32
_MOST_FIELDS: Final = 64
_decode: Final = msgspec.json.Decoder().decode


class Upload(Struct, frozen=True):
    """A file that came with a form."""

    field: str
    filename: str
    file: UploadFile


class Fields:
    """`where` is body or query, as refusals name it."""

    def __init__(self, given: Mapping[str, Any], where: str = "body", uploads: Sequence[Upload] = ()) -> None:
        self.uploads = tuple(uploads)
        self._given = given
        self._where = where

    def __contains__(self, name: str) -> bool:
        return self._value(name) is not None

    def issue(self, name: str, message: str, kind: str = "value_error") -> Invalid:
        return Invalid(Issue((self._where, name), message, kind))

    def text(self, *names: str, most: int = 1_000_000) -> str | None:
        """The first of the names that is there."""
        for name in names:
            if (value := self._value(name)) is not None:
                if not isinstance(value, str):
                    raise self.issue(name, "Input should be a valid string", "string_type")
                if len(value) > most:
                    raise self.issue(name, f"String should have at most {most} characters", "string_too_long")
                return value
        return None

    def required(self, name: str, *, most: int = 1_000_000) -> str:
        value = self.text(name, most=most)
        if value is None:
            raise Invalid(missing(self._where, name))
        if not value:
            raise self.issue(name, "String should have at least 1 character", "string_too_short")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self._value(name)
        if value is None or value == "":
            return default
        word = str(value).lower() if isinstance(value, bool | int | str) else ""
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise self.issue(name, "Input should be a valid boolean, unable to interpret input", "bool_parsing")

    def integer(self, name: str, least: int, most: int) -> int | None:
        value = self._value(name)
        if value is None or value == "":
            return None
        try:
            number = int(value) if not isinstance(value, bool | float) else None
        except (TypeError, ValueError):
            number = None
        if number is None:
            raise self.issue(name, "Input should be a valid integer", "int_parsing")
        if number < least:
            raise self.issue(name, f"Input should be greater than or equal to {least}", "greater_than_equal")
        if number > most:
            raise self.issue(name, f"Input should be less than or equal to {most}", "less_than_equal")
        return number

    def decimal(self, name: str, least: float, most: float) -> float | None:
        value = self._value(name)
        if value is None or value == "":
            return None
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise self.issue(name, "Input should be a valid number", "float_parsing") from None
        if not least <= number <= most:
            raise self.issue(name, f"Input should be between {least:g} and {most:g}", "out_of_range")
        return number

    def object(self, name: str) -> dict[str, Any] | None:
        value = self._structured(name)
        if value is not None and not isinstance(value, dict):
            raise self.issue(name, "Input should be a valid dictionary", "dict_type")
        return value

    def array(self, name: str) -> list[Any] | None:
        value = self._structured(name)
        if value is not None and not isinstance(value, list):
            raise self.issue(name, "Input should be a valid list", "list_type")
        return value

    def _structured(self, name: str) -> Any:
        value = self._value(name)
        if not isinstance(value, str):
            return value
        if not value.strip():
            return None
        try:
            return cleaned(_decode(value))
        except (msgspec.MsgspecError, RecursionError):
            raise self.issue(name, "Invalid JSON", "json_invalid") from None

    def _value(self, name: str) -> Any:
        return self._given.get(name)


def of_json(body: bytes) -> Fields:
    """An empty body is an empty object."""
    if not body.strip():
        return Fields({})
    try:
        value = cleaned(_decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise Invalid(Issue(("body",), f"JSON decode error: {fault}", "json_invalid")) from None
    if not isinstance(value, dict):
        raise Invalid(Issue(("body",), "Input should be a valid dictionary", "dict_type"))
    return Fields(value)


async def of_form(scope: Scope, receive: Receive) -> Fields:
    # Starlette turns a broken form into an answer of its own if it finds an application in the scope.
    request = Request(_without_app(scope), receive)
    try:
        form = await request.form(max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=1 << 20)
    except (MultiPartException, FormParserError, UnicodeDecodeError, KeyError) as fault:
        raise Problem(f"The form can't be read: {fault}. Send it whole, as every SDK does.") from None
    texts = {name: value.replace("\0", "\ufffd") for name, value in form.items() if isinstance(value, str)}
    uploads = [
        Upload(name, value.filename or "unnamed", value)
        for name, value in form.multi_items()
        if isinstance(value, UploadFile)
    ]
    return Fields(texts, uploads=uploads)


def cleaned(value: Any, depth: int = 0) -> Any:
    """The value without NUL characters. Raises RecursionError for what is nested too deeply."""
    if depth > _DEEPEST:
        raise RecursionError("nested too deeply")
    match value:
        case str():
            return value.replace("\0", "\ufffd")
        case list():
            return [cleaned(each, depth + 1) for each in value]
        case dict():
            return {cleaned(name): cleaned(each, depth + 1) for name, each in value.items()}
        case _:
            return value


def _without_app(scope: Scope) -> Scope:
    return {name: value for name, value in scope.items() if name != "app"}
