"""What of a thread a run sends, or would send."""

from collections.abc import Sequence

from msgspec import Struct

from respun.core.context.selection import DoesNotFit
from respun.core.drafts import Preview
from respun.core.events import ContextChosen, ContextItem
from respun.core.problems import Problem
from respun.core.runs import Context, Run
from respun.engine.context import Chosen
from respun.engine.engine import Engine
from respun.engine.follow import stored
from respun.store import assistants, threads
from respun.store.backend import Tx
from respun.workspace.failures import Store, explained


class Shown(Struct, frozen=True):
    """`cached` are tokens that the upstream had in its cache; None where no run is done."""

    context: Context
    items: Sequence[ContextItem]
    cached: int | None = None


async def of_run(tx: Tx, run: Run) -> Shown:
    """What the run sent at last. Raises Problem while it has sent nothing."""
    chosen = [one.event for one in await stored(tx, run, 0) if isinstance(one.event, ContextChosen)]
    if not chosen:
        raise Problem(
            f"The run {run.id} has no context: it has not called a model yet, or ended before it could. "
            "Ask again when it is in progress.",
            kind="not_found",
        )
    return Shown(chosen[-1].context, chosen[-1].items, run.usage.cached if run.done else None)


async def preview(store: Store, engine: Engine, project: str, thread: str, wanted: Preview) -> Shown:
    """What a run would send. Raises Problem where it would have to fail."""

    async def found(tx: Tx) -> Preview:
        await threads.check(tx, project, thread)
        if wanted.assistant is None:
            return wanted
        assistant = await assistants.get(tx, project, wanted.assistant)
        return Preview(wanted.model or assistant.model, None, wanted.query, wanted.max_prompt_tokens, wanted.truncation)

    asked = await store.read(found)
    with explained():
        chosen = await engine.preview(thread, asked)
    if isinstance(chosen, Chosen):
        return Shown(chosen.context, chosen.items)
    raise _too_long(chosen)


def _too_long(refused: DoesNotFit) -> Problem:
    what = "The newest message" if refused.what == "newest_message" else "The thread"
    return Problem(
        f"{what} has {refused.needed} tokens, more than the {refused.budget} there is room for. "
        "Ask for a model with a larger context window, or allow more max_prompt_tokens.",
        code="context_length_exceeded",
    )
