"""How much of what answers a question about the past is kept, side by side with simpler ways to cut a thread.

    python bench/context_quality.py DATA [--quick] [--vectors]

DATA (or RESPUN_CONTEXT_DATA) holds `locomo-tune.json` (LoCoMo) and `beam/chats/100K/*` (BEAM). Each conversation is
one thread, each question its newest user message. *whole*: share of the messages that answer it which are sent whole;
*fact*: share of the answer's words that are still there. The bench needs a tokeniser: `pip install quicktok-v1`.
`--vectors` adds what recall by meaning keeps, with the embedding model that the server has fetched (some minutes).
"""

import argparse
import asyncio
import glob
import json
import math
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from respun.core.context.fit import Ask, fit
from respun.core.context.meaning import Meant, Near
from respun.core.context.memory import MemoryIndex, Said
from respun.core.context.selection import Selection
from respun.core.context.strategies import Auto, DropMiddle, DropOldest, Strategy
from respun.core.context.words import terms
from respun.engine.embedding_threads import pieces_of
from respun.providers.embedding_files import embedding_files

BUDGETS = {"LoCoMo": (2000, 4000, 8000), "BEAM-100K": (4000, 8000, 16000)}


@dataclass
class Question:
    text: str
    gold: list[int]
    answer: str
    kind: str


@dataclass
class Thread:
    name: str
    messages: list[Said]
    questions: list[Question] = field(default_factory=list)


@dataclass
class Kept:
    """What a method sends: messages whole, and the pieces it sends of others."""

    whole: set[int]
    pieces: dict[int, str]
    tokens: int = 0
    seconds: float = 0.0


@cache
def tokeniser() -> Callable[[str], int]:
    import quicktok

    encoding = quicktok.get_encoding("o200k_base")
    return encoding.count


def count(text: str) -> int:
    return tokeniser()(text)


def locomo(folder: Path) -> Iterator[Thread]:
    for dialogue in json.loads((folder / "locomo-tune.json").read_text()):
        talk, where = dialogue["conversation"], {}
        thread = Thread(dialogue["sample_id"], [])
        for session in range(1, 60):
            for turn in talk.get(f"session_{session}") or []:
                text = f"{turn['speaker']}: {turn['text']}"
                if turn.get("blip_caption"):
                    text += f" [shared a photo: {turn['blip_caption']}]"
                role = "user" if turn["speaker"] == talk["speaker_a"] else "assistant"
                thread.messages.append(Said(role, text))
                where[turn["dia_id"]] = len(thread.messages)
        for asked in dialogue["qa"]:
            ids = [i for evidence in asked["evidence"] for i in re.findall(r"D\d+:\d+", evidence)]
            gold = sorted({where[i] for i in ids if i in where})
            if asked["category"] != 5 and gold:
                kind = {1: "multi-hop", 2: "temporal", 3: "open", 4: "single-hop"}[asked["category"]]
                thread.questions.append(Question(asked["question"], gold, str(asked["answer"]), kind))
        yield thread


def beam(folder: Path) -> Iterator[Thread]:
    for chat in sorted(glob.glob(str(folder / "beam/chats/100K/*")), key=lambda path: int(Path(path).name)):
        where: dict[int, int] = {}
        thread = Thread(Path(chat).name, [])
        for batch in json.loads(Path(chat, "chat.json").read_text()):
            for turn in (turn for turns in batch["turns"] for turn in turns):
                thread.messages.append(Said(turn["role"], re.sub(r"\s*->->\s*[\d,\s]+$", "", turn["content"])))
                where[int(turn["id"])] = len(thread.messages)
        asked = json.loads(Path(chat, "probing_questions/probing_questions.json").read_text())
        for kind, questions in asked.items():
            for question in questions:
                gold = sorted({where[i] for i in numbers(question.get("source_chat_ids", [])) if i in where})
                if kind != "abstention" and gold:
                    thread.questions.append(Question(question["question"], gold, beam_answer(kind, question), kind))
        yield thread


def beam_answer(kind: str, asked: Mapping[str, Any]) -> str:
    fields = ("answer", "ideal_answer", "ideal_response", "ideal_summary")
    answer = str(next((asked[name] for name in fields if asked.get(name)), ""))
    if kind in ("instruction_following", "preference_following"):
        answer = asked.get("instruction_being_tested") or asked.get("preference_being_tested") or ""
    elif kind != "summarization":
        answer += " " + " ".join(map(str, asked.get("rubric", [])))
    return re.sub(r"LLM response should (state|mention|contain):?", "", answer)


def numbers(given: Any) -> Iterator[int]:
    if isinstance(given, Mapping):
        given = list(given.values())
    if isinstance(given, list):
        for each in given:
            yield from numbers(each)
    elif isinstance(given, int):
        yield given
    elif isinstance(given, str):
        yield from map(int, re.findall(r"\d+", given))


def run(coroutine: Any) -> Any:
    """The index is in memory, so nothing ever waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("an index in memory does not wait")


def ours(strategy: Strategy) -> Callable[[Thread, MemoryIndex, Question, int], Kept]:
    def method(thread: Thread, index: MemoryIndex, question: Question, budget: int) -> Kept:
        started = time.process_time()
        selection = run(fit(Ask(budget, strategy, query=question.text), index))
        seconds = time.process_time() - started
        assert isinstance(selection, Selection)
        assert selection.used <= budget
        return kept_of(thread, selection, seconds)

    return method


def kept_of(thread: Thread, selection: Selection, seconds: float) -> Kept:
    whole = {each.n for each in selection.each() if each.spans is None}
    spans: dict[int, set[tuple[int, int]]] = {}
    for each in selection.each():
        if each.spans is not None and each.n not in whole:
            spans.setdefault(each.n, set()).update((span.start, span.end) for span in each.spans)
    pieces = {}
    for n, parts in spans.items():
        text = thread.messages[n - 1].text
        if parts == {(0, len(text))}:
            whole.add(n)
        else:
            pieces[n] = "\n".join(text[start:end] for start, end in sorted(parts))
    return Kept(whole, pieces, selection.used, seconds)


def bm25_and_recent(thread: Thread, index: MemoryIndex, question: Question, budget: int) -> Kept:
    """The usual recipe: 30 % newest messages, then whole messages by plain BM25."""
    facts, postings, mean = plain(thread, index)
    whole, left = set(), budget
    for n in range(len(facts), 0, -1):
        if facts[n - 1].tokens > left - budget * 0.7:
            break
        whole.add(n)
        left -= facts[n - 1].tokens
    scores: dict[int, float] = {}
    for term in terms(question.text, "en"):
        found = postings.get(term, {})
        rarity = math.log(1 + (len(facts) - len(found) + 0.5) / (len(found) + 0.5))
        for n, (times, length) in found.items():
            scores[n] = scores.get(n, 0) + rarity * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / mean))
    for n in sorted(scores, key=lambda n: (-scores[n], -n)):
        cost = facts[n - 1].tokens + 8
        if n not in whole and cost <= left - 30:
            whole.add(n)
            left -= cost
    return Kept(whole, {}, budget - left)


def by_meaning(strategy: Strategy) -> Callable[[Thread, MemoryIndex, Question, int], Kept]:
    """As the server does it: passages, one byte a dimension, all of them compared."""

    def method(thread: Thread, index: MemoryIndex, question: Question, budget: int) -> Kept:
        vectors = vectors_of(thread)
        asked = run_to_end(embedder().embed([question.text]))[0]
        started = time.process_time()
        near = Near(vectors.near(asked, len(thread.messages)))
        selection = run(fit(Ask(budget, strategy, query=question.text), Meant(index, near)))
        seconds = time.process_time() - started
        assert isinstance(selection, Selection)
        assert selection.used <= budget
        return kept_of(thread, selection, seconds)

    return method


@cache
def embedder() -> Any:
    from respun.retrieval.embed import BgeSmall

    return BgeSmall(run_to_end(embedding_files(Path.home() / ".local/share/respun/models", os.environ)))


_VECTORS: dict[int, Any] = {}


def vectors_of(thread: Thread) -> Any:
    from respun.retrieval.nearness import Vectors8, packed

    if id(thread) not in _VECTORS:
        model = embedder()
        made = [
            (n, packed(run_to_end(model.embed(texts))))
            for n, texts in pieces_of(dict(enumerate((said.text for said in thread.messages), 1)), model.count).items()
        ]
        _VECTORS[id(thread)] = Vectors8(model.dims).grown(made, len(thread.messages))
    return _VECTORS[id(thread)]


def run_to_end(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


_PLAIN: dict[int, Any] = {}


def plain(thread: Thread, index: MemoryIndex) -> Any:
    if id(thread) not in _PLAIN:
        postings: dict[str, dict[int, tuple[int, int]]] = {}
        lengths = []
        for n, message in enumerate(thread.messages, 1):
            found = terms(message.text, "en")
            lengths.append(len(found))
            for term in set(found):
                postings.setdefault(term, {})[n] = (found.count(term), len(found))
        facts = run(index.after(0, len(thread.messages)))
        _PLAIN[id(thread)] = facts, postings, statistics.mean(lengths)
    return _PLAIN[id(thread)]


METHODS: dict[str, Callable[[Thread, MemoryIndex, Question, int], Kept]] = {
    "drop oldest": ours(DropOldest()),
    "drop middle": ours(DropMiddle()),
    "BM25 + recent": bm25_and_recent,
    "economy": ours(Auto(recall_share=0.25)),
    "auto": ours(Auto()),
    "recall": ours(Auto(fill=True)),
}
BY_MEANING: dict[str, Callable[[Thread, MemoryIndex, Question, int], Kept]] = {
    "auto, vectors": by_meaning(Auto(vectors=True)),
    "recall, vectors": by_meaning(Auto(fill=True, vectors=True)),
}


def judged(thread: Thread, question: Question, kept: Kept) -> tuple[float, float | None]:
    whole = len([n for n in question.gold if n in kept.whole]) / len(question.gold)
    said = set()
    for n in question.gold:
        said |= set(terms(thread.messages[n - 1].text, "en"))
    wanted = (set(terms(question.answer, "en")) - set(terms(question.text, "en"))) & said
    if not wanted:
        return whole, None
    there: set[str] = set()
    for n in question.gold:
        text = thread.messages[n - 1].text if n in kept.whole else kept.pieces.get(n, "")
        there |= set(terms(text, "en"))
    return whole, len(wanted & there) / len(wanted)


def measure(
    name: str, threads: list[Thread], methods: Mapping[str, Any], budgets: tuple[int, ...], kinds: bool
) -> None:
    built = [(thread, MemoryIndex(thread.messages, count, "en")) for thread in threads]
    questions = sum(len(thread.questions) for thread in threads)
    print(f"\n{name}: {len(threads)} threads, {questions} questions; whole/fact in %, tokens used, ms p50/p95")
    for label, method in methods.items():
        cells = []
        by_kind: dict[str, list[float]] = {}
        for budget in budgets:
            wholes, facts, tokens, times = [], [], [], []
            for thread, index in built:
                for question in thread.questions:
                    kept = method(thread, index, question, budget)
                    whole, fact = judged(thread, question, kept)
                    wholes.append(whole)
                    by_kind.setdefault(question.kind, []).append(whole)
                    tokens.append(kept.tokens)
                    times.append(kept.seconds * 1000)
                    if fact is not None:
                        facts.append(fact)
            times.sort()
            spent = f"{times[len(times) // 2]:.1f}/{times[len(times) * 95 // 100]:.1f}ms"
            cells.append(
                f"{100 * statistics.mean(wholes):5.1f}/{100 * statistics.mean(facts):4.1f}"
                f" {statistics.mean(tokens):6.0f}t {spent:>10}"
            )
        print(f"  {label:14}" + " | ".join(cells), flush=True)
        if kinds:
            print("      " + "  ".join(f"{kind} {100 * statistics.mean(v):.0f}" for kind, v in by_kind.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default=os.environ.get("RESPUN_CONTEXT_DATA"))
    parser.add_argument("--quick", action="store_true", help="one budget each")
    parser.add_argument("--kinds", action="store_true", help="also by kind of question")
    parser.add_argument("--vectors", action="store_true", help="also by meaning")
    parser.add_argument("--only", help="methods, separated by semicolons")
    given = parser.parse_args()
    if not given.data:
        sys.exit("Give the folder with the conversations, or set RESPUN_CONTEXT_DATA.")
    known = METHODS | BY_MEANING if given.vectors else METHODS
    methods = {name: known[name] for name in (given.only.split(";") if given.only else known)}
    for name, load in (("LoCoMo", locomo), ("BEAM-100K", beam)):
        budgets = BUDGETS[name][1:2] if given.quick else BUDGETS[name]
        measure(name, list(load(Path(given.data))), methods, budgets, given.kinds)


if __name__ == "__main__":
    main()
