"""What a machine lacks for an embedded model, told in one sentence."""

from pathlib import Path

import msgspec
import pytest

from respun.providers.hardware import Machine, inspect_machine, what_is_missing

PC = Machine(
    system="Linux",
    arch="x86_64",
    cores=4,
    cpu_flags=frozenset(["avx2", "fma", "f16c", "bmi2", "sse2"]),
    free_bytes=2_000_000_000,
    libc="glibc",
)
MAC = Machine(system="Darwin", arch="arm64", cores=8, macos="14.5")
SIZE = 1_000_000_000


@pytest.mark.parametrize(
    "machine", [PC, msgspec.structs.replace(PC, arch="aarch64", cpu_flags=frozenset()), MAC], ids=["pc", "arm", "mac"]
)
def test_a_fit_machine_lacks_nothing(machine: Machine) -> None:
    assert what_is_missing(machine, SIZE) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cpu_flags": frozenset(["avx2", "fma", "sse2"])}, "a processor with F16C, BMI2"),
        ({"free_bytes": 1_700_000_000}, "needs 1700 MB of free memory, and 1700 MB are free"),
        ({"libc": "musl"}, "needs glibc"),
        ({"libc": "", "arch": "aarch64"}, "needs glibc"),
        ({"arch": "riscv64"}, "no build for Linux on riscv64"),
        ({"system": "Windows", "arch": "amd64"}, "inside WSL it does"),
        ({"system": "Darwin"}, "Apple silicon only"),
        ({"system": "Darwin", "arch": "arm64", "macos": "12.6"}, "needs macOS 13 or later; this is 12.6"),
        ({"runtime": False}, "pip install 'respun[local]'"),
    ],
)
def test_a_lack_is_named_with_the_ways_out(change: dict[str, object], said: str) -> None:
    sentence = what_is_missing(msgspec.structs.replace(PC, **change), SIZE)
    assert sentence
    assert said in sentence
    assert "OPENAI_API_KEY" in sentence
    assert "Ollama" in sentence


def system_files(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


CPUINFO = (
    "processor: 0\nphysical id : 0\ncore id : 0\nflags : fpu avx2 fma\n\nprocessor: 1\nphysical id : 0\ncore id : 0\n"
)


def test_two_threads_of_a_core_are_one_core(tmp_path: Path) -> None:
    machine = inspect_machine(system_files(tmp_path, {"proc/cpuinfo": CPUINFO}))
    assert machine.cores == 1
    assert machine.cpu_flags == {"fpu", "avx2", "fma"}


def test_a_containers_share_of_the_processors_counts(tmp_path: Path) -> None:
    machine = inspect_machine(system_files(tmp_path, {"sys/fs/cgroup/cpu.max": "100000 100000\n"}))
    assert machine.cores == 1


def test_free_memory_is_what_the_system_and_the_container_both_have(tmp_path: Path) -> None:
    files = {"proc/meminfo": "MemTotal: 8000 kB\nMemAvailable: 4000 kB\n", "sys/fs/cgroup/memory.max": "max\n"}
    assert inspect_machine(system_files(tmp_path, files)).free_bytes == 4_096_000
    limits = {"memory.max": "2000000", "memory.current": "1500000", "memory.stat": "anon 1\ninactive_file 300000\n"}
    limited = system_files(tmp_path, {f"sys/fs/cgroup/{name}": text for name, text in limits.items()})
    assert inspect_machine(limited).free_bytes == 800_000


def test_a_system_that_tells_nothing_is_not_held_against_it(tmp_path: Path) -> None:
    machine = inspect_machine(tmp_path)
    assert machine.free_bytes is None
    assert machine.cores >= 1
