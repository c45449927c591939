"""`respun models`: what respun can run itself, and fetching one."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from respun.cli.options import Refusal, make_room, settings_of, with_settings

if TYPE_CHECKING:
    from respun.config import Config
    from respun.providers.catalogue import CatalogueModel


@click.group()
def models() -> None:
    """List the models respun can run itself, and fetch one."""


@models.command("list")
@with_settings("models_folder")
def list_models(**flags: Any) -> None:
    """Show every model of the catalogue: size, licence, whether it is here and what it is good for."""
    from respun.providers.catalogue import MODELS, is_present

    folder = settings_of(flags).config.models_folder
    for model in MODELS:
        here = "here" if is_present(model, folder) else f"respun models get {model.name}"
        click.secho(model.name, bold=True)
        click.echo(f"  {_size(model)}, {model.licence}, {model.context_window} tokens of context; {here}")
        click.echo(f"  {model.good_for}")


@models.command()
@click.argument("name", metavar="MODEL")
@with_settings("models_folder")
def get(name: str, **flags: Any) -> None:
    """Fetch a model. Its file is accepted by its SHA-256 alone; a fetch that was cut goes on where it stopped."""
    from respun.providers.catalogue import UnknownModel, model_named

    settled = settings_of(flags)
    make_room(settled)
    try:
        model = model_named(name)
    except UnknownModel as error:
        raise Refusal(str(error)) from None
    fetch(model, settled.config)


def fetch(model: "CatalogueModel", config: "Config") -> None:
    """Bring the model here, with a bar on a terminal and a line each tenth elsewhere."""
    from respun.providers.catalogue import is_present
    from respun.providers.download import PullError, pull

    if is_present(model, config.models_folder):
        click.echo(f"{model.title} is here: {config.models_folder / model.file}")
        return
    click.echo(f"Fetching {model.title}: {_size(model)}, licence {model.licence}, into {config.models_folder}")
    progress = _Bar() if sys.stdout.isatty() else _Lines()
    try:
        path = asyncio.run(pull(model, config.models_folder, environ=os.environ, progress=progress))
    except PullError as error:
        raise click.ClickException(error.message) from None
    except KeyboardInterrupt:
        click.echo("\nStopped. The same command goes on from here.", err=True)
        raise click.exceptions.Exit(130) from None
    progress(model.size, model.size)
    click.echo(f"{model.title} is here, with the right SHA-256: {path}")


class _Bar:
    """One line that fills."""

    _WIDTH = 40

    def __init__(self) -> None:
        self._done = False

    def __call__(self, here: int, total: int) -> None:
        if self._done:
            return
        self._done = here >= total
        filled = self._WIDTH * here // total
        bar = "█" * filled + "░" * (self._WIDTH - filled)
        end = "\n" if self._done else ""
        click.echo(f"\r  {bar}  {here // 1_000_000:>5} of {total // 1_000_000} MB{end}", nl=False)


class _Lines:
    """A line for each tenth."""

    def __init__(self) -> None:
        self._tenth = 0

    def __call__(self, here: int, total: int) -> None:
        tenth = 10 * here // total
        if tenth > self._tenth:
            self._tenth = tenth
            click.echo(f"  {tenth}0 %  {here // 1_000_000} of {total // 1_000_000} MB")


def _size(model: "CatalogueModel") -> str:
    return f"{model.size // 1_000_000} MB"
