"""The JSON object in a request's body, or a refusal of what is none of ours.

Refused are malformed text, lone surrogates, NaN, nesting over 100 levels, and NUL characters: no database column
holds them, and dropping them would change what was said. Of a repeated key the last one counts.
"""

import re
from typing import Any, Final

import msgspec

from respun.core.problems import Problem
from respun.dialects.openai.sentences import wrong_type

Json = dict[str, Any]

_DEEPEST: Final = 100
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_decode: Final = msgspec.json.Decoder().decode


def decode(body: bytes) -> Json:
    """The object in the body; an empty body is an empty object."""
    if not body:
        return {}
    try:
        value = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise _not_json(fault, body) from None
    if body.count(b"{") + body.count(b"[") > _DEEPEST and _depth(value) > _DEEPEST:
        raise Problem(f"The JSON body is nested more than {_DEEPEST} levels deep. Send a flatter one.")
    if b"\\u0000" in body:
        _refuse_nul(value, "")
    if type(value) is not dict:
        raise wrong_type("body", "an object", value)
    return value


def _not_json(fault: Exception, body: bytes) -> Problem:
    why = "it is nested too deeply" if isinstance(fault, RecursionError) else str(fault)
    if _SURROGATE.search(body):
        why += "; half of a pair of surrogates (\\ud800 to \\udfff) may stand alone"
    return Problem(f"We could not parse the JSON body of your request: {why}. Send one JSON object, encoded in UTF-8.")


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += [inner for inner in item.values() if isinstance(inner, dict | list)]
            elif isinstance(item, list):
                below += [inner for inner in item if isinstance(inner, dict | list)]
        level = below
    return deepest


def _refuse_nul(value: Any, path: str) -> None:
    match value:
        case str() if "\0" in value:
            message = f"Invalid '{path}': it contains a NUL character (\\u0000), which cannot be stored. Remove it."
            raise Problem(message, param=path, code="invalid_value")
        case list():
            for index, item in enumerate(value):
                _refuse_nul(item, f"{path}[{index}]")
        case dict():
            for name, item in value.items():
                inner = f"{path}.{name}" if path else name
                _refuse_nul(name, inner.replace("\0", "\\u0000"))
                _refuse_nul(item, inner)
        case _:
            pass
