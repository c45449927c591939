"""How a problem looks on the OpenAI dialect: status, body, and whether a client should try again (contract 5)."""

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from respun.core.problems import Problem, ProblemKind

_TYPES: Final[dict[ProblemKind, str]] = {
    "rate_limited": "rate_limit_exceeded",
    "broken": "server_error",
    "full": "server_error",
    "unavailable": "server_error",
}
_AGAIN: Final[dict[ProblemKind, bytes | None]] = {
    "rate_limited": b"true",
    "unavailable": b"true",
    "conflict": b"true",
    "broken": None,
}
# Errors about files come twice in one body (contract section 5); those of files in vector stores do not.
_FILES: Final = re.compile(r"^(/openai)?(/v1)?/files(/|$)")
_json: Final = msgspec.json.Encoder()


class Refused(Struct, frozen=True):
    """The request that is refused, for dialects whose error body names it."""

    status: int
    path: str
    request_id: str


def error(problem: Problem) -> dict[str, Any]:
    return {
        "message": problem.message,
        "type": _TYPES.get(problem.kind, "invalid_request_error"),
        "param": problem.param,
        "code": problem.code,
    }


def error_body(problem: Problem, refused: Refused) -> bytes:
    body: dict[str, Any] = {"error": error(problem)}
    if _FILES.search(refused.path):
        body["detail"] = {"message": problem.message, "code": problem.code}
    return _json.encode(body)


def error_frame(problem: Problem) -> bytes:
    # openai-python swallows the bare form and raises on the wrapped one (contract 2.3): both in one serve every reader.
    bare = error(problem)
    return b"event: error\ndata: %b\n\n" % _json.encode({**bare, "error": bare})


def should_retry(problem: Problem) -> bytes | None:
    """The value of `x-should-retry`; None leaves it to the client's own rule."""
    return _AGAIN.get(problem.kind, b"false")


def broken(request_id: str) -> Problem:
    """What a caller sees of a fault of ours: OpenAI's sentence, with the id under which the log has the rest."""
    return Problem(
        "The server had an error processing your request. Sorry about that! You can retry your request, or look in "
        f"the server's log for what happened. (Please include the request ID {request_id} when you report it.)",
        kind="broken",
    )
