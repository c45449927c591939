"""Memories on LoCoMo, by Backboard's own replay of it: is the evidence of a question among what is recalled?

    RESPUN_LOCOMO=locomo.json python bench/locomo.py [--dialogues 1] [--url http://host:port] [--judge MODEL]

Every turn is sent to a server with `send_to_llm=false`, `memory=Auto` and its `custom_timestamp`, one thread a session;
its operation says which memories it became. A question then searches the memories, and beside it the messages
(`/v1/threads/search`), and both are read from the best down to the same number of tokens. Evidence is the turns that
the data set names; no model judges. Category 5, which has no answer, is left out, as Backboard does.

Without `--url` a server of its own with the scripted model is used: it notes no facts, so what is remembered is what
speakers say of themselves, word for word. With `--judge` a capable model of the server at `--url` answers every
question from the memories and says whether the answer is right.
"""

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

import lab
from respun.core.words import search_words
from respun.providers.tokens import count

BUDGETS = (100, 250, 500, 1000)
_SKIPPED = 5
_MOST = 50
_LONGEST = 600.0
_JUDGE = 'Is the answer right? Right answer: {gold}. Answer given: {given}. Say JSON of the form {{"right": true}}.'


class Replay:
    """One dialogue on a server: its assistant, and which turns each memory and each message came from."""

    def __init__(self, http: httpx.Client, dialogue: dict[str, Any]) -> None:
        self._http = http
        self._talk = dialogue["conversation"]
        self.assistant = self._ask("POST", "/api/assistants", {"name": "LoCoMo"})["assistant_id"]
        self.turns_of_memory: defaultdict[str, set[str]] = defaultdict(set)
        self.turn_of_message: dict[str, str] = {}

    def say_all(self) -> None:
        operations = [self._say(turn, thread, when) for thread, when, turn in self._turns()]
        for ident, operation in operations:
            for change in self._done(operation)["memory_ids"] or ():
                if change["id"]:
                    self.turns_of_memory[change["id"]].add(ident)

    def by_memories(self, question: str) -> list[tuple[str, set[str]]]:
        """What is found, best first, with the turns that it came from."""
        asked = {"query": question, "limit": _MOST}
        found = self._ask("POST", f"/api/assistants/{self.assistant}/memories/search", asked)["memories"]
        return [(each["content"], self.turns_of_memory[each["id"]]) for each in found]

    def by_messages(self, question: str) -> list[tuple[str, set[str]]]:
        """Messages with any of the words, those with most of them first: the search itself wants all of them."""
        fits: defaultdict[str, float] = defaultdict(float)
        texts: dict[str, str] = {}
        for word in dict.fromkeys(word for word in search_words(question) if len(word) > 2):
            found = self._http.get("/v1/threads/search", params={"query": word, "limit": 100}).json()["data"]
            mine = [each for each in found if each["id"] in self.turn_of_message]
            for each in mine:
                fits[each["id"]] += 1 / len(mine)
                texts[each["id"]] = each["content"][0]["text"]["value"]
        best = sorted(fits, key=lambda ident: -fits[ident])
        return [(texts[ident], {self.turn_of_message[ident]}) for ident in best]

    def answer(self, question: str, gold: str, model: str) -> bool:
        ask = {"assistant_id": self.assistant, "content": question, "memory": "Readonly", "model_name": model}
        given = self._ask("POST", "/api/threads/messages", ask)["content"]
        judged = {"content": _JUDGE.format(gold=gold, given=given), "model_name": model, "json_output": True}
        return '"right": true' in (self._ask("POST", "/api/threads/messages", judged)["content"] or "").lower()

    def _turns(self) -> list[tuple[str, str, dict[str, Any]]]:
        found = []
        for number in range(1, 100):
            if f"session_{number}" not in self._talk:
                continue
            when = datetime.strptime(self._talk[f"session_{number}_date_time"], "%I:%M %p on %d %B, %Y").isoformat()
            thread = self._ask("POST", f"/api/assistants/{self.assistant}/threads", {})["thread_id"]
            found += [(thread, when, turn) for turn in self._talk[f"session_{number}"]]
        return found

    def _say(self, turn: dict[str, Any], thread: str, when: str) -> tuple[str, str]:
        form = {
            "content": f"{turn['speaker']}: {turn['text']}",
            "memory": "Auto",
            "send_to_llm": "false",
            "metadata": json.dumps({"custom_timestamp": when}),
        }
        answer = self._http.post(f"/api/threads/{thread}/messages", data=form).raise_for_status().json()
        self.turn_of_message[_as_openai(answer["message_id"])] = turn["dia_id"]
        return turn["dia_id"], answer["memory_operation_id"]

    def _done(self, operation: str) -> dict[str, Any]:
        until = time.monotonic() + _LONGEST
        while time.monotonic() < until:
            found = self._ask("GET", f"/api/assistants/memories/operations/{operation}")
            if found["status"] in ("COMPLETED", "ERROR"):
                return found
            time.sleep(0.02)
        raise SystemExit(f"The operation {operation} is not done after {_LONGEST:g} s.")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return self._http.request(method, path, json=body).raise_for_status().json()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dialogues", type=int, default=1)
    parser.add_argument("--url")
    parser.add_argument("--judge")
    given = parser.parse_args()
    dialogues = json.loads(Path(os.environ["RESPUN_LOCOMO"]).read_text())[: given.dialogues]
    with ExitStack() as stack:
        url = given.url or stack.enter_context(served())
        http = stack.enter_context(httpx.Client(base_url=url, timeout=60))
        report(http, dialogues, given.judge)


@contextmanager
def served() -> Iterator[str]:
    """The address of a server of the bench's own, with the scripted model."""
    with tempfile.TemporaryDirectory() as folder:
        server = lab.respun(Path(folder), "--provider=scripted", "--code-interpreter=off")
        with lab.running(server):
            yield f"http://127.0.0.1:{server.port}"


def report(http: httpx.Client, dialogues: list[dict[str, Any]], judge: str | None) -> None:
    found: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    right: list[bool] = []
    for dialogue in dialogues:
        replay = Replay(http, dialogue)
        replay.say_all()
        for asked in dialogue["qa"]:
            if asked["category"] == _SKIPPED or not asked["evidence"]:
                continue
            legs = {"memories": replay.by_memories, "messages": replay.by_messages}
            for name, search in legs.items():
                listed = search(asked["question"])
                for budget in BUDGETS:
                    found[name, budget].append(recall(listed, set(asked["evidence"]), budget))
            if judge:
                right.append(replay.answer(asked["question"], str(asked["answer"]), judge))
    for (name, budget), recalls in found.items():
        mean = 100 * sum(recalls) / len(recalls)
        print(f"{name}: {mean:.1f} % of the evidence within {budget} tokens ({len(recalls)} questions)")
    if right:
        print(f"judged by {judge}: {100 * sum(right) / len(right):.1f} % right")


def recall(found: list[tuple[str, set[str]]], evidence: set[str], budget: int) -> float:
    """The share of the evidence that is named within so many tokens."""
    seen: set[str] = set()
    for text, turns in found:
        budget -= count(text)
        if budget < 0:
            break
        seen |= turns
    return len(seen & evidence) / len(evidence)


def _as_openai(message_id: str) -> str:
    from uuid import UUID

    from respun.core.ids import spell

    return spell("message", UUID(message_id))


if __name__ == "__main__":
    main()
