"""A store that fails and a model with a fault: the run goes on elsewhere or fails with a reason, and never hangs."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

import pytest

from engine.world import QUICK, World, until, world
from plugins.postgres import PostgresDatabases
from respun.core.chat import ModelRequest, News, TextDelta
from respun.core.problems import Problem
from respun.core.runs import Run


class Faulty:
    """A provider with a fault of its own: it raises what no provider may, or ends without an end."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def stream(self, request: ModelRequest) -> AsyncIterator[Sequence[News]]:
        yield [TextDelta("Half")]
        if self._error:
            raise self._error


@pytest.mark.parametrize("error", [KeyError("choices"), TypeError("None"), None], ids=repr)
async def test_a_model_with_a_fault_fails_the_run_at_once(place: str, error: Exception | None) -> None:
    async with world(place, model=Faulty(error)) as here:
        run = await here.ended(await here.start("Hello"))
        assert run.status == "failed"
        assert run.last_error is not None
        assert run.last_error.code == "server_error"
        (message,) = await here.answers(run)
        assert (message.text, message.status, message.incomplete_reason) == ("Half", "incomplete", "run_failed")
        again = await here.ended(await here.start("Hello", run.thread))
        assert again.status == "failed", "the thread is free"


async def test_runs_go_on_when_their_database_was_away(
    postgres_url: Callable[[], str], postgres: PostgresDatabases
) -> None:
    """What could not be stored is left to its lease, and taken up again by the same worker."""
    async with world(postgres_url(), QUICK) as here:
        script = "@delay 0.05\n@say " + "word " * 20
        runs = [await here.start(script) for _ in range(5)]
        await until(lambda: _answered(here, runs[0].thread))
        postgres.command(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname like 'test_%' and pid <> pg_backend_pid()"
        )
        ended = [await until(lambda run=run: _ended(here, run), 15) for run in runs]
        assert {run.status for run in ended} == {"completed"}
        for run in ended:
            whole = [message.text for message in await here.answers(run) if message.status == "completed"]
            assert whole == [("word " * 20).strip()]


async def _ended(here: World, run: Run) -> Run | None:
    with suppress(Problem):  # the store does not answer: callers are told to try again
        found = await here.get(run)
        return found if found.done else None
    return None


async def _answered(here: World, thread: str) -> bool:
    return len(await here.messages(thread)) > 1
