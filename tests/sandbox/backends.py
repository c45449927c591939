"""The back-ends under test. One that this kernel cannot offer is skipped with the feature it lacks."""

import os
import stat
import sys
from pathlib import Path

import pytest

from respun.sandbox import bwrap, confine, landlock
from respun.sandbox.launch import ProcessLaunch
from respun.sandbox.local import Local
from respun.sandbox.ports import Limits, Settings
from sandbox import probes

BACKENDS = ("process", "process-own-users", "process-in-container", "bwrap")
VARIANTS = ("process-own-users", "process-in-container")
LIMITS = Limits(
    call_seconds=20,
    grace_seconds=0.3,
    memory=probes.MEMORY,
    processes=probes.PROCESSES,
    disk=probes.DISK,
    file=probes.FILE,
    files=probes.FILES,
)


def make(name: str, folder: Path, limits: Limits = LIMITS, preload: tuple[str, ...] = ()) -> Local:
    """A back-end, without preloaded packages so that it starts in a moment."""
    skip_without_features(name)
    settings = Settings(limits=limits, preload=preload, python=interpreter(name, folder))
    if name == "bwrap":
        return Local(settings, bwrap.BwrapLaunch(str(bwrap.find(None))), own_users=False)
    return Local(settings, ProcessLaunch(linked=False), own_users=name == "process-own-users")


def skip_without_features(name: str) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip(f"sessions need Linux, this is {sys.platform}")
    if name == "bwrap":
        if bwrap.find(None) is None:
            pytest.skip("no bubblewrap binary")
        if Path("/proc/sys/user/max_user_namespaces").read_text().strip() == "0":
            pytest.skip("user namespaces are switched off (user.max_user_namespaces is 0)")
    elif not landlock.abi():
        pytest.skip("the kernel has no Landlock")
    if name == "process-own-users" and os.geteuid() != 0:
        pytest.skip("users of their own need root (CAP_SETUID)")


def interpreter(name: str, folder: Path) -> str | None:
    if name == "process-in-container":
        return str(container_python(folder))
    ours = [sys.executable, *confine.python_folders()]
    if name != "process-own-users" or all(map(confine.reachable_by_others, ours)):
        return None
    if not Path("/usr/bin/python3").exists():
        pytest.skip("no interpreter that other users can read")
    return "/usr/bin/python3"


def container_python(folder: Path) -> Path:
    """An interpreter that first enters what a default container would be (see `container.py`)."""
    script = folder / "python"
    source = Path(__file__).with_name("container.py")
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -I {source} {sys.executable} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script
