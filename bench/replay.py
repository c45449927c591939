"""How fast the run machine decides and replays: events a second of stored text and tool histories, on one core.

Run: python bench/replay.py [--rounds 30]. Exits with 1 below 50,000 events a second.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from core.histories import History
from respun.core import chat
from respun.core.events import AnyEvent, Output
from respun.core.fold import replay
from respun.core.machine import Outputs, Start
from respun.core.usage import Usage
from respun.store.codec import text_of, to_events

_GOAL: Final = 50_000


def text(tokens: int) -> History:
    history = History()
    history.take(Start(), *(chat.TextDelta(" word") for _ in range(tokens)), chat.Finished("stop", Usage(9, tokens)))
    return history


def tools(rounds: int) -> History:
    history = History()
    history.take(Start())
    for _ in range(rounds):
        written = ('{"x":[', *(f"{word}," for word in range(6)), "9]}")
        pieces = (chat.ToolCallDelta(index, None, None, piece) for piece in written for index in (0, 1))
        calls = (chat.ToolCallDelta(0, None, "weather"), chat.ToolCallDelta(1, None, "time"))
        history.take(*calls, *pieces, chat.Finished("tool_calls", Usage(9, 9)))
        assert history.run.calls is not None
        outputs = tuple(Output(call.id, "fine") for call in history.run.calls.owed)
        history.take(Outputs(outputs), Start())
    history.take(chat.TextDelta("Done."), chat.Finished("stop", Usage(9, 1)))
    return history


def per_second(work: Callable[[], object], events: int, rounds: int) -> int:
    """The best round's: the machine may be busy with other things."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return round(events / best)


def figures(make: Callable[[], History], rounds: int) -> dict[str, int]:
    events: Sequence[AnyEvent] = make().events
    stored = text_of(events)
    return {
        "events": len(events),
        "replay": per_second(lambda: replay(events), len(events), rounds),
        "read_and_replay": per_second(lambda: replay(to_events(stored)), len(events), rounds),
        "decide_and_fold": per_second(make, len(events), rounds),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=30)
    rounds = options.parse_args().rounds
    measured = {"text": figures(lambda: text(500), rounds), "tools": figures(lambda: tools(20), rounds)}
    print(json.dumps(measured, indent=1))
    slowest = min(measured[kind]["replay"] for kind in measured)
    sys.exit(0 if slowest >= _GOAL else 1)


if __name__ == "__main__":
    main()
