"""A model that respun runs itself: a child process that is started on first use and ended when nobody asks.

The child serves Chat Completions on a Unix socket in a private folder, behind a random key; a client for that (given
as `connect`) does the talking. One answer at a time, in the order of the calls: a second one would halve both the
speed and the context window.
"""

import asyncio
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import msgspec

from respun.core.chat import ModelError, ModelRequest, News, Provider, SystemMessage
from respun.providers.catalogue import CatalogueModel, PromptProfile
from respun.providers.hardware import Machine, inspect_machine, what_is_missing

_CHILD_FILE: Final = Path(__file__).with_name("llm_child.py")
_TAIL_BYTES: Final = 2000
_LONGEST_FOLDER_PATH: Final = 90
_DEATH_SECONDS: Final = 0.5
_LONGEST_PAUSE: Final = 60.0


class Client(Provider, Protocol):
    """Speaks Chat Completions with the child; a ModelError of kind "broken" says that an answer was cut."""

    async def aclose(self) -> None: ...


Connect = Callable[[str, str], Client]
"""From the socket's path and the key. The client opens a connection for each call, because the child closes it after
an answer without saying so (aiohttp: `UnixConnector(path, force_close=True)`), and waits minutes for a first batch."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process that answers, with all that must be taken away after it."""

    process: asyncio.subprocess.Process
    folder: Path
    client: Client
    tail: bytearray
    listener: asyncio.Task[None]
    """Fills `tail`, the last bytes of the process's stderr."""

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    async def end(self) -> None:
        if self.alive:
            self.process.kill()
        await self.process.wait()
        await self.listener
        await self.client.aclose()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    def last_words(self) -> str:
        words = " ".join(self.tail.decode(errors="replace").split())
        return f" It said: {words}" if words else ""


@dataclass(slots=True)
class _Crashes:
    """How often the child died in a row, and when it may be started again."""

    count: int = 0
    not_before: float = field(default=0.0)

    def note(self, now: float) -> None:
        self.count += 1
        pause = 0.0 if self.count < 2 else min(_LONGEST_PAUSE, 2.0 ** (self.count - 2))
        self.not_before = now + pause


class EmbeddedModel:
    """The Provider of one catalogue model. Its file is pulled on first use if it is not there.

    It knows no tools (`supports_tools`), so requests that have some need the schema adapter around it, and only if
    its profile says that it can choose. Call `close` before the event loop ends.
    """

    supports_tools: Final = False

    def __init__(
        self,
        model: CatalogueModel,
        models_folder: Path,
        connect: Connect,
        *,
        environ: Mapping[str, str],
        context_window: int = 4096,
        idle_seconds: float = 600.0,
        start_seconds: float = 60.0,
        inspect: Callable[[], Machine] = inspect_machine,
    ) -> None:
        self.model = model
        self.context_window = min(context_window, model.context_window)
        self._models_folder = models_folder
        self._connect = connect
        self._environ = environ
        self._idle_seconds = idle_seconds
        self._start_seconds = start_seconds
        self._inspect = inspect
        self._turn = asyncio.Semaphore(1)  # one answer at a time, first come first served; guards the start too
        self._in_flight = 0
        self._child: Child | None = None
        self._crashes = _Crashes()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._endings: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def profile(self) -> PromptProfile:
        return self.model.profile

    @property
    def child_pid(self) -> int | None:
        """The process that holds the model now, if one does."""
        return self._child.process.pid if self._child and self._child.alive else None

    async def stream(self, request: ModelRequest) -> AsyncIterator[Sequence[News]]:
        self._call_begins()
        try:
            async with self._turn:
                child = await self._running_child()
                child.tail.clear()
                answer = child.client.stream(self._suited(request))
                try:
                    async for batch in answer:
                        yield batch
                except ModelError as error:
                    raise await self._explained(child, error) from error
                finally:
                    if isinstance(answer, AsyncGenerator):
                        await answer.aclose()
                self._crashes = _Crashes()
        finally:
            self._call_ends()

    async def close(self) -> None:
        """End the child. Calls that are still running fail."""
        self._closed = True
        self._fall_asleep()
        await asyncio.gather(*self._endings)

    def _call_begins(self) -> None:
        self._in_flight += 1
        self._cancel_idle_timer()

    def _call_ends(self) -> None:
        self._in_flight -= 1
        if self._in_flight == 0 and self._child:
            self._idle_timer = asyncio.get_running_loop().call_later(self._idle_seconds, self._fall_asleep)

    def _cancel_idle_timer(self) -> None:
        if self._idle_timer:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _fall_asleep(self) -> None:
        """Give the memory back. A call that comes meanwhile starts another child."""
        self._cancel_idle_timer()
        child, self._child = self._child, None
        if child:
            ending = asyncio.create_task(child.end())
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    def _suited(self, request: ModelRequest) -> ModelRequest:
        """The request with what this model needs and the caller left open."""
        messages = request.messages
        if self.profile.system and not any(isinstance(message, SystemMessage) for message in messages):
            messages = (SystemMessage(self.profile.system), *messages)
        limit = request.max_completion_tokens or self.profile.max_completion_tokens
        return msgspec.structs.replace(request, model=self.model.name, messages=messages, max_completion_tokens=limit)

    async def _running_child(self) -> Child:
        self._refuse_after_close()
        child = self._child
        if child and child.alive:
            return child
        if child:
            await self._bury(child)
        self._refuse_before_the_pause_is_over()
        started = await self._start()
        if self._closed:
            await started.end()
        self._refuse_after_close()
        self._child = started
        return started

    def _refuse_after_close(self) -> None:
        if self._closed:
            raise ModelError("unavailable", "The server is stopping.")

    async def _bury(self, child: Child) -> None:
        self._crashes.note(time.monotonic())
        if self._child is child:
            self._child = None
        await child.end()

    def _refuse_before_the_pause_is_over(self) -> None:
        wait = self._crashes.not_before - time.monotonic()
        if wait > 0:
            raise ModelError(
                "unavailable",
                f"{self.model.title} ended {self._crashes.count} times in a row; "
                f"it is started again in {wait:.0f} seconds.",
                retry_after=wait,
            )

    async def _explained(self, child: Child, error: ModelError) -> ModelError:
        """The error itself, or, if the process died of it, what is known of its death."""
        if error.kind in ("context_length", "rejected", "auth"):
            return error
        if error.kind == "timeout":
            await self._bury(child)  # it hangs, or nobody waits for what it does
            return error
        try:
            await asyncio.wait_for(child.process.wait(), _DEATH_SECONDS)
        except TimeoutError:
            return error
        await self._bury(child)
        return ModelError(
            "broken",
            f"{self.model.title} ended in the middle of an answer ({_ending_of(child.process)}). "
            f"The next call starts it again.{child.last_words()}",
        )

    async def _start(self) -> Child:
        machine = self._inspect()
        lack = what_is_missing(machine, self.model.size)
        if lack:
            raise ModelError("unavailable", lack)
        weights = await self._weights()
        order = {
            "name": self.model.name,
            "model": str(weights),
            "context_window": self.context_window,
            "threads": max(1, machine.cores - 1),
        }
        child = await spawn(order, self._connect)
        try:
            await self._until_ready(child)
        except BaseException:
            await child.end()
            raise
        return child

    async def _weights(self) -> Path:
        from respun.providers.download import PullError, pull

        try:
            return await pull(self.model, self._models_folder, environ=self._environ)
        except PullError as error:
            raise ModelError("unavailable", error.message) from error

    async def _until_ready(self, child: Child) -> None:
        assert child.process.stdout
        try:
            said = await asyncio.wait_for(child.process.stdout.readline(), self._start_seconds)
        except TimeoutError:
            self._crashes.note(time.monotonic())
            raise ModelError(
                "unavailable",
                f"{self.model.title} was not ready after {self._start_seconds:.0f} seconds. "
                f"Try again, or choose a smaller model.{child.last_words()}",
            ) from None
        if said != b"ready\n":
            self._crashes.note(time.monotonic())
            await child.process.wait()
            await child.listener
            raise ModelError(
                "unavailable",
                f"{self.model.title} could not be started ({_ending_of(child.process)}).{child.last_words()}",
            )


async def spawn(order: Mapping[str, object], connect: Connect) -> Child:
    """A child that loads what `order` says. Its environment is empty, so no key of ours is in it."""
    folder = await asyncio.to_thread(_private_folder)
    socket, key = str(folder / "llm.sock"), secrets.token_urlsafe(32)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", str(_CHILD_FILE)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={},
        cwd=folder,
        start_new_session=True,  # Ctrl-C in a terminal is for the server, which then ends the child
    )
    assert process.stdin
    assert process.stderr
    process.stdin.write(msgspec.json.encode({**order, "socket": socket, "key": key}) + b"\n")
    tail = bytearray()
    listener = asyncio.create_task(_listen(process.stderr, tail))
    return Child(process, folder, connect(socket, key), tail, listener)


def _private_folder() -> Path:
    """A folder that only this user may enter, with a path short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="respun-llm-"))
    if len(str(folder)) > _LONGEST_FOLDER_PATH:
        folder.rmdir()
        raise ModelError("unavailable", f"The temporary folder {folder.parent} is too long for a socket; set TMPDIR.")
    return folder


async def _listen(stderr: asyncio.StreamReader, tail: bytearray) -> None:
    while block := await stderr.read(_TAIL_BYTES):
        tail += block
        del tail[:-_TAIL_BYTES]


def _ending_of(process: asyncio.subprocess.Process) -> str:
    code = process.returncode or 0
    return f"signal {-code}" if code < 0 else f"exit code {code}"
