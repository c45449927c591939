"""Ids of frames: what a client that comes back has seen, and what it is sent."""

import pytest

from respun.dialects.frames import Position, behind, frame, position

EVENT = b"".join(frame(12, k, b"e%d" % k, b"{}") for k in (1, 2, 3))


@pytest.mark.parametrize(
    ("text", "found"),
    [("12", Position(12)), ("12.1", Position(12, 1)), (" 0 ", Position(0)), ("x", None), ("1.", None), ("-1", None)],
)
def test_a_position_is_an_event_or_one_of_its_frames(text: str, found: Position | None):
    assert position(text) == found


def test_behind_a_frame_come_the_later_frames_of_its_event_and_the_later_events():
    seen = Position(12, 1)
    assert seen.after == 11
    assert behind(EVENT, 12, seen) == frame(12, 2, b"e2", b"{}") + frame(12, 3, b"e3", b"{}")
    assert behind(EVENT, 13, seen) == EVENT


def test_behind_the_last_frame_nothing_of_its_event_is_left():
    assert behind(EVENT, 12, Position(12, 3)) == b""
    assert behind(EVENT, 12, Position(12, 9)) == b""


def test_behind_a_whole_event_only_later_ones_are_wanted():
    assert Position(12).after == 12
