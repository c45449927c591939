"""The hosted tool file_search: passages from the vector stores of the assistant and the thread, ready to be cited.

The model writes the queries, and sees each passage under a marker that it copies to cite it. Small windows get few and
short passages: what a small model is given beyond that costs it more than it helps.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from respun.core import chat
from respun.core.assistants import FileSearchOptions, FileSearchTool, RankingOptions
from respun.core.events import Output
from respun.core.problems import Problem
from respun.core.runs import Run, RunError, ToolCall
from respun.core.vector_stores import Passage, Passages, Question
from respun.engine.tools import EndsRun, citing_turn, marker
from respun.store import threads
from respun.store.backend import Backend

MAX_RESULTS: Final = 20
_MOST_QUERIES: Final = 8
_MOST_TOKENS: Final = 16_000
_SMALL: Final = 2_000
_SMALL_RESULTS: Final = 3
_SMALL_PASSAGE: Final = 300
_WAIT: Final = 60.0
_WAIT_OF_NEW: Final = 5.0
"""OpenAI does not wait for an assistant's store. One that was just made, and would be empty, is worth a moment."""
_INGESTING: Final = "Some files of this conversation are still being read; what follows does not cover them yet."
_HOW_TO_CITE: Final = (
    "Answer from these passages where they help. Behind each statement taken from one, copy its marker as it stands, "
    "such as {example}. Never write a marker that is not listed here."
)
_OFFER: Final = chat.ChatTool(
    chat.ChatFunction(
        "file_search",
        "Searches the files of this conversation and of the assistant, and returns the passages that fit best. "
        "Use it whenever the answer may stand in a file.",
        {
            "type": "object",
            "properties": {
                "queries": {
                    "type": "array",
                    "items": {"type": "string"},
                    "minItems": 1,
                    "maxItems": _MOST_QUERIES,
                    "description": "What to search for: short questions or phrases, one for each thing to find out.",
                }
            },
            "required": ["queries"],
            "additionalProperties": False,
        },
    )
)


class Search(Protocol):
    async def search(self, project: str, stores: tuple[str, ...], question: Question) -> Passages: ...

    async def wait_ready(self, project: str, stores: tuple[str, ...], seconds: float) -> bool: ...

    async def wait_begun(self, project: str, stores: tuple[str, ...], seconds: float) -> bool: ...


class SearchTool:
    """`window` is a model's context in tokens, `count` counts tokens of a text.

    `cites`: whether a model can copy a marker. One that can't is confused by them, and is given the bare texts.
    """

    def __init__(
        self,
        backend: Backend,
        search: Search,
        window: Callable[[str], int],
        count: Callable[[str], int],
        cites: Callable[[str], bool] = lambda model: True,
    ) -> None:
        self._backend = backend
        self._search = search
        self._window = window
        self._count = count
        self._cites = cites

    async def missing(self) -> str | None:
        return None

    def offer(self, run: Run) -> chat.ChatTool:
        function = msgspec.structs.replace(_OFFER.function, name=_tool(run).name)
        return msgspec.structs.replace(_OFFER, function=function)

    async def call(self, project: str, run: Run, call: ToolCall) -> Output:
        thread = await self._backend.read(lambda tx: threads.get(tx, project, run.thread))
        of_thread = thread.tool_resources.vector_stores or ()
        of_assistant = run.plan.tool_resources.vector_stores or ()
        stores = tuple(dict.fromkeys((*of_assistant, *of_thread)))
        if not stores:
            return Output(call.id, "There are no files to search.", {"results": []})
        whole = await self._search.wait_ready(project, of_thread, _WAIT)
        await self._search.wait_begun(project, of_assistant, _WAIT_OF_NEW)
        options = _tool(run).file_search
        found = await self._found(project, run, stores, of_thread, _question(call, options))
        return self._answer(run, call, found, options, whole)

    async def _found(
        self, project: str, run: Run, stores: tuple[str, ...], of_thread: tuple[str, ...], question: Question
    ) -> Passages:
        try:
            return await self._search.search(project, stores, question)
        except Problem as problem:
            # Contract section 4: a run whose thread's store has expired fails.
            if any(store in problem.message for store in of_thread):
                raise EndsRun(RunError("server_error", problem.message)) from problem
            raise

    def _answer(self, run: Run, call: ToolCall, found: Passages, options: FileSearchOptions, whole: bool) -> Output:
        shown = self._that_fit(run, found.found)
        turn = citing_turn(run.turn - 1, call, run)
        lines = [] if whole else [_INGESTING]
        if not shown:
            lines.append("Nothing was found.")
        elif self._cites(run.plan.model):
            lines.append(_HOW_TO_CITE.format(example=marker(turn, 0, shown[0].filename)))
            lines += [_shown(marker(turn, place, passage.filename), passage) for place, passage in enumerate(shown)]
        else:
            lines += [f"From {passage.filename}: {passage.text}" for passage in shown]
        ranking = options.ranking_options or RankingOptions()
        details: dict[str, object] = {
            "ranking_options": {"ranker": ranking.ranker, "score_threshold": ranking.score_threshold},
            "results": [_result(passage) for passage in shown],
        }
        return Output(call.id, "\n\n".join(lines), details)

    def _that_fit(self, run: Run, passages: tuple[Passage, ...]) -> list[Passage]:
        room = min(_MOST_TOKENS, self._window(run.plan.model) // 4)
        small = room < _SMALL
        fitting: list[Passage] = []
        for passage in passages[:_SMALL_RESULTS] if small else passages:
            text = self._cut(passage.text, _SMALL_PASSAGE) if small else passage.text
            room -= self._count(text)
            if room < 0 and fitting:
                break
            fitting.append(msgspec.structs.replace(passage, text=text))
        return fitting

    def _cut(self, text: str, most: int) -> str:
        tokens = self._count(text)
        if tokens <= most:
            return text
        return text[: len(text) * most // tokens].rsplit(" ", 1)[0] + " …"


def _tool(run: Run) -> FileSearchTool:
    return next((tool for tool in run.plan.tools if isinstance(tool, FileSearchTool)), FileSearchTool())


def _question(call: ToolCall, options: FileSearchOptions) -> Question:
    ranking = options.ranking_options or RankingOptions()
    hybrid = ranking.hybrid_search
    weights = (hybrid.text_weight, hybrid.embedding_weight) if hybrid else (0.0, 0.0)
    return Question(
        queries=_queries(call.arguments),
        max_results=options.max_num_results or MAX_RESULTS,
        score_threshold=ranking.score_threshold,
        text_weight=weights[0] / sum(weights) if sum(weights) else None,
    )


def _queries(arguments: str) -> tuple[str, ...]:
    """The queries, however the model has put them: as told, under another name, alone, or bare."""
    try:
        given: Any = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        given = arguments
    if isinstance(given, dict):
        given = given.get("queries") or given.get("query") or list(given.values())
    if isinstance(given, str):
        given = [given]
    queries = (
        [text for text in given or () if isinstance(text, str) and text.strip()] if isinstance(given, list) else []
    )
    if not queries:
        raise Problem("No query was given. Call it again with a list of queries.")
    return tuple(queries[:_MOST_QUERIES])


def _shown(marked: str, passage: Passage) -> str:
    page = f" (page {passage.page})" if passage.page else ""
    return f"{marked}{page}\n{passage.text}"


def _result(passage: Passage) -> dict[str, object]:
    return {
        "file_id": passage.file,
        "file_name": passage.filename,
        "score": passage.score,
        "attributes": passage.attributes,
        **({"page": passage.page} if passage.page else {}),
        "content": [{"type": "text", "text": passage.text}],
    }
