"""The code that a model means, however it wraps it and however the stream was cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from respun.core.code import CodeReading, code_of, without_fence

WRAPPED = st.sampled_from(
    [
        '{"code":"',
        '{ "code" : "',
        '"',
        "}",
        "```python\n",
        "\n```",
        "\\n",
        "\\u00e9",
        "\\ud83d",
        "\\ude00",
        "\\",
        "{",
        " ",
    ]
) | st.text(max_size=20)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ('{"code":"print(\\"a\\")\\n"}', 'print("a")\n'),
        ('\n{ "input" : "1+1" }', "1+1"),
        ('{"language":"python","code":"1+1"}', "1+1"),
        ("import os\nos.getcwd()", "import os\nos.getcwd()"),
        ("{1, 2}", "{1, 2}"),
        ('"print(1)"', "print(1)"),
        ('"""A docstring"""\nprint(1)', '"""A docstring"""\nprint(1)'),
        ('{"code":"a = 1\nb = 2"}', "a = 1\nb = 2"),
        ('{"code":"print(1', "print(1"),
        ("{}", "{}"),
        ("", ""),
    ],
)
def test_the_code_is_found_in_what_models_send(arguments: str, code: str) -> None:
    assert code_of(arguments) == code


@given(st.lists(WRAPPED, max_size=12), st.integers(1, 9))
def test_pieces_add_up_to_the_whole_wherever_they_were_cut(parts: list[str], step: int) -> None:
    text = "".join(parts)
    reading, shown = CodeReading(), ""
    for at in range(0, len(text), step):
        reading += text[at : at + step]
        shown += reading.shown
    assert shown + reading.rest() == code_of(text)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_code_of_any_characters_comes_out_as_it_was_meant(code: str) -> None:
    assert code_of(json.dumps({"code": code})) == code


def test_a_history_that_forks_reads_each_branch_by_itself() -> None:
    stem = CodeReading() + '{"code":"a\\'
    assert [(stem + end).shown for end in ('n"}', 't"}', 'u0041"}')] == ["\n", "\t", "A"]


def test_code_is_shown_while_it_is_written() -> None:
    reading = CodeReading() + '{"co'
    assert reading.shown == ""
    reading += 'de": "pri'
    assert reading.shown == "pri"


@pytest.mark.parametrize("fenced", ["```python\nprint(1)\n```", "```\nprint(1)\n```\n", "```py\nprint(1)```"])
def test_a_fence_is_not_run(fenced: str) -> None:
    assert without_fence(fenced) == "print(1)"


def test_code_with_backticks_in_it_stays_whole() -> None:
    assert without_fence("x = '```'\nprint(x)") == "x = '```'\nprint(x)"
