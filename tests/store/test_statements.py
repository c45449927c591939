"""How files of SQL are read."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respun.store.statements import BadStatement, Statement, fill, parse
from respun.store.words import WORDS

LITERAL = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20)
NAME = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


def run(statement: Statement, given: dict[str, object]) -> tuple[object, ...]:
    with closing(sqlite3.connect(":memory:")) as db:
        return tuple(db.execute(statement.sqlite.sql, statement.for_sqlite(given)).fetchone())


def test_a_statement_has_its_name_reason_and_parameters() -> None:
    statement = parse("-- name: page\n-- Why\n-- so.\nselect :b, :a, :b::text -- :c\n;\n", "x.sql").page
    assert (statement.name, statement.reason, statement.parameters) == ("page", "Why so.", ("b", "a"))
    assert (statement.sqlite.sql, statement.sqlite.order) == ("select ?, ?, ?::text", ("b", "a", "b"))
    assert (statement.postgres.sql, statement.postgres.order) == ("select $1, $2, $1::text", ("b", "a"))


def test_statements_are_found_by_attribute_and_by_name() -> None:
    statements = parse("-- name: one\n-- x\nselect 1;\n-- name: two\n-- x\nselect 2;\n", "x.sql")
    assert statements.two is statements["two"]
    assert [statement.name for statement in statements] == ["one", "two"]
    with pytest.raises(AttributeError, match=r"x\.sql has no statement three\. It has: one, two\."):
        _ = statements.three


def test_a_list_word_makes_its_parameter_a_list() -> None:
    statement = parse("-- name: f\n-- x\nselect 1 where 'a' in {texts:ids}", "x.sql").f
    assert statement.lists == {"ids"}
    assert statement.for_sqlite({"ids": ["a", 'b"']}) == ['["a","b\\""]']
    assert statement.for_postgres({"ids": ["a"]}) == [["a"]]


def test_a_statement_may_differ_between_databases() -> None:
    text = "-- name: f (sqlite)\n-- x\nselect :a, :b;\n-- name: f (postgres)\n-- x\nselect :b, :a;"
    statement = parse(text, "x.sql").f
    assert statement.for_sqlite({"b": 2, "a": 1}) == [1, 2]
    assert statement.for_postgres({"b": 2, "a": 1}) == [2, 1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("select 1;", "SQL stands above"),
        ("-- name: f\nselect 1", "f needs a comment"),
        ("-- name: f\n-- x\n", "f has no SQL"),
        ("-- name: f\n-- x\nselect 1\n-- name: f\n-- x\nselect 2", "f is there twice for sqlite"),
        ("-- name: f (sqlite)\n-- x\nselect 1", "f is there for sqlite only"),
        ("-- name: f\n-- x\nselect {nope}", r"f uses \{nope\}\. The words are: bigint"),
        ("-- name: f\n-- x\nselect {now:a}", r"\{now\} takes no parameter"),
        ("-- name: f\n-- x\nselect {texts}", r"\{texts\} needs a parameter"),
        ("-- name: f (sqlite)\n-- x\nselect :a\n-- name: f (postgres)\n-- x\nselect :b", "takes other parameters"),
    ],
)
def test_a_file_that_is_wrong_says_where_and_why(text: str, says: str) -> None:
    with pytest.raises(BadStatement, match=says):
        parse(text, "x.sql")


@settings(deadline=None)
@given(LITERAL, LITERAL, NAME)
def test_what_looks_like_a_parameter_in_a_string_or_comment_is_none(literal: str, comment: str, name: str) -> None:
    quoted, comment = literal.replace("'", "''"), comment.replace("*/", "")
    statement = parse(f"-- name: f\n-- x\nselect '{quoted}' /* :{comment}*/, :{name} -- {comment}\n", "x.sql").f
    assert statement.parameters == (name,)
    row = run(statement, {name: 7})
    assert row == (literal, 7)
    assert statement.postgres.sql.endswith(", $1")
    assert f"'{quoted}'" in statement.postgres.sql


@settings(deadline=None)
@given(st.lists(NAME, min_size=1, max_size=12))
def test_each_placeholder_gets_the_value_of_its_name(names: list[str]) -> None:
    statement = parse("-- name: f\n-- x\nselect " + ", ".join(f":{name}" for name in names), "x.sql").f
    values = {name: f"value of {name}" for name in names}
    row = run(statement, values)
    assert list(row) == [values[name] for name in names]
    numbers = [
        int(part.strip().removeprefix("$")) for part in statement.postgres.sql.removeprefix("select ").split(",")
    ]
    given_values = statement.for_postgres(values)
    assert [given_values[number - 1] for number in numbers] == [values[name] for name in names]
    assert statement.named([values[name] for name in statement.parameters]) == values


@pytest.mark.parametrize("word", [word for word, filled in WORDS.items() if "@" not in filled.sqlite])
def test_a_word_in_a_migration_is_filled_but_not_in_its_strings(word: str) -> None:
    text = f"create table t (a {{{word}}} default '{{{word}}}')"
    for kind in ("sqlite", "postgres"):
        assert fill(text, kind) == f"create table t (a {getattr(WORDS[word], kind)} default '{{{word}}}')"
