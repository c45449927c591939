"""The files of a session, handled from outside: the model's code owns the folder, so nothing in it is trusted.

Every step goes by descriptor and follows no link; only regular files are read; names are checked on the way in.
"""

import contextlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from typing import Final

from respun.sandbox.ports import BadFile, FileInfo

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC if hasattr(os, "O_NOFOLLOW") else 0
_DEEPEST: Final = 16


def put(folder: str, name: str, data: bytes, user: int | None) -> None:
    """Write a file, replacing one of that name. `name` may have folders, which are made."""
    *folders, last = parts_of(name)
    top = _descend(folder, name, folders, make=True, user=user)
    try:
        _write(top, last, data, user)
    except OSError as problem:
        raise BadFile(name, problem.strerror or "it cannot be written") from None
    finally:
        os.close(top)


def get(folder: str, name: str, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes."""
    *folders, last = parts_of(name)
    top = _descend(folder, name, folders, make=False, user=None)
    try:
        fd = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=top)
    except OSError as problem:
        raise BadFile(name, problem.strerror or "it cannot be read") from None
    finally:
        os.close(top)
    with open(fd, "rb") as file:
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode):
            raise BadFile(name, "it is not a regular file")
        if state.st_size > most:
            raise BadFile(name, f"it has {state.st_size} bytes, more than {most}")
        return file.read(most)


def entries(folder: str, most: int) -> dict[str, FileInfo]:
    """Regular files by name, at most `most`. Names that are not printable text are left out."""
    found: dict[str, FileInfo] = {}
    top = os.open(folder, _FOLDER)
    try:
        for info in _regular(top, "", 0):
            found[info.name] = info
            if len(found) >= most:
                break
    finally:
        os.close(top)
    return found


def delete(folder: str, name: str) -> None:
    """Remove one file, if it is still there."""
    *folders, last = parts_of(name)
    with contextlib.suppress(BadFile, OSError):
        top = _descend(folder, name, folders, make=False, user=None)
        try:
            os.unlink(last, dir_fd=top)
        finally:
            os.close(top)


def delete_tree(folder: str) -> None:
    """Remove a session's folder, however the model's code left it: deep, unreadable, full of links."""
    if os.path.islink(folder) or not os.path.isdir(folder):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(folder)
        return
    with contextlib.suppress(OSError, RecursionError):
        shutil.rmtree(folder)
        return
    # A tree too deep or too private for Python's own; both tools work by descriptor and follow no link.
    for command in (["chmod", "-R", "u+rwX", folder], ["rm", "-rf", "--", folder]):
        subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, check=False, capture_output=True)  # noqa: S603


def parts_of(name: str) -> list[str]:
    """The folders and the last part of a name. Raises `BadFile` for one that could lead out."""
    parts = name.split("/")
    if not name.isprintable() or not name or len(name.encode("utf-8", "replace")) > 1024:
        raise BadFile(name, "a name is printable text of at most 1024 bytes")
    if any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts) or len(parts) > _DEEPEST:
        raise BadFile(name, f"a name is a path below the folder, at most {_DEEPEST} deep")
    return parts


def _descend(folder: str, name: str, folders: list[str], *, make: bool, user: int | None) -> int:
    top = os.open(folder, _FOLDER)
    for part in folders:
        try:
            if make:
                _make(top, part, user)
            below = os.open(part, _FOLDER, dir_fd=top)
        except OSError as problem:
            raise BadFile(name, problem.strerror or "no such folder") from None
        finally:
            os.close(top)
        top = below
    return top


def _make(top: int, part: str, user: int | None) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(part, 0o700, dir_fd=top)
        if user is not None:
            os.chown(part, user, user, dir_fd=top, follow_symlinks=False)


def _write(top: int, last: str, data: bytes, user: int | None) -> None:
    part = f".{os.urandom(8).hex()}.part"
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=top)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            if user is not None:
                os.fchown(fd, user, user)
        os.rename(part, last, src_dir_fd=top, dst_dir_fd=top)
    except OSError:
        os.unlink(part, dir_fd=top)
        raise


def _regular(top: int, prefix: str, deep: int) -> Iterator[FileInfo]:
    with os.scandir(top) as found:
        names = sorted(entry.name for entry in found)
    for name in names:
        if not name.isprintable():
            continue
        try:
            state = os.stat(name, dir_fd=top, follow_symlinks=False)
            if stat.S_ISREG(state.st_mode):
                yield FileInfo(prefix + name, state.st_size, state.st_mtime_ns)
            elif stat.S_ISDIR(state.st_mode) and deep + 1 < _DEEPEST:
                below = os.open(name, _FOLDER, dir_fd=top)
                try:
                    yield from _regular(below, f"{prefix}{name}/", deep + 1)
                finally:
                    os.close(below)
        except OSError:
            continue
