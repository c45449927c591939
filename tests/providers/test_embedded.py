"""The embedded model with the real SmolLM2 in a real child process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from plugins.embedded_world import MODELS_FOLDER, SocketClient, question, text_of
from respun.core.chat import Finished, ModelError
from respun.providers.catalogue import SMOLLM2
from respun.providers.download import pull
from respun.providers.embedded import EmbeddedModel
from respun.providers.hardware import Machine, inspect_machine, what_is_missing

pytestmark = pytest.mark.skipif(
    what_is_missing(inspect_machine(), SMOLLM2.size) is not None,
    reason=str(what_is_missing(inspect_machine(), SMOLLM2.size)),
)


class World:
    """An embedded model and the clients it made, one for each child it started."""

    def __init__(self, models_folder: Path = MODELS_FOLDER, **settings: object) -> None:
        self.clients: list[SocketClient] = []
        self.model = EmbeddedModel(SMOLLM2, models_folder, self._connect, environ=os.environ, **settings)

    def _connect(self, socket: str, key: str) -> SocketClient:
        self.clients.append(SocketClient(socket, key))
        return self.clients[-1]

    async def answer(self, text: str, **settings: object) -> list:
        return [batch async for batch in self.model.stream(question(text, **settings))]


NewWorld = Callable[..., AbstractAsyncContextManager[World]]


@asynccontextmanager
async def new_world(**settings: object) -> AsyncIterator[World]:
    world = World(**settings)
    try:
        yield world
    finally:
        await world.model.close()


@pytest.fixture(scope="session", autouse=True)
def weights() -> Path:
    """SmolLM2's file, pulled once for this machine."""
    return asyncio.run(pull(SMOLLM2, MODELS_FOLDER, environ=os.environ))


def is_running(pid: int) -> bool:
    """Whether it lives; a process that ended and that nobody has waited for yet does not."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_it_knows_the_capital_of_france_and_streams_the_answer_with_its_usage() -> None:
    async with new_world() as world:
        batches = await world.answer("What is the capital of France?")
    assert "Paris" in text_of(batches)
    assert len(batches) > 3
    match batches[-1][-1]:
        case Finished(usage=usage):
            assert usage is not None
            assert usage.prompt > 10
            assert usage.completion > 3
        case other:
            pytest.fail(f"the last news is {other}")


async def test_the_child_has_an_empty_environment_and_a_private_socket() -> None:
    async with new_world() as world:
        await world.answer("Say hello.", most=2)
        pid = world.model.child_pid
        socket = Path(world.clients[0].socket)
        assert Path(f"/proc/{pid}/environ").read_bytes() == b""
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        assert world.clients[0].key not in Path(f"/proc/{pid}/cmdline").read_text()
        assert tcp_sockets_of(pid) == []
    assert not socket.parent.exists()


def tcp_sockets_of(pid: int | None) -> list[str]:
    mine = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [
        row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()
    ]
    return [row[1] for row in rows if f"socket:[{row[9]}]" in mine]


async def test_a_caller_without_the_key_is_refused() -> None:
    async with new_world() as world:
        await world.answer("Say hello.", most=2)
        stranger = SocketClient(world.clients[0].socket, "wrong")
        with pytest.raises(ModelError) as caught:
            _ = [batch async for batch in stranger.stream(question("Say hello."))]
        await stranger.aclose()
    assert caught.value.kind == "auth"


async def test_calls_that_come_together_start_one_child_and_are_all_answered() -> None:
    async with new_world() as world:
        answers = await asyncio.gather(*(world.answer("Say hello.", most=3) for _ in range(4)))
        assert len(world.clients) == 1
    assert all(text_of(answer) for answer in answers)


async def test_calls_are_answered_in_the_order_they_came() -> None:
    ended: list[int] = []
    async with new_world() as world:

        async def ask(number: int) -> None:
            await world.answer("Count to ten.", most=12 - 4 * number)
            ended.append(number)

        await asyncio.gather(*(ask(number) for number in range(3)))
    assert ended == [0, 1, 2]


async def test_an_idle_child_is_ended_and_the_next_call_starts_another() -> None:
    async with new_world(idle_seconds=0.2) as world:
        await world.answer("Say hello.", most=2)
        first = world.model.child_pid
        assert first
        await until(lambda: not is_running(first))
        assert world.model.child_pid is None
        assert text_of(await world.answer("Say hello.", most=2))
        assert world.model.child_pid != first


async def test_idleness_never_cuts_an_answer() -> None:
    async with new_world(idle_seconds=0.05) as world:
        batches = await world.answer("Write a long story.", most=60)
        assert isinstance(batches[-1][-1], Finished)
        assert len(world.clients) == 1


async def test_a_child_that_is_killed_breaks_the_answer_and_the_next_call_starts_another() -> None:
    async with new_world() as world:
        with pytest.raises(ModelError) as caught:
            await ask_and_kill(world.model)
        assert caught.value.kind == "broken"
        assert "signal 9" in caught.value.message
        assert "Paris" in text_of(await world.answer("What is the capital of France?"))
        assert len(world.clients) == 2


async def ask_and_kill(model: EmbeddedModel) -> None:
    async for _ in model.stream(question("Write a long story.", most=400)):
        if model.child_pid:
            os.kill(model.child_pid, signal.SIGKILL)


async def test_a_child_that_hangs_is_replaced() -> None:
    async with new_world() as world:
        await world.answer("Say hello.", most=2)
        hung = world.model.child_pid
        assert hung
        os.kill(hung, signal.SIGSTOP)
        world.clients[0].silence = 0.2
        with pytest.raises(ModelError) as caught:
            await world.answer("Say hello.", most=2)
        assert caught.value.kind == "timeout"
        assert not is_running(hung)
        assert text_of(await world.answer("Say hello.", most=2))


async def test_a_reader_who_leaves_frees_the_model_for_the_next_call() -> None:
    async with new_world() as world:
        answer = world.model.stream(question("Write a long story.", most=2000))
        await anext(aiter(answer))
        await answer.aclose()
        async with asyncio.timeout(5):
            assert text_of(await world.answer("Say hello.", most=2))


async def test_a_prompt_longer_than_the_window_is_a_context_length_error() -> None:
    async with new_world(context_window=512) as world:
        assert world.model.context_window == 512
        with pytest.raises(ModelError) as caught:
            await world.answer("word " * 600)
    assert caught.value.kind == "context_length"


async def test_a_file_that_is_no_model_gives_the_childs_own_words_and_then_a_pause(tmp_path: Path) -> None:
    with (tmp_path / SMOLLM2.file).open("wb") as file:
        file.truncate(SMOLLM2.size)
    failures = []
    async with new_world(models_folder=tmp_path) as world:
        for _ in range(3):
            with pytest.raises(ModelError) as caught:
                await world.answer("Say hello.")
            failures.append(caught.value)
    assert [failure.kind for failure in failures] == ["unavailable"] * 3
    assert "could not be started (exit code 1). It said:" in failures[0].message
    assert "2 times in a row" in failures[2].message
    assert failures[2].retry_after
    assert len(world.clients) == 2


async def test_a_machine_that_cannot_run_it_is_told_so_before_a_child_is_started() -> None:
    old = Machine(system="Linux", arch="x86_64", cores=4, libc="glibc", free_bytes=1 << 40)
    async with new_world(inspect=lambda: old) as world:
        with pytest.raises(ModelError) as caught:
            await world.answer("Say hello.")
        assert world.clients == []
    assert caught.value.kind == "unavailable"
    assert "AVX2" in caught.value.message
    assert "OPENAI_API_KEY" in caught.value.message


async def test_after_close_no_call_is_served() -> None:
    world = World()
    await world.model.close()
    with pytest.raises(ModelError) as caught:
        await world.answer("Say hello.")
    assert caught.value.kind == "unavailable"
    assert world.clients == []


PARENT = """
import asyncio, os, sys
from pathlib import Path
from plugins.embedded_world import SocketClient, question
from respun.providers.catalogue import SMOLLM2
from respun.providers.embedded import EmbeddedModel

async def main():
    model = EmbeddedModel(SMOLLM2, Path(sys.argv[1]), SocketClient, environ={})
    async for _ in model.stream(question("Write a long story.", most=2000)):
        print(model.child_pid, flush=True)

asyncio.run(main())
"""


async def test_the_child_dies_with_a_parent_that_is_killed_and_takes_its_folder_along(tmp_path: Path) -> None:
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(MODELS_FOLDER)],
        env={"PYTHONPATH": paths, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()
    await until(lambda: not is_running(child))
    assert list(tmp_path.iterdir()) == []
