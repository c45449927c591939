"""The files of a session while nothing of it runs, on any system: for back-ends whose code cannot go on by itself.

Links are seen and never followed; what is checked cannot change before it is used, because nobody else is there.
Where code may still run, `folder` does the same by descriptors.
"""

import os
import stat
from collections.abc import Iterator

from respun.sandbox.folder import parts_of
from respun.sandbox.ports import BadFile, FileInfo


def put(folder: str, name: str, data: bytes) -> None:
    """Write a file, replacing one of that name. `name` may have folders, which are made."""
    path = folder
    *above, last = parts_of(name)
    try:
        for part in above:
            path = os.path.join(path, part)
            if not os.path.lexists(path):
                os.mkdir(path)
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise BadFile(name, "a part of its path is no folder")
        path = os.path.join(path, last)
        if os.path.lexists(path):
            os.unlink(path)
        with open(path, "xb") as file:
            file.write(data)
    except OSError as problem:
        raise BadFile(name, problem.strerror or "it cannot be written") from None


def get(folder: str, name: str, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes."""
    path = folder
    *above, last = parts_of(name)
    try:
        for part in above:
            path = os.path.join(path, part)
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise BadFile(name, "a part of its path is no folder")
        path = os.path.join(path, last)
        state = os.lstat(path)
        if not stat.S_ISREG(state.st_mode):
            raise BadFile(name, "it is not a regular file")
        if state.st_size > most:
            raise BadFile(name, f"it has {state.st_size} bytes, more than {most}")
        with open(path, "rb") as file:
            return file.read(most)
    except OSError as problem:
        raise BadFile(name, problem.strerror or "it cannot be read") from None


def entries(folder: str, most: int) -> dict[str, FileInfo]:
    """Regular files by name, at most `most`. Names that are not printable text are left out."""
    found: dict[str, FileInfo] = {}
    for path, state in _all(folder):
        name = os.path.relpath(path, folder).replace(os.sep, "/")
        if stat.S_ISREG(state.st_mode) and name.isprintable():
            found[name] = FileInfo(name, state.st_size, state.st_mtime_ns)
            if len(found) >= most:
                break
    return found


def too_much(folder: str, disk: int, files: int) -> str | None:
    """Whether what is under a folder is too big or too many. May look on while code runs: it only counts."""
    size = 0
    for count, (_, state) in enumerate(_all(folder), 1):
        # Where a system does not say what a file takes, its length counts, holes and all.
        size += state.st_blocks * 512 if hasattr(state, "st_blocks") else state.st_size
        if size > disk:
            return "disk"
        if count > files:
            return "files"
    return None


def _all(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    for top, folders, names in os.walk(folder):
        for name in sorted((*folders, *names)):
            try:
                yield os.path.join(top, name), os.lstat(os.path.join(top, name))
            except OSError:
                continue
