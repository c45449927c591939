"""Lock the door from inside: what a forked child does, once, before it runs a line of the model's code.

The order matters: limits and user first, while they can still be set; then no new privileges, Landlock, seccomp.
Anything that fails raises, and the child ends: a session is confined or does not exist.
"""

import ctypes
import os
import platform
import resource
import struct
import sys
import sysconfig
from dataclasses import dataclass
from typing import Final, cast

from respun.sandbox import landlock, seccomp

_SYSTEM: Final = (
    *("/usr", "/bin", "/lib", "/lib64", "/dev/urandom", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types"),
    *("/etc/fonts", "/etc/ssl/openssl.cnf"),
)
_ADDRESS_SPACE: Final = 4  # times the memory limit: OpenBLAS and threads reserve far more than they use
_PDEATHSIG, _CAPBSET_DROP, _SIGKILL = 1, 24, 9


@dataclass(frozen=True, slots=True)
class Cell:
    """The bounds of one session, as the fork server is told them."""

    writable: tuple[str, ...]
    """The folders of its files. Not the one above them, where code could put a link in their place."""
    user: int | None
    """A user id of its own; None keeps the server's."""
    memory: int
    processes: int
    file: int


def confine(cell: Cell) -> None:
    """Process back-end: after this, only `cell.writable` can be written and only the system and Python read."""
    limit(cell)
    become(cell.user)
    die_with_parent()
    enforced = landlock.restrict([*_SYSTEM, *python_folders()], [*cell.writable, "/dev/null"])
    seccomp.load(seccomp.program(machine(), signals_of=None if enforced.signals else os.getpid()))


def machine() -> seccomp.Machine:
    name = platform.machine()
    if name not in ("x86_64", "aarch64"):
        raise OSError(f"no system call filter for {name}, only for x86_64 and aarch64")
    return cast(seccomp.Machine, name)


def python_folders() -> list[str]:
    """Where this interpreter and its packages live."""
    base = os.path.realpath(sys.base_prefix)
    known = sysconfig.get_paths()
    paths = [known[name] for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")]
    paths += [f"{base}/lib", f"{base}/bin", f"{sys.prefix}/lib", f"{sys.prefix}/lib64", f"{sys.prefix}/pyvenv.cfg"]
    paths += [os.path.dirname(sys.executable)]
    return sorted({path for path in paths if path.count("/") > 1 and os.path.exists(path)})


def reachable_by_others(path: str) -> bool:
    """Whether a process of another user can get to this file or folder."""
    path = os.path.realpath(path)
    while path != "/":
        if not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True


def limit(cell: Cell) -> None:
    space = cell.memory * _ADDRESS_SPACE
    bounds = {
        resource.RLIMIT_AS: space,
        resource.RLIMIT_FSIZE: cell.file,
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 1 << 20,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if cell.user is not None:  # otherwise the server's own processes would count; the watcher counts instead
        bounds[resource.RLIMIT_NPROC] = cell.processes
    for which, value in bounds.items():
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def become(user: int | None) -> None:
    """Another user where one is given; in any case no capability is left."""
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    drop_capabilities()


def drop_capabilities() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)  # refused without CAP_SETPCAP, where it is not needed
    head = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0))
    if libc.capset(head, ctypes.create_string_buffer(24)):
        raise OSError(ctypes.get_errno(), "cannot drop capabilities")


def die_with_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
