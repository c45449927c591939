"""Take from this process what a parser does not need: memory, time, files, network, other processes.

Limits of the kernel's oldest kind come first, because they hold everywhere: with no descriptor to be had, neither a
file nor a socket can be opened. Landlock adds signals and paths on Linux. What is open already stays open.
"""

import ctypes
import os
import resource
import signal
import sys
from typing import Final

from respun.retrieval.extract.text import Limits

_NOBODY: Final = 65534
_CREATE_RULESET: Final = 444
_RESTRICT_SELF: Final = 446
_NO_NEW_PRIVILEGES: Final = 38
_ASK_VERSION: Final = 1
# How many rights of each kind an ABI version of Landlock knows (kernel documentation, userspace-api/landlock).
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
_LATEST_FILE_RIGHTS: Final = 16
_NETWORK_SINCE: Final = 4
_SCOPES_SINCE: Final = 6


def confine(limits: Limits) -> None:
    """For good: nothing gives back what this takes. Everything that will be imported must be imported before."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limits.seconds)
    _limit(resource.RLIMIT_CPU, limits.seconds)
    _limit(resource.RLIMIT_AS, limits.memory_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    _limit(resource.RLIMIT_NPROC, 0)
    if sys.platform == "linux":
        _landlock()
    _limit(resource.RLIMIT_NOFILE, 0)


def _limit(which: int, most: int) -> None:
    _, hard = resource.getrlimit(which)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (most, most))


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


def _landlock() -> None:
    """Deny every path, port and foreign signal that this kernel can deny; none where it knows no Landlock."""
    kernel = ctypes.CDLL(None, use_errno=True)
    version = kernel.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < 1:
        return
    rules = _Ruleset(files=(1 << _FILE_RIGHTS.get(version, _LATEST_FILE_RIGHTS)) - 1)
    size = 8
    if version >= _NETWORK_SINCE:
        rules.network, size = 0b11, 16
    if version >= _SCOPES_SINCE:
        rules.scopes, size = 0b11, 24
    ruleset = kernel.syscall(_CREATE_RULESET, ctypes.byref(rules), size, 0)
    if ruleset < 0:
        return
    kernel.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    kernel.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
