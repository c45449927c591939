"""The paths of memories: kept, read, searched, counted and wiped (contract 2.2)."""

from typing import Any

from respun.dialects.backboard import shapes
from respun.dialects.backboard.answers import Answer, Call, Handler
from respun.dialects.backboard.fields import Fields
from respun.workspace import Workspace
from respun.workspace.memories import MemoryQuestion

_PAGE = 25
_USER = "user_id"


class Memories:
    def __init__(self, ws: Workspace) -> None:
        self._ws = ws.memories

    def paths(self) -> dict[str, dict[str, Handler]]:
        many = "/assistants/{assistant_id}/memories"
        return {
            # Before those with an assistant's id in its place.
            "/assistants/memories/operations/{operation_id}": {"GET": self.operation},
            f"{many}/stats": {"GET": self.stats},
            f"{many}/insights": {"GET": self.insights},
            f"{many}/search": {"POST": self.search},
            many: {"GET": self.list_memories, "POST": self.add, "DELETE": self.wipe},
            f"{many}/{{memory_id}}": {"GET": self.get, "PUT": self.change, "DELETE": self.delete},
        }

    async def list_memories(self, call: Call) -> Answer:
        """All of them, unless a page is asked for."""
        query = call.query
        page, size = query.integer("page", 1, 1_000_000), query.integer("page_size", 1, 100)
        paged = page is not None or size is not None
        number, length = page or 1, size or _PAGE
        offset, limit = ((number - 1) * length, length) if paged else (0, None)
        found = await self._ws.list(call.project, _assistant(call), offset, limit, query.text(_USER))
        shown = {"memories": [shapes.memory(each) for each in found.items], "total_count": found.total}
        pages = -(-found.total // length)
        return Answer({**shown, **({"page": number, "page_size": length, "total_pages": pages} if paged else {})})

    async def add(self, call: Call) -> Answer:
        assistant, given = _assistant(call), await call.fields()
        content, metadata = given.required("content"), given.object("metadata") or {}
        memory = await self._ws.add(call.project, assistant, content, metadata, _user(metadata))
        return Answer({"success": True, "memory_id": memory.id, "id": memory.id, "message": "Memory added"}, 201)

    async def get(self, call: Call) -> Answer:
        return Answer(shapes.memory(await self._ws.get(call.project, _assistant(call), call.param("memory_id"))))

    async def change(self, call: Call) -> Answer:
        assistant, ident, given = _assistant(call), call.param("memory_id"), await call.fields()
        content, metadata = given.required("content"), given.object("metadata")
        return Answer(shapes.memory(await self._ws.change(call.project, assistant, ident, content, metadata)))

    async def delete(self, call: Call) -> Answer:
        await self._ws.delete(call.project, _assistant(call), call.param("memory_id"))
        return Answer({"success": True, "message": "Memory deleted successfully"})

    async def wipe(self, call: Call) -> Answer:
        gone = await self._ws.wipe(call.project, _assistant(call))
        return Answer({"success": True, "message": f"{gone} memories deleted"})

    async def stats(self, call: Call) -> Answer:
        totals = await self._ws.stats(call.project, _assistant(call))
        updated = None if totals.updated_at is None else shapes.timestamp(totals.updated_at)
        counts = {"total_memories": totals.count, "total_count": totals.count}
        return Answer({**counts, "last_updated": updated, "limits": None})

    async def insights(self, call: Call) -> Answer:
        """Of what kinds the memories are, as far as their metadata says."""
        found = await self._ws.list(call.project, _assistant(call))
        sources: dict[str, int] = {}
        for memory in found.items:
            source = str(memory.metadata.get("source", "added"))
            sources[source] = sources.get(source, 0) + 1
        lengths = [len(memory.text) for memory in found.items]
        signals = {"average_length": round(sum(lengths) / len(lengths), 1) if lengths else 0}
        breakdown = {"by_source": sources, "by_user": len({memory.user for memory in found.items})}
        snapshot = {"total_memories": found.total}
        return Answer({"snapshot": snapshot, "contentSignals": signals, "breakdown": breakdown, "operations": []})

    async def search(self, call: Call) -> Answer:
        assistant, given = _assistant(call), await call.fields()
        found = await self._ws.search(call.project, assistant, _question(given))
        return Answer(
            {"memories": [shapes.memory(each.memory, each.score) for each in found], "total_count": len(found)}
        )

    async def operation(self, call: Call) -> Answer:
        return Answer(shapes.operation(await self._ws.operation(call.project, call.param("operation_id"))))


def _question(given: Fields) -> MemoryQuestion:
    """`min_score`, `metadata` and `user_id` are ours: nothing is cut off unless they say so."""
    metadata = dict(given.object("metadata") or {})
    user = given.text(_USER) or _user(metadata)
    metadata.pop(_USER, None)
    return MemoryQuestion(
        query=given.required("query"),
        limit=given.integer("limit", 1, 50) or 5,
        min_score=given.decimal("min_score", 0, 1) or 0.0,
        metadata=metadata,
        user=user,
    )


def _user(metadata: dict[str, Any]) -> str | None:
    user = metadata.get(_USER)
    return None if user is None else str(user)


def _assistant(call: Call) -> str:
    return call.ident("assistant", "assistant_id")
