"""The paths of documents, and files that come with a message (contract 2.2, 2.3)."""

import time
from collections.abc import Sequence

from respun.core.files import File
from respun.core.ids import uuid_of
from respun.core.problems import Problem
from respun.dialects.backboard.answers import Answer, Call, Handler
from respun.dialects.backboard.clients import knows_errors
from respun.dialects.backboard.fields import Upload
from respun.dialects.backboard.problems import Invalid, missing
from respun.dialects.backboard.shapes import Json, timestamp
from respun.workspace import Workspace
from respun.workspace.documents import Document, Place
from respun.workspace.documents import Documents as DocumentsOf

_PIECE = 1 << 20
_STATUSES = {"in_progress": "processing", "completed": "indexed", "failed": "error", "cancelled": "error"}


class Documents:
    def __init__(self, ws: Workspace) -> None:
        self._ws = ws.documents

    def paths(self) -> dict[str, dict[str, Handler]]:
        return {
            "/assistants/{assistant_id}/documents": {"GET": self.list_documents, "POST": self.add},
            "/threads/{thread_id}/documents": {"GET": self.list_documents, "POST": self.add},
            "/documents/{document_id}/status": {"GET": self.status},
            "/documents/{document_id}": {"DELETE": self.delete},
        }

    async def list_documents(self, call: Call) -> Answer:
        found = await self._ws.list(call.project, _place(call))
        return Answer([document(each, call.user_agent) for each in found])

    async def add(self, call: Call) -> Answer:
        place, given = _place(call), await call.fields()
        uploads = [each for each in given.uploads if each.field == "file"]
        if not uploads:
            raise Invalid(missing("body", "file"))
        (made,) = await received(self._ws, call.project, place, uploads[:1])
        return Answer({**document(made, call.user_agent), "status": "pending"})

    async def status(self, call: Call) -> Answer:
        return Answer(document(await self._get(call), call.user_agent))

    async def delete(self, call: Call) -> Answer:
        gone = await self._ws.delete(call.project, (await self._get(call)).file.id)
        shown = document(gone, call.user_agent)
        told = {name: shown[name] for name in ("document_id", "filename", "document_type")}
        return Answer({"message": "Document deleted successfully", **told, "deleted_at": timestamp(time.time())})

    async def _get(self, call: Call) -> Document:
        try:
            return await self._ws.get(call.project, call.ident("file", "document_id"))
        except Problem as problem:
            if problem.kind == "not_found":
                raise Problem(f"Document {call.param('document_id')} not found", kind="not_found") from None
            raise


async def received(ws: DocumentsOf, project: str, place: Place, uploads: Sequence[Upload]) -> list[Document]:
    """The documents that were made of these files."""
    made = []
    for upload in uploads:
        incoming = await ws.receive()
        try:
            while piece := await upload.file.read(_PIECE):
                await incoming.write(piece)
            made.append(await ws.add(project, place, upload.filename, incoming))
        except BaseException:
            await incoming.discard()
            raise
    return made


def document(given: Document, user_agent: str = "") -> Json:
    held = given.held
    fault = held.fault.message if held.fault else None
    return {
        "document_id": document_id(given.file),
        "filename": given.file.filename,
        "status": _status(held.status, user_agent),
        "status_message": fault,
        "summary": given.opening,
        "created_at": timestamp(given.file.created_at),
        "updated_at": timestamp(held.ended_at or held.created_at),
        "document_type": given.file.filename.rpartition(".")[2].lower() or "file",
        "file_size_bytes": given.file.size,
        "total_tokens": held.tokens,
        "chunk_count": given.chunks,
        "processing_started_at": timestamp(held.created_at),
        "processing_completed_at": None if held.ended_at is None else timestamp(held.ended_at),
        "metadata_": {},
    }


def attachment(given: Document, user_agent: str = "") -> Json:
    return {
        "document_id": document_id(given.file),
        "filename": given.file.filename,
        "status": _status(given.held.status, user_agent),
        "file_size_bytes": given.file.size,
        "summary": given.opening,
    }


def document_id(file: File) -> str:
    return str(uuid_of("file", file.id))


def _status(status: str, user_agent: str) -> str:
    word = _STATUSES[status]
    return "failed" if word == "error" and not knows_errors(user_agent) else word


def _place(call: Call) -> Place:
    if "thread_id" in call.params:
        return Place("thread", call.ident("thread", "thread_id"))
    return Place("assistant", call.ident("assistant", "assistant_id"))
