"""What a thread costs turn by turn where an upstream bills cached input at a tenth: which part of each prompt the
prompt before began with, by strategy.

    python bench/context_cost.py DATA [--threads N]

DATA (or RESPUN_CONTEXT_DATA) as for `context_quality.py`. Every user message of a thread is asked in turn, with 500
tokens of instructions before it; a beginning shorter than 1,024 tokens counts as not cached, as providers have it.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import context_quality as quality
from respun.core.chat import AssistantMessage, ChatMessage, UserMessage
from respun.core.context.fit import Ask, fit
from respun.core.context.memory import MemoryIndex
from respun.core.context.render import render, text_of
from respun.core.context.selection import Selection, WindowState
from respun.core.context.strategies import Auto, DropMiddle, DropOldest, Strategy

INSTRUCTIONS = 500
LEAST_CACHED = 1_024
PRICE = 0.1
STRATEGIES: dict[str, Strategy] = {
    "drop oldest": DropOldest(),
    "drop middle": DropMiddle(),
    "economy": Auto(recall_share=0.25),
    "auto": Auto(),
    "recall": Auto(fill=True),
}
BUDGETS = {"LoCoMo": 4_000, "BEAM-100K": 16_000}


@cache
def cost(message: ChatMessage) -> int:
    return quality.count(text_of(message)) + 4


def simulate(thread: quality.Thread, strategy: Strategy, budget: int) -> list[tuple[int, int]]:
    """Tokens and cached tokens of each prompt from the first that does not fit on."""
    index = MemoryIndex((), quality.count, "en")
    said: dict[int, ChatMessage] = {}
    state, before, turns = WindowState(), (), []  # type: ignore[var-annotated]
    for message in thread.messages:
        n = index.add(message)
        said[n] = (UserMessage if message.role == "user" else AssistantMessage)(message.text)
        if message.role != "user":
            continue
        selection = quality.run(fit(Ask(budget, strategy, state), index))
        if not isinstance(selection, Selection):
            continue
        state = selection.state
        prompt = render(selection, said).messages
        if selection.total > budget and before:
            turns.append((INSTRUCTIONS + tokens(prompt), cached(prompt, before)))
        before = prompt
    return turns


def tokens(prompt: Iterable[ChatMessage]) -> int:
    return sum(map(cost, prompt))


def cached(prompt: tuple[ChatMessage, ...], before: tuple[ChatMessage, ...]) -> int:
    same = INSTRUCTIONS
    for now, then in zip(prompt, before, strict=False):
        if now != then:
            break
        same += cost(now)
    return same if same >= LEAST_CACHED else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default=os.environ.get("RESPUN_CONTEXT_DATA"))
    parser.add_argument("--threads", type=int, default=4, help="of each set")
    given = parser.parse_args()
    if not given.data:
        sys.exit("Give the folder with the conversations, or set RESPUN_CONTEXT_DATA.")
    for name, load in (("LoCoMo", quality.locomo), ("BEAM-100K", quality.beam)):
        threads = list(load(Path(given.data)))[: given.threads]
        print(f"\n{name}, {len(threads)} threads, budget {BUDGETS[name]}")
        print(f"  {'':12}{'tokens':>8}{'cached':>9}{'cost':>8}{'of drop oldest':>16}")
        first = 0.0
        for label, strategy in STRATEGIES.items():
            turns = [turn for thread in threads for turn in simulate(thread, strategy, BUDGETS[name])]
            sent = statistics.mean(all_ for all_, _ in turns)
            share = sum(held for _, held in turns) / sum(all_ for all_, _ in turns)
            paid = statistics.mean(all_ - held * (1 - PRICE) for all_, held in turns)
            first = first or paid
            print(f"  {label:12}{sent:>8.0f}{100 * share:>8.0f}%{paid:>8.0f}{paid / first:>16.2f}", flush=True)


if __name__ == "__main__":
    main()
