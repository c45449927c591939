"""The hosted tool code_interpreter: Python that a model wrote, run in its thread's session of a sandbox.

There is no way around the sandbox: where none holds, the tool is refused. Nothing that code does reaches beyond its
session, so a call that was cut off by the end of a server is simply made again, in a session that begins anew.
"""

import asyncio
import contextlib
from typing import Final

from respun import telemetry
from respun.core import chat
from respun.core.assistants import CodeInterpreterTool
from respun.core.code import code_of, without_fence
from respun.core.events import Output
from respun.core.pages import PageRequest
from respun.core.problems import Problem
from respun.core.runs import Run, ToolCall
from respun.engine.annotate import FILES
from respun.engine.code_files import Desk, Taken, forget_lost, give, take
from respun.engine.library import Library
from respun.sandbox.ports import MOUNT, NoSandbox, Result, Settings, report
from respun.sandbox.sessions import Sessions
from respun.store import runs
from respun.store.backend import Backend

log: Final = telemetry.log("code")

_LONGEST_STOP: Final = 5.0
_OFF: Final = "it is switched off by the setting `code_interpreter`."
_NOTHING: Final = "[The code ran to its end and printed nothing.]"
_BEGUN_ANEW: Final = (
    "[A session was begun for this code: variables, imports and files of earlier calls, if there were any, are gone. "
    f"Files given by the user are in {MOUNT}.]\n"
)
_DESCRIPTION: Final = (
    "Run Python code. Variables, imports and files stay between calls. What is printed, the value of the last "
    f"expression and errors are returned; figures of matplotlib are shown to the user. Work in {MOUNT}; hand a file "
    f"there to the user by a link such as [name.csv]({FILES}name.csv). There is no internet."
)
_PARAMETERS: Final = {
    "type": "object",
    "properties": {"code": {"type": "string", "description": "The Python code."}},
    "required": ["code"],
    "additionalProperties": False,
}


class CodeInterpreter:
    """A HostedTool. Start it, and stop it once no run is driven any more. `settings`: None switches it off."""

    def __init__(self, backend: Backend, library: Library, settings: Settings | None) -> None:
        self._backend = backend
        self._library = library
        self._settings = settings or Settings()
        self._off = settings is None
        self._opening: asyncio.Task[Sessions | str] | None = None

    async def start(self) -> None:
        """Begin to find out what holds on this machine: it takes seconds, in the background."""
        if not self._off:
            self._opening = asyncio.create_task(_open(self._settings))

    async def stop(self) -> None:
        """End every session, in a few seconds at most: what is left then ends with this process."""
        if self._opening is None:
            return
        self._opening.cancel()
        (opened,) = await asyncio.gather(self._opening, return_exceptions=True)
        if isinstance(opened, Sessions):
            closing = asyncio.create_task(opened.__aexit__())
            await asyncio.wait((closing,), timeout=_LONGEST_STOP)

    async def forget(self, thread: str) -> None:
        """The thread is gone: its session ends, and what it wrote is removed. Never fails."""
        if self._opening is None or not self._opening.done():
            return
        opened = await self._opened()
        if isinstance(opened, Sessions):
            with contextlib.suppress(Problem):  # a remote machine that cannot be told ends by its own clock
                await opened.close(thread)

    async def missing(self) -> str | None:
        opened = await self._opened()
        if isinstance(opened, str):
            return opened
        opened.warm()
        return None

    def offer(self, run: Run) -> chat.ChatTool:
        names = ", ".join(f"{MOUNT}/{file.name}" for file in run.plan.code_files or ())
        given = f" Files given by the user: {names}" if names else ""
        return chat.ChatTool(chat.ChatFunction("code_interpreter", _DESCRIPTION + given, _PARAMETERS))

    async def call(self, project: str, run: Run, call: ToolCall) -> Output:
        sessions = await self._opened()
        if isinstance(sessions, str):
            raise NoSandbox(sessions)
        async with sessions.use(run.thread) as session:
            desk = Desk(self._library, sessions, session, self._settings.limits, project, run)
            session.new = session.new and await self._called_before(run)
            news = (_BEGUN_ANEW if session.new else "") + await give(desk)
            result = await sessions.run(run.thread, without_fence(code_of(call.arguments)))
            session.new = False
            if result.session_lost:
                forget_lost(session, result.removed)
            log.info("code run", run=run.id, seconds=round(result.seconds, 3), lost=result.session_lost)
            taken = await take(desk, result, call.id)
            return _output(call.id, news, result, taken, dict(session.kept))

    async def _opened(self) -> Sessions | str:
        """The sessions, or why there are none."""
        return _OFF if self._opening is None else await asyncio.shield(self._opening)

    async def _called_before(self, run: Run) -> bool:
        """Whether code may have run in this thread already, in a session that is gone."""
        if run.turn > 1:
            return True
        latest = await self._backend.read(lambda tx: runs.listed(tx, run.thread, PageRequest(2, "desc")))
        return any(
            one.id != run.id and any(isinstance(tool, CodeInterpreterTool) for tool in one.plan.tools)
            for one in latest.items
        )


async def _open(settings: Settings) -> Sessions | str:
    from respun.sandbox.choose import choose

    try:
        sandbox = await choose(settings)
    except NoSandbox as problem:
        log.warning("code_interpreter is refused", reason=problem.reason)
        return problem.reason
    log.info("code_interpreter is served", sandbox=sandbox.name)
    return await Sessions(sandbox, settings).__aenter__()


def _output(call: str, news: str, result: Result, taken: Taken, known: dict[str, str]) -> Output:
    """`known`: files of the session by name, which the model's text may refer to."""
    logs = (news + report(result)).replace("\x00", "\ufffd")
    outputs: list[dict[str, object]] = [{"type": "logs", "logs": logs}] if logs else []
    outputs += [{"type": "image", "image": {"file_id": image}} for image in taken.images]
    told = "\n".join([*([logs.rstrip("\n")] if logs else []), *taken.notes]) or _NOTHING
    return Output(call, told, {"outputs": outputs, "files": known}, taken.images, tuple(taken.files.values()))
