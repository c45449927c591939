"""Sessions on this machine: the `process` and the `bwrap` back-end, which differ in how a session is locked in.

A session is a room (its folder, its user) that outlives the Python in it: after a kill the next call starts a
Python again, with the files and without the variables.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from respun.sandbox import folder as files
from respun.sandbox import wire
from respun.sandbox.keeper import Ended, Keeper, Ready
from respun.sandbox.launch import ENVIRON, Launch
from respun.sandbox.ports import MOUNT, FileInfo, NoSandbox, NoSession, Result, Settings
from respun.sandbox.room import Python, Room, make_private, reason, shrink, unnamed_file

_MANY: Final = 200  # files; from here on a listing leaves the event loop


class Opened(NamedTuple):
    python: Python
    first: "asyncio.Future[wire.Finished]"


class Local:
    """Make it, `await start()`, use it, `await aclose()`."""

    def __init__(
        self, settings: Settings, launch: Launch, *, own_users: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = launch.name
        self._settings, self._limits, self._launch, self._clock = settings, settings.limits, launch, clock
        self._own_users = own_users
        self._made_folder = settings.folder is None
        self._folder = settings.folder or tempfile.mkdtemp(prefix="respun-sessions-")
        self._rooms: dict[str, Room] = {}
        self._spares: list[Room] = []
        self._refilling: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()  # one start of the fork server at a time
        self._ready: Ready | None = None
        environ = {**ENVIRON, "MPLCONFIGDIR": f"{self._folder}/cache", "HOME": "/nonexistent"}
        preload = settings.preload if launch.preloads else ()
        self._keeper = Keeper(settings.python, preload, environ, self._folder if self._made_folder else None)

    async def start(self) -> Ready:
        """Bring the fork server up; seconds the first time, while it imports the packages."""
        async with self._starting:
            if self._ready is None or not self._keeper.alive:
                await asyncio.to_thread(_clear, self._folder, 2 * self._settings.life_seconds)
                os.chmod(self._folder, 0o711 if self._own_users else 0o700)
                self._ready = await self._keeper.start(self._limits.start_seconds)
                self._refuse_unsafe(self._ready)
            return self._ready

    async def create(self, session: str) -> None:
        if session in self._rooms:
            return
        if self._spares:
            room = self._spares.pop()
            room.name = session
            self._rooms[session] = room
        else:
            await self._make(session, ())
        self.warm()

    async def _make(self, session: str, preload: tuple[str, ...]) -> None:
        token = os.urandom(8).hex()
        room = Room(session, token, f"{self._folder}/{token}", self._free_user())
        self._rooms[session] = room
        try:
            make_private(room.folder, None, 0o711 if room.user is not None else 0o700)
            make_private(room.data, room.user)
            async with room.lock:
                await self._begin(room, preload)
        except BaseException:
            await self.close(session)
            raise

    def warm(self) -> None:
        """As many spares as there should be, one after another."""
        if self._launch.preloads or not self._settings.preload or (self._refilling and not self._refilling.done()):
            return
        if len(self._spares) < self._settings.spares:
            self._refilling = asyncio.create_task(self._make_spares())

    async def _make_spares(self) -> None:
        with contextlib.suppress(NoSandbox, OSError):  # the next session is made without one, and says what is wrong
            while len(self._spares) < self._settings.spares:
                name = f"spare {len(self._spares)}"
                await self._make(name, self._settings.preload)
                self._spares.append(self._rooms.pop(name))

    async def put(self, session: str, name: str, data: bytes) -> None:
        room = self._room(session)
        async with room.lock:
            await asyncio.to_thread(files.put, room.data, name, data, room.user)
            room.before = await self._files(room)

    async def list(self, session: str) -> tuple[FileInfo, ...]:
        return tuple((await self._files(self._room(session))).values())

    async def get(self, session: str, name: str) -> bytes:
        return await asyncio.to_thread(files.get, self._room(session).data, name, self._limits.file)

    async def renew(self, session: str) -> None:
        room = self._room(session)
        async with room.lock:
            await self._ensure(room)

    async def close(self, session: str) -> None:
        room = self._rooms.pop(session, None)
        if room is None:
            return
        room.closed = True
        self._keeper.kill(room.token, "closed")
        async with room.lock:  # a call that runs ends now, and tells its caller why
            if room.python is not None and room.python.settling is not None:
                await room.python.settling
            if room.python is not None:
                await self._bury(room, room.python, "closed")
        await asyncio.to_thread(files.delete_tree, room.folder)

    async def aclose(self) -> None:
        if self._refilling is not None:
            self._refilling.cancel()
            await asyncio.wait((self._refilling,))
        self._rooms.update({f"spare {room.token}": room for room in self._spares})
        self._spares.clear()
        for session in tuple(self._rooms):
            await self.close(session)
        await self._keeper.stop()
        if self._made_folder:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def run(self, session: str, code: str, *, seconds: float | None = None) -> Result:
        """Cancelling this interrupts the code; its variables stay if it stops within the grace time."""
        room = self._room(session)
        async with room.lock:
            python = await self._ensure(room)
            restarted, room.lost = room.lost, None
            began = self._clock()
            os.ftruncate(python.log, 0)
            self._keeper.tell(room.token, "wake")
            answer = python.link.ask(code)
            try:
                timed_out = await self._wait(room, python, answer, seconds or self._limits.call_seconds)
            except asyncio.CancelledError:
                python.settling = asyncio.create_task(self._settle(room, python, answer))
                raise
            return await self._result(room, python, answer, restarted, timed_out, self._clock() - began)

    def pid_of(self, session: str) -> int | None:
        """The first process of a live session, to measure it from outside."""
        return self._keeper.pid_of(self._room(session).token)

    def user_of(self, session: str) -> int | None:
        """The user id of a session; None where it is the server's."""
        return self._room(session).user

    def data_of(self, session: str) -> str:
        """The folder on this machine that holds the session's files."""
        return self._room(session).data

    @property
    def spares(self) -> int:
        """Sessions that are ready for the next thread."""
        return len(self._spares)

    @property
    def server_pid(self) -> int:
        """The fork server's."""
        return self._keeper.pid

    async def _wait(self, room: Room, python: Python, answer: "asyncio.Future[wire.Finished]", seconds: float) -> bool:
        """Until the call is answered or the session over. True if it took too long."""
        either = (answer, python.ended)
        if (await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED))[0]:
            return False
        self._keeper.tell(room.token, "interrupt")
        grace = self._limits.grace_seconds
        if not (await asyncio.wait(either, timeout=grace, return_when=asyncio.FIRST_COMPLETED))[0]:
            self._keeper.kill(room.token, "time")
            await asyncio.wait((python.ended,))
        return True

    async def _settle(self, room: Room, python: Python, answer: "asyncio.Future[wire.Finished]") -> None:
        """After a cancelled call: interrupt it, and make the room usable again either way."""
        await self._wait(room, python, answer, 0)
        if wire.given(answer) is None:
            room.lost = reason(await self._bury(room, python, "time"), self._limits)
        else:
            self._keeper.tell(room.token, "rest")

    async def _result(
        self,
        room: Room,
        python: Python,
        answer: "asyncio.Future[wire.Finished]",
        restarted: str | None,
        timed_out: bool,
        seconds: float,
    ) -> Result:
        logs, truncated = self._logs(room, python)
        finished, lost = wire.given(answer), None
        if finished is not None:
            self._keeper.tell(room.token, "rest")
            error = self._as_mounted(room, finished.answer.error or "")[:8192] or None
        else:
            ended = await self._bury(room, python, "reply" if answer.done() else "exit")
            lost = room.lost = reason(ended, self._limits)
            error = f"The code did not finish: {lost}."
            if ended.why in ("disk", "files", "folders"):
                await asyncio.to_thread(shrink, room, self._limits)
        if timed_out and finished is not None:
            error = f"{error or ''}\nThe code ran too long and was interrupted; its variables are kept.".lstrip()
        images = [wire.checked(data, self._limits.image) for data in finished.images] if finished else []
        after = await self._files(room)
        changed = tuple(info for name, info in after.items() if room.before.get(name) != info)
        removed = tuple(name for name in room.before if name not in after)
        room.before = after
        return Result(
            logs=logs,
            truncated=truncated,
            error=error,
            images=tuple(image for image in images[: self._limits.images] if image is not None),
            changed=changed,
            removed=removed,
            timed_out=timed_out,
            session_lost=lost,
            restarted=restarted,
            seconds=seconds,
        )

    async def _ensure(self, room: Room) -> Python:
        """The room's Python, started if it is gone."""
        if room.closed:
            raise NoSession(room.name)
        if room.python is not None and room.python.settling is not None:
            settling, room.python.settling = room.python.settling, None
            await settling
        if room.python is not None and room.python.started and not room.python.ended.done():
            return room.python
        if room.python is not None:
            room.lost = reason(await self._bury(room, room.python, "closed"), self._limits)
        return await self._begin(room)

    async def _begin(self, room: Room, preload: tuple[str, ...] = ()) -> Python:
        ready = await self.start()
        await asyncio.to_thread(files.delete_tree, room.scratch)
        make_private(room.scratch, room.user)
        limits = self._limits
        bounds = {name: getattr(limits, name) for name in ("memory", "processes", "file", "disk", "files")}
        order = {**self._launch.order(room, limits, ready, preload), **bounds, "user": room.user}
        order |= {"folder": room.folder, "writable": [room.data, room.scratch]}
        python, first = await self._open(room, order)
        await asyncio.wait((first, python.ended), timeout=limits.start_seconds, return_when=asyncio.FIRST_COMPLETED)
        said = wire.given(first)
        if said is not None and said.answer.ready:
            self._keeper.tell(room.token, "rest")
            python.started = True
            return python
        why = (said.answer.failed if said is not None else self._logs(room, python)[0]) or "it ended at once"
        await self._bury(room, python, "exit")
        raise NoSandbox(f"a {self.name} session did not start: {why.strip()[-300:]}")

    async def _open(self, room: Room, order: dict[str, Any]) -> Opened:
        requests, ask = os.pipe()
        answers, answer = os.pipe()
        log = unnamed_file(room.folder)
        try:
            ended = self._keeper.begin(room.token, order, (requests, answer, log))
        except BaseException:
            for fd in (ask, answers, log):
                os.close(fd)
            raise
        finally:
            os.close(requests)
            os.close(answer)
        room.python = Python(wire.Link(self._most()), log, ended)
        return Opened(room.python, await room.python.link.open(ask, answers))

    async def _bury(self, room: Room, python: Python, why: str) -> Ended:
        self._keeper.kill(room.token, why)
        ended = await python.ended
        if room.python is python:
            room.python = None
            await python.link.close()
            os.close(python.log)
        return ended

    def _logs(self, room: Room, python: Python) -> tuple[str, bool]:
        data = os.pread(python.log, self._limits.logs, 0)
        text = self._as_mounted(room, data.decode("utf-8", "replace"))
        return text, os.fstat(python.log).st_size > self._limits.logs

    def _as_mounted(self, room: Room, text: str) -> str:
        return text.replace(self._launch.shown(room), MOUNT)

    async def _files(self, room: Room) -> dict[str, FileInfo]:
        if len(room.before) > _MANY:
            return await asyncio.to_thread(files.entries, room.data, self._limits.files)
        return files.entries(room.data, self._limits.files)

    def _most(self) -> int:
        return self._limits.images * self._limits.image + (1 << 20)

    def _free_user(self) -> int | None:
        if not self._own_users:
            return None
        taken = {room.user for room in (*self._rooms.values(), *self._spares)}
        first = self._settings.first_user
        return next(user for user in range(first, first + len(taken) + 1) if user not in taken)

    def _refuse_unsafe(self, ready: Ready) -> None:
        if not ready.watched:
            raise NoSandbox(
                "this system does not list the children of a process (CONFIG_PROC_CHILDREN, a mounted /proc), "
                "without which a session's memory and processes cannot be limited"
            )
        if self._own_users and not ready.reachable:
            raise NoSandbox("its interpreter cannot be read by other users, which sessions of their own user need")

    def _room(self, session: str) -> Room:
        room = self._rooms.get(session)
        if room is None:
            raise NoSession(session)
        return room


def _clear(folder: str, seconds: float) -> None:
    """Remove what a server that was killed left in its folder, and touch the cache that outlives servers."""
    os.makedirs(f"{folder}/cache", exist_ok=True)
    os.utime(f"{folder}/cache")
    now = os.stat(f"{folder}/cache").st_mtime
    for entry in tuple(os.scandir(folder)):
        if entry.name != "cache" and now - entry.stat(follow_symlinks=False).st_mtime > seconds:
            files.delete_tree(entry.path)
