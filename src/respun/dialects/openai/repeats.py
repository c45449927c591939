"""Idempotency-Key on the wire: one effect, and the same answer again, by Stripe's rules.

An answer is kept once the request was begun: what was refused for its form may be sent again, mended, with its key.
"""

from typing import Final

from respun.core.problems import Problem, ProblemKind
from respun.dialects.openai import problems
from respun.dialects.openai.answers import Answer, Call, Handler, Sending
from respun.dialects.openai.problems import Refused
from respun.workspace.repeats import Repeats

_REPLAYED: Final = (b"idempotent-replayed", b"true")
_NOT_BEGUN: Final[frozenset[ProblemKind]] = frozenset(
    {"unauthorized", "too_large", "unsupported", "rate_limited", "unavailable", "full"}
)


async def answered_once(call: Call, handler: Handler, status: int, repeats: Repeats) -> tuple[Answer | Sending, int]:
    """The answer of the handler, or the one that the first request with this key was given."""
    key = call.header(b"idempotency-key")
    if key is None or call.method != "POST":
        return await handler(call), status
    if not call.is_form:
        await call.json()
    kept = await repeats.claim(call.project, key, call.once.fingerprint)
    if kept is not None:
        return Answer(kept.body.encode(), (_REPLAYED,)), kept.status
    try:
        answer = await handler(call)
    except Problem as problem:
        await _keep_refusal(call, key, problem, repeats)
        raise
    except Exception:
        await _keep_refusal(call, key, problems.broken(call.request_id), repeats)
        raise
    if isinstance(answer, Answer):
        await repeats.keep(call.project, key, status, answer.body.decode())
    else:
        # A stream can't be kept, nor need it: a request that comes again follows the same run from its beginning.
        await repeats.release(call.project, key)
    return answer, status


async def _keep_refusal(call: Call, key: str, problem: Problem, repeats: Repeats) -> None:
    if problem.kind in _NOT_BEGUN or problem.param is not None:
        await repeats.release(call.project, key)
        return
    code = call.dialect.statuses[problem.kind]
    body = call.dialect.error_body(problem, Refused(code, call.path, call.request_id))
    await repeats.keep(call.project, key, code, body.decode())
