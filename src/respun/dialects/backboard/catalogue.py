"""The models that this server's routes name, as Backboard's catalogue shows models (contract 2.2)."""

from typing import Any

from respun.core.problems import Problem
from respun.dialects.backboard import requests, shapes
from respun.dialects.backboard.answers import Answer, Call, Handler
from respun.dialects.backboard.shapes import Json
from respun.workspace import Workspace

_EFFORTS = ("low", "medium", "high")


class Models:
    """Of embeddings, images and videos there are none to choose from."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws

    def paths(self) -> dict[str, dict[str, Handler]]:
        found: dict[str, dict[str, Handler]] = {
            "/models": {"GET": self.list_models},
            "/models/providers": {"GET": self.list_providers},
            "/models/thinking-metadata": {"GET": self.thinking},
            "/models/provider/{provider:path}": {"GET": self.of_provider},
        }
        for kind in ("embedding", "image", "video"):
            found[f"/models/{kind}/all"] = {"GET": self.none}
            found[f"/models/{kind}/providers"] = {"GET": self.no_providers}
            found[f"/models/{kind}/{{name:path}}"] = {"GET": self.get_other}
        found["/models/{name:path}"] = {"GET": self.get_model}
        found["/billing/usage/recent"] = {"GET": self.usage}
        return found

    async def list_models(self, call: Call) -> Answer:
        return await self._page(call, call.query.text("provider"))

    async def of_provider(self, call: Call) -> Answer:
        return await self._page(call, call.param("provider"))

    async def list_providers(self, call: Call) -> Answer:
        providers = sorted({model["provider"] for model in await self._all(call)})
        return Answer({"providers": providers, "total": len(providers)})

    async def get_model(self, call: Call) -> Answer:
        name = call.param("name")
        for model in await self._all(call):
            if model["name"].lower() in (name.lower(), name.lower().removeprefix("openai/")):
                return Answer(model)
        raise Problem(f"Model '{name[:256]}' does not exist. GET /models lists those there are.", kind="not_found")

    async def thinking(self, call: Call) -> Answer:
        query = call.query
        named = {"provider": query.text("provider"), "model": query.text("model")}
        return Answer({**named, "supports_thinking": True, "effort_levels": _EFFORTS, "supports_budget_tokens": True})

    async def none(self, call: Call) -> Answer:
        requests.paging(call.query, 500)
        return Answer({"models": [], "total": 0})

    async def no_providers(self, call: Call) -> Answer:
        return Answer({"providers": [], "total": 0})

    async def get_other(self, call: Call) -> Answer:
        kind = call.path.rpartition("/models/")[2].partition("/")[0]
        raise Problem(f"This server offers no {kind} models to choose from.", kind="not_found")

    async def usage(self, call: Call) -> Answer:
        """Nothing is ever charged."""
        page, size = call.query.integer("page", 1, 1 << 31), call.query.integer("page_size", 1, 100)
        paged = {"page": page or 1, "page_size": size or 20, "total": 0, "total_pages": 0}
        return Answer({"data": [], "pagination": paged})

    async def _page(self, call: Call, provider: str | None) -> Answer:
        query, paging = call.query, requests.paging(call.query, 500)
        found = [model for model in await self._all(call) if _fits(model, provider, query)]
        return Answer({"models": found[paging.skip : paging.skip + paging.limit], "total": len(found)})

    async def _all(self, call: Call) -> list[Json]:
        return [shapes.model(card) for card in await self._ws.models(call.project)]


def _fits(model: Json, provider: str | None, query: Any) -> bool:
    kind, least, most = (
        query.text("model_type"),
        query.integer("min_context", 0, 1 << 40),
        query.integer("max_context", 0, 1 << 40),
    )
    if "supports_tools" in query and query.flag("supports_tools") != model["supports_tools"]:
        return False
    if kind and kind.lower() != model["model_type"]:
        return False
    if provider and provider.lower() != model["provider"].lower():
        return False
    limit = model["context_limit"]
    return (least is None or limit >= least) and (most is None or limit <= most)
