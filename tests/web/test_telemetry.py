"""Log lines: an event with its fields, for machines and for people."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from respun import telemetry


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where logs go in this test; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("respun").setLevel(logging.NOTSET)


def test_a_line_for_machines_is_one_json_object_with_the_ids_of_what_it_is_about(stream: io.StringIO) -> None:
    telemetry.start("info", "auto", stream)
    with telemetry.about(run="run_1", thread="thread_1"):
        telemetry.log("engine").info("run claimed", waited_ms=12)
    line = json.loads(stream.getvalue())
    assert {name: line[name] for name in ("level", "event", "part", "run", "thread", "waited_ms")} == {
        "level": "info",
        "event": "run claimed",
        "part": "engine",
        "run": "run_1",
        "thread": "thread_1",
        "waited_ms": 12,
    }


def test_a_line_for_people_is_text(stream: io.StringIO) -> None:
    telemetry.start("info", "pretty", stream)
    telemetry.log("engine").warning("lease lost", run="run_1")
    assert stream.getvalue().endswith("warning  lease lost  run=run_1\n")


def test_what_is_below_the_level_is_not_logged(stream: io.StringIO) -> None:
    telemetry.start("warning", "json", stream)
    telemetry.log("engine").info("run claimed")
    assert stream.getvalue() == ""


def test_a_cause_adds_its_traceback(stream: io.StringIO) -> None:
    telemetry.start("info", "json", stream)
    try:
        raise ValueError("broken")
    except ValueError as error:
        telemetry.log("engine").error("run failed", cause=error)
    assert "ValueError: broken" in json.loads(stream.getvalue())["traceback"]
