"""Named places where the process can be made to die, so that tests can cross each of them once.

`RESPUN_CRASH_AT=point` (or `point:3` for the third time) ends the process there as a kill would: nothing is flushed,
no handler runs. Without the variable a point is a call of an empty function.
"""

import os
from collections.abc import Callable
from typing import Final

CRASHED: Final = 86
"""The exit code by which a test tells this end from any other."""


def _point(at: str) -> Callable[[str], None]:
    if not at:
        return lambda name: None
    wanted, _, times = at.partition(":")
    left = int(times or 1)

    def point(name: str) -> None:
        nonlocal left
        if name == wanted:
            left -= 1
            if left == 0:
                os._exit(CRASHED)

    return point


crash_point: Final = _point(os.environ.get("RESPUN_CRASH_AT", ""))
