"""The server's hand on the fork server: starts it, gives it orders, hears what ended.

The fork server is executed with an empty environment; when this process goes, its socket closes and it ends
every session. When the fork server goes, the sessions it left are killed from here.
"""

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from respun.sandbox.ports import NoSandbox

_BOOT: Final = (
    "import sys; sys.path.insert(0, sys.argv[2]); from respun.sandbox.warden import main; "
    "sys.path.remove(sys.argv[2]); main(int(sys.argv[3]))"
)
Order = Literal["wake", "rest", "interrupt"]


class Ended(msgspec.Struct, frozen=True):
    """A session is over: every process of its group is dead."""

    why: str
    status: int


class Ready(msgspec.Struct, frozen=True):
    """What the interpreter of the sessions has."""

    ready: tuple[str, ...]
    """Modules that were preloaded."""
    reachable: bool
    """Whether another user can read the interpreter and its packages."""
    folders: tuple[str, ...]
    """Where they are."""
    machine: str
    python: str
    watched: bool
    """Whether the kernel lists the children of a process."""


class Keeper:
    """Start it once; it can be started again after its fork server was lost (`alive`)."""

    def __init__(
        self, python: str | None, preload: Sequence[str], environ: Mapping[str, str], folder: str | None = None
    ) -> None:
        """`folder`: what the fork server removes if it outlives the server, which could not."""
        self._python = python or sys.executable
        self._given = json.dumps({"preload": list(preload), "environ": dict(environ), "folder": folder})
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: asyncio.Future[Ready] | None = None
        self._ended: dict[str, asyncio.Future[Ended]] = {}
        self._pids: dict[str, int] = {}

    @property
    def alive(self) -> bool:
        return self._control is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def pid_of(self, session: str) -> int | None:
        """Of a live session's first process, which is also its group."""
        return self._pids.get(session)

    async def start(self, seconds: float) -> Ready:
        """Raises `NoSandbox` if the fork server does not come up in time."""
        await self.stop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        source = str(Path(__file__).parents[2])
        argv = [self._python, "-I", "-B", "-X", "utf8", "-c", _BOOT, self._given, source, str(theirs.fileno())]
        try:
            self._process = _spawn(argv, theirs.fileno())
        except OSError as problem:
            ours.close()
            raise NoSandbox(f"the interpreter {self._python} does not start: {problem.strerror}") from None
        finally:
            theirs.close()
        self._control = ours
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        loop.add_reader(ours.fileno(), self._hear)
        try:
            return await asyncio.wait_for(self._ready, seconds)
        except TimeoutError:
            await self.stop()
            raise NoSandbox(f"the fork server was not ready within {seconds:g} seconds") from None

    def begin(self, session: str, order: Mapping[str, Any], fds: Sequence[int]) -> "asyncio.Future[Ended]":
        """Start a session's first process; the future is how it ended."""
        if self._control is None:
            raise NoSandbox("its fork server is gone")
        ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._ended[session] = ended
        packet = json.dumps({"do": "start", "session": session, **order}).encode()
        self._put(packet, fds)
        return ended

    def tell(self, session: str, order: Order) -> None:
        self._send({"do": order, "session": session})

    def kill(self, session: str, why: str) -> None:
        self._send({"do": "kill", "session": session, "why": why})

    async def stop(self) -> None:
        """End every session and the fork server."""
        importing = self._ready is not None and (not self._ready.done() or self._ready.cancelled())
        self._lost()
        if self._process is not None:
            process, self._process = self._process, None
            if importing:  # it has no sessions yet, and would look at its socket only in seconds
                process.kill()
            try:
                await asyncio.to_thread(process.wait, 5)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)

    def _send(self, order: Mapping[str, str]) -> None:
        self._put(json.dumps(order).encode(), ())

    def _put(self, packet: bytes, fds: Sequence[int]) -> None:
        try:
            while self._control is not None:
                try:
                    socket.send_fds(self._control, [packet], list(fds))
                    return
                except BlockingIOError:  # hundreds of orders wait: the fork server takes them in milliseconds
                    select.select([], [self._control], [], 1.0)
        except OSError:
            self._lost()

    def _hear(self) -> None:
        while self._control is not None:
            try:
                packet = self._control.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._lost()
                return
            self._take(json.loads(packet))

    def _take(self, event: dict[str, Any]) -> None:
        match event:
            case {"ready": _}:
                if self._ready is not None and not self._ready.done():
                    self._ready.set_result(msgspec.convert(event, Ready))
            case {"started": session, "pid": pid}:
                self._pids[session] = pid
            case {"ended": session, "why": why, "status": status}:
                self._pids.pop(session, None)
                ended = self._ended.pop(session, None)
                if ended is not None and not ended.done():
                    ended.set_result(Ended(why, status))

    def _lost(self) -> None:
        """The socket is closed from one side or the other: nothing that it started may live on."""
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(NoSandbox(f"the fork server ended at once: does {self._python} -I work?"))
        for pid in self._pids.values():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        self._pids.clear()
        for ended in self._ended.values():
            if not ended.done():
                ended.set_result(Ended("restarted", 0))
        self._ended.clear()


def _spawn(argv: Sequence[str], control: int) -> subprocess.Popen[bytes]:
    nothing = subprocess.DEVNULL
    return subprocess.Popen(  # noqa: S603 - the interpreter and our own code
        argv,
        env={},
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
        pass_fds=(control,),
        cwd="/",
        start_new_session=True,
    )
