"""Work out the settings in force: flag over environment over `respun.toml` over default.

It reads the file it is given and nothing else of the world; what it can't use it refuses, with what to write instead.
"""

import sys
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from respun.config import BUILT_IN_UPSTREAMS, SETTINGS, Config, Route, Setting, Upstream, without_password

_SHORTEST_KEY: Final = 16
T = TypeVar("T", Upstream, Route)


class ConfigError(Exception):
    """A setting can't be used; the message names where it was given and what to write instead."""


class Settled(Struct, frozen=True):
    """The settings in force and where each one came from."""

    config: Config
    sources: dict[str, str]
    unknown: tuple[str, ...] = ()
    """Variables that begin with RESPUN_ and are no setting."""


def settle(
    *,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    file: Path | None,
    home: Path,
    platform: str = sys.platform,
) -> Settled:
    """Flag over environment over file over default. `file` None: no file. Raises ConfigError."""
    table = _read(file) if file else {}
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for setting in SETTINGS:
        given = _find(setting, flags, environ, table, str(file))
        if given is not None:
            values[setting.name], sources[setting.name] = given
    base = data_folder(environ, home, platform)
    for name, default in (("data", base), ("models_folder", base / "models")):
        values.setdefault(name, default)
    upstreams = _entries(table, "upstreams", Upstream, str(file))
    models = _entries(table, "models", Route, str(file))
    config = Config(**values, upstreams=upstreams, models=models)
    _check(config, environ, str(file))
    sources = {setting.name: sources.get(setting.name, "default") for setting in SETTINGS}
    return Settled(config, sources, _unknown(environ))


def find_file(environ: Mapping[str, str], folder: Path, named: str | None = None) -> Path | None:
    """The file of settings: the one that is named (it must be there), else `respun.toml` in the folder."""
    chosen = named or environ.get("RESPUN_CONFIG")
    if chosen:
        path = Path(chosen).expanduser()
        if not path.is_file():
            raise ConfigError(f"There is no file {path}. Write it, or leave out --config and RESPUN_CONFIG.")
        return path
    path = folder / "respun.toml"
    return path if path.is_file() else None


def data_folder(environ: Mapping[str, str], home: Path, platform: str) -> Path:
    """Where the platform wants a program to keep its data."""
    if platform == "darwin":
        return home / "Library" / "Application Support" / "respun"
    if platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "respun"
    return Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "respun"


def nearest(name: str, names: Iterable[str]) -> str:
    """` Did you mean 'host'?` or nothing."""
    close = get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


def _read(file: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}.") from None
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}.") from None
    names = [setting.name for setting in SETTINGS] + ["models", "upstreams"]
    _refuse_unknown(table, names, f"{file}: ")
    return table


def _refuse_unknown(table: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    for name in table:
        if name not in names:
            raise ConfigError(f"{where}there is no setting '{name}'.{nearest(name, names)}")


def _find(
    setting: Setting, flags: Mapping[str, object], environ: Mapping[str, str], table: Mapping[str, Any], file: str
) -> tuple[Any, str] | None:
    flagged = flags.get(setting.name)
    if flagged == "" and setting.nullable:
        return None, setting.flag or setting.name
    if flagged is not None:
        return _convert(setting, flagged, setting.flag or setting.name, strict=False), setting.flag or setting.name
    for variable in filter(None, (setting.env, setting.also_env)):
        # A variable that is set to nothing is how compose files and shells say "not set".
        if text := environ.get(variable, "").strip():
            return _convert(setting, text, variable, strict=False), variable
    if setting.name in table:
        return _convert(setting, table[setting.name], f"{file}: {setting.name}", strict=True), Path(file).name
    return None


def _convert(setting: Setting, value: object, where: str, *, strict: bool) -> Any:
    try:
        return msgspec.convert(value, setting.type, strict=strict, dec_hook=_path)
    except msgspec.ValidationError:
        given = "" if setting.secret else f", not {value!r}"
        raise ConfigError(f"{where} must be {setting.expects}{given}.") from None


def _path(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    raise ValueError("not a path")


def _entries(table: Mapping[str, Any], name: str, kind: type[T], file: str) -> dict[str, T]:
    entries = table.get(name, {})
    if not isinstance(entries, dict):
        raise ConfigError(f"{file}: {name} must be a table: [{name}].")
    return {key: _entry(key, value, name, kind, file) for key, value in entries.items()}


def _entry(key: str, value: object, name: str, kind: type[T], file: str) -> T:
    where = f'{file}: {name}."{key}"'
    if not isinstance(value, dict):
        raise ConfigError(f'{where} must be a table, such as {{ base_url = "http://127.0.0.1:11434/v1" }}.')
    _refuse_unknown(value, kind.__struct_fields__, f"{where}: ")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where} can't be used: {error}.") from None


def _check(config: Config, environ: Mapping[str, str], file: str) -> None:
    for address, where in _addresses(config, file):
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{where} must look like http://127.0.0.1:11434/v1, not '{without_password(address)}'.")
    if config.database and not config.database.startswith(("postgresql://", "postgres://")):
        raise ConfigError("database must begin with postgresql://. For SQLite, leave it out and give --data.")
    if config.key is not None and len(config.key) < _SHORTEST_KEY:
        raise ConfigError(
            f"key must have at least {_SHORTEST_KEY} characters. `openssl rand -hex 32` makes a good one."
        )
    if config.heartbeat_seconds >= config.lease_seconds:
        raise ConfigError("heartbeat_seconds must be less than lease_seconds, or every lease would run out.")
    if config.embeddings == "endpoint" and not (config.embeddings_base_url and config.embeddings_model):
        raise ConfigError("embeddings = 'endpoint' needs embeddings_base_url and embeddings_model.")
    if config.code_interpreter == "remote" and not config.code_remote_key:
        raise ConfigError("code_interpreter = 'remote' needs the key of its provider: set E2B_API_KEY.")
    for name, route in config.models.items():
        _check_route(route, config, f'{file}: models."{name}"')
    for variable, where in _key_variables(config, file):
        if not environ.get(variable):
            raise ConfigError(f"{where} takes its key from {variable}, which is not set. Set it, or drop api_key_env.")


def _check_route(route: Route, config: Config, where: str) -> None:
    if (route.upstream is None) == (route.base_url is None):
        raise ConfigError(f"{where} needs either upstream or base_url.")
    if route.upstream is not None and route.api_key_env is not None:
        raise ConfigError(f"{where}: api_key_env goes with base_url; write it into [upstreams.{route.upstream}].")
    names = (*config.upstreams, *BUILT_IN_UPSTREAMS)
    if route.upstream is not None and route.upstream not in names:
        raise ConfigError(f"{where}: there is no upstream '{route.upstream}'.{nearest(route.upstream, names)}")
    openai = route.upstream == "openai" and "openai" not in config.upstreams
    if openai and not (config.openai_api_key or config.openai_base_url):
        raise ConfigError(f"{where} goes to openai, but no key is set. Set OPENAI_API_KEY, or OPENAI_BASE_URL.")


def _addresses(config: Config, file: str) -> list[tuple[str, str]]:
    routes = [(route.base_url, f'{file}: models."{name}": base_url') for name, route in config.models.items()]
    named = [(one.base_url, f"{file}: upstreams.{name}: base_url") for name, one in config.upstreams.items()]
    openai = [(config.openai_base_url, "openai_base_url (OPENAI_BASE_URL)")]
    embeddings = [(config.embeddings_base_url, "embeddings_base_url")]
    rerank = [(config.rerank_base_url, "rerank_base_url")]
    remote = [(config.code_remote_url, "code_remote_url")]
    given = (*routes, *named, *openai, *embeddings, *rerank, *remote)
    return [(address, where) for address, where in given if address is not None]


def _key_variables(config: Config, file: str) -> list[tuple[str, str]]:
    routes = [(route.api_key_env, f'{file}: models."{name}"') for name, route in config.models.items()]
    named = [(one.api_key_env, f"{file}: upstreams.{name}") for name, one in config.upstreams.items()]
    return [(variable, where) for variable, where in (*routes, *named) if variable is not None]


def _unknown(environ: Mapping[str, str]) -> tuple[str, ...]:
    known = {setting.env for setting in SETTINGS} | {"RESPUN_CONFIG"}
    return tuple(sorted(name for name in environ if name.startswith("RESPUN_") and name not in known))
