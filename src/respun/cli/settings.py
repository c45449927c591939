"""`respun config`: every setting, its value and where that comes from; and the reference for the docs."""

from itertools import groupby
from typing import Any

import click

from respun.cli.options import settings_of, with_settings
from respun.config import SETTINGS, Route, Setting, Upstream, without_password
from respun.reference import reference


@click.command()
@click.option("--reference", "as_reference", is_flag=True, help="Print the reference of all settings as Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object. Secrets are masked here, too.")
@with_settings()
def config(as_reference: bool, as_json: bool, **flags: Any) -> None:
    """Show every setting, its value and where it comes from: a flag, a variable, respun.toml or the default."""
    if as_reference:
        click.echo(reference(), nl=False)
        return
    settled = settings_of(flags)
    values = {setting.name: _value(setting, getattr(settled.config, setting.name)) for setting in SETTINGS}
    if as_json:
        import msgspec

        rows = {name: {"value": value, "source": settled.sources[name]} for name, value in values.items()}
        click.echo(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return
    for section, rows_of in groupby(SETTINGS, key=lambda setting: setting.section):
        click.secho(section, bold=True)
        for setting in rows_of:
            click.echo(_line(setting, values[setting.name], settled.sources[setting.name]))
    for name, upstream in settled.config.upstreams.items():
        click.echo(f"  upstreams.{name}  {_upstream(upstream)}")
    for pattern, route in settled.config.models.items():
        click.echo(f'  models."{pattern}"  {_route(route)}')
    for name in settled.unknown:
        click.echo(f"{name} is no setting and has no effect.", err=True)


def _value(setting: Setting, value: object) -> str:
    return setting.default_words or "-" if value is None else setting.shown(value)


def _line(setting: Setting, value: str, source: str) -> str:
    return f"  {setting.name:<22} {value:<44} {source}"


def _upstream(upstream: Upstream) -> str:
    key = f" with the key in {upstream.api_key_env}" if upstream.api_key_env else ""
    return f"{without_password(upstream.base_url)}{key}"


def _route(route: Route) -> str:
    target = route.upstream or without_password(route.base_url or "")
    model = f" as {route.model}" if route.model else ""
    fallback = f", else {', '.join(route.fallback)}" if route.fallback else ""
    return f"→ {target}{model}{fallback}"
