"""Replay recorded exchanges against a server and tell how its answers differ.

Compared are status, keys, types, nulls and values. Ids are mapped one to one, times are only times, and the pieces in
which a text was streamed are joined, because their number is the network's.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import httpx2

from plugins.recorded import Exchange, RecordedModel

_ID = re.compile(
    r"\b(?:(?:asst|thread|msg|run|step|call)_[A-Za-z0-9]{24}|file-[A-Za-z0-9]{22}|(?:vs|upload|part|vsfb(?:_ibj)?)_[0-9a-f]{32})\b"
)
_FILE = re.compile(r"\bfile-[A-Za-z0-9]{22}\b")
_TIMES = re.compile(r"(^|\.)(created|started|expires|completed|failed|cancelled|incomplete|last_active)_at$")
_LONGEST_RUN = 10.0
_SHARED = ("assistant", "vector_store")
"""Listed for the whole account, whose others were not recorded."""

DIFFERENT = {
    r"messages.*\.(status|incomplete_details|incomplete_at|completed_at): added": (
        "The API left `status`, `incomplete_details`, `incomplete_at` and `completed_at` out of messages sent by REST, "
        "against its own schema and the types of its SDKs; here they are always there."
    ),
    r"\.step\..*\.(expired_at|metadata): added": (
        "The API left `expired_at` and `metadata` out of run steps, against its own schema; here they are always there."
    ),
    r"\.context: added$": "`context` of runs is respun's own: what the run sends of its thread.",
    r"GET /(assistants|vector_stores) \.has_more": "`has_more` of assistants and vector stores: the account of the recordings had others besides those of the recorded test.",
    r"GET /models .*\.(created|owned_by): ": "`created` and `owned_by` of models: the list joins those of all upstreams and tells no makers.",
    r"\.(status: 'in_progress', recorded 'queued'|started_at: int, recorded null)$": (
        "A run starts within milliseconds, so a look that found it queued then finds it in progress."
    ),
    r"/vector_stores.*\.(usage_bytes: \d+, recorded \d+|status: '\w+', recorded '(in_progress|completed)'"
    r"|file_counts\.\w+: \d+, recorded \d+)$": (
        "Files of a vector store are read at another pace, and take other bytes when they have been read."
    ),
    r"/file_batches/\S+/files .*\.(usage_bytes|chunking_strategy|attributes): added$": (
        "The API left `usage_bytes`, `chunking_strategy` and `attributes` out of some listings of a batch, against its "
        "own schema; here they are always there."
    ),
}
"""A pattern of each difference that is meant, and the reason."""

LATER = {
    "FileSearchStreamingWorks": "a search that the recorded model made itself, out of sight",
    "CanTestGetVectorStoreFilesInBatchCollectionOptions": (
        "files of one second came in the same order whichever was asked for, and `after` followed neither"
    ),
    "CanRehydrateGetVectorStoreFilesInBatchPagination": (
        "files of one second came in an order of their own, one of them with the time 0"
    ),
    "BasicRunStepFunctionalityWorks": "code that the recorded model wrote; the replay's server runs none",
}
"""Recorded tests whose model can't be said again, without `Async` at the end of their names."""


@dataclass
class Ids:
    """Which of our ids stands for which recorded one."""

    ours: dict[str, str] = field(default_factory=dict)

    def in_text(self, text: str) -> str:
        return _ID.sub(lambda found: self.ours.get(found[0], found[0]), text)

    def agree(self, recorded: str, ours: str) -> bool:
        recorded_kind, ours_kind = (re.split("[_-]", each.replace("_ibj_", "_")) for each in (recorded, ours))
        same_kind = recorded_kind[0] == ours_kind[0] and len(recorded_kind[1]) == len(ours_kind[1])
        return same_kind and self.ours.setdefault(recorded, ours) == ours


def unmeant(lines: list[str]) -> list[str]:
    """The differences without those that are meant."""
    return [line for line in lines if not any(re.search(pattern, line) for pattern in DIFFERENT)]


def replay(http: httpx2.Client, model: RecordedModel, exchange: Exchange, ids: Ids) -> list[str]:
    where = f"{exchange.method} {re.sub(r'_[A-Za-z0-9]{24}', '', exchange.path.partition('?')[0])} "
    if exchange.events is not None or (exchange.run and not exchange.going):
        model.go_on()
    elif exchange.method == "POST" and exchange.path.partition("?")[0].endswith(("/runs", "/submit_tool_outputs")):
        model.wait()
    answer = _ask(http, exchange, ids)
    if answer.status_code != exchange.status:
        return [f"{where}status {answer.status_code}, recorded {exchange.status}: {answer.text}"]
    if exchange.events is not None:
        return [where + line for line in _streams_differ(exchange.events, _events(answer.text), ids)]
    return [where + line for line in differences(exchange.response, answer.json(), ids)]


def _ask(http: httpx2.Client, exchange: Exchange, ids: Ids) -> httpx2.Response:
    if exchange.method == "POST" and exchange.request is None and (form := _form_of(exchange)):
        return http.post(ids.in_text(exchange.path), **form)
    request = "" if exchange.request is None else json.dumps(exchange.request)
    for file in set(_FILE.findall(request)) - ids.ours.keys():
        ids.ours[file] = _upload(http)
    body = ids.in_text(request) or None
    headers = {"content-type": "application/json"} if body else {}
    until = time.monotonic() + _LONGEST_RUN
    while True:
        answer = http.request(exchange.method, ids.in_text(exchange.path), content=body, headers=headers)
        if answer.status_code != 200 or not exchange.run or exchange.going:
            return answer
        if answer.json()["status"] == exchange.response["status"]:
            return answer
        assert time.monotonic() < until, f"The run is {answer.text}, not {exchange.response['status']}."
        time.sleep(0.01)


def _form_of(exchange: Exchange) -> dict[str, Any] | None:
    """What was sent in a request whose bytes were not recorded, as its answer tells."""
    answer = exchange.response
    if exchange.path == "/files" and exchange.status == 200:
        file = (answer["filename"], b"x" * answer["bytes"])
        return {"data": {"purpose": answer["purpose"]}, "files": {"file": file}}
    if exchange.path == "/files":
        wrong = answer["error"]["message"].split("'")[1]
        return {"data": {"purpose": wrong}, "files": {"file": ("a.txt", b"Hello")}}
    if exchange.path == "/uploads":
        told = {name: answer[name] for name in ("purpose", "filename", "bytes")}
        return {"json": {**told, "mime_type": "text/jsonl"}}
    if exchange.path.endswith("/parts"):
        return {"files": {"data": ("data", b"12345678")}}
    return None


def _upload(http: httpx2.Client) -> str:
    """A file in place of one that the recording names."""
    answer = http.post("/files", data={"purpose": "assistants"}, files={"file": ("a.txt", b"Hello")})
    return str(answer.json()["id"])


def _events(text: str) -> list[list[Any]]:
    frames = [dict(line.split(": ", 1) for line in frame.splitlines()) for frame in text.split("\n\n") if frame.strip()]
    return [
        [frame["event"], frame["data"] if frame["event"] == "done" else json.loads(frame["data"])] for frame in frames
    ]


def _streams_differ(events: list[list[Any]], ours: list[list[Any]], ids: Ids) -> Iterator[str]:
    events, ours = _joined(events), _joined(ours)
    names, our_names = [name for name, _ in events], [name for name, _ in ours]
    if names != our_names:
        yield f"stream {our_names}, recorded {names}"
        return
    for (name, data), (_, our_data) in zip(events, ours, strict=False):
        yield from differences(data, our_data, ids, name)


def _joined(events: list[list[Any]]) -> list[list[Any]]:
    """Each run of text deltas as one delta with all their text."""
    joined: list[list[Any]] = []
    for name, group in groupby(events, key=lambda one: one[0]):
        several = list(group)
        if name == "thread.message.delta":
            text = "".join(data["delta"]["content"][0]["text"]["value"] for _, data in several)
            several[0][1]["delta"]["content"][0]["text"]["value"] = text
            del several[1:]
        joined += several
    return joined


def differences(recorded: Any, ours: Any, ids: Ids, path: str = "") -> Iterator[str]:
    """A line for each place where our answer is not as the recorded one."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        yield from (f"{path}.{key}: missing" for key in recorded if key not in ours)
        yield from (f"{path}.{key}: added" for key in ours if key not in recorded)
        if recorded.get("object") == "list":
            yield from _pages_differ(recorded, ours, ids, path)
        else:
            for key in (key for key in recorded if key in ours):
                yield from differences(recorded[key], ours[key], ids, f"{path}.{key}")
    elif isinstance(recorded, list) and isinstance(ours, list):
        if len(recorded) != len(ours):
            yield f"{path}: {len(ours)} entries, recorded {len(recorded)}"
        for one, other in zip(recorded, ours, strict=False):
            yield from differences(one, other, ids, f"{path}[]")
    elif type(recorded) is not type(ours):
        yield f"{path}: {_kind(ours)}, recorded {_kind(recorded)}"
    elif not _same(recorded, ours, ids, path):
        yield f"{path}: {ours!r}, recorded {recorded!r}"


def _pages_differ(recorded: dict[str, Any], ours: dict[str, Any], ids: Ids, path: str) -> Iterator[str]:
    yield from _listed(recorded["data"], ours["data"], ids, f"{path}.data")
    for key, at in (("first_id", 0), ("last_id", -1)):
        wanted = ours["data"][at]["id"] if ours["data"] else None
        if key in recorded and ours.get(key) != wanted:
            yield f"{path}.{key}: {ours.get(key)!r}, expected {wanted!r}"
    if recorded.get("has_more") != ours.get("has_more"):
        yield f"{path}.has_more: {ours.get('has_more')}, recorded {recorded.get('has_more')}"


def _listed(recorded: list[Any], ours: list[Any], ids: Ids, path: str) -> Iterator[str]:
    """Entries that the recorded test made; the account had others, and so may the server."""
    names = {name: ident for ident, name in ids.ours.items()}
    by_recorded = {each["id"]: each for each in recorded}
    known = [each for each in ours if names.get(each["id"]) in by_recorded]
    fresh_ours = [each for each in ours if each["id"] not in names]
    fresh = [each for each in recorded if each["id"] not in ids.ours and each["object"] not in _SHARED]
    order = [each["id"] for each in recorded if each["id"] in ids.ours]
    if [names[each["id"]] for each in known] != order:
        yield f"{path}: in another order"
    for each in known:
        yield from differences(by_recorded[names[each["id"]]], each, ids, f"{path}[]")
    for one, other in zip(fresh, fresh_ours, strict=False):
        yield from differences(one, other, ids, f"{path}[]")
    if len(fresh) > len(fresh_ours):
        yield f"{path}: {len(fresh) - len(fresh_ours)} entries too few"


def _same(recorded: Any, ours: Any, ids: Ids, path: str) -> bool:
    if _TIMES.search(path):
        return True
    if isinstance(recorded, str) and _ID.fullmatch(recorded):
        return ids.agree(recorded, ours)
    return bool(recorded == ours)


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
