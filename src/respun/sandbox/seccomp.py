"""The system calls a session may not make: a filter of the kernel, as bytes. x86-64 and aarch64.

`program` is pure. Its rules close what Landlock leaves open, each with its reason; calls younger than this list
do not exist for a session. `load` puts a program in force for this process and its children, for ever.
"""

# ruff: noqa: SIM905 - the names read better as words

import ctypes
import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Machine = Literal["x86_64", "aarch64"]
_AUDIT: Final[dict[Machine, int]] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_YOUNGEST: Final = 462  # calls above this number are unknown here, so they answer "not implemented"

# name: number on x86-64, number on aarch64 (0: the machine has no such call)
_NUMBERS: Final[dict[str, tuple[int, int]]] = {
    "chmod": (90, 0), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, 0),
    "fchown": (93, 55), "lchown": (94, 0), "fchownat": (260, 54), "utime": (132, 0), "utimes": (235, 0),
    "futimesat": (261, 0), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "ptrace": (101, 117), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "process_madvise": (440, 440), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264), "kcmp": (312, 272), "pidfd_getfd": (438, 438), "acct": (163, 89),
    "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171), "sethostname": (170, 161),
    "setdomainname": (171, 162), "quotactl": (179, 60), "quotactl_fd": (443, 443), "nfsservctl": (180, 42),
    "personality": (135, 92), "ioperm": (173, 0), "iopl": (172, 0), "syslog": (103, 116), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "open_tree": (428, 428),
    "move_mount": (429, 429), "mount_setattr": (442, 442), "statmount": (457, 457), "listmount": (458, 458),
    "lsm_set_self_attr": (460, 460), "vhangup": (153, 58), "lookup_dcookie": (212, 18), "mbind": (237, 235),
    "set_mempolicy": (238, 237), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "set_mempolicy_home_node": (450, 450), "modify_ldt": (154, 0), "uselib": (134, 0), "sysfs": (139, 0),
    "ustat": (136, 0), "truncate": (76, 45), "mknod": (133, 0), "mknodat": (259, 33), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190),
    "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189),
    "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181),
    "setpgid": (109, 154), "setsid": (112, 157), "inotify_init": (253, 0), "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27), "fanotify_init": (300, 262), "fanotify_mark": (301, 263),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    "prlimit64": (302, 261), "clone": (56, 220), "clone3": (435, 435), "open": (2, 0), "openat": (257, 56),
    "openat2": (437, 437), "ioctl": (16, 29), "fcntl": (72, 25), "mmap": (9, 222), "kill": (62, 129),
    "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424), "prctl": (157, 167),
    "sendmsg": (46, 211), "sendmmsg": (307, 269),
}  # fmt: skip

# Landlock does not cover these by path, and programs expect them to work: they succeed and do nothing.
_PRETEND: Final = (
    "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat utimensat "
    "setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr"
).split()

_REFUSE: Final = (
    # no network and no socket of the host: Landlock knows no UDP and no unix socket by path
    "socket connect bind listen accept accept4 "
    # no other process
    "ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd setpriority ioprio_set "
    # one process group and one session, so that one signal ends all of it
    "setpgid setsid "
    # no memory that belongs to no process, which the watcher could not see, and none of other sessions
    "memfd_create memfd_secret shmget shmat shmctl semget semop semctl semtimedop msgget msgsnd msgrcv msgctl "
    "mq_open mq_unlink "
    # no descriptors on their way in a message, where a file without a name would be out of the watcher's sight
    "sendmsg sendmmsg "
    # no news of other folders
    "inotify_init inotify_init1 inotify_add_watch fanotify_init fanotify_mark "
    # truncate by path is not covered before Landlock's ABI 3, handles go around paths
    "truncate mknod open_by_handle_at name_to_handle_at "
    # no new view of the system and no settings of it
    "mount umount2 pivot_root chroot unshare setns fsopen fsconfig fsmount fspick open_tree move_mount mount_setattr "
    "statmount listmount lsm_set_self_attr acct swapon swapoff reboot settimeofday clock_settime clock_adjtime "
    "adjtimex sethostname setdomainname quotactl quotactl_fd nfsservctl personality ioperm iopl syslog vhangup sysfs "
    "ustat uselib "
    # where the kernel's own bugs were
    "bpf perf_event_open userfaultfd keyctl add_key request_key kexec_load kexec_file_load init_module finit_module "
    "delete_module io_uring_setup io_uring_enter io_uring_register lookup_dcookie mbind set_mempolicy migrate_pages "
    "move_pages set_mempolicy_home_node modify_ldt"
).split()

_NAMESPACES: Final = 0x7E020080
_TIOCSTI, _TIOCLINUX, _FIOSETOWN, _SIOCSPGRP = 0x5412, 0x541C, 0x8901, 0x8902
_SETFLAGS, _FSSETXATTR = 0x40086602, 0x401C5820
_F_SETOWN, _F_SETOWN_EX, _F_NOTIFY = 8, 15, 1026


@dataclass(frozen=True, slots=True)
class When:
    """A call refused when `args[arg] & mask` is (or is not) one of `values`."""

    name: str
    arg: int
    mask: int
    values: tuple[int, ...]
    unless: bool = False


_WHOLE: Final = 0xFFFFFFFF
_CONDITIONS: Final = (
    # A datagram pair could be connected again, to a socket of the host.
    When("socketpair", 1, 0xF, (1, 5), unless=True),
    When("prlimit64", 0, _WHOLE, (0,), unless=True),
    When("sched_setaffinity", 0, _WHOLE, (0,), unless=True),
    When("sched_setscheduler", 0, _WHOLE, (0,), unless=True),
    When("sched_setparam", 0, _WHOLE, (0,), unless=True),
    When("sched_setattr", 0, _WHOLE, (0,), unless=True),
    # What a process holds open must stay visible to the watcher (PR_SET_DUMPABLE).
    When("prctl", 0, _WHOLE, (4,)),
    # Opening for reading can truncate before Landlock's ABI 3.
    When("open", 1, 0x203, (0x200,)),
    When("openat", 2, 0x203, (0x200,)),
    When("mknodat", 2, 0xF000, (0x2000, 0x6000)),
    When("ioctl", 1, _WHOLE, (_TIOCSTI, _TIOCLINUX, _FIOSETOWN, _SIOCSPGRP, _SETFLAGS, _FSSETXATTR)),
    When("fcntl", 1, _WHOLE, (_F_SETOWN, _F_SETOWN_EX, _F_NOTIFY)),
    # Shared pages without a file stay when no process maps them in, out of the watcher's sight.
    When("mmap", 3, 0x21, (0x21,)),
)

_LOAD, _AND, _EQUAL, _ANY_BIT, _GREATER, _RETURN = 0x20, 0x54, 0x15, 0x45, 0x25, 0x06
_KILL, _ALLOW = 0x80000000, 0x7FFF0000


def program(machine: Machine, *, signals_of: int | None = None) -> bytes:
    """The filter. `signals_of`: the pid that alone may be signalled, where Landlock does not scope signals."""
    column = 0 if machine == "x86_64" else 1
    steps = [_step(_LOAD, k=4), _step(_EQUAL, 1, 0, _AUDIT[machine]), _return(_KILL), _step(_LOAD, k=0)]
    if machine == "x86_64":
        steps += [_step(_GREATER, 0, 1, 0x3FFFFFFF), _return(_KILL)]  # the x32 calls
    steps += [_step(_GREATER, 0, 1, _YOUNGEST), _return(_error(errno.ENOSYS))]
    for name in ("clone3", "openat2"):  # arguments in memory, which a filter cannot see; libc falls back
        steps += _answer(_NUMBERS[name][column], _error(errno.ENOSYS))
    steps += _clone(_NUMBERS["clone"][column])
    for name in _PRETEND:
        steps += _answer(_NUMBERS[name][column], _error(0))
    for name in _REFUSE:
        steps += _answer(_NUMBERS[name][column], _error(errno.EPERM))
    for when in _conditions(signals_of):
        steps += _condition(_NUMBERS[when.name][column], when)
    return b"".join([*steps, _return(_ALLOW)])


def load(filter_bytes: bytes) -> None:
    """Put a program in force. Needs `no_new_privileges` first."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(filter_bytes, len(filter_bytes))
    head = struct.pack("=HxxxxxxQ", len(filter_bytes) // 8, ctypes.addressof(code))
    if libc.prctl(22, 2, ctypes.create_string_buffer(head, len(head)), 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel took no seccomp filter")


def _conditions(signals_of: int | None) -> Iterator[When]:
    yield from _CONDITIONS
    if signals_of is None:
        return
    yield When("kill", 0, _WHOLE, (0, signals_of), unless=True)
    yield When("tgkill", 0, _WHOLE, (signals_of,), unless=True)
    for name in ("tkill", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
        yield When(name, 0, 0, (0,))


def _clone(number: int) -> list[bytes]:
    return [
        *(_step(_EQUAL, 0, 4, number), _step(_LOAD, k=16), _step(_ANY_BIT, 0, 1, _NAMESPACES)),
        *(_return(_error(errno.EPERM)), _return(_ALLOW)),
    ]


def _condition(number: int, when: When) -> list[bytes]:
    if not number:
        return []
    refuse, allow = _return(_error(errno.EPERM)), _return(_ALLOW)
    tests = []
    for index, value in enumerate(when.values):
        tests.append(_step(_EQUAL, len(when.values) - index, 0, value))
    ends = [refuse, allow] if when.unless else [allow, refuse]
    body = [_step(_LOAD, k=16 + 8 * when.arg), _step(_AND, k=when.mask), *tests, *ends]
    return [_step(_EQUAL, 0, len(body), number), *body]


def _answer(number: int, action: int) -> list[bytes]:
    return [_step(_EQUAL, 0, 1, number), _return(action)] if number else []


def _error(number: int) -> int:
    return 0x00050000 | number


def _return(action: int) -> bytes:
    return _step(_RETURN, k=action)


def _step(code: int, yes: int = 0, no: int = 0, k: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, k)
