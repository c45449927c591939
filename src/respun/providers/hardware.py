"""Can this machine run an embedded model? One sentence says what is missing and what to do instead.

The wheel of the runtime is built for AVX2, FMA, F16C and BMI2 and for glibc: on other machines it would die of an
illegal instruction or not install at all, so this is asked before a child is started.
"""

import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from msgspec import Struct

_NEEDED_FLAGS: Final = ("avx2", "fma", "f16c", "bmi2")
_RAM_FACTOR: Final = 1.7
_ELSEWHERE: Final = (
    "Set OPENAI_API_KEY (and OPENAI_BASE_URL for another service), or start Ollama and give its address."
)


class Machine(Struct, frozen=True):
    """What the check looks at. `free_bytes` is None where the system does not tell."""

    system: str
    arch: str
    cores: int
    """Physical cores this process may use."""
    cpu_flags: frozenset[str] = frozenset()
    free_bytes: int | None = None
    libc: str = ""
    macos: str = ""
    runtime: bool = True
    """Whether the inference library is installed."""


def inspect_machine(root: Path = Path("/")) -> Machine:
    """This machine as it is now; `root` is where /proc and /sys are read."""
    cpuinfo = _read(root / "proc/cpuinfo")
    return Machine(
        system=platform.system(),
        arch=platform.machine().lower(),
        cores=_cores(cpuinfo, root),
        cpu_flags=_flags(cpuinfo),
        free_bytes=_free_bytes(root),
        libc=platform.libc_ver()[0],
        macos=platform.mac_ver()[0],
        runtime=find_spec("xllamacpp") is not None,
    )


def what_is_missing(machine: Machine, size: int) -> str | None:
    """Why this machine cannot run a model of `size` bytes, with what to do about it; None if it can."""
    lack = _platform_lack(machine) or _memory_lack(machine, size)
    if lack:
        return f"{lack} {_ELSEWHERE}"
    if not machine.runtime:
        return f"The embedded model needs the package xllamacpp: pip install 'respun[local]'. Or else: {_ELSEWHERE}"
    return None


def _platform_lack(machine: Machine) -> str | None:
    match machine.system, machine.arch:
        case "Linux", "x86_64" | "amd64":
            return _libc_lack(machine) or _flags_lack(machine)
        case "Linux", "aarch64" | "arm64":
            return _libc_lack(machine)
        case "Darwin", "arm64":
            return _macos_lack(machine)
        case "Darwin", _:
            return "The embedded model runs on Macs with Apple silicon only."
        case "Windows", _:
            return "The embedded model does not run on Windows itself; inside WSL it does."
        case _:
            return f"The embedded model has no build for {machine.system} on {machine.arch}."


def _libc_lack(machine: Machine) -> str | None:
    if machine.libc == "glibc":
        return None
    return "The embedded model needs glibc, and this Linux has another C library (Alpine has musl)."


def _flags_lack(machine: Machine) -> str | None:
    lacking = [flag.upper() for flag in _NEEDED_FLAGS if flag not in machine.cpu_flags]
    if not lacking:
        return None
    return f"The embedded model needs a processor with {', '.join(lacking)}, which this one does not have."


def _macos_lack(machine: Machine) -> str | None:
    major = machine.macos.partition(".")[0]
    if major.isdigit() and int(major) >= 13:
        return None
    return f"The embedded model needs macOS 13 or later; this is {machine.macos or 'an unknown version'}."


def _memory_lack(machine: Machine, size: int) -> str | None:
    needed = int(size * _RAM_FACTOR)
    if machine.free_bytes is None or machine.free_bytes > needed:
        return None
    return (
        f"The embedded model needs {_megabytes(needed)} of free memory, and {_megabytes(machine.free_bytes)} are free."
    )


def _megabytes(count: int) -> str:
    return f"{count // 1_000_000} MB"


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _flags(cpuinfo: str) -> frozenset[str]:
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def _cores(cpuinfo: str, root: Path) -> int:
    """The least of: physical cores, processors this process may run on, the container's share."""
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    limits = [allowed, _physical_cores(cpuinfo), _quota(_read(root / "sys/fs/cgroup/cpu.max"))]
    return max(1, min(limit for limit in limits if limit))


def _physical_cores(cpuinfo: str) -> int:
    """0 if the file does not say."""
    cores = set()
    for block in cpuinfo.split("\n\n"):
        fields = {
            name.strip(): value.strip() for name, _, value in (line.partition(":") for line in block.splitlines())
        }
        if "core id" in fields:
            cores.add((fields.get("physical id", ""), fields["core id"]))
    return len(cores)


def _quota(cpu_max: str) -> int:
    """Whole processors of a cgroup's quota ("200000 100000" is two); 0 if it has none."""
    quota, _, period = cpu_max.strip().partition(" ")
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return 0
    return max(1, int(quota) // int(period))


def _free_bytes(root: Path) -> int | None:
    amounts = [_available(_read(root / "proc/meminfo")), _left_in_cgroup(root / "sys/fs/cgroup")]
    known = [amount for amount in amounts if amount is not None]
    return min(known) if known else None


def _available(meminfo: str) -> int | None:
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _left_in_cgroup(folder: Path) -> int | None:
    limit, used = _read(folder / "memory.max").strip(), _read(folder / "memory.current").strip()
    if not (limit.isdigit() and used.isdigit()):
        return None
    return max(0, int(limit) - int(used) + _reclaimable(_read(folder / "memory.stat")))


def _reclaimable(stat: str) -> int:
    """Page cache that the kernel gives back before it refuses memory."""
    for line in stat.splitlines():
        name, _, value = line.partition(" ")
        if name == "inactive_file":
            return int(value)
    return 0
