"""The real server under clients, killed at random moments: what it acknowledged is there, no run is stuck.

RESPUN_KILLS sets how many kills; `bench/kill.py` does a thousand.
"""

import os
from pathlib import Path

import pytest

from end.storm import storm

KILLS = int(os.environ.get("RESPUN_KILLS", "40"))


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # connections that a killed server left behind
async def test_a_server_that_is_killed_again_and_again_keeps_its_promises(tmp_path: Path) -> None:
    after = await storm(tmp_path / "data", KILLS, seed=1)
    assert after.broken == [], after.figures()
    assert min(after.counts.values()) > 0, after.figures()
