"""From what was said to memories: the two questions a model is asked, and what is made of its answers.

First which facts there are, then what they do to what is known: ADD, UPDATE, DELETE, NONE. An assistant may word
both questions itself; the form of the answer is ours.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from respun.core.memories import Change, Memory, MemoryEvent

FACTS: Final = """You keep an assistant's memory of its user. From the conversation below, note what is worth knowing \
in later conversations: names, people, places, work, plans, dates, likes and dislikes, health, decisions, and what the \
user wants of the assistant. Each fact is one short sentence that can be understood alone: say who and what, and put \
a date in the place of words such as "yesterday". Note what the user says of the world he lives in, not what everybody \
knows: a question such as "What is a vector?" holds no fact. Where there is nothing to note, the list is empty."""
_FACTS_FORM: Final = 'Answer with JSON only, of this form: {"facts": ["...", "..."]}'

UPDATE: Final = """You keep an assistant's memory of its user. Compare the new facts with what is remembered. ADD a \
fact that is new. UPDATE what a new fact changes or says better, keeping its id; what is no longer true is not kept \
beside it. DELETE what a new fact says is no longer so, if nothing takes its place. NONE for what is known already."""
_UPDATE_FORM: Final = (
    'Answer with JSON only, of this form: {"memory": [{"id": "the id, or \\"new\\"", "text": "...", '
    '"event": "ADD|UPDATE|DELETE|NONE"}]}'
)
_EVENTS: Final[dict[str, MemoryEvent]] = {"ADD": "ADD", "UPDATE": "UPDATE", "DELETE": "DELETE", "NONE": "NONE"}
LONGEST: Final = 4000
"""Characters of one memory."""
_SENTENCE: Final = re.compile(r"(?<=[.!?\n])\s+")
_OWN: Final = re.compile(
    r"\b(?:I|I'm|I've|my|me|mine|we|our|us)\b|\b(?:ich|mein\w*|wir|je|mon|ma|mes|yo|mi|mis)\b", re.IGNORECASE
)
_FEWEST_WORDS, _MOST_WORDS = 3, 60


class NoJson(ValueError):
    """The model's answer is not of the form that was asked for."""


def facts_prompt(custom: str | None) -> str:
    return f"{custom or FACTS}\n\n{_FACTS_FORM}"


def update_prompt(custom: str | None) -> str:
    return f"{custom or UPDATE}\n\n{_UPDATE_FORM}"


def conversation(said: str, answered: str, day: str) -> str:
    """What the model reads for facts."""
    lines = [f"Today is {day}.", "", f"user: {said}"]
    return "\n".join([*lines, f"assistant: {answered}"] if answered else lines)


def comparison(known: Sequence[Memory], facts: Sequence[str]) -> str:
    """What the model reads to compare. Memories go by their number, which is harder to misspell than an id."""
    remembered = [{"id": str(number), "text": memory.text} for number, memory in enumerate(known)]
    return f"Remembered: {_json(remembered)}\nNew facts: {_json(list(facts))}"


def read_facts(answer: str) -> tuple[str, ...]:
    """Raises NoJson."""
    given = _object(answer)
    listed = given.get("facts") if isinstance(given, dict) else given
    if not isinstance(listed, list):
        raise NoJson("It has no list of facts.")
    texts = (_text(each) for each in listed)
    return tuple(dict.fromkeys(text.strip()[:LONGEST] for text in texts if text.strip()))


def read_changes(answer: str, known: Sequence[Memory]) -> tuple[Change, ...]:
    """What the model wants changed; ids that it made up are new memories. Raises NoJson."""
    given = _object(answer)
    listed = given.get("memory") if isinstance(given, dict) else given
    if not isinstance(listed, list):
        raise NoJson("It has no list of memories.")
    changes = (_change(each, known) for each in listed if isinstance(each, dict))
    return tuple(change for change in changes if change)


def stated(said: str) -> tuple[str, ...]:
    """What the user says of himself, sentence by sentence: for a model that can't note facts. No questions."""
    sentences = (each.strip() for each in _SENTENCE.split(said))
    return tuple(dict.fromkeys(each for each in sentences if _is_statement(each)))


def _is_statement(sentence: str) -> bool:
    words = len(sentence.split())
    fits = _FEWEST_WORDS <= words <= _MOST_WORDS and not sentence.endswith("?") and not sentence.startswith("@")
    return fits and _OWN.search(sentence) is not None


def _change(given: dict[str, Any], known: Sequence[Memory]) -> Change | None:
    event = _EVENTS.get(str(given.get("event", "")).upper())
    text = _text(given).strip()[:LONGEST]
    if event is None or not text:
        return None
    number = str(given.get("id", ""))
    memory = known[int(number)] if number.isdecimal() and int(number) < len(known) else None
    if event in ("UPDATE", "DELETE") and memory is None:
        return Change("ADD", text) if event == "UPDATE" else None
    if event == "DELETE" and memory is not None:
        text = memory.text
    return Change(event, text, memory.id if memory and event in ("UPDATE", "DELETE") else None)


def _text(given: Any) -> str:
    if isinstance(given, dict):
        given = given.get("text") or given.get("fact") or given.get("memory") or ""
    return given if isinstance(given, str) else ""


def _object(answer: str) -> Any:
    """The first JSON object or list in the answer, whatever stands around it."""
    starts = [at for at in (answer.find("{"), answer.find("[")) if at >= 0]
    ends = max(answer.rfind("}"), answer.rfind("]")) + 1
    if not starts:
        raise NoJson("It holds no JSON.")
    try:
        return msgspec.json.decode(answer[min(starts) : ends])
    except (msgspec.MsgspecError, RecursionError):
        raise NoJson("Its JSON is malformed.") from None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
