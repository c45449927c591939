"""A session's room on this machine: its folder and user, which outlive the Python in it.

Also how a room is given back when a call filled it, and how its end is told.
"""

import asyncio
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from respun.sandbox import folder as files
from respun.sandbox import watch, wire
from respun.sandbox.keeper import Ended
from respun.sandbox.ports import FileInfo, Limits


@dataclass(slots=True)
class Room:
    """A session: what stays when its Python is killed."""

    name: str
    token: str
    folder: str
    user: int | None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One call at a time, and no files put while code runs."""
    python: "Python | None" = None
    closed: bool = False
    lost: str | None = None
    """Why the last Python ended, until the next call has told it."""
    before: dict[str, FileInfo] = field(default_factory=dict)

    @property
    def data(self) -> str:
        return f"{self.folder}/data"

    @property
    def scratch(self) -> str:
        return f"{self.folder}/tmp"  # noqa: S108


@dataclass(slots=True)
class Python:
    """The live end of a room: pipes, log and the news of its death."""

    link: wire.Link
    log: int
    ended: "asyncio.Future[Ended]"
    started: bool = False
    settling: "asyncio.Task[None] | None" = None
    """A cancelled call that is still being stopped."""


def make_private(folder: str, user: int | None, mode: int = 0o700) -> None:
    Path(folder).mkdir()
    os.chmod(folder, mode)  # mkdir's mode is cut by the umask
    if user is not None:
        os.chown(folder, user, user)


def unnamed_file(folder: str) -> int:
    path = f"{folder}/log"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    return fd


def shrink(room: Room, limits: Limits) -> None:
    """After a full disk: give back what the call made, so that the room can be used again."""
    for name, info in files.entries(room.data, 10 * limits.files).items():
        if room.before.get(name) != info:
            files.delete(room.data, name)
    kept = {name.split("/")[0] for name in room.before}
    for name in os.listdir(room.data):
        if name not in kept:
            files.delete_tree(f"{room.data}/{name}")
    files.delete_tree(room.scratch)
    if watch.too_much(room.folder, limits.disk, limits.files):
        files.delete_tree(room.data)
        make_private(room.data, room.user)


def reason(ended: Ended, limits: Limits) -> str:
    """Why a session is over, to be read by the model."""
    match ended.why:
        case "memory":
            return f"it used more than {limits.memory >> 20} MiB of memory"
        case "processes":
            return f"it had more than {limits.processes} processes"
        case "disk":
            return f"its files were larger than {limits.disk >> 20} MiB; those of this call were removed"
        case "files":
            return f"it had more than {limits.files} files; those of this call were removed"
        case "folders":
            return "its folders were too deep or unreadable; those of this call were removed"
        case "time":
            return f"the code did not stop within {limits.grace_seconds:g} seconds of being interrupted"
        case "reply":
            return "it broke the form of its answers"
        case "closed":
            return "it was closed"
        case "restarted":
            return "the sandbox was restarted"
        case _ if ended.status < 0:
            return f"its Python was ended by {signal.Signals(-ended.status).name}"
        case _:
            return f"its Python exited with status {ended.status}"
