"""`respun doctor`: what works on this machine with these settings, and what to do about the rest."""

import asyncio
import os
import platform
import socket
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import click
from msgspec import Struct

from respun import __version__
from respun.cli.options import make_room, settings_of, with_settings
from respun.config import Config, without_password
from respun.core.chat import ModelError, Provider
from respun.providers.catalogue import CatalogueModel

State = Literal["ok", "note", "broken"]
_MARKS: dict[State, tuple[str, str]] = {"ok": ("✓", "green"), "note": ("·", "yellow"), "broken": ("✗", "red")}


class Finding(Struct, frozen=True):
    """`note`: it works, but there is something to know."""

    what: str
    state: State
    says: str


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON list.")
@with_settings()
def doctor(as_json: bool, **flags: Any) -> None:
    """Say what works here, and what to do about the rest. Exit code 1 if something is broken."""
    settled = settings_of(flags)
    make_room(settled)
    findings = asyncio.run(_examine(settled.config))
    if settled.unknown:
        names = ", ".join(settled.unknown)
        findings.append(Finding("variables", "note", f"No settings, so without effect: {names}."))
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(findings)).decode())
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.state]
            click.echo(f"{click.style(mark, fg=colour)} {finding.what:<10} {finding.says}")
    if any(finding.state == "broken" for finding in findings):
        raise click.exceptions.Exit(1)


async def _examine(config: Config) -> list[Finding]:
    return [_versions(), await _store(config), _port(config), *await _models(config), *await _code(config)]


def _versions() -> Finding:
    packages = ("msgspec", "uvicorn", "aiohttp", "xllamacpp", "openai")
    found = ", ".join(f"{name} {number}" for name in packages if (number := _version(name)))
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("versions", "ok", f"respun {__version__}, {python}, SQLite {sqlite3.sqlite_version}, {found}")


async def _store(config: Config) -> Finding:
    from respun.store import keys
    from respun.store.backend import StoreError
    from respun.store.opening import open_beside

    where = without_password(str(config.store))
    try:
        backend = await open_beside(config.store)
        try:
            live = await backend.read(keys.any_live)
            locked = await backend.read(keys.any_made)
        finally:
            await backend.close()
    except StoreError as error:
        return Finding("store", "broken", str(error))
    asks = (
        "requests need a key" if live else "every key is revoked: `respun keys create`" if locked else "no key needed"
    )
    return Finding("store", "note" if locked and not live else "ok", f"{where} opens; {asks}")


def _port(config: Config) -> Finding:
    from respun.web.server import ServeRefused, bind

    try:
        bind(config.host, config.port).close()
    except ServeRefused as error:
        if _is_respun(config):
            return Finding("port", "ok", f"{config.port} is served by a respun that runs now")
        return Finding("port", "broken", str(error))
    return Finding("port", "ok", f"{config.host}:{config.port} is free")


def _is_respun(config: Config) -> bool:
    ask = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    try:
        with socket.create_connection((config.host, config.port), timeout=1) as connection:
            connection.settimeout(1)
            connection.sendall(ask)
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200") and b'"version"' in answer


async def _models(config: Config) -> list[Finding]:
    """Who answers, and whether it does: upstreams are asked for their list of models, which costs nothing."""
    from respun.settle import ConfigError
    from respun.web.models import find_models

    try:
        models = await find_models(config, os.environ)
    except ConfigError as error:
        return [Finding("models", "broken", str(error))]
    try:
        own = models.upstreams.embedded.values()
        asked = [(name, each) for name, each in models.upstreams.providers.items() if not name.startswith("embedded ")]
        return [
            Finding("models", "broken" if "nobody" in models.upstreams.providers else "ok", models.answers),
            *[_embedded(provider.model, config) for provider in own],
            *[await _upstream(name, provider) for name, provider in asked if name != "nobody"],
        ]
    finally:
        await models.aclose()


async def _code(config: Config) -> list[Finding]:
    """What could hold the Python that models write: each candidate is attacked, as a server does when it starts."""
    from msgspec.structs import replace

    from respun.sandbox.choose import examine
    from respun.web.code import code_settings

    settings = code_settings(config)
    if settings is None:
        return [Finding("code", "note", "code_interpreter is switched off by the setting of that name")]
    candidates = await examine(replace(settings, preload=(), spares=0))
    holds = next((each for each in candidates if each.holds), None)
    lacking = [each for each in candidates if not each.holds]
    if holds is None:
        state: State = "note" if config.code_interpreter == "auto" else "broken"
        return [Finding("code", state, f"no code_interpreter: {each.name}: {each.reason}") for each in lacking]
    chosen = Finding("code", "ok", f"code_interpreter runs in {holds.name}, which held in {holds.seconds:.1f} s")
    better = lacking if holds is not candidates[0] else []
    return [chosen, *[Finding("code", "note", f"{each.name} does not hold: {each.reason}") for each in better]]


async def _upstream(name: str, provider: Provider) -> Finding:
    from respun.providers.route import ListsModels

    if not isinstance(provider, ListsModels):
        return Finding("upstream", "ok", f"{name} answers")
    try:
        async with asyncio.timeout(5):
            listed = await provider.models()
    except ModelError as error:
        return Finding("upstream", "broken", f"{name}: {error.message}")
    except TimeoutError:
        return Finding("upstream", "broken", f"{name} gave no list of models within 5 seconds")
    return Finding("upstream", "ok", f"{name} answers, with {len(listed)} models")


def _embedded(model: CatalogueModel, config: Config) -> Finding:
    from respun.providers.catalogue import is_present
    from respun.providers.hardware import inspect_machine, what_is_missing

    lack = what_is_missing(inspect_machine(), model.size)
    if lack:
        return Finding("upstream", "broken", lack)
    if not is_present(model, config.models_folder):
        return Finding(
            "upstream", "note", f"{model.title} is fetched at the start, or by: respun models get {model.name}"
        )
    return Finding("upstream", "ok", f"{model.title} is here, and this machine can run it")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
