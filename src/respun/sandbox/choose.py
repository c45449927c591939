"""Which back-end holds on this machine: each candidate is started and attacked, the first that holds is used.

There is no unconfined candidate. Where none holds, `choose` refuses with one sentence that names what is missing.
"""

import os
import platform
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from respun.sandbox import selftest
from respun.sandbox.ports import NoSandbox, Sandbox, Settings

if TYPE_CHECKING:
    from respun.sandbox.local import Local

_MACHINES: Final = ("x86_64", "aarch64")


class Finding(Struct, frozen=True):
    """What the self-test said of one candidate, for `respun doctor`."""

    name: str
    holds: bool
    reason: str
    """Empty if it holds."""
    seconds: float


async def choose(settings: Settings, clock: Callable[[], float] = time.monotonic) -> Sandbox:
    """The first back-end that holds, started. Close it with `aclose()`. Raises `NoSandbox`."""
    findings = []
    for candidate in _candidates(settings):
        sandbox, finding = await _try(candidate, clock)
        if sandbox is not None:
            return sandbox
        findings.append(finding)
    raise NoSandbox(_because(findings))


async def examine(settings: Settings, clock: Callable[[], float] = time.monotonic) -> tuple[Finding, ...]:
    """Try every candidate, for `respun doctor`. Nothing is left running."""
    findings = []
    for candidate in _candidates(settings):
        sandbox, finding = await _try(candidate, clock)
        findings.append(finding)
        if sandbox is not None:
            await sandbox.aclose()
    return tuple(findings)


class Candidate(Struct, frozen=True):
    name: str
    settings: Settings
    own_users: bool
    missing: str | None = None
    """Why it cannot even be started."""
    binary: str = ""


def _candidates(settings: Settings) -> list[Candidate]:
    if sys.platform != "linux":
        return [Candidate("process", settings, False, f"sessions need Linux, this is {sys.platform}")]
    if platform.machine() not in _MACHINES:
        wrong = f"sessions need {' or '.join(_MACHINES)}, this is {platform.machine()}"
        return [Candidate("process", settings, False, wrong)]
    from respun.sandbox import bwrap

    own = settings.own_users and os.geteuid() == 0 and _interpreter_reachable(settings)
    binary = bwrap.find(settings.bwrap)
    missing = None if binary else "bubblewrap is not installed (pip install 'respun[sandbox]')"
    found = [
        Candidate("bwrap", settings, own, missing, binary or ""),
        Candidate("process", settings, own),
    ]
    if own:
        found.append(Candidate("process without own users", settings, False))
    return [candidate for candidate in found if settings.backend in ("auto", candidate.name.split()[0])]


def _interpreter_reachable(settings: Settings) -> bool:
    """Users of their own are of no use if they cannot read the interpreter. Another one is asked when it runs."""
    from respun.sandbox import confine

    if settings.python is not None:
        return True
    return all(map(confine.reachable_by_others, [sys.executable, *confine.python_folders()]))


async def _try(candidate: Candidate, clock: Callable[[], float]) -> tuple[Sandbox | None, Finding]:
    from respun.sandbox.bwrap import BwrapLaunch
    from respun.sandbox.launch import ProcessLaunch, mount_is_linked
    from respun.sandbox.local import Local

    began = clock()
    if candidate.missing:
        return None, Finding(candidate.name, False, candidate.missing, 0.0)
    launch = BwrapLaunch(candidate.binary) if candidate.binary else ProcessLaunch(mount_is_linked())
    sandbox = Local(candidate.settings, launch, own_users=candidate.own_users, clock=clock)
    try:
        reason = await _attack(sandbox, candidate)
    except BaseException:
        await sandbox.aclose()
        raise
    finding = Finding(candidate.name, not reason, reason, clock() - began)
    if finding.holds:
        return sandbox, finding
    await sandbox.aclose()
    return None, finding


async def _attack(sandbox: "Local", candidate: Candidate) -> str:
    """Why it does not hold, or nothing."""
    try:
        await sandbox.start()
        through = await selftest.leaks(sandbox, candidate.settings.first_user if candidate.own_users else None)
    except NoSandbox as problem:
        return problem.reason
    except OSError as problem:
        return str(problem)
    return "; ".join(f"it lets code {probe.name} (should be stopped by {probe.layer})" for probe in through)


def _because(findings: list[Finding]) -> str:
    return ", and ".join(f"{finding.name} does not hold: {finding.reason}" for finding in findings) + "."
