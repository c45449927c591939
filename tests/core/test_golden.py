"""Histories as stores hold them are replayed for ever: what was written once is read the same by every version.

`python tests/core/test_golden.py` records the stories that have no file yet; a file that is there is never rewritten.
"""

import sys
from pathlib import Path
from typing import Final

import msgspec
import pytest

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

from core.histories import WEATHER, History, planned
from respun.core import chat
from respun.core.events import AnyEvent, Output
from respun.core.fold import begin, evolve
from respun.core.machine import Cancel, Deadline, Outputs, Resume, Start, Stopped
from respun.core.projection import records
from respun.core.runs import Run, Step
from respun.core.threads import Message
from respun.core.usage import Usage

GOLDEN: Final = Path(__file__).parent / "golden"


class Recorded(msgspec.Struct):
    """What a store holds of a run when all is done."""

    events: tuple[AnyEvent, ...]
    run: Run
    messages: list[Message]
    steps: list[Step]


def recorded(events: tuple[AnyEvent, ...]) -> Recorded:
    first, *others = events
    run = begin(first)  # type: ignore[arg-type]
    latest: dict[str, Message | Step] = {}
    for event in others:
        latest |= {record.id: record for record in records(run, event)}
        run = evolve(run, event)
    messages = [one for one in latest.values() if isinstance(one, Message)]
    return Recorded(events, run, messages, [one for one in latest.values() if isinstance(one, Step)])


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_a_stored_history_is_read_as_it_was_written(path: Path) -> None:
    stored = msgspec.json.decode(path.read_bytes(), type=Recorded)
    assert recorded(stored.events) == stored


def test_there_are_histories() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} >= set(stories())


# How they were made


ASKED = (
    chat.ToolCallDelta(0, None, "weather", '{"at":'),
    chat.ToolCallDelta(1, None, "time", ""),
    chat.ToolCallDelta(0, None, None, '"Rome"}'),
    chat.ToolCallDelta(1, None, None, "{}"),
    chat.Finished("tool_calls", Usage(20, 9, 4, 1)),
)
HELLO = (chat.TextDelta("Hel"), chat.TextDelta("lo"))
STOP = chat.Finished("stop", Usage(5, 2))


def told(history: History) -> Outputs:
    assert history.run.calls is not None
    return Outputs(tuple(Output(call.id, f"{call.name}: fine") for call in history.run.calls.owed))


def stories() -> dict[str, History]:
    made = {
        name: History()
        for name in (
            "text",
            "refusal",
            "parallel_tools",
            "unknown_tool",
            "cancel_in_mid_sentence",
            "cancel_waiting",
            "expiry_waiting",
            "length",
            "filter",
            "resume_in_mid_sentence",
            "resume_in_mid_call",
        )
    }
    made["limit"] = History(planned(WEATHER, limits=(None, 9)))
    for history in made.values():
        history.take(Start())
    made["text"].take(*HELLO, STOP)
    made["refusal"].take(chat.RefusalDelta("No."), STOP)
    made["parallel_tools"].take(*HELLO, *ASKED)
    made["parallel_tools"].take(told(made["parallel_tools"]), Start(), *HELLO, STOP)
    made["unknown_tool"].take(chat.ToolCallDelta(0, None, "unheard_of", "{}"), ASKED[-1], *HELLO, STOP)
    made["cancel_in_mid_sentence"].take(*HELLO, Cancel(), Stopped())
    made["cancel_waiting"].take(*ASKED, Cancel())
    made["expiry_waiting"].take(*ASKED, Deadline())
    made["length"].take(*HELLO, chat.Finished("length", Usage(5, 2)))
    made["filter"].take(*HELLO, chat.Finished("content_filter", Usage(5, 2)))
    made["resume_in_mid_sentence"].take(*HELLO, Resume(1 << 16), *HELLO, STOP)
    made["resume_in_mid_call"].take(*ASKED[:2], Resume(1 << 16), *ASKED)
    made["resume_in_mid_call"].take(told(made["resume_in_mid_call"]), Start(), *HELLO, STOP)
    made["limit"].take(ASKED[0], ASKED[2], ASKED[-1])
    made["limit"].take(told(made["limit"]), Start())
    return made


def record() -> None:
    for name, history in stories().items():
        path = GOLDEN / f"{name}.json"
        if not path.exists():
            whole = recorded(msgspec.convert(msgspec.to_builtins(history.events), tuple[AnyEvent, ...]))
            path.write_bytes(msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n")


if __name__ == "__main__":
    record()
