"""Files in and out of a thread's session of the code interpreter.

In: what the run was given, once a session. Out: what a call made or changed, as files that can be downloaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from posixpath import basename
from typing import Final

from respun.core.files import File
from respun.core.problems import Problem
from respun.core.runs import GivenFile, Run
from respun.engine.annotate import FILES
from respun.engine.library import Library, Made
from respun.sandbox.ports import MOUNT, FileInfo, Limits, Result
from respun.sandbox.sessions import Session, Sessions

_MOST_FILES: Final = 20
"""Files that one call can hand to the user."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where one call of a run works."""

    library: Library
    sessions: Sessions
    session: Session
    limits: Limits
    project: str
    run: Run


class Taken:
    """What a call made: ids of images, ids of files by name, and what the model is told of them."""

    def __init__(self) -> None:
        self.images: tuple[str, ...] = ()
        self.files: dict[str, str] = {}
        self.notes: list[str] = []


async def give(desk: Desk) -> str:
    """Put what the session lacks; what the model is told of files that could not be put. Raises StoreError."""
    put = desk.session.put
    lacking = [one for one in desk.run.plan.code_files or () if put.get(one.name) != one.id]
    found = await desk.library.present(desk.project, [one.id for one in lacking]) if lacking else {}
    notes = []
    for one in lacking:
        if one.id in found:
            notes.append(await _give_one(desk, one, found[one.id]))
            put[one.name] = one.id
    return "".join(notes)


async def _give_one(desk: Desk, given: GivenFile, file: File) -> str:
    there = sum(info.size for info in await desk.sessions.list(desk.run.thread))
    most = min(desk.limits.file, desk.limits.disk - there)
    if file.size > most:
        return f"[{MOUNT}/{given.name} is not there: it has {file.size} bytes, and there is room for {most}.]\n"
    try:
        await desk.sessions.put(desk.run.thread, given.name, await desk.library.content(file))
    except Problem as problem:
        return f"[{problem.message}]\n"
    return ""


async def take(desk: Desk, result: Result, call: str) -> Taken:
    """Keep what a call made or changed. Raises StoreError."""
    taken = Taken()
    plots = [Made(f"{call}-{place}.png", image.png) for place, image in enumerate(result.images, 1)]
    taken.images = tuple(file.id for file in await desk.library.keep(desk.project, plots))
    if plots:
        taken.notes.append(f"[{len(plots)} {'image was' if len(plots) == 1 else 'images were'} shown to the user.]")
    made = [info for info in result.changed if not _is_hidden(info)]
    for info in made[:_MOST_FILES]:
        await _take_one(desk, info, taken)
    if taken.files:
        links = ", ".join(f"[{basename(name)}]({FILES}{name})" for name in taken.files)
        taken.notes.append(f"[Files made, with the links that give them to the user: {links}]")
    if len(made) > _MOST_FILES:
        taken.notes.append(f"[The user cannot have the other {len(made) - _MOST_FILES} files: a call keeps 20.]")
    return taken


async def _take_one(desk: Desk, info: FileInfo, taken: Taken) -> None:
    most = desk.library.settings.largest_file
    if info.size > most:
        taken.notes.append(f"[The user cannot have {info.name}: it has {info.size} bytes, and {most} are the most.]")
        return
    try:
        content = await desk.sessions.get(desk.run.thread, info.name)
    except Problem as problem:
        taken.notes.append(f"[{problem.message}]")
        return
    (file,) = await desk.library.keep(desk.project, [Made(basename(info.name), content)])
    taken.files[info.name] = desk.session.kept[info.name] = file.id


def forget_lost(session: Session, removed: Sequence[str]) -> None:
    """Files that went with a call that filled the disk are given again."""
    session.put = {name: file for name, file in session.put.items() if name not in removed}


def _is_hidden(info: FileInfo) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in info.name.split("/"))
