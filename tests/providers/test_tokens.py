"""Counts of tokens, exact where the vocabulary is at hand."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from respun.core.usage import Usage
from respun.providers.tokens import Correction, count, counter, estimate, vocabulary_of


@pytest.mark.parametrize(
    ("model", "vocabulary"),
    [
        ("gpt-4o-mini", "o200k"),
        ("openai/gpt-4.1", "o200k"),
        ("gpt-4-turbo", "cl100k"),
        ("gpt-3.5-turbo", "cl100k"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen3"),
        ("a-model-of-tomorrow", "o200k"),
        ("", "o200k"),
    ],
)
def test_the_vocabulary_goes_with_the_name(model: str, vocabulary: str) -> None:
    assert vocabulary_of(model) == vocabulary


def test_known_texts_have_their_known_counts() -> None:
    # From OpenAI's public examples for both vocabularies.
    assert count("tiktoken is great!", "gpt-4") == 6
    assert count("tiktoken is great!", "gpt-4o") == 6
    assert count("antidisestablishmentarianism", "gpt-4") == 6
    assert count("") == 0


def test_text_that_no_encoding_allows_is_still_counted() -> None:
    assert count("a\ud800b") >= 2
    assert estimate("a\ud800b") >= 1


@given(st.text(min_size=1, max_size=200))
def test_an_estimate_is_never_zero_and_never_more_than_the_bytes(text: str) -> None:
    assert 1 <= estimate(text) <= len(text.encode("utf-8", "surrogatepass"))


def test_without_the_extra_counts_are_estimates() -> None:
    code = (
        "import sys; sys.modules['quicktok'] = None\n"
        "from respun.providers.tokens import count, estimate\n"
        "assert count('twelve bytes') == estimate('twelve bytes') == 3"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)})


def test_the_vocabulary_is_loaded_at_the_first_count_and_once() -> None:
    code = "import sys, respun.providers.tokens; assert 'quicktok' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)})
    assert counter("o200k") is counter("o200k")


def test_a_correction_nears_what_the_upstream_reports() -> None:
    correction = Correction()
    assert correction.of(1000) == 1030
    correction = correction.learn(1000, Usage(prompt=1300))
    assert correction.factor == pytest.approx(1.3)
    for _ in range(20):
        correction = correction.learn(1000, Usage(prompt=1200))
    assert correction.factor == pytest.approx(1.2, abs=0.01)
    assert correction.of(1000) == pytest.approx(1236, abs=10)


@pytest.mark.parametrize("usage", [None, Usage(), Usage(prompt=-5)])
def test_usage_that_says_nothing_teaches_nothing(usage: Usage | None) -> None:
    assert Correction(1.2, 3).learn(1000, usage) == Correction(1.2, 3)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**9)), max_size=20))
def test_no_report_drives_a_correction_out_of_its_bounds(reports: list[tuple[int, int]]) -> None:
    correction = Correction()
    for counted, told in reports:
        correction = correction.learn(counted, Usage(prompt=told))
    assert 0.5 <= correction.factor <= 3.0
