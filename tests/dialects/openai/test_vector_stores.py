"""Vector stores by the stock SDK, on both stores: what is put in is found, and what is wrong is said."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from plugins.server import Server, serving

TEXTS = {
    "heron.txt": "The grey heron stands motionless in shallow water and spears passing fish with its bill.",
    "bread.md": "# Bread\n\nKnead the dough for ten minutes, let it rise overnight, then bake it in a hot oven.",
    "engine.py": "def start(engine):\n    '''Turn the crankshaft until the spark plugs ignite the petrol.'''\n",
}
MODELS = Path.home() / ".cache/respun/models"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags: tuple[str, ...] = ("--models-folder", str(MODELS))
    if request.param == "postgres":
        flags += ("--database", request.getfixturevalue("postgres").create())
    with serving(tmp_path_factory.mktemp("server"), *flags) as running:
        yield running


def put(sdk: OpenAI, name: str, content: bytes | str) -> str:
    return sdk.files.create(
        file=(name, content if isinstance(content, bytes) else content.encode()), purpose="assistants"
    ).id


def filled(sdk: OpenAI, **store: Any) -> tuple[str, dict[str, str]]:
    """A store of the three texts, read, and the ids of its files by name."""
    files = {name: put(sdk, name, text) for name, text in TEXTS.items()}
    made = sdk.vector_stores.create(file_ids=list(files.values()), **store)
    assert (made.status, made.file_counts.in_progress, made.usage_bytes) == ("in_progress", 3, 0)
    return ready(sdk, made.id), files


def ready(sdk: OpenAI, store: str) -> str:
    until = monotonic() + 60
    while sdk.vector_stores.retrieve(store).status == "in_progress":
        assert monotonic() < until
        sleep(0.02)
    return store


def found(sdk: OpenAI, store: str, query: Any, **options: Any) -> list[str]:
    return [each.filename for each in sdk.vector_stores.search(store, query=query, **options).data]


def test_an_empty_store_is_complete(sdk: OpenAI) -> None:
    store = sdk.vector_stores.create()
    assert store.to_dict() == {
        "id": store.id,
        "object": "vector_store",
        "created_at": store.created_at,
        "name": None,
        "description": None,
        "usage_bytes": 0,
        "file_counts": {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0},
        "status": "completed",
        "expires_after": None,
        "expires_at": None,
        "last_active_at": store.created_at,
        "metadata": {},
    }
    assert store.id.startswith("vs_")
    assert sdk.vector_stores.search(store.id, query="anything").data == []


def test_the_passage_that_answers_comes_first(sdk: OpenAI) -> None:
    store, files = filled(sdk)
    assert found(sdk, store, "How does the bird catch its food?")[0] == "heron.txt"
    assert found(sdk, store, "baking a loaf")[0] == "bread.md"
    assert found(sdk, store, ["crankshaft", "dough"], max_num_results=2) in (
        ["engine.py", "bread.md"],
        ["bread.md", "engine.py"],
    )
    page = sdk.vector_stores.search(store, query="heron", max_num_results=1)
    (best,) = page.data
    assert (best.file_id, best.content[0].text) == (files["heron.txt"], TEXTS["heron.txt"])
    assert 0 <= best.score <= 1
    state = sdk.vector_stores.retrieve(store)
    assert (state.file_counts.completed, state.usage_bytes) == (3, sum(len(text) for text in TEXTS.values()))


def test_what_is_asked_together_is_found_one_by_one_on_request(sdk: OpenAI) -> None:
    store, _ = filled(sdk)
    query = "How long is dough kneaded? What ignites petrol?"
    page = sdk.vector_stores.with_raw_response.search(store, query=query, rewrite_query=True)
    assert '"search_query":["How long is dough kneaded?","What ignites petrol?"]' in page.text
    assert found(sdk, store, query, rewrite_query=True, max_num_results=2) in (
        ["engine.py", "bread.md"],
        ["bread.md", "engine.py"],
    )


def test_attributes_choose_what_is_searched(sdk: OpenAI) -> None:
    store = sdk.vector_stores.create().id
    for name, attributes in {
        "heron.txt": {"year": 2020, "wild": True},
        "bread.md": {"year": 2024, "kind": "food"},
    }.items():
        file = put(sdk, name, TEXTS[name])
        sdk.vector_stores.files.create_and_poll(file, vector_store_id=store, attributes=attributes)  # type: ignore[arg-type]

    def kept(filters: Any) -> set[str]:
        return set(found(sdk, store, "anything in the water or oven", filters=filters))

    assert kept({"type": "eq", "key": "kind", "value": "food"}) == {"bread.md"}
    assert kept({"type": "gte", "key": "year", "value": 2020}) == {"bread.md", "heron.txt"}
    assert kept({"type": "in", "key": "year", "value": [2020, 1]}) == {"heron.txt"}
    recent = {"type": "gt", "key": "year", "value": 2000}
    assert kept({"type": "and", "filters": [recent, {"type": "ne", "key": "wild", "value": True}]}) == {"bread.md"}
    sdk.vector_stores.files.update(file, vector_store_id=store, attributes={"kind": "tools"})
    assert kept({"type": "eq", "key": "kind", "value": "food"}) == set()
    with pytest.raises(BadRequestError, match=r"Invalid value: 'like'"):
        kept({"type": "like", "key": "kind", "value": "food"})


def test_a_file_that_is_taken_out_is_not_found(sdk: OpenAI) -> None:
    store, files = filled(sdk)
    sdk.vector_stores.files.delete(files["heron.txt"], vector_store_id=store)
    assert "heron.txt" not in found(sdk, store, "heron")
    assert sdk.files.retrieve(files["heron.txt"])
    sdk.files.delete(files["bread.md"])
    assert found(sdk, store, "heron bread oven") == ["engine.py"]
    assert sdk.vector_stores.retrieve(store).file_counts.total == 1
    with pytest.raises(NotFoundError, match=f"No file found with id '{files['bread.md']}' in vector store '{store}'"):
        sdk.vector_stores.files.retrieve(files["bread.md"], vector_store_id=store)
    sdk.vector_stores.files.create_and_poll(files["heron.txt"], vector_store_id=store)
    assert found(sdk, store, "heron")[0] == "heron.txt"


def test_files_leave_a_store_while_it_is_listed(sdk: OpenAI) -> None:
    store, _ = filled(sdk)
    for file in sdk.vector_stores.files.list(store, limit=1):
        sdk.vector_stores.files.delete(file.id, vector_store_id=store)
    assert sdk.vector_stores.files.list(store).data == []


def test_a_batch_is_counted_and_listed(sdk: OpenAI) -> None:
    store = sdk.vector_stores.create().id
    streams = [(name, text.encode()) for name, text in TEXTS.items()]
    batch = sdk.vector_stores.file_batches.upload_and_poll(store, files=streams)
    assert (batch.status, batch.file_counts.completed, batch.file_counts.total) == ("completed", 3, 3)
    listed = sdk.vector_stores.file_batches.list_files(batch.id, vector_store_id=store, filter="completed", limit=2)
    assert len(list(listed)) == 3
    assert list(sdk.vector_stores.file_batches.list_files(batch.id, vector_store_id=store, filter="failed")) == []
    assert sdk.vector_stores.file_batches.cancel(batch.id, vector_store_id=store).status == "completed"


def test_a_batch_is_named_as_it_was_recorded_or_as_the_sdk_has_it_if_so_set(
    sdk: OpenAI, start_server: Callable[..., Server]
) -> None:
    named = []
    strict = start_server("--file-batch-object", "vector_store.files_batch")
    for base_url in (str(sdk.base_url), strict.base_url):
        with httpx.Client(base_url=base_url) as http:
            file = http.post("/files", data={"purpose": "assistants"}, files={"file": ("a.txt", b"Hello")}).json()["id"]
            store = http.post("/vector_stores", json={}).json()["id"]
            made = http.post(f"/vector_stores/{store}/file_batches", json={"file_ids": [file]}).json()
            named.append(made["object"])
    assert named == ["vector_store.file_batch", "vector_store.files_batch"]


def test_a_cancelled_batch_reads_no_further(sdk: OpenAI) -> None:
    store = sdk.vector_stores.create().id
    files = [put(sdk, f"{number}.txt", f"Number {number} of many. " * 2000) for number in range(12)]
    batch = sdk.vector_stores.file_batches.create(store, file_ids=files)
    assert sdk.vector_stores.file_batches.cancel(batch.id, vector_store_id=store).status == "cancelled"
    counts = sdk.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store).file_counts
    assert (counts.in_progress, counts.total) == (0, 12)
    assert counts.cancelled >= 10
    assert sdk.vector_stores.retrieve(store).status == "completed"


def bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr("word/document.xml", b"<w:document>" + b" " * (400 << 20))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty.txt", b"", "invalid_file"),
        ("broken.pdf", b"%PDF-1.7\nnothing of the kind", "invalid_file"),
        ("binary.txt", bytes(range(256)) * 100, "unsupported_file"),
        ("bomb.docx", bomb(), "invalid_file"),
        ("billion.docx", b"PK\x03\x04 not a zip", "invalid_file"),
    ],
)
def test_a_file_that_cannot_be_read_fails_with_the_reason(sdk: OpenAI, name: str, content: bytes, code: str) -> None:
    store = sdk.vector_stores.create().id
    held = sdk.vector_stores.files.create_and_poll(put(sdk, name, content), vector_store_id=store)
    assert held.status == "failed"
    assert held.last_error
    assert (held.last_error.code, held.usage_bytes) == (code, 0)
    assert held.last_error.message.startswith("The file ")
    state = sdk.vector_stores.retrieve(store)
    assert (state.status, state.file_counts.failed) == ("completed", 1)


def test_a_type_that_is_not_read_is_refused(sdk: OpenAI) -> None:
    file = put(sdk, "table.csv", "a,b\n1,2\n")
    with pytest.raises(BadRequestError) as refused:
        sdk.vector_stores.create(file_ids=[file])
    body: Any = refused.value.body
    assert body["message"].startswith("Files with extensions [.csv] are not supported for retrieval.")
    assert (body["param"], body["code"]) == ("file_ids", "unsupported_file")


def test_chunking_is_shown_in_its_static_form(sdk: OpenAI) -> None:
    store = sdk.vector_stores.create().id
    file = put(sdk, "long.txt", "One sentence after another. " * 500)
    static: Any = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}}
    held = sdk.vector_stores.files.create_and_poll(file, vector_store_id=store, chunking_strategy=static)
    assert held.to_dict()["chunking_strategy"] == static
    (content,) = sdk.vector_stores.files.content(file, vector_store_id=store).data
    assert content.text == ("One sentence after another. " * 500).rstrip()
    static["static"]["chunk_overlap_tokens"] = 60
    with pytest.raises(BadRequestError, match="share at most half"):
        sdk.vector_stores.files.create(store, file_id=file, chunking_strategy=static)
    auto = sdk.vector_stores.files.create_and_poll(file, vector_store_id=store, chunking_strategy={"type": "auto"})
    assert auto.to_dict()["chunking_strategy"]["static"] == {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}  # type: ignore[index]


def test_a_store_is_changed_listed_and_deleted(sdk: OpenAI) -> None:
    days: Any = {"anchor": "last_active_at", "days": 3}
    store = sdk.vector_stores.create(name="first", expires_after=days, metadata={"a": "b"})
    assert store.expires_at == store.last_active_at + 3 * 86_400
    changed = sdk.vector_stores.update(store.id, name=None, expires_after=None, metadata=None)
    assert (changed.name, changed.expires_after, changed.expires_at, changed.metadata) == (None, None, None, {})
    assert store.id in [each.id for each in sdk.vector_stores.list(limit=2)]
    assert sdk.vector_stores.delete(store.id).to_dict() == {
        "id": store.id,
        "object": "vector_store.deleted",
        "deleted": True,
    }
    with pytest.raises(NotFoundError, match=f"No vector store found with id '{store.id}'."):
        sdk.vector_stores.search(store.id, query="a")


def test_a_batch_takes_files_with_attributes_of_their_own_and_null_for_what_is_not_given(sdk: OpenAI) -> None:
    store, file = sdk.vector_stores.create().id, put(sdk, "heron.txt", TEXTS["heron.txt"])
    each: Any = {"file_id": file, "attributes": {"year": 2020}}
    batch = sdk.vector_stores.file_batches.create(store, files=[each], extra_body={"file_ids": None})
    sdk.vector_stores.file_batches.poll(batch.id, vector_store_id=store)
    assert sdk.vector_stores.files.retrieve(file, vector_store_id=store).attributes == {"year": 2020}
    with pytest.raises(BadRequestError, match="Mutually exclusive"):
        sdk.vector_stores.file_batches.create(store, files=[each], file_ids=[file])
    with pytest.raises(BadRequestError, match="Missing required parameter: 'file_ids'"):
        sdk.vector_stores.file_batches.create(store)
