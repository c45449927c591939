"""`make conformance`: four examinations of the server, a table by resource, and docs/conformance.md written anew.

Ends with 1 if anything was not as it should be that is no exception with a reason.
"""

import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

import fuzz
import shapes
import suite
from plugins import recorded
from plugins.recorded import RecordedModel, models_of, turns_of
from plugins.replay import DIFFERENT, LATER, Ids, replay, unmeant
from plugins.server import serving
from shim import REWRITES, shimmed

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "conformance.md"
ENVIRONMENTS = ROOT / ".venvs"
PYTHON = ENVIRONMENTS / "conformance" / "bin" / "python"
READERS = {
    "openai (Python)": [str(PYTHON), str(Path(__file__).parent / "shapes.py")],
    "openai-node-4": ["node", str(Path(__file__).parent / "shapes.mjs"), str(ENVIRONMENTS / "openai-node-4")],
    "openai-node-7": ["node", str(Path(__file__).parent / "shapes.mjs"), str(ENVIRONMENTS / "openai-node-7")],
    "openai-node-6": ["node", str(Path(__file__).parent / "shapes.mjs"), str(ENVIRONMENTS / "openai-node-6")],
}
EXAMPLES = 20
FEWEST_CASES = 1500


@dataclass
class Score:
    """How many of how many were as they should be, and what was not."""

    good: int = 0
    all: int = 0
    problems: list[str] = field(default_factory=list)

    def count(self, *problems: str) -> None:
        self.all += 1
        self.good += not problems
        self.problems += problems

    def __str__(self) -> str:
        return f"{self.good} of {self.all}" if self.all else "-"


Scores = dict[str, Score]


def generated_tests(base_url: str, folder: Path) -> Scores:
    source = suite.download(ENVIRONMENTS / "openai-sdist", PYTHON)
    with shimmed(base_url) as shim:
        results = suite.run(source, PYTHON, shim, folder / "junit.xml")
    return {name: _score(result) for name, result in results.items()}


def _score(result: suite.Result) -> Score:
    """Tests that the SDK itself skips don't count."""
    counts = result.counts
    return Score(counts["passed"], counts.total() - counts["skipped"], result.failures)


def recordings(folder: Path) -> Scores:
    scores: Scores = defaultdict(Score)
    tests = recorded.tests()
    if not tests:
        print(f"No recordings: {recorded.folder() / recorded.NAME} does not exist. Set RESPUN_CONTRACT.")
        return scores
    model = RecordedModel(models_of([each for exchanges in tests.values() for each in exchanges]))
    flags = ("--provider", "openai", "--openai-base-url", model.base_url)
    try:
        with serving(folder, *flags) as server, httpx2.Client(base_url=server.base_url, timeout=20) as http:
            for name, exchanges in tests.items():
                if name.split("/")[1].removesuffix("Async") in LATER:
                    continue
                model.play(turns_of(exchanges))
                ids = Ids()
                for each in exchanges:
                    found = unmeant(replay(http, model, each, ids))
                    scores[fuzz.resource_of(each.path)].count(*[f"{name}: {line}" for line in found][:1])
    finally:
        model.close()
    return scores


def fuzzed(origin: str, folder: Path) -> Scores:
    results = fuzz.run(origin, PYTHON.with_name("schemathesis"), folder, EXAMPLES)
    scores = {
        name: Score(one.statuses.total() - len(one.failures), one.statuses.total(), one.failures)
        for name, one in results.items()
    }
    cases = sum(score.all for score in scores.values())
    if cases < FEWEST_CASES:
        scores["Models"].problems.append(f"schemathesis made {cases} requests, fewer than {FEWEST_CASES}.")
    return scores


def streams(base_url: str) -> Scores:
    """Each shape of a stream as each SDK's accumulators read it, beside what was stored."""
    scores = {}
    with httpx2.Client(base_url=base_url) as http:
        for reader, command in READERS.items():
            score = scores[reader] = Score()
            for name, facts in shapes.read_by(command, base_url).items():
                if (reader, name) in shapes.EXCEPTIONS:
                    continue
                kept = shapes.stored(http, facts.pop("thread"))
                same = facts == kept and kept["status"] == shapes.SHAPES[name][1]
                score.count(*([] if same else [f"{reader}, {name}: read {facts}, stored {kept}"]))
    return scores


def examine() -> tuple[dict[str, Scores], Scores]:
    """The columns of the table, and the streams."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("tests", "recordings", "fuzz", "reports"):
            (folder / each).mkdir()
        with serving(folder / "tests", "--file-batch-object", "vector_store.files_batch") as server:
            columns = {"openai-python's tests": generated_tests(server.base_url, folder)}
            read = streams(server.base_url)
        columns["Recordings"] = recordings(folder / "recordings")
        with serving(folder / "fuzz") as server:
            columns["schemathesis"] = fuzzed(server.origin, folder / "reports")
    return columns, read


def table(columns: dict[str, Scores]) -> str:
    rows = [["", *columns], ["---"] * (len(columns) + 1)]
    found = [row for row in fuzz.ROWS if any(row in scores for scores in columns.values())]
    rows += [[row, *(str(scores.get(row, Score())) for scores in columns.values())] for row in found]
    totals = [Score(sum(s.good for s in each.values()), sum(s.all for s in each.values())) for each in columns.values()]
    rows.append(["**All**", *map(str, totals)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def stream_table(read: Scores) -> str:
    rows = [["", "Shapes read as stored"], ["---", "---"], *([reader, str(score)] for reader, score in read.items())]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def document(columns: dict[str, Scores], read: Scores) -> str:
    listed = "\n".join(f"- {line[0].upper()}{line[1:]}." for line in REWRITES)
    left_out = "\n".join(f"- {line[0].upper()}{line[1:]}." for line in suite.EXCEPTIONS)
    meant = "\n".join(f"- {reason}" for reason in DIFFERENT.values())
    later = "\n".join(f"- `{name}`: {reason}." for name, reason in LATER.items())
    unread = "\n".join(f"- {reader}, {name}: {why}" for (reader, name), why in shapes.EXCEPTIONS.items())
    refused = ", ".join(fuzz.STATUSES)
    return f"""# Conformance

This page is written by `make conformance`, which examines a server that was started as a user would start it.

{table(columns)}

**openai-python's tests** are those that openai {suite.VERSION} keeps of these resources, from its sdist, each sync and
async, loose and strict (strict: every field of an answer is validated against the SDK's types). The server is set to
`--file-batch-object vector_store.files_batch`, as those types have it; OpenAI answered without the s, and so does a
server that isn't told otherwise.

**Recordings** are exchanges with the genuine API of October and November 2025. The same requests are sent again, the
model says what it said then, and status, keys, types, nulls and values of the answers are compared. One row counts
exchanges.

**schemathesis** makes requests from the server's own `/openapi.json`, with links so that it reaches existing threads,
messages, runs and steps. One row counts requests; not as it should be is a 5xx, a status other than 200, {refused}
(405 for methods that there aren't), a body or a content type that the file denies.

## Streams

{stream_table(read)}

{len(shapes.SHAPES)} shapes of a run's stream ({", ".join(shapes.SHAPES)}), read by the SDKs' own accumulators and
compared with the run, the messages and the steps that were stored.

## Exceptions and their reasons

What openai-python's tests send is changed on the way, because it names objects that no server has:

{listed}

Left out of them:

{left_out}

Where answers differ from the recordings on purpose:

{meant}

Recorded tests whose model cannot be said again:

{later}

Where an SDK can't read a stream:

{unread}

## Programs

`make test-clients` runs programs of these libraries unchanged, each in an environment of its own, with tool calls and,
where the library has them, streams:

- `openai` for Python 2.54, 1.109, 1.66, 1.40, 1.29 and 1.21, with `OpenAI`, `AsyncOpenAI`, `AzureOpenAI` and
  `AsyncAzureOpenAI` (3.54 is driven by `make test`); for Node 7.57, 6.49, 5.23 and 4.104;
- LangChain's `OpenAIAssistantRunnable` and `OpenAIAssistantV2Runnable`, the newest and those of 0.3, and that for Node;
- Semantic Kernel 1.45 and 1.30, AutoGen 0.7 and 0.2, LlamaIndex, agent-framework, Agency Swarm 0.7, Griptape, LiteLLM;
- `azure-ai-agents` 1.2 (beta), 1.1 and 1.0, also as `azure-ai-projects` 1.0 hands it out;
- Backboard's SDKs ([dialects](dialects.md)).
"""


def main() -> None:
    columns, read = examine()
    print(table(columns), stream_table(read), sep="\n\n")
    DOCS.write_text(document(columns, read), "utf-8")
    problems = [line for scores in (*columns.values(), read) for score in scores.values() for line in score.problems]
    for line in problems:
        print(line, file=sys.stderr)
    raise SystemExit(1 if problems else 0)


if __name__ == "__main__":
    main()
