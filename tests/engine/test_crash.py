"""A process that dies at any named point loses nothing it acknowledged, and the next one goes on."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import life
from engine.world import world
from respun.crash import CRASHED

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "src" / "respun"
POINTS = sorted(
    {point for path in SOURCES.rglob("*.py") for point in re.findall(r'crash_point\("([a-z._]+)"\)', path.read_text())}
)
LATER = ("commit.before:9", "commit.after:20", "news.events_written:15", "news.stored:12", "text.shown:8")


def die(folder: Path, point: str) -> list[dict[str, Any]]:
    """Live until the point; what was acknowledged before."""
    env = {"RESPUN_CRASH_AT": point, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, str(HERE / "life.py"), str(folder)], env=env, capture_output=True, timeout=30, check=False
    )
    assert done.returncode == CRASHED, f"{point} was not crossed: {done.stderr.decode()[-2000:]}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_there_are_points_around_every_commit() -> None:
    assert len(POINTS) >= 30


@pytest.mark.parametrize("point", [*POINTS, *LATER])
async def test_nothing_acknowledged_is_lost_at(point: str, tmp_path: Path) -> None:
    facts = die(tmp_path / "data", point)
    async with world(str(tmp_path / "data")) as here:
        await life.settle(here, facts)


async def test_a_process_that_dies_again_while_it_recovers_loses_nothing(tmp_path: Path) -> None:
    facts = die(tmp_path / "data", "text.shown:9")
    for point in ("start.disowned", "claim.stored", "takeover.folded", "takeover.stored", "takeover.driven"):
        facts += die(tmp_path / "data", point)
    async with world(str(tmp_path / "data")) as here:
        await life.settle(here, facts)
