"""What the fitter promises with vectors and a digest: the same as without them."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.core.context.threads import chat, count, index_of, run, small_talk, threads

from respun.core.context.digest import HEADING_TOKENS, digest_block
from respun.core.context.fit import Ask, fit
from respun.core.context.meaning import Meant, Near
from respun.core.context.memory import Said
from respun.core.context.render import render, text_of
from respun.core.context.selection import DoesNotFit, Selection
from respun.core.context.strategies import Auto

many = settings(max_examples=50, deadline=None)
budgets = st.integers(1, 6000)
nearness = st.dictionaries(st.integers(1, 60), st.floats(0, 1), max_size=40).map(Near)
autos = st.builds(
    Auto,
    recall_share=st.sampled_from([0.0, 1 / 3, 1.0]),
    fill=st.booleans(),
    pins=st.booleans(),
    vectors=st.just(True),
    digest=st.just(True),
)
digests = st.text("abc ", max_size=2000)


def outcome(said: list[Said], budget: int, auto: Auto, near: Near, digest: str) -> Selection | DoesNotFit:
    cost = count(digest) + HEADING_TOKENS if digest else 0
    return run(fit(Ask(budget, auto, digest=cost), Meant(index_of(said, "en"), near)))


@many
@given(threads, budgets, autos, nearness, digests)
def test_all_that_is_sent_stays_within_the_budget(said, budget, auto, near, digest):
    found = outcome(said, budget, auto, near, digest)
    assume(isinstance(found, Selection))
    assert found.used <= budget
    prompt = render(found, chat(said), digest=digest)
    assert sum(count(text_of(message)) for message in prompt.messages) <= found.used
    assert (digest_block(digest) in text_of(prompt.messages[0])) == (found.digest > 0)


@many
@given(threads, budgets, autos, nearness, digests)
def test_the_newest_user_message_is_never_cut(said, budget, auto, near, digest):
    found = outcome(said, budget, auto, near, digest)
    newest = [n for n, each in enumerate(said, 1) if each.role == "user"][-1]
    if isinstance(found, DoesNotFit):
        assert found.needed > budget
    else:
        assert [each.spans for each in found.window if each.n == newest] == [None]


@many
@given(threads, budgets, autos, nearness, digests)
def test_the_same_is_chosen_again(said, budget, auto, near, digest):
    assert outcome(said, budget, auto, near, digest) == outcome(said, budget, auto, near, digest)


def test_a_message_that_shares_no_word_is_found_by_its_meaning():
    said = [
        Said("user", "Our physician is called Okafor."),
        *small_talk(80),
        Said("user", "Who treats our family as a doctor nowadays?"),
    ]
    without = outcome(said, 900, Auto(), Near(), "")
    found = outcome(said, 900, Auto(), Near({1: 1.0}), "")
    assert 1 not in without.positions()
    assert 1 in found.positions()


def test_words_that_nothing_is_near_to_choose_as_before():
    said = [*small_talk(80), Said("user", "What about turn 3?")]
    assert outcome(said, 900, Auto(), Near(), "") == outcome(said, 900, Auto(), Near({999: 1.0}), "")
