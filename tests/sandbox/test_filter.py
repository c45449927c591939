"""The system call filter, run step by step as the kernel would, for both machines."""

import errno
import platform
import struct

import pytest

from respun.sandbox import seccomp

KILLED, ALLOWED = 0x80000000, 0x7FFF0000
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(program: bytes, machine: str, number: int, *args: int) -> int:
    """What a classic BPF machine returns for a system call."""
    data = struct.pack("=IIQ6Q", number, AUDIT[machine], 0, *args, *[0] * (6 - len(args)))
    at = value = 0
    while True:
        code, yes, no, k = struct.unpack_from("=HBBI", program, at * 8)
        at += 1
        match code:
            case 0x20:
                value = struct.unpack_from("=I", data, k)[0]
            case 0x54:
                value &= k
            case 0x15:
                at += yes if value == k else no
            case 0x45:
                at += yes if value & k else no
            case 0x25:
                at += yes if value > k else no
            case 0x06:
                return int(k)
            case _:
                raise AssertionError(f"unknown step {code:#x}")


def refused(number: int = errno.EPERM) -> int:
    return 0x00050000 | number


NUMBERS = {
    "x86_64": {"read": 0, "openat": 257, "socket": 41, "socketpair": 53, "clone": 56, "fchmodat": 268, "prlimit64": 302,
               "mmap": 9, "kill": 62, "tgkill": 234, "setsid": 112, "ptrace": 101, "execve": 59, "mknodat": 259,
               "ioctl": 16, "fcntl": 72, "getpid": 39, "memfd_create": 319, "pidfd_send_signal": 424},
    "aarch64": {"read": 63, "openat": 56, "socket": 198, "socketpair": 199, "clone": 220, "fchmodat": 53,
                "prlimit64": 261, "mmap": 222, "kill": 129, "tgkill": 131, "setsid": 157, "ptrace": 117, "execve": 221,
                "mknodat": 33, "ioctl": 29, "fcntl": 25, "getpid": 172, "memfd_create": 279, "pidfd_send_signal": 424},
}  # fmt: skip

CASES = (
    ("read", (0,), ALLOWED),
    ("getpid", (), ALLOWED),
    ("execve", (1, 1, 1), ALLOWED),
    ("openat", (0, 0, 0o1101), ALLOWED),
    ("openat", (0, 0, 0o1000), refused()),
    ("socket", (1, 1), refused()),
    ("socketpair", (1, 0o2000001), ALLOWED),
    ("socketpair", (1, 2), refused()),
    ("clone", (0x4111,), ALLOWED),
    ("clone", (0x10000011,), refused()),
    ("clone", (0x20000011,), refused()),
    ("fchmodat", (0, 1, 0), refused(0)),
    ("prlimit64", (0, 7, 0, 1), ALLOWED),
    ("prlimit64", (4321, 7, 1, 0), refused()),
    ("mmap", (0, 4096, 3, 0x22), ALLOWED),
    ("mmap", (0, 4096, 3, 0x01), ALLOWED),
    ("mmap", (0, 4096, 3, 0x21), refused()),
    ("setsid", (), refused()),
    ("ptrace", (16, 1), refused()),
    ("memfd_create", (1, 0), refused()),
    ("mknodat", (0, 1, 0o010600), ALLOWED),
    ("mknodat", (0, 1, 0o060600), refused()),
    ("mknodat", (0, 1, 0o020600), refused()),
    ("ioctl", (0, 0x5401), ALLOWED),
    ("ioctl", (0, 0x5412), refused()),
    ("fcntl", (0, 1, 0), ALLOWED),
    ("fcntl", (0, 8, 99), refused()),
    ("kill", (999, 9), ALLOWED),
)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(("name", "args", "expected"), CASES, ids=lambda value: str(value))
def test_a_call_is_allowed_refused_or_pretended_on_both_machines(
    machine: seccomp.Machine, name: str, args: tuple[int, ...], expected: int
) -> None:
    assert verdict(seccomp.program(machine), machine, NUMBERS[machine][name], *args) == expected


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_only_the_session_can_be_signalled_where_landlock_does_not_scope_signals(machine: seccomp.Machine) -> None:
    program = seccomp.program(machine, signals_of=77)
    call = NUMBERS[machine]
    assert verdict(program, machine, call["kill"], 77, 9) == ALLOWED
    assert verdict(program, machine, call["kill"], 0, 9) == ALLOWED
    assert verdict(program, machine, call["kill"], 78, 9) == refused()
    assert verdict(program, machine, call["kill"], 0xFFFFFFFF, 9) == refused()
    assert verdict(program, machine, call["tgkill"], 78, 78, 9) == refused()
    assert verdict(program, machine, call["pidfd_send_signal"], 3, 9) == refused()


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_calls_younger_than_the_filter_do_not_exist(machine: seccomp.Machine) -> None:
    program = seccomp.program(machine)
    for number in (463, 470, 1000, 0x3FFFFFFF):
        assert verdict(program, machine, number) == refused(errno.ENOSYS)
    for number in (435, 437):
        assert verdict(program, machine, number) == refused(errno.ENOSYS)


def test_calls_of_another_machine_end_the_process() -> None:
    assert verdict(seccomp.program("x86_64"), "aarch64", 63) == KILLED
    assert verdict(seccomp.program("aarch64"), "x86_64", 0) == KILLED
    assert verdict(seccomp.program("x86_64"), "x86_64", 0x40000000) == KILLED


@pytest.mark.skipif(platform.machine() not in AUDIT, reason="no filter for this machine")
def test_the_program_is_short_enough_for_the_kernel() -> None:
    for machine in AUDIT:
        assert len(seccomp.program(machine, signals_of=1)) // 8 < 4096
