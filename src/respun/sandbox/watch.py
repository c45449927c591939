"""What the processes and files of a session use, measured from outside, where no cgroup can be had.

Memory is resident pages; where these exceed the limit, shared pages are divided among their users (PSS) before
anything is said, because forked children share most of theirs.
"""

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

Excess = Literal["memory", "processes", "disk", "files", "folders"]
_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_DEEPEST: Final = 64


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    group: int
    resident: int
    """Bytes, shared pages included."""
    threads: int


def family(pids: Iterable[int]) -> list[Process]:
    """These processes and everything under them, as far as they live."""
    found, waiting = [], list(pids)
    while waiting:
        pid = waiting.pop()
        if (process := _process(pid)) is not None:
            found.append(process)
            waiting += children(pid)
    return found


def too_many(processes: list[Process], memory: int, count: int) -> Excess | None:
    if sum(process.threads for process in processes) > count:
        return "processes"
    if sum(process.resident for process in processes) <= memory:
        return None
    return "memory" if sum(_proportional(process) for process in processes) > memory else None


def nameless(processes: Iterable[Process], log: int) -> int:
    """Bytes of files that these processes hold open or mapped after their last name was removed, `log` left aside.

    Nothing for a process that may not be looked into: one of another user, in a container without CAP_SYS_PTRACE.
    """
    known = os.fstat(log)
    found = {known.st_ino: 0}
    for process in processes:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            for name in os.listdir(f"/proc/{process.pid}/fd"):
                _note_nameless(f"/proc/{process.pid}/fd/{name}", found)
            with open(f"/proc/{process.pid}/maps", encoding="utf-8", errors="replace") as maps:
                _note_mapped(maps, found)
    return sum(found.values())


def _note_mapped(maps: Iterable[str], found: dict[int, int]) -> None:
    mapped: dict[int, int] = {}
    for line in maps:
        if line.endswith("(deleted)\n"):
            span, _, _, _, inode = line.split(maxsplit=5)[:5]
            start, end = (int(part, 16) for part in span.split("-"))
            mapped[int(inode)] = mapped.get(int(inode), 0) + end - start
    for number, size in mapped.items():
        found.setdefault(number, size)


def _note_nameless(path: str, found: dict[int, int]) -> None:
    try:
        state = os.stat(path)
    except (FileNotFoundError, ProcessLookupError):
        return
    if stat.S_ISREG(state.st_mode) and not state.st_nlink:
        found.setdefault(state.st_ino, state.st_blocks * 512)


def too_much(folder: str, disk: int, files: int, more: int = 0) -> Excess | None:
    """Whether the files under a folder are too big, too many, too deep, or hidden from the server.

    `more`: bytes on the same disk that have no name there.
    """
    size, count = more, 0
    try:
        if size > disk:
            return "disk"
        for blocks in _entries(folder):
            size += blocks * 512
            count += 1
            if size > disk:
                return "disk"
            if count > files:
                return "files"
    except FileNotFoundError:
        return None
    except (OSError, RecursionError):
        return "folders"
    return None


def _entries(folder: str) -> Iterator[int]:
    """Blocks of each entry. By descriptors, because paths can be longer than the kernel takes."""
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield from _inside(top, 0)
    finally:
        os.close(top)


def _inside(top: int, deep: int) -> Iterator[int]:
    with os.scandir(top) as entries:
        for entry in entries:
            try:
                state = os.stat(entry.name, dir_fd=top, follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield state.st_blocks
            if entry.is_dir(follow_symlinks=False):
                yield from _under(top, entry.name, deep)


def _under(top: int, name: str, deep: int) -> Iterator[int]:
    if deep >= _DEEPEST:
        raise RecursionError
    try:
        folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        yield from _inside(folder, deep + 1)
    finally:
        os.close(folder)


def children(pid: int) -> list[int]:
    """Of all its threads; a process whose parent has died is a child of the fork server."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as children:
                found += map(int, children.read().split())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def _process(pid: int) -> Process | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            words = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if words[0] in "ZX" else Process(pid, int(words[2]), int(words[21]) * _PAGE, int(words[17]))


def _proportional(process: Process) -> int:
    try:
        with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as rollup:
            for line in rollup:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass
    return process.resident


def dead_children(pid: int) -> list[int]:
    """Children that wait to be reaped."""
    return [child for child in children(pid) if _process(child) is None]


def inner_pid(pid: int) -> int | None:
    """The number of a process in the innermost pid namespace it lives in."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
            for line in status:
                if line.startswith("NSpid:"):
                    return int(line.split()[-1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None
