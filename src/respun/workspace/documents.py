"""Documents: files given to an assistant or a thread to be searched in its runs.

They are files in a vector store of the owner's, made with the first of them, so that the tool file_search finds them
and every other dialect shows them.
"""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from respun.core.assistants import ToolResources
from respun.core.files import File, FileDraft
from respun.core.machine import Fresh
from respun.core.pages import PageRequest
from respun.core.problems import Problem
from respun.core.vector_stores import NewFile, StoreDraft, StoreFile
from respun.store import assistants, files, messages, passages, threads, vector_stores
from respun.store.backend import Tx
from respun.store.file_removal import remove_file
from respun.workspace.failures import Store
from respun.workspace.files import Files, Incoming
from respun.workspace.vector_stores import VectorStores, new_store, refuse_unsupported, store_new

_MOST: Final = 10_000
_OPENING: Final = 300
OWNER: Final = "document_of"
"""The attribute that names the owner of a document among the files of a vector store."""


class Place(Struct, frozen=True):
    """Whose documents."""

    kind: Literal["assistant", "thread"]
    id: str


class Document(Struct, frozen=True):
    """`opening` is how its text begins, once it was read; `chunks` counts the pieces that are searched."""

    file: File
    held: StoreFile
    opening: str | None = None
    chunks: int | None = None


class Documents:
    def __init__(self, store: Store, fresh: Fresh, files: Files, stores: VectorStores) -> None:
        self._store = store
        self._fresh = fresh
        self._files = files
        self._stores = stores

    async def receive(self) -> Incoming:
        return await self._files.receive()

    async def add(self, project: str, place: Place, filename: str, incoming: Incoming) -> Document:
        """Its text is read in the background. Raises Problem for what isn't read, and for an unknown owner."""
        refuse_unsupported((File("the file", 0, filename, "assistants", 0, ""),), "file")
        await self._store.read(lambda tx: _resources(tx, project, place))
        file = await self._files.create(project, FileDraft(filename, "assistants"), incoming)
        ident = await self._store.write(lambda tx: self._own_store(tx, project, place))
        held = await self._stores.add_file(project, ident, NewFile(file.id, {OWNER: place.id}))
        return Document(file, held)

    async def list(self, project: str, place: Place) -> tuple[Document, ...]:
        """Oldest first."""
        now = self._fresh.now

        async def unit(tx: Tx) -> tuple[Document, ...]:
            held: list[StoreFile] = []
            for ident in (await _resources(tx, project, place)).vector_stores or ():
                store = await vector_stores.get(tx, project, ident)
                held += (await vector_stores.files(tx, store, PageRequest(_MOST, "asc"))).items
            known = await files.found(tx, project, [each.id for each in held], now) if held else {}
            return tuple(Document(known[each.id], each) for each in held)

        return await self._store.scan(unit)

    async def get(self, project: str, ident: str) -> Document:
        """With how its text begins."""

        async def unit(tx: Tx) -> Document:
            file = await files.get(tx, project, ident, self._fresh.now)
            held = await vector_stores.of_file(tx, project, ident)
            chunks = await passages.chunks_of(tx, held.entry, 0, _MOST) if held.status == "completed" else []
            opening = " ".join(chunks[0].text.split())[:_OPENING] if chunks else None
            return Document(file, held, opening, len(chunks) if held.status == "completed" else None)

        return await self._store.scan(unit)

    async def delete(self, project: str, ident: str) -> Document:
        """As it was. It is gone from everywhere."""
        document = await self.get(project, ident)
        await self._files.delete(project, ident)
        return document

    async def copy(self, project: str, source: Place, target: Place) -> int:
        """Every file that is searched for one owner to another, as files of its own; how many."""
        found = await self.list(project, source)
        for each in found:
            incoming = await self._files.copy(project, each.file.id)
            await self.add(project, target, each.file.filename, incoming)
        return len(found)

    async def drop(self, project: str, place: Place) -> None:
        """Delete what was given to an owner that goes; files that only share its vector store stay."""
        for document in await self.list(project, place):
            if document.held.attributes.get(OWNER) == place.id:
                ident = document.file.id
                await self._store.write(lambda tx, ident=ident: remove_file(tx, project, ident, self._fresh.now))  # type: ignore[misc]

    async def named(self, project: str, idents: Sequence[str]) -> dict[str, Document]:
        """Those of these files that are documents still."""
        found: dict[str, Document] = {}
        for ident in dict.fromkeys(idents):
            try:
                found[ident] = await self.get(project, ident)
            except Problem:
                continue
        return found

    async def _own_store(self, tx: Tx, project: str, place: Place) -> str:
        """The owner's vector store, made if there is none."""
        if place.kind == "thread":
            await messages.lock(tx, project, place.id)
        resources = await _resources(tx, project, place)
        if resources.vector_stores:
            return resources.vector_stores[0]
        store = new_store(StoreDraft(name=f"Documents of {place.id}"), self._fresh)
        await store_new(tx, project, store, (), self._fresh.now)
        changed = replace(resources, vector_stores=(store.id,))
        if place.kind == "thread":
            await threads.change(tx, project, place.id, lambda before: replace(before, tool_resources=changed))
        else:
            await assistants.change(tx, project, place.id, lambda before: replace(before, tool_resources=changed))
        return store.id


async def _resources(tx: Tx, project: str, place: Place) -> ToolResources:
    if place.kind == "thread":
        return (await threads.get(tx, project, place.id)).tool_resources
    return (await assistants.get(tx, project, place.id)).tool_resources
