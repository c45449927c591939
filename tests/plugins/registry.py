"""A package registry and a hub on loopback: real wheels for a real pip, and a file that knows byte ranges."""

import hashlib
import io
import os
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from respun.providers.catalogue import Carrier


def wheel_with(package: str, member: str, data: bytes) -> bytes:
    module = package.replace("-", "_")
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(member, data)
        wheel.writestr(f"{module}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        wheel.writestr(f"{module}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{module}-1.0.dist-info/RECORD", "")
    return whole.getvalue()


@dataclass
class Registry:
    """What is served, and what was asked for."""

    wheels: dict[str, bytes] = field(default_factory=dict)
    hub_file: bytes | None = None
    hub_stops_after: int | None = None
    asked: list[str] = field(default_factory=list)
    environments: list[bytes] = field(default_factory=list)
    """Of this process's children at the time of each request."""
    origin: str = ""

    def carry(self, package: str, data: bytes) -> Carrier:
        """Publish a wheel with `data` in it."""
        member = f"{package.replace('-', '_')}/data.bin"
        self.wheels[package] = wheel_with(package, member, data)
        return Carrier(package, "1.0", member, len(data), hashlib.sha256(self.wheels[package]).hexdigest())

    @property
    def environ(self) -> dict[str, str]:
        """A user's environment whose pip knows this registry only, and gives up at once."""
        settings = {"PIP_INDEX_URL": f"{self.origin}/simple", "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}
        return {**settings, "PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1"}

    async def page(self, request: web.Request) -> web.Response:
        package = request.match_info["package"]
        self.asked.append(package)
        self.environments += environments_of_children()
        if package not in self.wheels:
            raise web.HTTPNotFound
        name = f"{package.replace('-', '_')}-1.0-py3-none-any.whl"
        return web.Response(text=f'<a href="/files/{package}/{name}">{name}</a>', content_type="text/html")

    async def wheel(self, request: web.Request) -> web.Response:
        return web.Response(body=self.wheels[request.match_info["package"]])

    async def hub(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"hub {request.headers['Range']}")
        if self.hub_file is None:
            raise web.HTTPServiceUnavailable
        rest = self.hub_file[request.http_range.start or 0 :]
        if self.hub_stops_after is not None:
            rest = rest[: self.hub_stops_after]
        return web.Response(status=206, body=rest)


def environments_of_children() -> list[bytes]:
    mine = f" {os.getpid()} "
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2]
            if parent[2:].startswith(mine):
                found.append((folder / "environ").read_bytes())
        except OSError:
            continue
    return found


@asynccontextmanager
async def registry() -> AsyncIterator[Registry]:
    served = Registry()
    app = web.Application()
    app.router.add_get("/simple/{package}/", served.page)
    app.router.add_get("/files/{package}/{name}", served.wheel)
    app.router.add_get("/hub", served.hub)
    async with TestServer(app, host="127.0.0.1") as server:
        served.origin = str(server.make_url("")).rstrip("/")
        yield served
