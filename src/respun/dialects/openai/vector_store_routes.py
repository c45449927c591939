"""The paths of vector stores, of the files in them and of their batches (contract 1.3)."""

from respun.core.vector_stores import Counted, FileBatch, StoreFile
from respun.dialects.openai import queries, shapes, vector_store_requests, vector_store_shapes
from respun.dialects.openai.answers import Answer, Call, Headers, Paths
from respun.workspace import Workspace


class VectorStores:
    def __init__(self, ws: Workspace) -> None:
        self._ws = ws.vector_stores

    def paths(self) -> Paths:
        return {
            "/vector_stores": {"GET": self.list_vector_stores, "POST": self.create_vector_store},
            "/vector_stores/{vector_store_id}": {
                "GET": self.get_vector_store,
                "POST": self.modify_vector_store,
                "DELETE": self.delete_vector_store,
            },
            "/vector_stores/{vector_store_id}/search": {"POST": self.search_vector_store},
        }

    async def list_vector_stores(self, call: Call) -> Answer:
        found = await self._ws.list(call.project, queries.page(call.query))
        return _answer(shapes.page(found, vector_store_shapes.store))

    async def create_vector_store(self, call: Call) -> Answer:
        draft = vector_store_requests.store(await call.json(), call.dialect.strict)
        return _store_answer(call, await self._ws.create(call.project, draft, call.once))

    async def get_vector_store(self, call: Call) -> Answer:
        return _store_answer(call, await self._ws.get(call.project, _store(call)))

    async def modify_vector_store(self, call: Call) -> Answer:
        changes = vector_store_requests.store_changes(await call.json(), call.dialect.strict)
        return _store_answer(call, await self._ws.change(call.project, _store(call), changes))

    async def delete_vector_store(self, call: Call) -> Answer:
        ident = _store(call)
        await self._ws.delete(call.project, ident, call.once)
        return _answer(vector_store_shapes.DeletedStore(ident, "vector_store.deleted"))

    async def search_vector_store(self, call: Call) -> Answer:
        """The best passages, with the reason why each was found. `rewrite_query` asks each sentence by itself."""
        question = vector_store_requests.search(await call.json(), call.dialect.strict)
        return _answer(vector_store_shapes.found(await self._ws.search(call.project, _store(call), question)))


class StoreFiles:
    def __init__(self, ws: Workspace) -> None:
        self._ws = ws.vector_stores

    def paths(self) -> Paths:
        file = "/vector_stores/{vector_store_id}/files/{file_id}"
        batch = "/vector_stores/{vector_store_id}/file_batches/{batch_id}"
        return {
            "/vector_stores/{vector_store_id}/files": {"GET": self.list_store_files, "POST": self.add_store_file},
            file: {"GET": self.get_store_file, "POST": self.modify_store_file, "DELETE": self.remove_store_file},
            f"{file}/content": {"GET": self.read_store_file},
            "/vector_stores/{vector_store_id}/file_batches": {"POST": self.create_file_batch},
            batch: {"GET": self.get_file_batch},
            f"{batch}/cancel": {"POST": self.cancel_file_batch},
            f"{batch}/files": {"GET": self.list_batch_files},
        }

    async def list_store_files(self, call: Call) -> Answer:
        page, status = queries.page(call.query), vector_store_requests.status(call.query)
        found = await self._ws.files(call.project, _store(call), page, status)
        return _answer(shapes.page(found, vector_store_shapes.file))

    async def add_store_file(self, call: Call) -> Answer:
        given = vector_store_requests.file(await call.json(), call.dialect.strict)
        return _file_answer(call, await self._ws.add_file(call.project, _store(call), given))

    async def get_store_file(self, call: Call) -> Answer:
        return _file_answer(call, await self._ws.file(call.project, _store(call), _file(call)))

    async def modify_store_file(self, call: Call) -> Answer:
        attributes = vector_store_requests.attributes(await call.json(), call.dialect.strict)
        held = await self._ws.change_file(call.project, _store(call), _file(call), attributes)
        return _file_answer(call, held)

    async def remove_store_file(self, call: Call) -> Answer:
        file = _file(call)
        await self._ws.remove_file(call.project, _store(call), file)
        return _answer(vector_store_shapes.DeletedStore(file, "vector_store.file.deleted"))

    async def read_store_file(self, call: Call) -> Answer:
        return _answer(vector_store_shapes.content(await self._ws.text(call.project, _store(call), _file(call))))

    async def create_file_batch(self, call: Call) -> Answer:
        given = vector_store_requests.batch(await call.json(), call.dialect.strict)
        return _batch_answer(call, await self._ws.add_batch(call.project, _store(call), given, call.once))

    async def get_file_batch(self, call: Call) -> Answer:
        return _batch_answer(call, await self._ws.batch(call.project, _store(call), _batch(call)))

    async def cancel_file_batch(self, call: Call) -> Answer:
        return _batch_answer(call, await self._ws.cancel_batch(call.project, _store(call), _batch(call)))

    async def list_batch_files(self, call: Call) -> Answer:
        page, status = queries.page(call.query), vector_store_requests.status(call.query)
        found = await self._ws.files(call.project, _store(call), page, status, _batch(call))
        return _answer(shapes.page(found, vector_store_shapes.file))


def _store(call: Call) -> str:
    return call.param("vector_store_id")


def _file(call: Call) -> str:
    return call.param("file_id")


def _batch(call: Call) -> str:
    return call.param("batch_id")


def _store_answer(call: Call, given: Counted) -> Answer:
    return _answer(vector_store_shapes.store(given), *_poll(call, given.status))


def _file_answer(call: Call, given: StoreFile) -> Answer:
    return _answer(vector_store_shapes.file(given), *_poll(call, given.status))


def _batch_answer(call: Call, given: FileBatch) -> Answer:
    return _answer(vector_store_shapes.batch(given, call.dialect.batch_object), *_poll(call, given.status))


def _poll(call: Call, status: str) -> Headers:
    # Stock clients wait a second or more between two looks unless told otherwise (contract section 4).
    return ((b"openai-poll-after-ms", b"%d" % call.dialect.poll_ms),) if status == "in_progress" else ()


def _answer(given: object, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(shapes.encode(given), headers)
