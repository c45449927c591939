"""WebAssembly: a CPython with the scientific packages that has no way to the machine but two folders.

For systems without Landlock and user namespaces: macOS, Windows, some containers. The extra `wasm` brings it. Each
session is a process that holds one instance, so that a kill ends it whatever it does. What stops a call early ends
the instance: variables are lost where the other back-ends keep them.
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from respun.sandbox import still, wire
from respun.sandbox.ports import FileInfo, Image, NoSandbox, NoSession, Result, Settings

_COMPILING: Final = 1800.0  # seconds: the first start on a machine compiles 250 MB of code
_LOOK: Final = 0.2
_SLACK: Final = 5.0
_HERE: Final = Path(__file__).parent
_KEPT: Final = ("SYSTEMROOT",)  # Windows starts no process without it


class Said(msgspec.Struct, frozen=True):
    """What a worker tells of a turn."""

    logs: str
    truncated: bool
    ended: str | None
    failed: bool


class _Answer(msgspec.Struct, frozen=True):
    """What the guest left beside its files: written by whoever ran there, so nothing in it is trusted."""

    error: str | None = None
    images: int = 0


@dataclass(slots=True)
class _Room:
    folder: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    worker: Process | None = None
    closed: bool = False
    lost: str | None = None
    before: dict[str, FileInfo] = field(default_factory=dict)

    @property
    def data(self) -> str:
        return os.path.join(self.folder, "data")

    @property
    def answers(self) -> str:
        return os.path.join(self.folder, "answers")


class Wasm:
    """Make it, `await start()`, use it, `await aclose()`."""

    name = "wasm"

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._limits, self._clock = settings, settings.limits, clock
        self._folder = tempfile.mkdtemp(prefix="respun-sessions-", dir=settings.folder)
        self._rooms: dict[str, _Room] = {}

    async def start(self) -> None:
        """A minute or two the first time on a machine, when it is compiled; a second afterwards."""
        await self._make("start", _COMPILING)
        await self.close("start")

    def warm(self) -> None:
        """A session begins in about a second, and nothing can be kept ready for less than 70 MiB."""

    async def create(self, session: str) -> None:
        if session not in self._rooms:
            await self._make(session, self._limits.start_seconds)

    async def put(self, session: str, name: str, data: bytes) -> None:
        room = self._room(session)
        async with room.lock:
            await asyncio.to_thread(still.put, room.data, name, data)
            room.before = await self._files(room)

    async def list(self, session: str) -> tuple[FileInfo, ...]:
        room = self._room(session)
        async with room.lock:
            return tuple((await self._files(room)).values())

    async def get(self, session: str, name: str) -> bytes:
        room = self._room(session)
        async with room.lock:
            return await asyncio.to_thread(still.get, room.data, name, self._limits.file)

    async def renew(self, session: str) -> None:
        room = self._room(session)
        async with room.lock:
            await self._ensure(session, room)

    async def close(self, session: str) -> None:
        room = self._rooms.pop(session, None)
        if room is None:
            return
        room.closed = True
        if room.worker is not None:
            _kill(room.worker)
        async with room.lock:  # a call that runs ends now, and tells its caller why
            await self._bury(room)
        await asyncio.to_thread(shutil.rmtree, room.folder, ignore_errors=True)

    async def aclose(self) -> None:
        for session in tuple(self._rooms):
            await self.close(session)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def run(self, session: str, code: str, *, seconds: float | None = None) -> Result:
        """Cancelling this ends the session's Python; its files stay."""
        room = self._room(session)
        async with room.lock:
            worker = await self._ensure(session, room)
            restarted, room.lost = room.lost, None
            began = self._clock()
            most = seconds or self._limits.call_seconds
            try:
                said, why = await self._ask(room, worker, code, most)
            except asyncio.CancelledError:
                room.lost = "its run was cancelled"
                await self._bury(room)
                raise
            return await self._result(room, said, why, restarted, self._clock() - began)

    def pid_of(self, session: str) -> int | None:
        """The process of a live session, to measure it from outside."""
        worker = self._room(session).worker
        return None if worker is None else worker.pid

    def data_of(self, session: str) -> str:
        """The folder on this machine that holds the session's files."""
        return self._room(session).data

    async def _make(self, session: str, seconds: float) -> None:
        room = self._rooms[session] = _Room(tempfile.mkdtemp(dir=self._folder))
        try:
            os.mkdir(room.data)
            async with room.lock:
                await self._begin(room, seconds)
        except BaseException:
            await self.close(session)
            raise

    async def _ensure(self, session: str, room: _Room) -> Process:
        if room.closed:
            raise NoSession(session)
        if room.worker is not None and room.worker.returncode is None:
            return room.worker
        return await self._begin(room, self._limits.start_seconds)

    async def _begin(self, room: _Room, seconds: float) -> Process:
        await asyncio.to_thread(shutil.rmtree, room.answers, ignore_errors=True)
        os.mkdir(room.answers)
        limits = self._limits
        given: dict[str, Any] = {name: getattr(limits, name) for name in ("memory", "file", "logs", "images", "image")}
        given |= {"data": room.data, "answers": room.answers, "kernel": str(_HERE / "kernel.py")}
        given["cache"] = self._settings.cache
        argv = [sys.executable, "-I", "-B", "-X", "utf8", str(_HERE / "wasm_worker.py"), json.dumps(given)]
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        room.worker = await asyncio.create_subprocess_exec(
            *argv, stdin=PIPE, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL, env=kept, limit=2 * limits.logs + 65536
        )
        try:
            said = await asyncio.wait_for(_line(room.worker), seconds)
        except (TimeoutError, ValueError):
            said = b""
        except asyncio.CancelledError:
            await self._bury(room)
            raise
        if b'"ready": true' in said:
            return room.worker
        await self._bury(room)
        raise NoSandbox(f"a wasm session did not start{': ' + said.decode()[-300:] if said else ''}")

    async def _ask(self, room: _Room, worker: Process, code: str, seconds: float) -> tuple[Said | None, str]:
        """What the worker says of a turn; or nothing, and why the session was stopped."""
        assert worker.stdin is not None
        answer = os.path.join(room.answers, "answer.json")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(answer)
        with contextlib.suppress(ConnectionError):
            worker.stdin.write(json.dumps({"code": code, "seconds": seconds}).encode() + b"\n")
            await worker.stdin.drain()
        saying = asyncio.create_task(_line(worker))
        end = self._clock() + seconds + _SLACK
        try:
            while not (await asyncio.wait((saying,), timeout=_LOOK))[0]:
                disk, files = self._limits.disk, self._limits.files
                excess = await asyncio.to_thread(still.too_much, room.folder, disk, files)
                if excess or self._clock() > end:
                    return None, excess or "deadline"
            return msgspec.json.decode(saying.result(), type=Said), ""
        except (ValueError, msgspec.DecodeError):
            return None, "exit"
        finally:
            saying.cancel()

    async def _result(self, room: _Room, said: Said | None, why: str, restarted: str | None, seconds: float) -> Result:
        lost = self._why(room, said, why)
        answer, images = (_Answer(), ()) if lost or said is None else self._answer(room)
        error = answer.error
        if lost is None and said is not None and said.failed:
            lost = "it broke the form of its answers"
        if lost:
            room.lost, error = lost, f"The code did not finish: {lost}."
            await self._bury(room)
            if why in ("disk", "files"):
                await asyncio.to_thread(self._shrink, room)
        after = await self._files(room)
        before, room.before = room.before, after
        return Result(
            logs=base64.b64decode(said.logs).decode("utf-8", "replace") if said else "",
            truncated=said.truncated if said else False,
            error=error[:8192] if error else None,
            images=images,
            changed=tuple(info for name, info in after.items() if before.get(name) != info),
            removed=tuple(name for name in before if name not in after),
            timed_out=(said.ended if said else why) == "deadline",
            session_lost=lost,
            restarted=restarted,
            seconds=seconds,
        )

    def _why(self, room: _Room, said: Said | None, why: str) -> str | None:
        """Why the session is over, to be read by the model; None if it goes on."""
        if room.closed:
            return "it was closed"
        match why or (said.ended if said else ""):
            case "disk":
                return f"its files were larger than {self._limits.disk >> 20} MiB; those of this call were removed"
            case "files":
                return f"it had more than {self._limits.files} files; those of this call were removed"
            case "deadline":
                return "the code ran too long, and this sandbox cannot interrupt code without ending its session"
            case None:
                return None
            case other:
                return f"its Python ended ({other})"

    def _answer(self, room: _Room) -> tuple[_Answer, tuple[Image, ...]]:
        try:
            answer = msgspec.json.decode(still.get(room.answers, "answer.json", 1 << 20), type=_Answer)
            names = [f"{place}.png" for place in range(min(answer.images, self._limits.images))]
            found = [
                wire.checked(still.get(room.answers, name, self._limits.image), self._limits.image) for name in names
            ]
        except Exception:  # whatever the guest left there
            return _Answer("The code did not answer in the form of its session."), ()
        return answer, tuple(image for image in found if image is not None)

    def _shrink(self, room: _Room) -> None:
        """After a full disk: give back what the call made, so that the room can be used again."""
        for name, info in still.entries(room.data, sys.maxsize).items():
            if room.before.get(name) != info:
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(room.data, name))
        if still.too_much(room.data, self._limits.disk, self._limits.files):
            shutil.rmtree(room.data, ignore_errors=True)
            os.makedirs(room.data, exist_ok=True)

    async def _bury(self, room: _Room) -> None:
        worker, room.worker = room.worker, None
        if worker is not None:
            _kill(worker)
            await worker.wait()

    async def _files(self, room: _Room) -> dict[str, FileInfo]:
        return await asyncio.to_thread(still.entries, room.data, self._limits.files)

    def _room(self, session: str) -> _Room:
        room = self._rooms.get(session)
        if room is None:
            raise NoSession(session)
        return room


async def _line(worker: Process) -> bytes:
    assert worker.stdout is not None
    return await worker.stdout.readline()


def _kill(worker: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        worker.kill()
