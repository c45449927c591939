"""SQL by name: reads `store/sql/*.sql`, once, into statements that either backend can run.

A file holds statements, each with its reason above it:

    -- name: page_messages
    -- Keyset paging: flat to a million rows, which OFFSET isn't.
    select id, body from messages where thread = :thread and seq > :after order by seq limit :limit;

PostgreSQL takes a parameter's type from its first mention: let that be beside a column, or in a cast. A bound that may
be absent is `seq > coalesce(cast(:after as bigint), 0)`; with `or :after is null` SQLite would read the whole thread.

Where the databases must differ, the name comes twice: `-- name: find (sqlite)` and `-- name: find (postgres)`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

import msgspec

from respun.store.words import WORDS, Kind

_NAME: Final = re.compile(r"^-- name: (?P<name>[a-z][a-z0-9_]*)(?: \((?P<kind>sqlite|postgres)\))?[ ]*$", re.MULTILINE)
_TOKEN: Final = re.compile(
    r"""(?P<kept> '(?:[^']|'')*' | "(?:[^"]|"")*" | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | ::)
      | (?P<comment> --[^\n]* | /\*.*?\*/)
      | :(?P<parameter>[A-Za-z_]\w*)
      | \{(?P<word>[a-z_ ]+)(?::(?P<list>[A-Za-z_]\w*))?\}""",
    re.VERBOSE | re.DOTALL,
)
_to_json: Final = msgspec.json.Encoder().encode


class BadStatement(ValueError):
    """A file of statements is wrong; the message names the file, the statement and the rule."""


class UnknownStatement(AttributeError, LookupError):
    """A file of statements has none of this name."""


class Text(msgspec.Struct, frozen=True):
    """A statement as one database takes it; `order` names the parameter of each placeholder."""

    sql: str
    order: tuple[str, ...]


class Statement(msgspec.Struct, frozen=True):
    """A named statement. `parameters` stand in the order of their first mention, `lists` are those of a list word."""

    name: str
    reason: str
    parameters: tuple[str, ...]
    lists: frozenset[str]
    sqlite: Text
    postgres: Text

    def for_sqlite(self, given: Mapping[str, Any]) -> list[Any]:
        """The values for the placeholders of the SQLite text."""
        if self.lists:
            given = {name: _listed(value) if name in self.lists else value for name, value in given.items()}
        return self._values(self.sqlite.order, given)

    def for_postgres(self, given: Mapping[str, Any]) -> list[Any]:
        """The values for the placeholders of the PostgreSQL text."""
        return self._values(self.postgres.order, given)

    def _values(self, order: tuple[str, ...], given: Mapping[str, Any]) -> list[Any]:
        if len(given) != len(self.parameters):
            raise self._mismatch(given)
        try:
            return [given[name] for name in order]
        except KeyError:
            raise self._mismatch(given) from None

    def named(self, row: Mapping[str, Any] | Sequence[Any]) -> Mapping[str, Any]:
        """A row of `many` by parameter name."""
        if isinstance(row, Mapping):
            return row
        if len(row) != len(self.parameters):
            raise TypeError(f"{self.name} takes {len(self.parameters)} values a row, not {len(row)}.")
        return dict(zip(self.parameters, row, strict=True))

    def _mismatch(self, given: Iterable[str]) -> TypeError:
        wants, has = ", ".join(self.parameters) or "nothing", ", ".join(given) or "nothing"
        return TypeError(f"Statement {self.name} takes {wants}; it was given {has}.")


class Statements:
    """The statements of one file, as attributes or by `[name]`."""

    def __init__(self, source: str, statements: Mapping[str, Statement]) -> None:
        self._source = source
        self._statements = dict(statements)

    def __getattr__(self, name: str) -> Statement:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Statement:
        if statement := self._statements.get(name):
            return statement
        raise UnknownStatement(f"{self._source} has no statement {name}. It has: {', '.join(self._statements)}.")

    def __iter__(self) -> Iterator[Statement]:
        return iter(self._statements.values())


def load(name: str) -> Statements:
    """The statements of `store/sql/<name>.sql`."""
    source = f"{name}.sql"
    return parse(files("respun.store").joinpath("sql", source).read_text("utf-8"), source)


def parse(text: str, source: str) -> Statements:
    """The statements in a text; `source` names it in errors."""
    headers = list(_NAME.finditer(text))
    _require_comments_only(text[: headers[0].start()] if headers else text, source)
    ends = [header.start() for header in headers[1:]] + [len(text)]
    bodies: dict[str, dict[Kind, str]] = {}
    for header, end in zip(headers, ends, strict=True):
        variants = bodies.setdefault(header["name"], {})
        kinds: list[Kind] = ["sqlite", "postgres"]
        for kind in [k for k in kinds if header["kind"] in (None, k)]:
            if kind in variants:
                raise BadStatement(f"{source}: {header['name']} is there twice for {kind}.")
            variants[kind] = text[header.end() : end]
    return Statements(source, {name: _statement(name, variants, source) for name, variants in bodies.items()})


def fill(text: str, kind: Kind) -> str:
    """A text without parameters, such as a migration, with its words filled in."""

    def filled(token: re.Match[str]) -> str:
        return _word(token["word"], kind) if token["word"] else token[0]

    return _TOKEN.sub(filled, text)


def _statement(name: str, variants: dict[Kind, str], source: str) -> Statement:
    if len(variants) != 2:
        raise BadStatement(f"{source}: {name} is there for {next(iter(variants))} only.")
    where = f"{source}: {name}"
    reasons = {kind: _reason(body, where) for kind, body in variants.items()}
    sqlite, lists = _translate(variants["sqlite"], "sqlite", where)
    postgres, more_lists = _translate(variants["postgres"], "postgres", where)
    parameters = tuple(dict.fromkeys(sqlite.order))
    if set(parameters) != set(postgres.order):
        raise BadStatement(f"{where} takes other parameters on SQLite than on PostgreSQL.")
    return Statement(name, reasons["sqlite"], parameters, lists | more_lists, sqlite, postgres)


def _reason(body: str, where: str) -> str:
    lines = body.strip().splitlines()
    comment = [line[2:].strip() for line in _leading_comments(lines)]
    if not any(comment):
        raise BadStatement(f"{where} needs a comment under its name that says why it is as it is.")
    return " ".join(comment)


def _leading_comments(lines: list[str]) -> list[str]:
    count = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return lines[:count]


def _require_comments_only(text: str, source: str) -> None:
    if any(line.strip() and not line.startswith("--") for line in text.splitlines()):
        raise BadStatement(f"{source}: SQL stands above the first '-- name: ...' line.")


def _translate(body: str, kind: Kind, where: str) -> tuple[Text, frozenset[str]]:
    order: list[str] = []
    lists: set[str] = set()

    def placed(parameter: str) -> str:
        if kind == "sqlite":
            order.append(parameter)
            return "?"
        if parameter not in order:
            order.append(parameter)
        return f"${order.index(parameter) + 1}"

    def translated(token: re.Match[str]) -> str:
        if token["comment"]:
            return " "
        if token["parameter"]:
            return placed(token["parameter"])
        if not token["word"]:
            return token[0]
        filled = _word(token["word"], kind, token["list"], where)
        if token["list"]:
            lists.add(token["list"])
            filled = filled.replace("@", placed(token["list"]))
        return filled

    sql = _TOKEN.sub(translated, body).strip().rstrip(";").rstrip()
    if not sql:
        raise BadStatement(f"{where} has no SQL.")
    return Text(sql, tuple(order)), frozenset(lists)


def _word(word: str, kind: Kind, parameter: str | None = None, where: str = "A migration") -> str:
    if word not in WORDS:
        raise BadStatement(f"{where} uses {{{word}}}. The words are: {', '.join(sorted(WORDS))}.")
    filled = getattr(WORDS[word], kind)
    assert isinstance(filled, str)
    if ("@" in filled) is not (parameter is not None):
        raise BadStatement(f"{where}: {{{word}}} {'takes no' if parameter else 'needs a'} parameter.")
    return filled


def _listed(value: Any) -> str:
    return _to_json(value).decode()
