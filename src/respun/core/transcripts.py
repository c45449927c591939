"""A thread as it was spoken: its messages, and between them the turns in which tools were called."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from msgspec import Struct

from respun.core.runs import Run, Step
from respun.core.threads import Message, Thread


class Transcript(Struct, frozen=True):
    """`entries` oldest first; `runs`, by id, wrote them. `assistant` is the thread's, or its last run's."""

    thread: Thread
    entries: tuple[Message | Step, ...]
    runs: Mapping[str, Run]
    assistant: str | None = None

    @property
    def attached(self) -> tuple[str, ...]:
        """Files that came with its messages."""
        messages = (entry for entry in self.entries if isinstance(entry, Message))
        return tuple(each.file for message in messages for each in message.attachments if each.file)


class Overview(Struct, frozen=True):
    """A thread as lists show it. `asked` is what its user said first."""

    thread: Thread
    assistant: str | None
    messages: int
    updated_at: float
    asked: str | None = None


def weave(messages: Sequence[Message], steps: Sequence[Step]) -> tuple[Message | Step, ...]:
    """Each turn of tool calls in front of the message that followed it in its run, or behind what it followed."""
    known = {message.id for message in messages}
    ahead: dict[str, list[Step]] = {}
    open_turns: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        if step.message in known:
            ahead[step.message] = open_turns.pop(step.run, [])
        elif step.calls:
            open_turns[step.run].append(step)
    behind = _behind(messages, open_turns)
    woven: list[Message | Step] = [*behind.get("", ())]
    for message in messages:
        woven += (*ahead.get(message.id, ()), message, *behind.get(message.id, ()))
    return tuple(woven)


def _behind(messages: Sequence[Message], turns: Mapping[str, list[Step]]) -> dict[str, list[Step]]:
    """Turns that no message has followed yet, by the message they come after; "" is the beginning."""
    placed: dict[str, list[Step]] = defaultdict(list)
    for run, steps in turns.items():
        earlier = [each for each in messages if each.run == run or each.created_at <= steps[0].created_at]
        placed[earlier[-1].id if earlier else ""] += steps
    return placed
