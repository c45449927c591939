"""Clients of a real server that is killed again and again, and what must hold whatever moment the kill took.

Writers post messages, streamers follow runs, workers answer tool calls; each tries again until it is answered, as a
good client does. `Storm.broken` names every promise that was not kept (I1 to I7 of the reliability design).
"""

import asyncio
import json
import os
import signal
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp

SOURCES: Final = Path(__file__).parents[2] / "src"
WORDS: Final = "one two three four five six seven eight nine ten eleven twelve"
TEXT: Final = f"@delay 0.01\n@say {WORDS}"
CALLS: Final = f"@delay 0.005\n@call weather {{}}\n@call time {{}}\n@then\n@delay 0.005\n@say {WORDS}"
FINAL: Final = {"completed", "failed", "incomplete", "cancelled", "expired"}
TOOLS: Final = [{"type": "function", "function": {"name": name}} for name in ("weather", "time")]
_PAUSE: Final = 0.15
AWAY: Final = (aiohttp.ClientError, ConnectionError, asyncio.IncompleteReadError)
Json = dict[str, Any]


class Server:
    """`respun serve` as a process, at the same port through all its lives."""

    def __init__(self, folder: Path, **settings: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._folder = folder
        self._settings = {f"RESPUN_{name.upper()}": value for name, value in settings.items()}
        self._process: asyncio.subprocess.Process | None = None
        self.starts: list[float] = []
        """Seconds until each start answered."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        begin = time.monotonic()
        arguments = ("-m", "respun", "serve", "--port", str(self.port), "--data", str(self._folder))
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments, "--provider", "scripted"),
            env={"PYTHONPATH": str(SOURCES), "HOME": str(self._folder), **self._settings},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=(self._folder.parent / "server.log").open("ab"),
        )
        async with asyncio.timeout(20):
            while not await self._answers():
                await asyncio.sleep(0.01)
        self.starts.append(time.monotonic() - begin)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, "the server ended by itself"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def kill(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        await self._process.wait()


class Client:
    """Asks until it is answered."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}/v1"
        self._keys = 0
        self.retries = 0
        self.answers = 0

    def key(self, name: str) -> str:
        self._keys += 1
        return f"{name}-{self._keys}"

    async def ask(self, method: str, path: str, body: Json | None = None, key: str = "") -> tuple[int, Json]:
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            try:
                async with self._session.request(method, self._url + path, json=body, headers=headers) as answer:
                    found = json.loads(await answer.read())
                    if answer.status != 409:  # the request before this one is still being answered
                        self.answers += 1
                        return answer.status, found
            except (*AWAY, json.JSONDecodeError):
                self.retries += 1
            await asyncio.sleep(_PAUSE)

    async def get(self, path: str) -> Json:
        status, found = await self.ask("GET", path)
        assert status == 200, (path, found)
        return found

    async def all(self, path: str) -> list[Json]:
        items: list[Json] = []
        while True:
            after = f"&after={items[-1]['id']}" if items else ""
            page = await self.get(f"{path}?limit=100&order=asc{after}")
            items += page["data"]
            if not page["has_more"]:
                return items

    async def frames(self, method: str, path: str, body: Json | None, seen: str) -> AsyncIterator[tuple[str, str, str]]:
        """Id, event and data of each frame, as long as the connection holds."""
        headers = {"Last-Event-ID": seen} if seen else {}
        async with self._session.request(method, self._url + path, json=body, headers=headers) as answer:
            if answer.status != 200:
                raise Refused(json.loads(await answer.read())["error"]["message"])
            frame: dict[str, str] = {}
            async for line in answer.content:
                text = line.decode().rstrip("\n")
                if text:
                    name, _, value = text.partition(": ")
                    frame[name] = value
                elif "data" in frame:
                    yield frame.get("id", ""), frame["event"], frame["data"]
                    frame = {}


_TURNS: Final = 8


class Refused(Exception):
    """The server said no."""


class Watched:
    """One run as its stream showed it, over all its connections."""

    def __init__(self) -> None:
        self.frames: dict[str, str] = {}
        self.last = ""
        self.texts: dict[str, str] = {}
        self.done = 0
        self.clash: list[str] = []

    def take(self, ident: str, event: str, data: str) -> None:
        if event == "done":
            self.done += 1
            return
        if self.frames.setdefault(ident, data) != data:
            self.clash.append(f"frame {ident} came with other contents")
        self.last = ident
        if event == "thread.message.delta":
            delta = json.loads(data)
            text = "".join(part["text"]["value"] for part in delta["delta"]["content"])
            self.texts[delta["id"]] = self.texts.get(delta["id"], "") + text

    @property
    def run(self) -> str:
        for data in self.frames.values():
            if json.loads(data)["object"] == "thread.run":
                return str(json.loads(data)["id"])
        return ""


class Storm:
    """Everybody's work, and what of it was acknowledged."""

    def __init__(self, server: Server, session: aiohttp.ClientSession) -> None:
        self._client = Client(session, server.url)
        self._server = server
        self._over = False
        self._assistant = ""
        self.broken: list[str] = []
        self.messages: dict[str, list[Json]] = {}
        self.threads: list[str] = []
        self.counts = {"messages": 0, "streams": 0, "reconnects": 0, "tool_runs": 0}

    async def blow(self, kills: int, random: Random, each: int = 8) -> None:
        """Kill the server so many times while `each` writers, streamers and half as many tool workers are busy."""
        _, assistant = await self._client.ask("POST", "/assistants", {"model": "scripted", "tools": TOOLS})
        self._assistant = assistant["id"]
        works = [self._write, self._stream] * each + [self._use_tools] * (each // 2)
        tasks = [asyncio.create_task(self._busy(work, n)) for n, work in enumerate(works)]
        for _ in range(kills):
            await asyncio.sleep(random.uniform(0.02, 0.7))
            await self._server.kill()
            await self._server.start()
        self._over = True
        _, stuck = await asyncio.wait(tasks, timeout=30)
        for task in stuck:
            task.cancel()
            self.broken.append(f"I3: a client never got an end: {task.get_stack(limit=1)}")
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                self.broken.append(f"{type(error).__name__}: {error}")
        await self._look_again()

    async def _busy(self, work: Callable[[str, str, int], Coroutine[Any, Any, None]], number: int) -> None:
        name = f"client{number}"
        turn, thread = 0, ""
        while not self._over:
            # Threads with runs stay short: the scripted model would take recalled excerpts for its script.
            if not thread or (work != self._write and turn % _TURNS == 0):
                _, made = await self._client.ask("POST", "/threads", {}, self._client.key(name))
                thread = made["id"]
                self.threads.append(thread)
            turn += 1
            await work(name, thread, turn)

    def _expect(self, holds: object, promise: str) -> None:
        if not holds:
            self.broken.append(promise)

    async def _write(self, name: str, thread: str, turn: int) -> None:
        body = {"role": "user", "content": f"{name} {turn}"}
        status, message = await self._client.ask("POST", f"/threads/{thread}/messages", body, self._client.key(name))
        self._expect(status == 200, f"I8: {status} {message}")
        self.messages.setdefault(thread, []).append(message)
        self.counts["messages"] += 1

    async def _stream(self, name: str, thread: str, turn: int) -> None:
        watched, known = Watched(), {run["id"] for run in await self._client.all(f"/threads/{thread}/runs")}
        said = [{"role": "user", "content": TEXT}]
        body = {"assistant_id": self._assistant, "stream": True, "additional_messages": said}
        path, method = f"/threads/{thread}/runs", "POST"
        while not watched.done:
            try:
                async for ident, event, data in self._client.frames(method, path, body, watched.last):
                    watched.take(ident, event, data)
            except AWAY:
                await asyncio.sleep(_PAUSE)
            if watched.done:
                break
            self.counts["reconnects"] += 1
            run = watched.run or await self._unknown(thread, known)
            if run:
                path, method, body = f"/threads/{thread}/runs/{run}/events", "GET", None  # type: ignore[assignment]
        await self._check_stream(thread, watched)
        self.counts["streams"] += 1

    async def _unknown(self, thread: str, known: set[str]) -> str:
        """The run whose creation was not acknowledged, if it was made."""
        return next(
            (run["id"] for run in await self._client.all(f"/threads/{thread}/runs") if run["id"] not in known), ""
        )

    async def _check_stream(self, thread: str, watched: Watched) -> None:
        self.broken += watched.clash
        run = await self._client.get(f"/threads/{thread}/runs/{watched.run}")
        self._expect(run["status"] == "completed", f"I3: a streamed run is {run['status']}: {run['last_error']}")
        self._expect(watched.done == 1, f"I5: {watched.done} times [DONE]")
        for message in await self._answers(thread, run["id"]):
            text = _text(message)
            if message["status"] == "completed":
                self._expect(text == WORDS, f"I7: half a message is completed: {text!r}")
                shown = watched.texts.get(message["id"], "")
                self._expect(shown == text, f"I5: shown {shown!r}, stored {text!r}")
            else:
                self._expect(message["status"] == "incomplete", f"I7: a message is {message['status']} after the end")
                self._expect(WORDS.startswith(text), f"I7: {text!r}")

    async def _answers(self, thread: str, run: str) -> list[Json]:
        page = await self._client.get(f"/threads/{thread}/messages?limit=100&run_id={run}")
        return [message for message in page["data"] if message["role"] == "assistant"]

    async def _use_tools(self, name: str, thread: str, turn: int) -> None:
        body = {"assistant_id": self._assistant, "additional_messages": [{"role": "user", "content": CALLS}]}
        status, run = await self._client.ask("POST", f"/threads/{thread}/runs", body, self._client.key(name))
        self._expect(status == 200, f"I4, I6: {status} {run}")
        path = f"/threads/{thread}/runs/{run['id']}"
        run = await self._until(path, FINAL | {"requires_action"})
        self._expect(
            run["status"] == "requires_action", f"I3: a run with tools is {run['status']}: {run['last_error']}"
        )
        calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
        outputs = {"tool_outputs": [{"tool_call_id": call["id"], "output": "fine"} for call in calls]}
        status, answer = await self._client.ask("POST", f"{path}/submit_tool_outputs", outputs, self._client.key(name))
        self._expect(status == 200, f"I6: {status} {answer}")
        run = await self._until(path, FINAL)
        self._expect(
            run["status"] == "completed", f"I3: after its outputs a run is {run['status']}: {run['last_error']}"
        )
        steps = (await self._client.get(f"{path}/steps?limit=100&order=asc"))["data"]
        given = [
            call["function"]["output"]
            for step in steps
            for call in step["step_details"].get("tool_calls", [])
            if step["status"] == "completed"
        ]
        self._expect(given == ["fine", "fine"], f"I1: outputs are {given}")
        self.counts["tool_runs"] += 1

    async def _until(self, path: str, statuses: set[str]) -> Json:
        while (run := await self._client.get(path))["status"] not in statuses:
            await asyncio.sleep(0.03)
        return run

    async def _look_again(self) -> None:
        """I1, I2, I4, I6 over all that is stored."""
        for thread, acknowledged in self.messages.items():
            stored = await self._client.all(f"/threads/{thread}/messages")
            self._expect(stored == acknowledged, f"I1, I2, I6: {len(acknowledged)} told, {len(stored)} there")
        for thread in self.threads:
            found = await self._client.all(f"/threads/{thread}/runs")
            left = [run["status"] for run in found if run["status"] not in FINAL]
            self._expect(not left, f"I4: {left} after all")

    def figures(self) -> Json:
        starts = sorted(self._server.starts)
        return {
            "kills": len(starts) - 1,
            **self.counts,
            "answers": self._client.answers,
            "retries": self._client.retries,
            "start_seconds": {"median": round(statistics.median(starts), 2), "longest": round(starts[-1], 2)},
            "broken": self.broken[:20],
        }


def _text(message: Json) -> str:
    return "".join(part["text"]["value"] for part in message["content"])


async def storm(folder: Path, kills: int, seed: int) -> Storm:
    """A storm over an empty store; the server is gone when it returns."""
    folder.mkdir()
    server = Server(folder)
    await server.start()
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_read=20)) as session:
            made = Storm(server, session)
            await made.blow(kills, Random(seed))
            return made
    finally:
        await server.kill()
