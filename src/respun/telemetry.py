"""Logs as events with fields: `log = telemetry.log("engine")`, then `log.info("run claimed", run=run.id)`.

A pretty line on a terminal, a JSON object a line elsewhere. What is logged is who and how long, never what was said:
no message contents, no keys.
"""

import contextlib
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

import msgspec

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "pretty", "json"]

_about: ContextVar[dict[str, Any] | None] = ContextVar("respun.telemetry.about", default=None)
_encode: Final = msgspec.json.Encoder(enc_hook=str).encode
_COLOURS: Final = {"DEBUG": "\x1b[2m", "INFO": "\x1b[36m", "WARNING": "\x1b[33m", "ERROR": "\x1b[31m"}
_PLAIN: Final = "\x1b[0m"


class Log:
    """The events of one part of the server."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, **fields: object) -> None:
        self._say(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._say(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._say(logging.WARNING, event, fields)

    def error(self, event: str, *, cause: BaseException | None = None, **fields: object) -> None:
        """`cause` adds its traceback."""
        self._say(logging.ERROR, event, fields, cause)

    def _say(self, level: int, event: str, fields: dict[str, object], cause: BaseException | None = None) -> None:
        if self._logger.isEnabledFor(level):
            about = _about.get()
            known = {**about, **fields} if about else fields
            self._logger.log(level, event, extra={"fields": known}, exc_info=cause)


def log(part: str) -> Log:
    return Log(logging.getLogger(f"respun.{part}"))


@contextlib.contextmanager
def about(**fields: object) -> Iterator[None]:
    """Put the fields (`request`, `run`, `thread`) on every line that is logged inside."""
    token = _about.set({**(_about.get() or {}), **fields})
    try:
        yield
    finally:
        _about.reset(token)


def start(level: Level, form: Format, stream: TextIO | None = None) -> None:
    """Send every log of this process to the stream (stderr) in this form. Call it once."""
    stream = stream or sys.stderr
    pretty = form == "pretty" or (form == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Pretty(colours=stream.isatty()) if pretty else Json())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("respun").setLevel(level.upper())
    # A traceback for each connection that can't be opened; whoever asked for it says so in a line.
    logging.getLogger("asyncpg.pool").setLevel(logging.CRITICAL)


class Json(logging.Formatter):
    """One JSON object a line: time, level, event, part, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "part": record.name.removeprefix("respun."),
        }
        line.update(_fields(record))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _encode(line).decode()


class Pretty(logging.Formatter):
    """A line for people: the time of day, the event, then `name=value`."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        time = _time(record).astimezone().strftime("%H:%M:%S")
        fields = "".join(f"  {name}={value}" for name, value in _fields(record).items())
        line = f"{time}  {self._level(record)}{record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line

    def _level(self, record: logging.LogRecord) -> str:
        name = f"{record.levelname.lower():<9}"
        return f"{_COLOURS.get(record.levelname, '')}{name}{_PLAIN}" if self._colours else name


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}
