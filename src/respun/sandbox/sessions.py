"""The pool of sessions, one a thread: made when first needed, ended when idle or old, at most so many at once.

The only thing the rest of respun calls. Which machine or back-end runs the code is `Sandbox`'s affair.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from respun.core.problems import Problem
from respun.sandbox.ports import FileInfo, NoSession, Result, Sandbox, Settings

_SWEEP = 30.0  # seconds


@dataclass(slots=True)
class Session:
    born: float
    used: float
    calls: int = 0
    """In flight now: a session with calls is never ended by the pool."""
    new: bool = True
    """Until its user has told so."""
    put: dict[str, str] = field(default_factory=dict)
    """For its user to note, by name, the files it was given; forgotten with the session."""
    kept: dict[str, str] = field(default_factory=dict)
    """The same for files that were taken out of it."""


class Sessions:
    """Use as `async with Sessions(sandbox, settings) as sessions`; leaving ends all of them and the sandbox."""

    def __init__(self, sandbox: Sandbox, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._sandbox, self._settings, self._clock = sandbox, settings, clock
        self._held: dict[str, Session] = {}
        self._making = asyncio.Lock()  # so that two first calls of a thread make one session
        self._sweeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Sessions":
        self._sweeper = asyncio.create_task(self._sweep_for_ever())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        self._held.clear()
        await self._sandbox.aclose()

    @property
    def count(self) -> int:
        return len(self._held)

    def alive(self, thread: str) -> bool:
        """Whether the thread has a session, so that its files need not be put again."""
        held = self._held.get(thread)
        return held is not None and not self._over(held)

    def warm(self) -> None:
        """A session may be wanted soon."""
        self._sandbox.warm()

    @contextlib.asynccontextmanager
    async def use(self, thread: str) -> AsyncIterator[Session]:
        """The thread's session, made if it has none; it does not end before this context does."""
        session = await self._hold(thread)
        session.calls += 1
        try:
            yield session
        finally:
            session.calls -= 1
            session.used = self._clock()

    async def run(self, thread: str, code: str, *, seconds: float | None = None) -> Result:
        """Run code in the thread's session, made if it has none. Cancelling interrupts the code."""
        async with self.use(thread):
            return await self._sandbox.run(thread, code, seconds=seconds)

    async def put(self, thread: str, name: str, data: bytes) -> None:
        async with self.use(thread):
            await self._sandbox.put(thread, name, data)

    async def list(self, thread: str) -> Sequence[FileInfo]:
        self._known(thread)
        return await self._sandbox.list(thread)

    async def get(self, thread: str, name: str) -> bytes:
        self._known(thread)
        return await self._sandbox.get(thread, name)

    async def close(self, thread: str) -> None:
        """End the thread's session, with its files. A thread without one is fine."""
        if self._held.pop(thread, None) is not None:
            await self._sandbox.close(thread)

    async def sweep(self) -> None:
        """End what has been idle or alive for too long."""
        for thread, held in tuple(self._held.items()):
            if not held.calls and self._over(held):
                await self.close(thread)

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(min(_SWEEP, self._settings.idle_seconds))
            await self.sweep()

    async def _hold(self, thread: str) -> Session:
        async with self._making:
            held = self._held.get(thread)
            if held is not None and not held.calls and self._over(held):
                await self.close(thread)
                held = None
            if held is not None and not await self._renewed(thread):
                held = None
            if held is None:
                await self._make_room()
                await self._sandbox.create(thread)
                held = self._held[thread] = Session(self._clock(), self._clock())
            return held

    async def _renewed(self, thread: str) -> bool:
        """False if the back-end lost the session, as a remote one may."""
        try:
            await self._sandbox.renew(thread)
        except NoSession:
            self._held.pop(thread, None)
            return False
        return True

    async def _make_room(self) -> None:
        if len(self._held) < self._settings.sessions:
            return
        idle = [(held.used, thread) for thread, held in self._held.items() if not held.calls]
        if not idle:
            raise Problem(
                f"All {self._settings.sessions} code interpreter sessions are running code. Try again in a minute.",
                kind="unavailable",
            )
        await self.close(min(idle)[1])

    def _over(self, held: Session) -> bool:
        now = self._clock()
        return now - held.used > self._settings.idle_seconds or now - held.born > self._settings.life_seconds

    def _known(self, thread: str) -> None:
        if thread not in self._held:
            raise NoSession(thread)
