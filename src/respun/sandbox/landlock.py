"""Landlock: which files this process and its children may still open. Linux, no dependency.

What it does not cover is closed by `seccomp`: sockets by path, UDP, chmod and its kin, signals before ABI 6.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on x86-64 and aarch64
_NO_NEW_PRIVS: Final = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_SCOPES = 3  # abstract unix sockets, signals
_NET = 3  # bind and connect TCP

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Enforced:
    abi: int
    signals: bool
    """No signal can leave the session; where False, `seccomp` must see to it."""


def abi() -> int:
    """The version the kernel offers; 0 where Landlock is missing or switched off."""
    version: int = _libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(version, 0)


def restrict(readable: Iterable[str], writable: Iterable[str]) -> Enforced:
    """Allow these trees and files from now on and nothing else; for ever, children included."""
    version = abi()
    if not version:
        raise OSError("the kernel has no Landlock (Linux 5.13 or later with lsm=landlock)")
    rights = (1 << {1: 13, 2: 14}.get(version, 15 if version < 5 else 16)) - 1
    ruleset, scoped = _ruleset(version, rights)
    for path in readable:
        _allow(ruleset, path, _READ & rights)
    for path in writable:
        _allow(ruleset, path, rights & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV))
    no_new_privileges()
    if _libc.syscall(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0)):
        raise OSError(ctypes.get_errno(), "Landlock refused to restrict")
    os.close(ruleset)
    return Enforced(version, scoped)


def no_new_privileges() -> None:
    if _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot give up new privileges")


def _ruleset(version: int, rights: int) -> tuple[int, bool]:
    # Some distribution kernels report an ABI without all of its parts, so each refusal asks for less.
    for scoped, net in ((_SCOPES, _NET), (0, _NET), (0, 0)):
        if (scoped and version < 6) or (net and version < 4):
            continue
        size = 24 if scoped else 16 if net else 8
        attr = struct.pack("=QQQ", rights, net, scoped)
        ruleset = _libc.syscall(_CREATE, attr, ctypes.c_size_t(size), ctypes.c_uint32(0))
        if ruleset >= 0:
            return ruleset, bool(scoped)
    raise OSError(ctypes.get_errno(), "Landlock made no ruleset")


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, parent)
        if _libc.syscall(_ADD, ctypes.c_int(ruleset), ctypes.c_int(1), rule, ctypes.c_uint32(0)):
            raise OSError(ctypes.get_errno(), f"Landlock took no rule for {path}")
    finally:
        os.close(parent)
