"""What `respun serve` prints once it listens: addresses to click, and which model really answers."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from respun import __version__
from respun.config import Config, without_password

if TYPE_CHECKING:
    from respun.web.server import Serving


def announce(serving: "Serving") -> None:
    """To stdout, so that it is there in a container's log, too."""
    click.echo(banner(serving.origin, serving.config, serving.app.answers, Path.home()))


def banner(origin: str, config: Config, answers: str, home: Path) -> str:
    lines = [
        ("API", f"{origin}/v1", "base_url for your code"),
        ("Docs", f"{origin}/docs", ""),
        ("Data", where(config, home), ""),
        ("Models", answers, ""),
    ]
    rows = [f"  {label:<8} {value:<34} {note}".rstrip() for label, value, note in lines]
    end = "  Ctrl-C stops. Runs in progress are resumed at the next start."
    return "\n".join(["", click.style(f"respun {__version__}", bold=True), "", *rows, "", end, ""])


def where(config: Config, home: Path) -> str:
    """The store as people know it: no password, and `~` for the home folder."""
    if config.database:
        return f"{without_password(config.database)}  (PostgreSQL)"
    path = config.data / "respun.db"
    shown = f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
    return f"{shown}  (SQLite)"
