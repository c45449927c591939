"""How a session is locked in: what the fork server is told for each back-end."""

import os
from typing import Any, Final, Protocol

from respun.sandbox.keeper import Ready
from respun.sandbox.ports import MOUNT, Limits
from respun.sandbox.room import Room

ENVIRON: Final = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Launch(Protocol):
    """How a session is locked in."""

    name: str
    preloads: bool

    def order(self, room: Room, limits: Limits, ready: Ready, preload: tuple[str, ...]) -> dict[str, Any]:
        """`argv`, `environ` and `kernel` for the fork server. `preload`: what a spare imports before it is used."""

    def shown(self, room: Room) -> str:
        """The path of the data as the code sees it."""


class ProcessLaunch:
    """Landlock, seccomp and limits on a fork of the preloaded fork server."""

    name = "process"
    preloads = True

    def __init__(self, linked: bool) -> None:
        self._linked = linked
        """/mnt/data leads to the working folder (the container image makes that link)."""

    def order(self, room: Room, limits: Limits, ready: Ready, preload: tuple[str, ...]) -> dict[str, Any]:
        kernel = {"folder": room.data, "rewrite": not self._linked, "images": limits.images, "image": limits.image}
        places = {"HOME": room.scratch, "TMPDIR": room.scratch, "MPLCONFIGDIR": f"{room.scratch}/mpl"}
        return {"argv": None, "environ": {**ENVIRON, **places}, "kernel": kernel}

    def shown(self, room: Room) -> str:
        return room.data


def mount_is_linked() -> bool:
    """Whether this machine or image has the link /mnt/data -> /proc/self/cwd."""
    try:
        return os.readlink(MOUNT) == "/proc/self/cwd"
    except OSError:
        return False
