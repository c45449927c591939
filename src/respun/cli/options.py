"""The flags of every verb, made from the table of settings, and the settings that a call of the command means."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from respun.config import SETTINGS, Setting
from respun.settle import ConfigError, Settled, find_file, settle

F = TypeVar("F", bound=Callable[..., Any])

REFUSED: Final = 2
"""The exit code where nothing was begun, because of how the command was called or the machine is set up."""
STORE: Final = ("data", "database")


class Refusal(click.ClickException):
    """Ends the command with a sentence on stderr that says what to do."""

    exit_code = REFUSED

    def show(self, file: Any = None) -> None:
        click.echo(f"respun: {self.message}", err=True)


def with_settings(*names: str) -> Callable[[F], F]:
    """Give a verb the flags of these settings (of all, if none is named) and `--config`."""
    chosen = [setting for setting in SETTINGS if setting.flag and (not names or setting.name in names)]

    def decorate(verb: F) -> F:
        for setting in reversed(chosen):
            verb = _option(setting)(verb)
        return click.option("--config", "config_file", metavar="FILE", help="Instead of ./respun.toml.")(verb)

    return decorate


def settings_of(flags: dict[str, Any]) -> Settled:
    """The settings in force for this call; a Refusal says what is wrong with them."""
    try:
        return settled_now(flags)
    except ConfigError as error:
        raise Refusal(str(error)) from None


def settled_now(flags: dict[str, Any]) -> Settled:
    """The settings that the flags, the environment and the file mean as they are now. Raises ConfigError."""
    flags = dict(flags)
    file = find_file(os.environ, Path.cwd(), flags.pop("config_file", None))
    return settle(flags=flags, environ=os.environ, file=file, home=Path.home())


def make_room(settled: Settled) -> None:
    """Make what lies above the default data folder. One that was named and has no parent is more likely a slip."""
    if settled.sources["data"] == "default":
        settled.config.data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def _option(setting: Setting) -> Callable[[F], F]:
    assert setting.flag is not None
    if isinstance(setting.default, bool):
        return click.option(setting.flag, setting.name, is_flag=True, default=None, help=setting.help)
    default = setting.default_words or setting.shown(setting.default)
    return click.option(
        setting.flag, setting.name, metavar=_metavar(setting), help=f"{setting.help}  [default: {default}]"
    )


def _metavar(setting: Setting) -> str:
    if setting.expects.startswith("one of "):
        return "|".join(setting.expects.removeprefix("one of ").split(", "))
    return {"a whole": "NUMBER", "a number": "NUMBER", "a path": "PATH"}.get(_kind(setting.expects), "TEXT")


def _kind(expects: str) -> str:
    known: Iterable[str] = ("a whole", "a number", "a path")
    return next((kind for kind in known if expects.startswith(kind)), "")
