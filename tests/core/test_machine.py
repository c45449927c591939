"""The run machine holds its promises whatever reaches a run, in whatever order.

Most steps of a history are what a correct driver would do next; the others are anything at all, also after the end.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from core.histories import PYTHON, SEARCH, TIME, WEATHER, History, planned
from respun.core import chat
from respun.core.events import AnyEvent, MessageEnded, MessageStarted, Output, RefusalAdded, RunResumed, TextAdded
from respun.core.fold import evolve, replay
from respun.core.machine import (
    Begin,
    CallModel,
    CallTools,
    Cancel,
    Deadline,
    Input,
    LimitReached,
    ModelFailed,
    Outputs,
    Resume,
    Start,
    Stopped,
    StopWork,
    decide,
    pending,
)
from respun.core.projection import last_records, records
from respun.core.runs import FINAL, Plan, Run, RunError, RunStatus, Step
from respun.core.threads import Message, Refusal, Text
from respun.core.usage import Usage

MOVES: dict[RunStatus, set[RunStatus]] = {
    "queued": {"in_progress", "cancelling", "expired"},
    "in_progress": {"requires_action", "cancelling", "completed", "incomplete", "failed", "expired"},
    "requires_action": {"queued", "cancelling", "expired"},
    "cancelling": {"cancelled"},
}
"""Contract section 4."""
WHOLE = (chat.Finished, chat.ToolCallDelta)
"""The inputs that may end a message as completed."""

# What may reach a run


@dataclass
class Chance:
    """Draws inputs. Plain randomness: most of what hypothesis draws is too small for a run to get anywhere."""

    random: Random

    def one_in(self, n: int) -> bool:
        return self.random.randrange(n) == 0

    def of(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def text(self) -> str:
        return "".join(self.random.choices("ab \n", k=self.random.randrange(4)))

    def limit(self) -> int | None:
        return self.random.randint(1, 60) if self.one_in(5) else None

    def plan(self) -> Plan:
        tools = self.of((WEATHER, TIME), (WEATHER, SEARCH, PYTHON), (WEATHER, SEARCH, PYTHON), (SEARCH, PYTHON), ())
        return planned(*tools, max_turns=self.random.randint(1, 5), limits=(self.limit(), self.limit()))

    def usage(self) -> Usage:
        return Usage(*(self.random.randrange(9) for _ in range(4)))

    def finished(self) -> Input:
        reason = self.of("stop", "stop", "tool_calls", "tool_calls", "length", "content_filter")
        return chat.Finished(reason, self.of(self.usage(), self.usage(), None))

    def another_call(self, run: Run) -> Input:
        index = len(run.writing.calls) if run.writing else 0
        return chat.ToolCallDelta(
            index, None, self.of("weather", "weather", "file_search", "time", *NAMES), self.text()
        )

    def news(self) -> Input:
        piece = self.of(chat.TextDelta, chat.TextDelta, chat.RefusalDelta, chat.ReasoningDelta)(self.text())
        call = chat.ToolCallDelta(self.random.randrange(4), None, self.of(*NAMES), self.text())
        last = self.finished() if self.one_in(3) else piece
        return self.of(piece, piece, call, last)  # type: ignore[no-any-return]

    def trouble(self) -> Input:
        limit = self.of("max_completion_tokens", "max_prompt_tokens")
        return self.of(ModelFailed(RunError("server_error", "down")), LimitReached(limit))  # type: ignore[no-any-return]

    def proper(self, run: Run) -> Input:
        """What a correct driver, model or caller may do next."""
        match pending(run):
            case Begin():
                return Start()
            case StopWork():
                return Stopped()
            case CallTools():
                return outputs_of(run, hosted=True)
            case CallModel():
                if self.one_in(40):
                    return self.trouble()
                end = self.finished() if run.writing or self.one_in(6) else self.another_call(run)
                return self.of(self.another_call(run), self.news(), end)  # type: ignore[no-any-return]
            case None:
                return outputs_of(run, hosted=False) if run.status == "requires_action" else self.anything(run)
        raise AssertionError

    def anything(self, run: Run) -> Input:
        """Anything, also outputs that nobody waits for, all, some or twice."""
        known = [call.id for call in run.calls.calls] if run.calls else []
        some = [Output(self.of(*known, "call_unknown"), self.text()) for _ in range(self.random.randrange(4))]
        control = self.of(Cancel(), Cancel(), Start(), Stopped(), Deadline(), Resume(1 << 16), Resume(0))
        return self.of(control, control, self.news(), self.trouble(), Outputs(tuple(some)))  # type: ignore[no-any-return]

    def next(self, run: Run) -> Input:
        return self.anything(run) if self.one_in(10) else self.proper(run)


NAMES = ("weather", "time", "file_search", "code_interpreter", "unheard_of", None)


def outputs_of(run: Run, *, hosted: bool) -> Outputs:
    owed = run.calls.owed if run.calls else ()
    return Outputs(tuple(Output(call.id, "42") for call in owed if call.hosted is hosted))


# What is always true of it


@dataclass
class Witness:
    """Follows a history from outside, by its events alone, and protests."""

    history: History
    streamed: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    ended: dict[str, MessageEnded] = field(default_factory=dict)
    latest: dict[str, Any] = field(default_factory=dict)
    open: str | None = None

    def see(self, given: Input) -> None:
        before = self.history.run
        fresh = len(self.history.before)
        added = self.history.take(given)
        for run, event in list(self.history.changes())[fresh:]:
            self._moves(run, event)
            self._message(given, event)
            self._records(run, event)
        if before.done:
            assert added == [], "news after the end lost a race"
        if before.status == "cancelling" and not isinstance(given, Stopped | Deadline | Resume):
            assert added == [], "late news do not hold up a cancel"
        answered = isinstance(given, chat.Finished) and bool(added)
        assert self.history.run.turn == before.turn + answered, "a turn is a whole answer of the model"
        self._batch(before, added)
        self._state(given, before)

    def _moves(self, run: Run, event: AnyEvent) -> None:
        after = evolve(run, event)
        if after.status != run.status:
            assert after.status in MOVES[run.status]
        skipped = event.skipped if isinstance(event, RunResumed) else 0
        assert after.number == run.number + 1 + skipped

    def _message(self, given: Input, event: AnyEvent) -> None:
        match event:
            case MessageStarted(message=ident):
                assert self.open is None
                assert ident not in self.streamed
                self.open, self.streamed[ident], self.refused[ident] = ident, "", ""
            case TextAdded(text):
                assert self.open is not None
                self.streamed[self.open] += text
            case RefusalAdded(text):
                assert self.open is not None
                self.refused[self.open] += text
            case MessageEnded():
                assert self.open is not None
                assert self.open not in self.ended
                if event.reason is None:
                    assert isinstance(given, WHOLE), "half a message is never completed"
                self.ended[self.open] = event
                self.open = None

    def _records(self, run: Run, event: AnyEvent) -> None:
        for record in records(run, event):
            known = self.latest.get(record.id)
            assert known is None or known.status == "in_progress", "what has ended stays as it is"
            self.latest[record.id] = record

    def _batch(self, before: Run, added: list[AnyEvent]) -> None:
        for record in last_records(before, added):
            assert self.latest[record.id] == record

    def _state(self, given: Input, before: Run) -> None:
        run = self.history.run
        owed = run.calls.owed if run.calls else ()
        callers = bool(owed) and not any(call.hosted for call in owed)
        assert run.done == (run.status in FINAL)
        assert run.done == (run.ended_at is not None)
        assert (pending(run) is None) == (run.done or run.status == "requires_action"), "it never hangs"
        if isinstance(command := pending(run), CallTools):
            assert command.calls
            assert all(call.hosted for call in command.calls)
        if run.status == "requires_action":
            assert callers
        if run.status == "in_progress":
            assert not callers
        if run.status not in ("in_progress", "cancelling"):
            assert run.message is None
            assert run.writing is None
        if run.calls:
            assert run.message is None
            assert owed, "calls are open while an output is owed"
        if isinstance(given, Cancel) and not before.done:
            assert run.status in ("cancelling", "cancelled")
        if isinstance(given, Deadline):
            assert run.done
        assert (run.last_error is not None) == (run.status == "failed")
        assert (run.limit_reached is not None) == (run.status == "incomplete")
        self._open_records(run)

    def _open_records(self, run: Run) -> None:
        wanted = set()
        if run.message:
            wanted |= {run.message.id, run.message.step}
            assert self.open == run.message.id
            assert str(run.message.text) == self.streamed[self.open]
        else:
            assert self.open is None
        opened = run.calls or run.writing
        if opened:
            wanted.add(opened.step)
        assert {ident for ident, one in self.latest.items() if one.status == "in_progress"} == wanted

    def sum_up(self) -> None:
        """What holds of the whole history."""
        run, events = self.history.run, self.history.events
        assert replay(events) == run
        stored = msgspec.json.decode(msgspec.json.encode(events), type=tuple[AnyEvent, ...])
        assert replay(stored) == run
        steps = [one for one in self.latest.values() if isinstance(one, Step)]
        assert len({step.id for step in steps}) == len(steps)
        assert sum((step.usage for step in steps if step.usage), Usage()) + _owing(run) == run.usage
        for ident, end in self.ended.items():
            message = self.latest[ident]
            assert isinstance(message, Message)
            assert "".join(part.value for part in end.content if isinstance(part, Text)) == self.streamed[ident]
            assert "".join(part.value for part in end.content if isinstance(part, Refusal)) == self.refused[ident]
            assert message.content == end.content
            assert (message.status == "completed") == (end.reason is None)


def _owing(run: Run) -> Usage:
    """A step's usage is known when it ends."""
    return run.calls.usage if run.calls else Usage()


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=True))
def test_whatever_reaches_a_run_it_keeps_its_promises(random: Random) -> None:
    chance = Chance(random)
    witness = Witness(History(chance.plan()))
    after_the_end = 4
    for _ in range(random.randint(5, 50)):
        witness.see(chance.next(witness.history.run))
        after_the_end -= witness.history.run.done
        if not after_the_end:
            break
    witness.sum_up()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=True))
def test_a_run_whose_work_is_done_comes_to_an_end(random: Random) -> None:
    """The model ends its answers, tools answer: then no run goes on for ever."""
    chance = Chance(random)
    plan = chance.plan()
    witness = Witness(History(plan))
    while not witness.history.run.done and len(witness.history.events) < 2000:
        witness.see(chance.proper(witness.history.run))
    witness.sum_up()
    assert witness.history.run.done
    assert witness.history.run.turn <= plan.max_turns


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=True))
def test_a_history_cut_anywhere_goes_on_from_there(random: Random) -> None:
    """A worker dies after any stored event; the next one resumes and can bring the run to its end."""
    chance = Chance(random)
    first = Witness(History(chance.plan()))
    for _ in range(random.randint(1, 30)):
        first.see(chance.proper(first.history.run))
    cut = random.randint(1, len(first.history.events))
    second = Witness(History(first.history.run.plan, first.history.fresh))
    second.history.events, second.history.before = first.history.events[:1], []
    second.history.run = replay(first.history.events[:1])
    for run, event in list(first.history.changes())[: cut - 1]:
        second.history.before.append(run)
        second.history.events.append(event)
        second.history.run = evolve(run, event)
        second._message(chat.Finished("stop"), event)
        second._records(run, event)
    run = second.history.run
    caller_owes = bool(run.calls and all(not call.hosted for call in run.calls.owed))
    if not run.done and run.status not in ("queued", "requires_action"):
        second.history.take(Resume(1 << 16))
    if not caller_owes:
        second.history.take(Cancel(), Stopped())
        assert second.history.run.done


# The table of contract section 4, row by row


def begun(*inputs: Input, plan: Any = None) -> History:
    history = History(plan)
    history.take(Start(), *inputs)
    return history


ASKED = (
    chat.ToolCallDelta(0, None, "weather", '{"at":'),
    chat.ToolCallDelta(1, None, "time", "{}"),
    chat.ToolCallDelta(0, None, None, '"Rome"}'),
    chat.Finished("tool_calls", Usage(7, 3)),
)


def test_a_queued_run_starts() -> None:
    assert begun().run.status == "in_progress"
    assert begun().run.started_at is not None


def test_a_queued_run_is_cancelled_at_once() -> None:
    history = History()
    history.take(Cancel())
    assert history.run.status == "cancelled"


def test_a_queued_run_expires() -> None:
    history = History()
    history.take(Deadline())
    assert history.run.status == "expired"
    assert history.run.started_at is None


def test_text_and_a_stop_complete_a_run() -> None:
    history = begun(chat.TextDelta("Hel"), chat.TextDelta("lo"), chat.Finished("stop", Usage(5, 2)))
    end = history.events[-2]
    assert isinstance(end, MessageEnded)
    assert end.content == (Text("Hello"),)
    assert history.run.status == "completed"
    assert history.run.usage == Usage(5, 2)


def test_an_answer_of_nothing_is_an_empty_message() -> None:
    history = begun(chat.Finished("stop"))
    assert history.run.status == "completed"
    assert isinstance(history.events[-2], MessageEnded)


def test_a_cut_answer_makes_a_run_incomplete_and_its_message_too() -> None:
    history = begun(chat.TextDelta("Hel"), chat.Finished("length", Usage(5, 2)))
    end = history.events[-2]
    assert isinstance(end, MessageEnded)
    assert end.reason == "max_tokens"
    assert history.run.status == "incomplete"
    assert history.run.limit_reached == "max_completion_tokens"


def test_calls_of_the_callers_wait_for_all_their_outputs() -> None:
    history = begun(*ASKED)
    assert history.run.status == "requires_action"
    assert history.run.calls is not None
    assert [call.arguments for call in history.run.calls.calls] == ['{"at":"Rome"}', "{}"]
    first, second = history.run.calls.calls
    history.take(Outputs((Output(first.id, "sun"),)))
    assert history.run.status == "requires_action"
    history.take(Outputs((Output(second.id, "noon"),)))
    assert history.run.status == "queued"
    history.take(Start())
    assert pending(history.run) == CallModel()


def test_hosted_calls_come_before_the_callers() -> None:
    plan = planned(WEATHER, SEARCH)
    calls = (chat.ToolCallDelta(0, None, "weather", "{}"), chat.ToolCallDelta(1, None, "file_search", "{}"))
    history = begun(*calls, chat.Finished("tool_calls"), plan=plan)
    command = pending(history.run)
    assert isinstance(command, CallTools)
    assert [call.name for call in command.calls] == ["file_search"]
    history.take(outputs_of(history.run, hosted=True))
    assert history.run.status == "requires_action"


def test_a_tool_that_nobody_has_is_refused_to_the_model_at_once() -> None:
    history = begun(chat.ToolCallDelta(0, None, "unheard_of", "{}"), chat.Finished("tool_calls"))
    assert history.run.status == "in_progress"
    assert pending(history.run) == CallModel()


def test_text_behind_calls_is_a_message_of_its_own() -> None:
    history = begun(ASKED[0], chat.TextDelta("One moment."), *ASKED[1:])
    assert history.run.status == "requires_action"
    assert history.run.message is None


def test_calls_that_a_filter_cut_are_not_made() -> None:
    history = begun(chat.ToolCallDelta(0, None, "weather", '{"at":'), chat.Finished("content_filter"))
    assert history.run.status == "failed"


def test_a_failed_model_fails_the_run_and_keeps_the_partial_message() -> None:
    error = RunError("rate_limit_exceeded", "Slow down.")
    history = begun(chat.TextDelta("Hel"), ModelFailed(error))
    end = history.events[-2]
    assert isinstance(end, MessageEnded)
    assert end.content == (Text("Hel"),)
    assert end.reason == "run_failed"
    assert history.run.last_error == error


def test_a_run_in_progress_is_cancelled_once_its_work_has_stopped() -> None:
    history = begun(chat.TextDelta("Hel"), Cancel())
    assert history.run.status == "cancelling"
    assert pending(history.run) == StopWork()
    assert history.take(chat.TextDelta("lo"), chat.Finished("stop")) == []
    history.take(Stopped())
    end = history.events[-2]
    assert isinstance(end, MessageEnded)
    assert end.reason == "run_cancelled"
    assert history.run.status == "cancelled"


def test_a_run_in_progress_expires_with_its_partial_message() -> None:
    history = begun(chat.TextDelta("Hel"), Deadline())
    end = history.events[-2]
    assert isinstance(end, MessageEnded)
    assert end.reason == "run_expired"
    assert history.run.status == "expired"


def test_a_waiting_run_is_cancelled_at_once() -> None:
    history = begun(*ASKED, Cancel())
    assert history.run.status == "cancelled"
    assert history.run.calls is None


def test_a_waiting_run_expires_and_takes_no_outputs_after_that() -> None:
    history = begun(*ASKED)
    late = outputs_of(history.run, hosted=False)
    history.take(Deadline())
    assert history.run.status == "expired"
    assert history.take(late) == []


def test_outputs_given_twice_count_once() -> None:
    history = begun(*ASKED)
    outputs = outputs_of(history.run, hosted=False)
    assert history.take(outputs)
    assert history.take(outputs) == []


def test_token_limits_count_over_the_whole_run() -> None:
    history = begun(*ASKED, plan=planned(WEATHER, TIME, limits=(None, 3)))
    history.take(outputs_of(history.run, hosted=False), Start())
    assert history.run.status == "incomplete"
    assert history.run.limit_reached == "max_completion_tokens"
    history = begun(*ASKED, plan=planned(WEATHER, TIME, limits=(7, None)))
    history.take(outputs_of(history.run, hosted=False), Start())
    assert history.run.limit_reached == "max_prompt_tokens"


def test_a_run_that_never_stops_asking_fails_after_its_turns() -> None:
    history = begun(*ASKED, plan=planned(WEATHER, TIME, max_turns=1))
    history.take(outputs_of(history.run, hosted=False), Start())
    assert history.run.status == "failed"
    assert history.run.last_error is not None
    assert "1 times" in history.run.last_error.message


def test_a_resumed_run_breaks_off_what_was_being_written_and_begins_the_turn_again() -> None:
    history = begun(chat.TextDelta("Hel"), Resume(100))
    assert isinstance(history.events[-1], MessageEnded)
    assert history.run.status == "in_progress"
    assert pending(history.run) == CallModel()
    history = begun(ASKED[0], Resume(100))
    assert history.run.writing is None
    assert pending(history.run) == CallModel()


def test_numbers_that_may_have_been_shown_are_not_used_again() -> None:
    history = begun(chat.TextDelta("Hel"))
    shown = history.run.number
    history.take(Resume(100))
    assert history.run.number == shown + 100 + 2


def test_nothing_follows_from_news_after_the_end() -> None:
    history = begun(chat.Finished("stop"))
    for late in (Start(), chat.TextDelta("a"), *ASKED, Cancel(), Stopped(), Deadline(), Resume(1), Outputs(())):
        assert decide(history.run, late, history.fresh) == ()
