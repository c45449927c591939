"""OpenAI's words for what is wrong with a request (contract section 5, the validator's grammar)."""

from collections.abc import Collection
from typing import Any, Final

import msgspec

from respun.core import problems
from respun.core.problems import Problem

_SHOWN: Final = 120


def wrong_type(path: str, expected: str, value: Any) -> Problem:
    return problems.wrong_type(shown(path), expected, value)


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


def unknown(path: str, fields: Collection[str], value: dict[str, Any]) -> Problem:
    name = shown(inner(path, next(name for name in value if name not in fields)))
    return Problem(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def empty_string(path: str, least: int) -> Problem:
    message = (
        f"Invalid '{path}': empty string. Expected a string with minimum length {least}, "
        "but got an empty string instead."
    )
    return Problem(message, param=path, code="empty_string")


def no_match(path: str, pattern: str) -> Problem:
    message = (
        f"Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '^{pattern}$'."
    )
    return Problem(message, param=path, code="invalid_value")


def out_of_range(path: str, kind: str, least: float, most: float, value: float) -> Problem:
    below = value < least
    side, sign, bound = ("below minimum", ">=", least) if below else ("above maximum", "<=", most)
    number = shown(msgspec.json.encode(value).decode())
    message = f"Invalid '{path}': {kind} {side} value. Expected a value {sign} {bound}, but got {number} instead."
    return Problem(message, param=path, code=f"{kind}_{'below_min' if below else 'above_max'}_value")


def empty_array(path: str, least: int) -> Problem:
    message = (
        f"Invalid '{path}': empty array. Expected an array with minimum length {least}, but got an empty array instead."
    )
    return Problem(message, param=path, code="empty_array")


def long_array(path: str, most: int, length: int) -> Problem:
    message = (
        f"Invalid '{path}': array too long. Expected an array with maximum length {most}, "
        f"but got an array with length {length} instead."
    )
    return Problem(message, param=path, code="array_above_max_length")


def many_properties(path: str, most: int, count: int) -> Problem:
    message = (
        f"Invalid '{path}': too many properties. Expected an object with at most {most} properties, "
        f"but got an object with {count} properties instead."
    )
    return Problem(message, param=path, code="object_above_max_properties")


def long_name(path: str, most: int, name: str) -> Problem:
    message = (
        f"Invalid property name in '{path}': '{name[:3]}...{name[-3:]}' is too long. Expected a string with maximum "
        f"length {most}, but got a string with length {len(name)} instead."
    )
    return Problem(message, param=path, code="property_name_above_max_length")


def shown(text: str) -> str:
    """As much of a caller's text as an error repeats."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def inner(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _listed(values: tuple[str, ...]) -> str:
    quoted = [f"'{value}'" for value in values]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def no_url(path: str) -> Problem:
    message = f"Invalid '{path}'. Expected a valid URL, but got a value with an invalid format."
    return Problem(message, param=path, code="invalid_value")
