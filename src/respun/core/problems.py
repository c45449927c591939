"""Problems: refusals that a dialect shows to its caller in its own shape.

A problem says what is wrong and, where it helps, what to do next. The first sentence on the OpenAI dialect is
OpenAI's own, because clients match on it (contract section 5).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

ProblemKind = Literal[
    "invalid",
    "unauthorized",
    "forbidden",
    "not_found",
    "conflict",
    "too_large",
    "unsupported",
    "unprocessable",
    "rate_limited",
    "broken",
    "full",
    "unavailable",
]


STATUSES: Final[Mapping[ProblemKind, int]] = MappingProxyType(
    {
        "invalid": 400,
        "unauthorized": 401,
        "forbidden": 403,
        "not_found": 404,
        "conflict": 409,
        "too_large": 413,
        "unsupported": 415,
        "unprocessable": 422,
        "rate_limited": 429,
        "broken": 500,
        "full": 507,
        "unavailable": 503,
    }
)
"""The status of HTTP that each dialect answers with, unless its own contract says otherwise."""


class Problem(Exception):
    """A refusal. `param` is the dotted path of the field at fault, `code` OpenAI's machine-readable name for it."""

    def __init__(
        self,
        message: str,
        *,
        kind: ProblemKind = "invalid",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind: ProblemKind = kind
        self.param = param
        self.code = code


def no_such(what: str, ident: str) -> Problem:
    """`what` as OpenAI names it: assistant, thread, message, run, run step, vector store."""
    return Problem(f"No {what} found with id '{ident}'.", kind="not_found")


def wrong_type(path: str, expected: str, given: object) -> Problem:
    """A value of JSON that is of another kind than it should be."""
    message = f"Invalid type for '{path}': expected {expected}, but got {_called(given)} instead."
    return Problem(message, param=path, code="invalid_type")


def _called(given: object) -> str:
    match given:
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
        case list() | tuple():
            return "an array"
        case _:
            return "an object"
