"""What time does to files and stores, on both backends: they expire, and what they leave behind is removed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from engine.world import PROJECT
from plugins.library import library_of
from respun.core.files import FileDraft, FileFilter, UploadDraft
from respun.core.problems import Problem
from respun.core.vector_stores import NewFile, Question, StoreDraft
from respun.engine.clock import Clock
from respun.engine.library import Library
from respun.store import passages
from respun.store.backend import Backend
from respun.store.opening import open_backend
from respun.workspace.failures import Store
from respun.workspace.files import Files
from respun.workspace.uploads import Uploads
from respun.workspace.vector_stores import VectorStores

DAY = 86_400
NOON = 1_800_000_000.0


@dataclass
class Desk:
    """The use cases of files under a clock that the test moves."""

    folder: Path
    backend: Backend
    library: Library
    files: Files
    uploads: Uploads
    stores: VectorStores
    time: list[float]

    async def put(self, text: str = "Herons eat fish.", expires_after: int | None = None) -> str:
        incoming = await self.files.receive()
        await incoming.write(text.encode())
        draft = FileDraft("heron.txt", "batch", expires_after)
        return (await self.files.create(PROJECT, draft, incoming)).id

    async def swept(self) -> list[Path]:
        """The blobs that are left after a sweep of everything."""
        while await self.library.sweep():
            pass
        return [path for path in (self.folder / "blobs").rglob("*") if path.is_file()]

    async def read(self, store: str) -> None:
        """Wait for the store's files."""
        async with asyncio.timeout(20):
            while (await self.stores.get(PROJECT, store)).counts.in_progress:
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def desk(place: str, tmp_path: Path) -> AsyncIterator[Desk]:
    backend: Backend = await open_backend(place)
    time = [NOON]
    clock = Clock(lambda: time[0])
    library = library_of(backend, tmp_path, clock)
    store = Store(backend)
    files = Files(store, library.blobs, clock, 1 << 20)
    await library.ingest.start()
    yield Desk(
        tmp_path,
        backend,
        library,
        files,
        Uploads(store, library.blobs, clock, files),
        VectorStores(store, library, clock),
        time,
    )
    await library.stop()
    await backend.close()


async def test_a_file_is_gone_when_its_time_is_over_and_its_bytes_after_the_sweep(desk: Desk) -> None:
    gone, kept = await desk.put(expires_after=3600), await desk.put()
    desk.time[0] += 3600
    with pytest.raises(Problem, match=f"No such File object: {gone}"):
        await desk.files.get(PROJECT, gone)
    assert [file.id for file in (await desk.files.list(PROJECT, FileFilter())).items] == [kept]
    assert len(await desk.swept()) == 1


async def test_a_file_leaves_its_stores_when_its_time_is_over(desk: Desk) -> None:
    gone, kept = await desk.put("Herons eat fish.", expires_after=3600), await desk.put("Herons stand still.")
    store = (await desk.stores.create(PROJECT, StoreDraft((NewFile(gone), NewFile(kept))))).id
    await desk.read(store)
    desk.time[0] += 3600
    await desk.swept()
    counts = (await desk.stores.get(PROJECT, store)).counts
    assert (counts.total, counts.completed) == (1, 1)
    found = await desk.stores.search(PROJECT, store, Question(("herons",)))
    assert [passage.file for passage in found.found] == [kept]


async def test_bytes_of_which_no_file_was_made_are_swept_away(desk: Desk) -> None:
    incoming = await desk.files.receive()
    await incoming.write(b"half a file")
    await incoming.finish()
    assert len(await desk.swept()) == 1
    desk.time[0] += DAY + 1
    assert await desk.swept() == []


async def test_an_upload_that_is_not_completed_in_an_hour_is_closed_and_its_parts_removed(desk: Desk) -> None:
    upload = await desk.uploads.create(PROJECT, UploadDraft("a", "batch", 2, "text/plain"))
    incoming = await desk.uploads.receive()
    await incoming.write(b"a")
    await desk.uploads.add_part(PROJECT, upload.id, incoming)
    assert len(await desk.swept()) == 1
    desk.time[0] += 3601
    assert await desk.swept() == []
    with pytest.raises(Problem, match="has status 'expired'"):
        await desk.uploads.complete(PROJECT, upload.id, [], None)


async def test_a_store_lives_on_when_it_is_used_and_expires_when_it_is_not(desk: Desk) -> None:
    file = await desk.put()
    store = (await desk.stores.create(PROJECT, StoreDraft((NewFile(file),), expires_after_days=2))).id
    await desk.read(store)
    question = Question(("heron",))
    for _ in range(3):
        desk.time[0] += 1.5 * DAY
        assert (await desk.stores.search(PROJECT, store, question)).found[0].text == "Herons eat fish."
    desk.time[0] += 2 * DAY
    assert (await desk.stores.get(PROJECT, store)).status == "expired"
    with pytest.raises(Problem, match=f"Vector store '{store}' has expired"):
        await desk.stores.search(PROJECT, store, question)
    with pytest.raises(Problem, match="has expired"):
        await desk.stores.add_file(PROJECT, store, NewFile(file))


async def test_a_deleted_store_leaves_no_index_and_no_rows(desk: Desk) -> None:
    file = await desk.put()
    store = (await desk.stores.create(PROJECT, StoreDraft((NewFile(file),)))).id
    await desk.read(store)
    held = await desk.stores.file(PROJECT, store, file)
    await desk.stores.search(PROJECT, store, Question(("heron",)))
    assert list((desk.folder / "indexes").iterdir())
    await desk.stores.delete(PROJECT, store)
    assert list((desk.folder / "indexes").iterdir()) == []
    assert len(await desk.swept()) == 1
    assert await desk.backend.read(lambda tx: passages.chunks_of(tx, held.entry, 0, 1)) == []
    assert await desk.backend.read(lambda tx: passages.windows(tx, held.entry, 0, "")) == []
