"""Which back-end holds on this machine: each candidate is started and attacked, the first that holds is used.

There is no unconfined candidate. Where none holds, `choose` refuses with one sentence that names what is missing.
"""

import time
from collections.abc import Callable

from msgspec import Struct

from respun.sandbox import selftest
from respun.sandbox.candidates import Candidate, Startable, candidates
from respun.sandbox.ports import NoSandbox, Sandbox, Settings


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
    for candidate in candidates(settings):
        sandbox, finding = await _try(candidate, clock)
        if sandbox is not None:
            return sandbox
        findings.append(finding)
    raise NoSandbox(_because(findings))


async def examine(settings: Settings, clock: Callable[[], float] = time.monotonic) -> tuple[Finding, ...]:
    """Try every candidate, for `respun doctor`. Nothing is left running."""
    findings = []
    for candidate in candidates(settings):
        sandbox, finding = await _try(candidate, clock)
        findings.append(finding)
        if sandbox is not None:
            await sandbox.aclose()
    return tuple(findings)


async def _try(candidate: Candidate, clock: Callable[[], float]) -> tuple[Sandbox | None, Finding]:
    began = clock()
    if candidate.missing:
        return None, Finding(candidate.name, False, candidate.missing, 0.0)
    sandbox = candidate.make(clock)
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


async def _attack(sandbox: Startable, candidate: Candidate) -> str:
    """Why it does not hold, or nothing."""
    try:
        await sandbox.start()
        through = await selftest.leaks(sandbox, candidate.user) if candidate.ours else ()
    except NoSandbox as problem:
        return problem.reason
    except OSError as problem:
        return str(problem)
    return "; ".join(f"it lets code {probe.name} (should be stopped by {probe.layer})" for probe in through)


def _because(findings: list[Finding]) -> str:
    return ", and ".join(f"{finding.name} does not hold: {finding.reason}" for finding in findings) + "."
