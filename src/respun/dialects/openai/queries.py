"""Query strings of requests: pages, filters and what to include. Unknown keys are ignored (contract section 1)."""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from msgspec import Struct

from respun.core.assistants import Metadata
from respun.core.pages import PageRequest
from respun.core.problems import Problem
from respun.dialects.frames import Position, position
from respun.dialects.openai.sentences import missing, not_among, shown, wrong_type
from respun.dialects.openai.validate import Choice, Integer, Pairs

CONTENT: Final = "step_details.tool_calls[*].file_search.results[*].content"

_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")
_LONGEST_NUMBER: Final = 9
_LIMIT: Final = Integer(1, 100)
_TIME: Final = Integer(0, 2**53)
_ORDER: Final = Choice(("asc", "desc"))
_METADATA_KEY: Final = re.compile(r"metadata\[(.*)\]", re.DOTALL)

Query = Mapping[str, list[str]]


class ItemPage(Struct, frozen=True):
    after: int
    limit: int


class ThreadFilter(Struct, frozen=True):
    metadata: Metadata = {}
    created_from: float | None = None
    created_to: float | None = None
    assistant: str | None = None


def read(query_string: bytes) -> dict[str, list[str]]:
    """The values of each key, in the order they came."""
    found: dict[str, list[str]] = {}
    if not query_string:
        return found
    text = query_string.decode("latin-1")
    for name, value in parse_qsl(text, keep_blank_values=True):
        if "\0" in name or "\0" in value:
            raise Problem(f"The query parameter '{shown(name).replace(chr(0), '')}' contains a NUL character.")
        found.setdefault(name, []).append(value)
    return found


def page(query: Query) -> PageRequest:
    if not query:
        return PageRequest()
    limit = integer(query, "limit", _LIMIT)
    order: Any = last(query, "order") or "desc"
    _ORDER.check(order, "order", True)
    return PageRequest(
        limit=20 if limit is None else limit,
        order=order,
        after=last(query, "after") or None,
        before=last(query, "before") or None,
    )


def items(query: Query) -> ItemPage:
    """A page of items that are numbered: `after=item_20`."""
    limit = integer(query, "limit", _LIMIT)
    given = last(query, "after") or "item_0"
    number = given.removeprefix("item_")
    if not number.isascii() or not number.isdigit() or len(number) > _LONGEST_NUMBER:
        message = f"Invalid 'after': '{shown(given)}'. Expected the id of an item, such as 'item_20'."
        raise Problem(message, param="after", code="invalid_value")
    return ItemPage(int(number), 20 if limit is None else limit)


def run(query: Query) -> str | None:
    return last(query, "run_id") or None


def wants_content(query: Query) -> bool:
    """Whether the text of what a file search found is to be shown."""
    wanted = [*query.get("include[]", ()), *query.get("include", ())]
    for index, value in enumerate(wanted):
        if value != CONTENT:
            raise not_among(f"include[{index}]", (CONTENT,), value)
    return bool(wanted)


def threads(query: Query) -> ThreadFilter:
    """`metadata[key]=value` (each must match), `created_after`, `created_before` in Unix seconds, `assistant_id`."""
    metadata = {
        found[1]: values[-1] for name, values in query.items() if (found := _METADATA_KEY.fullmatch(name)) and found[1]
    }
    Pairs().check(metadata, "metadata", True)
    return ThreadFilter(
        metadata=metadata,
        created_from=integer(query, "created_after", _TIME),
        created_to=integer(query, "created_before", _TIME),
        assistant=last(query, "assistant_id") or None,
    )


def searched(query: Query) -> str:
    words = last(query, "query")
    if not words or not words.strip():
        raise missing("query")
    return words


def seen(query: Query, last_event_id: str | None) -> Position:
    """The last frame the caller has: `starting_after` in the query, else the header that browsers send again."""
    given = last(query, "starting_after")
    name, text = ("starting_after", given) if given is not None else ("Last-Event-ID", last_event_id)
    if not text:
        return Position()
    found = position(text)
    if found is None:
        message = f"Invalid '{name}': '{shown(text)}'. Expected the id of a frame, such as '12' or '12.1'."
        raise Problem(message, param=name, code="invalid_value")
    return found


def last(query: Query, name: str) -> str | None:
    values = query.get(name)
    return values[-1] if values else None


def integer(query: Query, name: str, spec: Integer) -> int | None:
    text = last(query, name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise wrong_type(name, spec.expected, text)
    spec.check(int(text), name, True)
    return int(text)
