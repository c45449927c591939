"""How a problem looks to Backboard's clients: `detail`, as a text or as the list that FastAPI makes (contract 2.6)."""

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from respun.core.ids import Kind, uuid_of
from respun.core.problems import Problem

_KINDS: Final[dict[str, Kind]] = {"asst": "assistant", "thread": "thread", "msg": "message"}
_IDS: Final = re.compile(r"\b(asst|thread|msg)_[0-9A-Za-z]{24}\b")
_encode: Final = msgspec.json.Encoder().encode


class Issue(Struct, frozen=True):
    """One thing that is wrong with a request, as pydantic words it. `loc` begins with body, path or query."""

    loc: tuple[str | int, ...]
    msg: str
    type: str


class Invalid(Exception):
    """A request that isn't of the form it should have: answered by 422 and the list."""

    def __init__(self, *issues: Issue) -> None:
        super().__init__("; ".join(f"{issue.loc}: {issue.msg}" for issue in issues))
        self.issues = issues


def missing(*loc: str | int) -> Issue:
    return Issue(loc, "Field required", "missing")


def detail_body(problem: Problem) -> bytes:
    message = "Invalid or missing API key" if problem.kind == "unauthorized" else told(problem.message)
    return _encode({"detail": message})


def issues_body(invalid: Invalid) -> bytes:
    return _encode({"detail": invalid.issues})


def told(message: str) -> str:
    """A message of ours with the ids in it as this dialect spells them."""
    return _IDS.sub(lambda found: str(uuid_of(_KINDS[found[1]], found[0])), message)


def error(message: str, code: str) -> dict[str, Any]:
    return {"code": code, "message": told(message)}
