"""Find the route of a path by its segments, at a cost that does not grow with the number of routes.

Paths are written as starlette writes them: `/threads/{thread_id}`, and `{model:path}` for all that is left. A literal
segment comes before a parameter, and a parameter before all that is left, in whatever order the routes are given.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

_REST: Final = ":path}"


class _Node:
    """What comes behind some first segments."""

    __slots__ = ("literals", "parameter", "rest", "route")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.rest: _Node | None = None
        self.route: Route | None = None

    def below(self, segment: str) -> "_Node":
        """The node behind this segment of a route's path; made when it is not there."""
        if segment.endswith(_REST):
            self.rest = self.rest or _Node()
            return self.rest
        if segment.startswith("{"):
            self.parameter = self.parameter or _Node()
            return self.parameter
        return self.literals.setdefault(segment, _Node())

    def find(self, segments: Sequence[str], at: int) -> Route | None:
        if at == len(segments):
            return self.route
        segment = segments[at]
        literal = self.literals.get(segment)
        found = literal.find(segments, at + 1) if literal else None
        if found is None and self.parameter and segment:
            found = self.parameter.find(segments, at + 1)
        if found is None and self.rest:
            found = self.rest.route
        return found


class PathTree:
    """An ASGI application that passes each request to the route of its path, or to `default`."""

    def __init__(self, routes: Iterable[Route], default: ASGIApp) -> None:
        self._root = _Node()
        self._default = default
        for route in routes:
            node = self._root
            for segment in _segments(route.path):
                node = node.below(segment)
            node.route = node.route or route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        segments = _segments(scope["path"])
        route = self._root.find(segments, 0)
        if route is None:
            await self._default(scope, receive, send)
            return
        scope["path_params"] = _parameters(route, segments)
        await route.handle(scope, receive, send)


def under(prefix: str, routes: Iterable[Route]) -> list[Route]:
    """The same routes with a prefix before their paths."""
    return [Route(prefix + route.path, route.endpoint) for route in routes]


def _segments(path: str) -> list[str]:
    return path.removeprefix("/").split("/")


def _parameters(route: Route, segments: Sequence[str]) -> dict[str, str]:
    found = {}
    for at, segment in enumerate(_segments(route.path)):
        if segment.endswith(_REST):
            found[segment[1 : -len(_REST)]] = "/".join(segments[at:])
        elif segment.startswith("{"):
            found[segment[1:-1]] = segments[at]
    return found
