"""A stand-in for E2B on loopback: its paths and shapes, with confined sessions of this machine behind them.

Written from E2B's published client library (e2b 2.63, e2b-code-interpreter 2.11). It refuses what the real one
refuses: a missing key, a missing access token, a machine that is gone.
"""

import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from respun.sandbox.local import Local
from respun.sandbox.ports import BadFile

KEY, TOKEN = "e2b_key", "machine-token"


class Provider:
    """The machines it made, and what it was asked."""

    def __init__(self, sandbox: Local) -> None:
        self.sandbox = sandbox
        self.asked: list[dict[str, Any]] = []
        self.machines: set[str] = set()
        self.url = ""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Provider"]:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_get("/sandboxes", self.machines_of)
        app.router.add_post("/sandboxes", self.make)
        app.router.add_post("/sandboxes/{machine}/timeout", self.renew)
        app.router.add_delete("/sandboxes/{machine}", self.end)
        app.router.add_post("/{port}/{machine}/execute", self.execute)
        app.router.add_get("/{port}/{machine}/files", self.read)
        app.router.add_post("/{port}/{machine}/files", self.write)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://127.0.0.1:%d" % runner.addresses[0][1]  # noqa: UP031 - braces are the address's own
        try:
            yield self
        finally:
            await runner.cleanup()
            await self.sandbox.aclose()

    async def machines_of(self, request: web.Request) -> web.Response:
        if request.headers.get("X-API-Key") != KEY:
            raise web.HTTPUnauthorized
        return web.json_response([{"sandboxID": machine} for machine in self.machines])

    async def make(self, request: web.Request) -> web.Response:
        if request.headers.get("X-API-Key") != KEY:
            raise web.HTTPUnauthorized
        self.asked.append(await request.json())
        machine = f"m{len(self.asked)}"
        await self.sandbox.create(machine)
        self.machines.add(machine)
        made = {"sandboxID": machine, "clientID": "c", "templateID": "t", "envdVersion": "0.5.7"}
        return web.json_response({**made, "envdAccessToken": TOKEN}, status=201)

    async def renew(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        return web.Response(status=204 if self.known(request) else 404)

    async def end(self, request: web.Request) -> web.Response:
        if not self.known(request):
            raise web.HTTPNotFound
        self.machines.discard(request.match_info["machine"])
        await self.sandbox.close(request.match_info["machine"])
        return web.Response(status=204)

    async def execute(self, request: web.Request) -> web.StreamResponse:
        self.enter(request, 49999)
        code = (await request.json())["code"]
        answer = web.StreamResponse()
        await answer.prepare(request)
        result = await self.sandbox.run(request.match_info["machine"], code, seconds=10)
        events: list[dict[str, Any]] = [{"type": "stdout", "text": result.logs, "timestamp": 1}] if result.logs else []
        events += [{"type": "result", "png": base64.b64encode(image.png).decode()} for image in result.images]
        if result.error:
            last = result.error.strip().splitlines()[-1]
            events.append({"type": "error", "name": last.split(":")[0], "value": last, "traceback": result.error})
        for event in [*events, {"type": "number_of_executions", "execution_count": 1}]:
            await answer.write(json.dumps(event).encode() + b"\n")
        return answer

    async def read(self, request: web.Request) -> web.Response:
        self.enter(request, 49983)
        try:
            return web.Response(body=await self.sandbox.get(request.match_info["machine"], self.name(request)))
        except BadFile:
            raise web.HTTPNotFound from None

    async def write(self, request: web.Request) -> web.Response:
        self.enter(request, 49983)
        part = (await request.post())["file"]
        assert isinstance(part, web.FileField)
        await self.sandbox.put(request.match_info["machine"], self.name(request), part.file.read())
        return web.json_response([{"path": request.query["path"], "type": "file"}])

    def enter(self, request: web.Request, port: int) -> None:
        if request.headers.get("X-Access-Token") != TOKEN or request.match_info["port"] != str(port):
            raise web.HTTPUnauthorized
        if not self.known(request) or request.headers.get("E2b-Sandbox-Id") != request.match_info["machine"]:
            raise web.HTTPNotFound

    def known(self, request: web.Request) -> bool:
        return request.match_info["machine"] in self.machines

    def name(self, request: web.Request) -> str:
        return request.query["path"].removeprefix("/mnt/data/")
