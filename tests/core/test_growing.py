"""Text that grows by pieces is the text, at every stage and in every history."""

from hypothesis import given
from hypothesis import strategies as st

from respun.core.growing import Growing


@given(st.lists(st.text(max_size=5), max_size=400))
def test_every_stage_keeps_its_own_text(pieces: list[str]) -> None:
    stages = [Growing()]
    for piece in pieces:
        stages.append(stages[-1] + piece)
    assert [str(stage) for stage in stages] == ["".join(pieces[:n]) for n in range(len(stages))]


@given(st.integers(0, 300))
def test_two_histories_that_part_do_not_meet(common: int) -> None:
    root = Growing()
    for _ in range(common):
        root += "a"
    left, right = root + "l", root + "r"
    assert (str(left + "1"), str(right + "2")) == ("a" * common + "l1", "a" * common + "r2")
    assert str(root) == "a" * common
