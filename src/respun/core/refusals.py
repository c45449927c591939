"""What a run refuses, in OpenAI's own sentences (contract section 5), because clients match on them."""

from collections.abc import Iterable

from respun.core.events import Output
from respun.core.problems import Problem
from respun.core.runs import Run


def refuse_cancel(run: Run) -> None:
    if run.done or run.status == "cancelling":
        raise Problem(f"Cannot cancel run with status '{run.status}'.")


def refuse_change(run: Run) -> None:
    if run.status in ("queued", "in_progress", "cancelling"):
        raise Problem(f"Cannot update run with status '{run.status}'.")


def refuse_outputs(run: Run, outputs: Iterable[Output]) -> None:
    """All outputs that are owed must come at once."""
    if run.status != "requires_action" or run.calls is None:
        raise Problem(f'Runs in status "{run.status}" do not accept tool outputs.')
    owed = [call.id for call in run.calls.owed]
    given = [output.call for output in outputs]
    if sorted(owed) != sorted(given):
        raise Problem(f"Expected tool outputs for call_ids {owed}, got {given}")


def refuse_second_run(thread: str, active: str) -> Problem:
    return Problem(f"Thread {thread} already has an active run {active}.")
