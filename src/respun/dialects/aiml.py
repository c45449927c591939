"""AIML API's dialect: OpenAI's operations at the root, with a status and an error body of its own (contract 1).

It differs by the knobs of the OpenAI dialect alone, so that a thread made here is the same thread there.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import msgspec
from msgspec.structs import replace
from starlette.types import ASGIApp, Receive, Scope, Send

from respun.core.problems import Problem
from respun.dialects.openai import problems
from respun.dialects.openai.answers import Dialect
from respun.dialects.openai.problems import Refused
from respun.dialects.openai.routes import application as openai_application
from respun.workspace import Workspace

_encode: Final = msgspec.json.Encoder().encode
# Contract 1.1: a stream is 200 whatever it made.
_CREATED: Final = {"create_assistant": 201, "create_message": 201, "create_run": 201}


def application(ws: Workspace, dialect: Dialect) -> ASGIApp:
    """What answers at the root. `dialect` is OpenAI's as this server has it set: limits and waits are taken from it."""
    given = replace(dialect, name="aiml", strict=True, answers=_CREATED, error_body=error_body)
    plain = replace(dialect, name="aiml", strict=False, error_body=error_body, batch_object="vector_store.files_batch")
    return _Root(openai_application(ws, given), openai_application(ws, plain))


def error_body(problem: Problem, refused: Refused, now: Callable[[], float] = time.time) -> bytes:
    """OpenAI's `error`, which its SDK reads, merged with the fields that AIML's readers take (contract 1.5)."""
    return _encode(
        {
            "error": problems.error(problem),
            "message": _message(problem),
            "path": refused.path,
            "requestId": _uuid(refused.request_id),
            "statusCode": refused.status,
            "timestamp": _timestamp(now()),
        }
    )


class _Root:
    """Azure's agents SDK speaks the same operations at the root, marked by `api-version`; it takes no 201."""

    def __init__(self, aiml: ASGIApp, azure: ASGIApp) -> None:
        self._aiml = aiml
        self._azure = azure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        azure = b"api-version=" in scope.get("query_string", b"")
        await (self._azure if azure else self._aiml)(scope, receive, send)


def _message(problem: Problem) -> str:
    if problem.kind == "unauthorized":
        return f"This request requires a valid API key. {problem.message}"
    if problem.kind == "rate_limited":
        return f"Too Many Requests. {problem.message}"
    if problem.kind == "invalid" and problem.param is not None:
        return f"Body validation error! {problem.message}"
    return problem.message


def _uuid(request_id: str) -> str:
    """The request's id in AIML's form: the same 32 digits as in the header `x-request-id`."""
    digits = request_id.removeprefix("req_")
    if len(digits) != 32:
        return str(uuid4())
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
