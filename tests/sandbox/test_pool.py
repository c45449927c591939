"""One session a thread; idle and old ones end; so many at once and no more."""

import asyncio
from pathlib import Path

import pytest

from respun.core.problems import Problem
from respun.sandbox.ports import NoSession, Settings
from respun.sandbox.sessions import Sessions
from sandbox.backends import make


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_threads_do_not_share_state_or_files(tmp_path: Path) -> None:
    async with Sessions(make("process", tmp_path), Settings()) as sessions:
        await sessions.run("one", "x = 1; open('f', 'w').write('x')")
        assert "NameError" in str((await sessions.run("two", "x")).error)
        assert (await sessions.run("two", "import os; os.listdir()")).logs == "[]\n"
        assert (await sessions.run("one", "x")).logs == "1\n"


async def test_a_session_ends_when_idle_and_when_old(tmp_path: Path) -> None:
    clock = Clock()
    async with Sessions(make("process", tmp_path), Settings(idle_seconds=100, life_seconds=250), clock) as sessions:
        await sessions.run("one", "x = 1")
        for _ in range(2):
            clock.now += 90
            assert (await sessions.run("one", "x")).logs == "1\n"
        assert sessions.alive("one")
        clock.now += 90
        assert not sessions.alive("one")
        assert "NameError" in str((await sessions.run("one", "x")).error)
        clock.now += 101
        await sessions.sweep()
        assert sessions.count == 0
        with pytest.raises(NoSession):
            await sessions.list("one")


async def test_the_longest_idle_session_makes_room_and_busy_ones_do_not(tmp_path: Path) -> None:
    clock = Clock()
    async with Sessions(make("process", tmp_path), Settings(sessions=2), clock) as sessions:
        for thread in ("one", "two"):
            clock.now += 1
            await sessions.run(thread, "x = 1")
        await sessions.run("three", "x = 1")
        assert not sessions.alive("one")
        assert sessions.alive("two")
        busy = [asyncio.create_task(sessions.run(thread, "import time; time.sleep(1)")) for thread in ("two", "three")]
        await asyncio.sleep(0.2)
        with pytest.raises(Problem, match="All 2 code interpreter sessions are running code"):
            await sessions.run("four", "1")
        await asyncio.gather(*busy)


async def test_two_first_calls_of_a_thread_share_one_session(tmp_path: Path) -> None:
    async with Sessions(make("process", tmp_path), Settings()) as sessions:
        await asyncio.gather(sessions.run("one", "x = 1"), sessions.run("one", "y = 2"))
        assert (await sessions.run("one", "x, y")).logs == "(1, 2)\n"
        assert sessions.count == 1


async def test_closing_a_thread_removes_its_files(tmp_path: Path) -> None:
    async with Sessions(make("process", tmp_path), Settings()) as sessions:
        await sessions.put("one", "f", b"x")
        assert await sessions.get("one", "f") == b"x"
        await sessions.close("one")
        assert (await sessions.run("one", "import os; os.listdir()")).logs == "[]\n"
