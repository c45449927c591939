"""No attempt gets out of a session, whatever the back-end: see `probes.py`."""

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from respun.sandbox import selftest
from respun.sandbox.local import Local
from sandbox import probes

pytestmark = pytest.mark.asyncio(loop_scope="module")

_IMPORTS = "import ctypes, fcntl, os, resource, socket, subprocess, time\nlibc = ctypes.CDLL(None, use_errno=True)\n"


class Target(NamedTuple):
    canary: selftest.Canary
    names: str
    outside: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target(sandbox: Local, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """Another session with a secret, and a canary that belongs to the user of the attacking session."""
    await sandbox.create("attacker")
    await sandbox.create("other")
    await sandbox.put("other", "secret.txt", b"other")
    outside = Path("/tmp") / f"respun-probe-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as abstract:
        name = f"\0respun-{os.getpid()}-{sandbox.server_pid}"
        abstract.bind(name)
        abstract.listen()
        async with selftest.canary(sandbox.user_of("attacker")) as canary:
            given = {
                "OTHER": sandbox.data_of("other"),
                "SERVER": os.getpid(),
                "OUTSIDE": str(outside),
                "ABSTRACT": name,
            }
            names = canary.names() + "".join(f"{key} = {value!r}\n" for key, value in given.items())
            yield Target(canary, names, outside)


def state_of(target: Target) -> dict[str, object]:
    """Everything outside that a probe might have changed."""
    file = target.canary.file
    what = file.stat()
    pid = target.canary.pid
    return {
        "canary": (file.read_bytes(), what.st_mode, what.st_mtime_ns, what.st_uid, os.listxattr(file)),
        "folder": sorted(os.listdir(target.canary.folder)),
        "outside": target.outside.exists(),
        "process": Path(f"/proc/{pid}/stat").read_text().split()[2] in "SR",
        "limits": Path(f"/proc/{pid}/limits").read_text(),
        "priority": os.getpriority(os.PRIO_PROCESS, pid),
        "processors": os.sched_getaffinity(pid),
        "library": os.stat(os.__file__).st_mode,
    }


@pytest.mark.parametrize("probe", probes.PROBES, ids=lambda probe: probe.name)
async def test_an_attempt_to_get_out_or_to_take_too_much_fails(
    sandbox: Local, target: Target, probe: probes.Attack
) -> None:
    before = state_of(target)
    await sandbox.create("attacker")
    code = _IMPORTS + target.names + selftest.attempt(probe.code)
    result = await sandbox.run("attacker", code, seconds=ENDLESS.get(probe.name, 20.0))
    assert "OPEN" not in result.logs
    assert "HELD" in result.logs or result.session_lost or result.timed_out, result
    assert state_of(target) == before
    await sandbox.run("attacker", "pass")  # threads that a probe left behind may cost the session now
    assert (await sandbox.run("attacker", "print('usable')")).logs == "usable\n"


ENDLESS = {"a loop for ever": 0.5, "deaf to every signal": 0.5, "forks without end": 5.0}
"""Seconds after which they are stopped if nothing else has stopped them."""
