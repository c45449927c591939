"""Reading files into vector stores survives the death of the server, and takes nothing with it that is deleted."""

import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

from openai import OpenAI

from plugins.postgres import PostgresDatabases
from plugins.server import Server

MODELS = str(Path.home() / ".cache/respun/models")
LONG = "The {} heron stands in shallow water number {} and waits for fish. "


def put(sdk: OpenAI, name: str, sentences: int) -> str:
    text = "".join(LONG.format(name, number) for number in range(sentences))
    return sdk.files.create(file=(name, text.encode()), purpose="assistants").id


def ready(sdk: OpenAI, store: str, seconds: float = 60) -> None:
    until = monotonic() + seconds
    while sdk.vector_stores.retrieve(store).status == "in_progress":
        assert monotonic() < until
        sleep(0.05)


def test_files_that_were_being_read_are_read_after_a_crash(start_server: Callable[..., Server]) -> None:
    flags = ("--models-folder", MODELS, "--lease-seconds", "2", "--heartbeat-seconds", "0.5")
    first = start_server(*flags)
    with OpenAI(api_key="none", base_url=first.base_url) as sdk:
        files = [put(sdk, f"{name}.txt", 120) for name in ("amber", "basil", "cedar")]
        store = sdk.vector_stores.create(file_ids=files).id
        sleep(0.3)
        assert sdk.vector_stores.retrieve(store).status == "in_progress"
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(30)
    second = start_server(*flags)
    with OpenAI(api_key="none", base_url=second.base_url) as sdk:
        ready(sdk, store)
        counts = sdk.vector_stores.retrieve(store).file_counts
        assert (counts.completed, counts.failed) == (3, 0)
        for file in files:
            (content,) = sdk.vector_stores.files.content(file, vector_store_id=store).data
            assert content.text.count("heron") == 120
        found = sdk.vector_stores.search(store, query="basil", max_num_results=50).data
        assert found[0].filename == "basil.txt"
        texts = [(each.filename, each.content[0].text) for each in found]
        assert len(set(texts)) == len(texts)


def test_an_index_that_is_lost_or_damaged_is_built_again(start_server: Callable[..., Server], tmp_path: Path) -> None:
    flags = ("--models-folder", MODELS)
    first = start_server(*flags)
    with OpenAI(api_key="none", base_url=first.base_url) as sdk:
        store = sdk.vector_stores.create(file_ids=[put(sdk, "amber.txt", 20), put(sdk, "basil.txt", 20)]).id
        ready(sdk, store)
        before = sdk.vector_stores.search(store, query="a basil heron").to_dict()
    first.process.send_signal(signal.SIGINT)
    first.process.wait(30)
    for damaged in (tmp_path / "indexes").rglob("rows.bin"):
        damaged.write_bytes(b"nonsense")
    second = start_server(*flags)
    with OpenAI(api_key="none", base_url=second.base_url) as sdk:
        assert sdk.vector_stores.search(store, query="a basil heron").to_dict() == before


def test_vectors_are_made_once_there_is_a_model(start_server: Callable[..., Server]) -> None:
    first = start_server("--embeddings", "none")
    with OpenAI(api_key="none", base_url=first.base_url) as sdk:
        store = sdk.vector_stores.create(file_ids=[put(sdk, "amber.txt", 20)]).id
        ready(sdk, store)
        (by_words,) = sdk.vector_stores.search(store, query="heron", max_num_results=1).to_dict()["data"]  # type: ignore[misc]
        assert by_words["respun"]["found_by"]["cosine"] is None  # type: ignore[index]
    first.process.send_signal(signal.SIGINT)
    first.process.wait(30)
    second = start_server("--models-folder", MODELS)
    with OpenAI(api_key="none", base_url=second.base_url) as sdk:
        until = monotonic() + 120
        while True:
            (hit,) = sdk.vector_stores.search(store, query="heron", max_num_results=1).to_dict()["data"]  # type: ignore[misc]
            if hit["respun"]["found_by"]["cosine"] is not None:  # type: ignore[index]
                break
            assert monotonic() < until
            sleep(0.1)


def test_two_servers_on_one_database_and_folder_each_keep_an_index(
    tmp_path: Path, postgres: PostgresDatabases, start_server: Callable[..., Server]
) -> None:
    flags = ("--embeddings", "none", "--database", postgres.create())
    servers = [start_server(*flags) for _ in range(2)]
    one, other = (OpenAI(api_key="none", base_url=server.base_url) for server in servers)
    with one, other:
        store = one.vector_stores.create().id
        for number in range(6):
            adding = (one, other)[number % 2]
            file = put(adding, f"{number}.txt", 3)
            adding.vector_stores.files.create_and_poll(file, vector_store_id=store, poll_interval_ms=20)
            found = [sdk.vector_stores.search(store, query="heron", max_num_results=20).data for sdk in (one, other)]
            assert [len({each.filename for each in some}) for some in found] == [number + 1, number + 1]
        one.files.delete(file)
        found = [sdk.vector_stores.search(store, query="heron", max_num_results=20).data for sdk in (one, other)]
        assert [len(some) for some in found] == [5, 5]
    # The second server's indexes lie beside the first's.
    assert [len(list((tmp_path / name).rglob("manifest.json"))) for name in ("indexes", "indexes.2")] == [1, 1]
