"""`respun keys`: make, list and revoke keys, also while a server runs."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import click

from respun.cli.options import STORE, Refusal, make_room, settings_of, with_settings

if TYPE_CHECKING:
    from respun.store.backend import Backend
    from respun.store.keys import Key

T = TypeVar("T")


@click.group()
def keys() -> None:
    """Make, list and revoke keys. Once one was made, every request needs one."""


@keys.command()
@click.option("--name", default="", help="To tell keys apart: what or whom it is for.")
@click.option("--project", default="default", help="The project it acts for.  [default: default]")
@click.option("--if-missing", is_flag=True, help="Do nothing if the project has a key that works.")
@with_settings(*STORE)
def create(name: str, project: str, if_missing: bool, **flags: Any) -> None:
    """Make a key and print it. It is shown this once; the store keeps its hash."""
    if not project.strip():
        raise Refusal("--project must not be empty.")
    secret = _in_store(flags, lambda backend: _make(backend, name, project, if_missing))
    if secret is None:
        click.echo(f"The project '{project}' has a key already; nothing was made.", err=True)
        return
    click.echo("This key is shown once. Keep it where your programs find it, as OPENAI_API_KEY.", err=True)
    click.echo(secret)


@keys.command("list")
@with_settings(*STORE)
def list_keys(**flags: Any) -> None:
    """Show the keys: never whole, but enough to recognise them."""
    from respun.store.keys import listed

    found = _in_store(flags, lambda backend: backend.read(listed))
    if not found:
        click.echo("There is no key. Without one, only this machine is served. `respun keys create` makes one.")
        return
    rows = [("ID", "KEY", "PROJECT", "NAME", "CREATED", "LAST USED", "STATE"), *map(_row, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@keys.command()
@click.argument("ident", metavar="ID")
@with_settings(*STORE)
def revoke(ident: str, **flags: Any) -> None:
    """Make a key stop working, within a second also on a server that runs."""
    from respun.store import keys as store

    if not _in_store(flags, lambda backend: backend.write(lambda tx: store.revoke(tx, ident, time.time()))):
        raise Refusal(f"No key that works has the id '{ident}'. `respun keys list` shows them.")
    click.echo(f"{ident} is revoked.")


async def _make(backend: "Backend", name: str, project: str, if_missing: bool) -> str | None:
    """The secret; None if one was there."""
    from respun.store import keys as store

    if if_missing and any(key.project == project and not key.revoked_at for key in await backend.read(store.listed)):
        return None
    secret = store.PREFIX + secrets.token_urlsafe(32)
    key = store.Key(f"key_{uuid4().hex}", project, name, store.hint_of(secret), time.time())
    await backend.write(lambda tx: store.add(tx, secret, key))
    return secret


def _in_store(flags: dict[str, Any], work: Callable[["Backend"], Awaitable[T]]) -> T:
    settled = settings_of(flags)
    make_room(settled)
    from respun.store.backend import StoreError
    from respun.store.opening import open_beside

    async def opened() -> T:
        backend = await open_beside(settled.config.store)
        try:
            return await work(backend)
        finally:
            await backend.close()

    try:
        return asyncio.run(opened())
    except StoreError as error:
        raise Refusal(str(error)) from None


def _row(key: "Key") -> tuple[str, ...]:
    state = f"revoked {_day(key.revoked_at)}" if key.revoked_at else "works"
    return (key.id, key.hint, key.project, key.name or "-", _day(key.created_at), _day(key.last_used_at), state)


def _day(moment: float | None) -> str:
    return "-" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")
