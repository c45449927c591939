"""Calls that the caller could not read: the model is told so, twice, and then the run fails."""

import pytest

from core.histories import SEARCH, WEATHER, History, planned
from respun.core import chat
from respun.core.events import ArgumentsAdded, OutputsGiven, RunFailed
from respun.core.fold import replay
from respun.core.machine import CallModel, CallTools, Start, pending
from respun.core.projection import last_records
from respun.core.runs import Run, Step

DONE = chat.Finished("tool_calls")


def called(arguments: str, name: str = "weather", index: int = 0) -> chat.ToolCallDelta:
    return chat.ToolCallDelta(index, None, name, arguments)


def started(*calls: chat.ToolCallDelta) -> History:
    history = History(planned(WEATHER, SEARCH))
    history.take(Start(), *calls, DONE)
    return history


def told(history: History) -> list[str]:
    return [out.output for event in history.events if isinstance(event, OutputsGiven) for out in event.outputs]


@pytest.mark.parametrize("arguments", ['{"at": ', "Rome", "[1]", '"Rome"', "null", "{} {}", "[" * 5000])
def test_arguments_that_are_no_json_object_are_answered_to_the_model_at_once(arguments: str) -> None:
    history = started(called(arguments))
    assert history.run.status == "in_progress"
    assert isinstance(pending(history.run), CallModel)
    (words,) = told(history)
    assert words.startswith("The arguments of 'weather' can't be read: ")
    assert words.endswith("Call it again with one JSON object.")


def test_the_other_calls_of_the_turn_still_reach_the_caller() -> None:
    history = started(called("oops"), called('{"at": "Rome"}', index=1))
    assert history.run.status == "requires_action"
    assert history.run.calls is not None
    assert [call.arguments for call in history.run.calls.owed] == ['{"at": "Rome"}']


def test_no_arguments_are_an_empty_object() -> None:
    history = started(called(""), called(" ", index=1))
    assert history.run.status == "requires_action"
    assert history.run.calls is not None
    assert [call.arguments for call in history.run.calls.calls] == ["{}", " {}"]
    assert ArgumentsAdded(0, "{}") in history.events


def test_hosted_tools_read_their_arguments_themselves() -> None:
    history = started(called("oops", "file_search"))
    assert isinstance(pending(history.run), CallTools)


def test_a_third_turn_with_such_arguments_fails_the_run_with_a_sentence() -> None:
    history = started(called("oops"))
    history.take(called("oops"), called("oops", index=1), DONE)
    assert (history.run.status, history.run.unreadable) == ("in_progress", 2)
    history.take(called("oops"), DONE)
    assert history.run.status == "failed"
    assert history.run.last_error is not None
    assert "no JSON object" in history.run.last_error.message
    assert isinstance(history.events[-1], RunFailed)
    assert replay(history.events) == history.run
    before: Run = history.before[0]
    steps = [each for each in last_records(before, history.events[1:]) if isinstance(each, Step)]
    assert [step.status for step in steps] == ["completed", "completed", "failed"]


def test_a_model_that_learns_from_it_goes_on() -> None:
    history = started(called("oops"))
    history.take(called("oops"), DONE)
    history.take(called('{"at": "Rome"}'), DONE)
    assert history.run.status == "requires_action"


def test_unknown_tools_do_not_count() -> None:
    history = started(called("oops", "unheard_of"))
    history.take(called("oops", "unheard_of"), DONE)
    history.take(called("oops", "unheard_of"), DONE)
    assert (history.run.status, history.run.unreadable) == ("in_progress", 0)
