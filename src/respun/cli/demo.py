"""`respun demo`: a server of its own on a free port, a short conversation with it as code would hold one, the end."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from respun.cli.options import make_room, settings_of, with_settings
from respun.config import Config

if TYPE_CHECKING:
    from respun.cli.talk import Talk
    from respun.web.models import Default

_ADDRESS = re.compile(r"(http://\S+)/v1\b")
_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_OLD_MODEL = "gpt-4-turbo"
QUESTIONS = (
    "What is the capital of France?",
    "And what is the capital of Italy?",
)


@click.command()
@click.option(
    "--scripted", is_flag=True, help="Let the scripted model answer: an echo, at once and without a download."
)
@with_settings("provider", "openai_base_url", "embedded_model", "models_folder")
def demo(scripted: bool, **flags: Any) -> None:
    """Start a server on a free port, hold a short conversation with it, and end.

    It keeps its data in a temporary folder and leaves yours alone.
    """
    if scripted:
        flags["provider"] = "scripted"
    settled = settings_of(flags)
    make_room(settled)
    config = settled.config
    default = asyncio.run(_default(config))
    if _bring(default, config):
        default = asyncio.run(_default(config))
    given = {name: str(value) for name, value in flags.items() if value is not None}
    with tempfile.TemporaryDirectory(prefix="respun-demo-") as folder, _server(given, config, Path(folder)) as origin:
        _converse(origin, config, default)


async def _default(config: Config) -> "Default | None":
    from respun.settle import ConfigError
    from respun.web.models import find_default

    try:
        return await find_default(config)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


def _bring(default: "Default | None", config: Config) -> bool:
    """Fetch the embedded model where one sees it come: whether it did. Ends here if nothing can answer."""
    from respun.providers.discover import FoundEmbedded, FoundNothing

    if isinstance(default, FoundNothing):
        raise click.ClickException(f"{default.sentence} `respun demo --scripted` shows the rest without a model.")
    if not isinstance(default, FoundEmbedded) or default.present:
        return False
    from respun.cli.models import fetch

    fetch(default.model, config)
    return True


@contextlib.contextmanager
def _server(given: dict[str, str], config: Config, folder: Path) -> Iterator[str]:
    """A child that serves; gives its origin once it listens, and ends it with what it has begun."""
    flags = {**given, "host": "127.0.0.1", "port": "0", "data": str(folder / "data"), "database": ""}
    flags |= {"models_folder": str(config.models_folder), "log_level": "warning"}
    words = [word for name, value in flags.items() for word in ("--" + name.replace("_", "-"), value)]
    child = subprocess.Popen(  # noqa: S603 - our own command, with flags that the settings have checked
        [sys.executable, "-m", "respun", "serve", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,  # Ctrl-C is for the demo, which then ends the server
    )
    try:
        yield _origin(child)
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _origin(child: "subprocess.Popen[str]") -> str:
    """Read from the banner. A child that says nothing is ended, which ends the reading."""
    assert child.stdout
    impatience = threading.Timer(_START_SECONDS, child.kill)
    impatience.start()
    try:
        for line in child.stdout:
            if found := _ADDRESS.search(line):
                return found[1]
    finally:
        impatience.cancel()
    raise click.ClickException("The server did not start. What it said stands above; `respun doctor` looks closer.")


def _converse(origin: str, config: Config, default: "Default | None") -> None:
    from respun.cli.talk import talk_to

    with contextlib.closing(talk_to(f"{origin}/v1", config.key or "not-needed")) as talk:
        _hold(talk, origin, default)


def _hold(talk: "Talk", origin: str, default: "Default | None") -> None:
    from respun.web.models import answers_any_name

    click.echo(f"\nA respun of its own at {origin}/v1, called through {talk.through}.\n")
    model = _OLD_MODEL if answers_any_name(default) else talk.first_model()
    assistant = talk.create_assistant(model, "Demo", "You are a helpful assistant.")
    click.echo(f"  assistant  {assistant}  model {model}")
    thread = talk.create_thread()
    click.echo(f"  thread     {thread}")
    for question in QUESTIONS:
        _ask(talk, thread, assistant, question)
    click.echo(f"\n  The thread holds {talk.count_messages(thread)} messages.")
    if default is not None:
        click.echo(f"  {default.sentence}")
        if answers_any_name(default):
            click.echo(f"  The code asked for {model}; it goes on asking for that, whoever answers.")
    click.echo("\nIt works. Start one that stays with `respun serve`, and give your code its base_url.")


def _ask(talk: "Talk", thread: str, assistant: str, question: str) -> None:
    message = talk.add_message(thread, question)
    click.echo(f"\n  message    {message}\n  you        {question}\n  assistant  ", nl=False)
    begun = time.perf_counter()
    first = None
    for piece in talk.stream_run(thread, assistant):
        first = first or time.perf_counter() - begun
        click.echo(piece.replace("\n", "\n             "), nl=False)
    run = talk.last_run
    click.echo(f"\n  run        {run.id}  {run.status}, {run.tokens} tokens, first word after {first or 0.0:.2f} s")
    if run.status != "completed":
        raise click.ClickException(f"The run ended as {run.status}: {run.reason}")
