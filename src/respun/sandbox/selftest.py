"""Twelve attempts to leave a session, made on this machine before the tool is offered.

Each runs as the model's code would, against a canary set up for it: a file, a socket, a process with a secret. A
back-end is used only if every attempt is refused, so a kernel that lacks a feature is found out by what it lets
through, not by its version number.
"""

# ruff: noqa: ASYNC240 - a handful of system calls, before the tool is offered

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from respun.sandbox.ports import Result, Sandbox

_SECRET: Final = "canary-0f3c9a"  # noqa: S105


class Probe(Struct, frozen=True):
    """`code` gets through if it reaches its end; `layer` is what should have stopped it."""

    name: str
    layer: str
    code: str


_LEAVE: Final = """\
pid = os.fork()
if pid == 0:
    try: os.setsid()
    except OSError: os._exit(1)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0"""

PROBES: Final = (
    Probe("read a file of the host", "Landlock or mount namespace", "assert 'canary' in open(CANARY).read()"),
    Probe("write next to it", "Landlock or mount namespace", "open(FOLDER + '/made', 'w').write('x')"),
    Probe(
        "read through a link in /mnt/data",
        "Landlock or mount namespace",
        "os.symlink(CANARY, 'link'); assert 'canary' in open('link').read()",
    ),
    Probe("change the mode of a file of the host", "seccomp", "os.chmod(CANARY, 0o600); assert False"),
    Probe("connect to a port of the host", "seccomp", "socket.create_connection(('127.0.0.1', PORT), 1)"),
    Probe("connect to a socket file", "seccomp", "socket.socket(socket.AF_UNIX).connect(SOCKET)"),
    Probe(
        "send to a socket file from a pair",
        "seccomp",
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', DATAGRAM)",
    ),
    Probe(
        "find a secret in an environment",
        "Landlock or process namespace",
        "found = b''\n"
        "for pid in os.listdir('/proc'):\n"
        "    if pid.isdigit():\n"
        "        try: found += open(f'/proc/{pid}/environ', 'rb').read()\n"
        "        except OSError: pass\n"
        "assert SECRET in found",
    ),
    Probe("signal a process of the host", "Landlock or process namespace", "os.kill(PID, 15); assert False"),
    Probe("trace a process of the host", "seccomp", "assert libc.ptrace(16, PID, 0, 0) == 0"),
    Probe("make a user namespace", "seccomp", "assert libc.unshare(0x10000000) == 0"),
    Probe("leave the session's process group", "seccomp", _LEAVE),
)

_TRY: Final = """\
try:
    import ctypes, os, socket
    libc = ctypes.CDLL(None, use_errno=True)
{body}
    print("OPEN")
except BaseException as problem:
    print("HELD", repr(problem))
"""


class Canary(Struct, frozen=True):
    """What the attempts aim at; each is reachable for an unconfined process."""

    folder: str
    port: int
    pid: int
    alive: Callable[[], bool]
    """Whether the process is still there."""

    @property
    def file(self) -> Path:
        return Path(self.folder, "canary")

    def names(self) -> str:
        """The lines that tell a probe its targets."""
        pairs = {
            "CANARY": str(self.file),
            "FOLDER": self.folder,
            "SOCKET": f"{self.folder}/socket",
            "DATAGRAM": f"{self.folder}/datagram",
            "PORT": self.port,
            "PID": self.pid,
            "SECRET": _SECRET.encode(),
        }
        return "".join(f"{name} = {value!r}\n" for name, value in pairs.items())


async def leaks(sandbox: Sandbox, user: int | None = None) -> tuple[Probe, ...]:
    """The probes that got through. `user`: whose file the canary is, where sessions have users of their own."""
    found = []
    async with canary(user) as target:
        before = target.file.stat()
        await sandbox.create("self-test")
        try:
            for probe in PROBES:
                result = await sandbox.run("self-test", target.names() + attempt(probe.code), seconds=5)
                found += [] if _held(result) else [probe]
            found += await _seen_outside(target, before)
        finally:
            await sandbox.close("self-test")
    return tuple(dict.fromkeys(found))


def attempt(code: str) -> str:
    """Code that prints OPEN if `code` reaches its end and HELD if anything stops it."""
    return _TRY.format(body="".join(f"    {line}\n" for line in code.splitlines()))


@contextlib.asynccontextmanager
async def canary(user: int | None) -> AsyncIterator[Canary]:
    with tempfile.TemporaryDirectory(prefix="respun-canary-") as folder, contextlib.ExitStack() as closing:
        os.chmod(folder, 0o777)  # noqa: S103 - the walls must hold without help from file modes
        file = Path(folder, "canary")
        file.write_text(_SECRET)
        file.chmod(0o644)
        if user is not None:
            os.chown(file, user, user)
        server = closing.enter_context(socket.create_server(("127.0.0.1", 0)))
        if hasattr(socket, "AF_UNIX"):
            for name, kind in (("socket", socket.SOCK_STREAM), ("datagram", socket.SOCK_DGRAM)):
                closing.enter_context(_unix_socket(f"{folder}/{name}", kind))
        waiting = _sleeper(user)
        try:
            yield Canary(folder, server.getsockname()[1], waiting.pid, lambda: waiting.poll() is None)
        finally:
            waiting.kill()
            waiting.wait()


def _unix_socket(path: str, kind: socket.SocketKind) -> socket.socket:
    unix = socket.socket(socket.AF_UNIX, kind)
    unix.bind(path)
    os.chmod(path, 0o777)  # noqa: S103
    if kind == socket.SOCK_STREAM:
        unix.listen()
    return unix


def _sleeper(user: int | None) -> "subprocess.Popen[bytes]":
    if os.path.exists("/bin/sleep"):
        return subprocess.Popen(["/bin/sleep", "600"], env={"SECRET": _SECRET}, user=user)
    code = "import time; time.sleep(600)"
    return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "SECRET": _SECRET})  # noqa: S603


def _held(result: Result) -> bool:
    # A probe that asserts False at its end was let through without an error: only the outside can tell.
    return "OPEN" not in result.logs and "HELD" in result.logs


async def _seen_outside(target: Canary, before: os.stat_result) -> list[Probe]:
    by_name = {probe.name: probe for probe in PROBES}
    found = []
    after = target.file.stat()
    if (after.st_mode, after.st_mtime_ns) != (before.st_mode, before.st_mtime_ns):
        found.append(by_name["change the mode of a file of the host"])
    if Path(target.folder, "made").exists():
        found.append(by_name["write next to it"])
    await asyncio.sleep(0.01)
    if not target.alive():
        found.append(by_name["signal a process of the host"])
    return found
