"""What the fitter promises for any thread."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.core.context.threads import chat, count, index_of, outcome, run, select, small_talk, strategies, threads

from respun.core.chat import AssistantMessage, ToolMessage
from respun.core.context.memory import Said
from respun.core.context.render import render, text_of
from respun.core.context.selection import DoesNotFit, Selection, WindowState
from respun.core.context.strategies import Auto, Disabled, DropMiddle, DropOldest, LastMessages

budgets = st.integers(1, 6000)
many = settings(max_examples=60, deadline=None)


@many
@given(threads, budgets, strategies)
def test_a_selection_never_costs_more_than_its_budget(said, budget, strategy):
    found = outcome(said, budget, strategy)
    assume(isinstance(found, Selection))
    assert found.used <= budget


@many
@given(threads, budgets, strategies)
def test_what_is_rendered_costs_what_was_reckoned(said, budget, strategy):
    found = outcome(said, budget, strategy)
    assume(isinstance(found, Selection))
    prompt = render(found, chat(said))
    text = sum(count(text_of(message)) for message in prompt.messages)
    # Passages are counted one by one; joined they cost at most what they cost apart.
    assert text <= found.used


@many
@given(threads, budgets, strategies)
def test_the_newest_user_message_is_sent_whole_or_nothing_is(said, budget, strategy):
    users = [n for n, each in enumerate(said, 1) if each.role == "user"]
    assume(not isinstance(strategy, LastMessages) or users[-1] > len(said) - strategy.count)
    found = outcome(said, budget, strategy)
    if isinstance(found, DoesNotFit):
        assert found.what == "newest_message"
        assert found.needed > budget
    else:
        assert [each.spans for each in found.window if each.n == users[-1]] == [None]


@many
@given(threads, budgets, strategies)
def test_calls_and_results_are_sent_together(said, budget, strategy):
    found = outcome(said, budget, strategy)
    assume(isinstance(found, Selection))
    sent = {each.n for each in found.window}
    for n, each in enumerate(said, 1):
        if each.role == "tool" and not isinstance(strategy, LastMessages):
            assert (n in sent) == (n - 1 in sent)
    open_calls: set[str] = set()
    for message in render(found, chat(said)).messages:
        if isinstance(message, ToolMessage):
            assert message.tool_call_id in open_calls
        elif isinstance(message, AssistantMessage):
            open_calls = {call.id for call in message.tool_calls or ()}


@many
@given(threads, budgets, strategies)
def test_the_same_question_gives_the_same_selection(said, budget, strategy):
    assert outcome(said, budget, strategy) == outcome(said, budget, strategy)


@many
@given(threads, budgets, strategies)
def test_every_message_is_sent_or_accounted_for_by_a_cut(said, budget, strategy):
    found = outcome(said, budget, strategy)
    assume(isinstance(found, Selection))
    sent = {each.n for each in found.each()}
    gone = {
        n
        for cut in found.cuts
        if cut.reason in ("less_relevant", "too_old", "middle")
        for n in range(cut.first, cut.last + 1)
    }
    assert sent | gone == set(range(1, len(said) + 1))
    assert not sent & gone
    assert found.dropped == len(gone)


@many
@given(threads, st.integers(500, 3000))
def test_consecutive_prompts_share_the_window_until_it_overflows(said, budget):
    messages = chat(said)
    state, before, start, pinned = WindowState(), None, None, ()
    for n in [at for at, each in enumerate(said, 1) if each.role == "user"]:
        found = outcome(index_of(said[:n]), budget, Auto(), state)
        if isinstance(found, DoesNotFit):
            before = None
            continue
        prompt = render(found, messages, "Be kind.")
        clipped = any(each.spans is not None for each in found.window)
        # What is pinned stands before the window, and begins to when the thread first overflows.
        if before is not None and (found.state, found.pinned) == (start, pinned) and not clipped:
            shared = before.messages[: before.stable]
            assert prompt.messages[: len(shared)] == shared
        state = start = found.state
        pinned = found.pinned
        before = None if clipped else prompt


def test_a_thread_that_fits_is_sent_whole():
    said = small_talk(5)
    found = select(said, 100_000)
    assert found.whole == len(said)
    assert found.cuts == ()
    assert render(found, chat(said)).messages == tuple(chat(said).values())


def test_disabled_refuses_what_does_not_fit():
    assert outcome(small_talk(50), 300, Disabled()) == DoesNotFit("thread", select(small_talk(50), 9**9).total, 300)


def test_last_messages_takes_exactly_so_many():
    assert [each.n for each in select(small_talk(20), 10_000, LastMessages(3)).window] == [38, 39, 40]


def test_last_messages_takes_fewer_if_they_do_not_fit():
    said = small_talk(20)
    found = select(said, 100, LastMessages(30))
    assert 0 < len(found.window) < 30
    assert found.window[-1].n == 40


def test_drop_middle_keeps_both_ends():
    found = select(small_talk(50), 600, DropMiddle())
    sent = [each.n for each in found.window]
    assert (sent[0], sent[-1]) == (1, 100)
    assert [cut.reason for cut in found.cuts] == ["middle"]


def test_drop_oldest_keeps_the_newest_only():
    sent = [each.n for each in select(small_talk(50), 600, DropOldest()).window]
    assert sent == list(range(sent[0], 101))


def test_a_needle_is_found_at_any_depth():
    said = small_talk(1500)
    needles = {
        at: f"The {word} key opens locker {1000 + at}."
        for at, word in zip(
            range(100, 2900, 140),
            [
                "amber",
                "bronze",
                "cobalt",
                "denim",
                "emerald",
                "fuchsia",
                "golden",
                "hazel",
                "indigo",
                "jade",
                "khaki",
                "lilac",
                "magenta",
                "navy",
                "olive",
                "pearl",
                "quartz",
                "ruby",
                "silver",
                "teal",
            ],
            strict=True,
        )
    }
    for at, text in needles.items():
        said[at] = Said("user", text)
    index = index_of(said)
    for text in needles.values():
        query = f"Which locker does the {text.split()[1]} key open?"
        found = select(index, 2000, query=query)
        assert any(text == said[each.n - 1].text for each in found.recalled), query


def test_a_standing_statement_survives_thousands_of_messages():
    said = small_talk(2500)
    said[2] = Said("user", "Thanks! Always answer in French.")
    for at in range(100, 4000, 50):
        said[at] = Said("user", f"Remember that box {at} is full.")
    found = select(said, 4000, query="What is the weather like?")
    assert 3 in [each.n for each in found.pinned]


def test_a_pinned_message_is_always_sent():
    said = small_talk(300)
    said[10] = Said("assistant", "The launch code is 7741.", pinned=True)
    assert 11 in [each.n for each in select(said, 1000).pinned]


def test_a_long_answer_is_shortened_before_it_is_left_out():
    said = small_talk(200)
    filler = " ".join(f"Step {step} mentions nothing of note at all." for step in range(200))
    said[31] = Said("assistant", f"{filler} The zeppelin lands in Lisbon. {filler}")
    found = select(said, 2000, query="Where does the zeppelin land?")
    excerpt = next(each for each in found.recalled if each.n == 32)
    assert excerpt.spans is not None
    assert any("Lisbon" in said[31].text[span.start : span.end] for span in excerpt.spans)
    assert [cut.reason for cut in found.cuts if cut.first <= 32 <= cut.last] == ["too_long"]


def test_the_newest_exchange_is_clipped_rather_than_lost():
    long = " ".join(f"Chapter {at} tells of the {at}th voyage." for at in range(2000))
    said = [*small_talk(3), Said("user", "Tell me all."), Said("assistant", long), Said("user", "And chapter 700?")]
    found = select(said, 1500)
    answer = next(each for each in found.window if each.n == 8)
    sent = [long[span.start : span.end] for span in answer.spans or ()]
    assert sent[0].startswith("Chapter 0 ")
    assert "Chapter 1999 " in sent[-1]
    assert any("Chapter 700 " in piece for piece in sent)
    assert any(each.n == 7 for each in found.window)


def test_old_tool_results_are_cleared_before_messages_are_lost():
    said = [Said("user", "Look into it.")]
    for at in range(8):
        said += [Said("assistant", "", calls=True), Said("tool", f"result {at} " * 40)]
    said += [Said("assistant", "Done."), Said("user", "Thanks, and now?")]
    found = select(said, 700)
    results = [each for each in found.window if each.role == "tool"]
    assert [each.cleared for each in results] == [True] * 5 + [False] * 3
    cleared = next(each for each in render(found, chat(said)).messages if isinstance(each, ToolMessage))
    assert cleared.content == f"[result of {results[0].of} tokens cleared]"


def test_a_short_follow_up_leans_on_the_question_before_it():
    said = small_talk(200)
    said[21] = Said("assistant", "The heron nests in the belfry.")
    said[-1:] = [Said("user", "Where does the heron nest?"), Said("assistant", "Let me see."), Said("user", "Well?")]
    assert 22 in [each.n for each in select(said, 1000).recalled]


def test_the_fitter_reads_a_small_part_of_a_long_thread():
    index = index_of(small_talk(5000))
    asked = []

    class Watched(type(index)):
        async def before(self, n, limit):
            found = await super().before(n, limit)
            asked.extend(found)
            return found

        async def load(self, ns):
            asked.extend(ns)
            return await super().load(ns)

    index.__class__ = Watched
    run_selection = select(index, 4000)
    assert run_selection.used <= 4000
    assert len(asked) < 600
    assert run(index.shape()).count == 10_000
