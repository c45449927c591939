"""A power cut at any moment loses no acknowledged row and leaves no half one; a full disk refuses whole units.

A workload runs with a preloaded recorder (needs gcc); then the disk is rebuilt as a cut at random moments would leave
it. POWERLOSS_POINTS sets how many.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from disk import Step, after_power_cut, steps

HERE = Path(__file__).parent
SOURCES = HERE.parents[2] / "src"
POINTS = int(os.environ.get("POWERLOSS_POINTS", "60"))
DATABASE = "data/respun.db"


class Recording(NamedTuple):
    steps: list[Step]
    printed: list[int]


class Verdict(NamedTuple):
    damaged: int = 0
    lost: int = 0
    half: int = 0


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("recorder") / "recorder.so"
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "These tests compile a recorder: install gcc."
    source = str(HERE / "recorder.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-Wall", "-o", str(library), source, "-ldl"], check=True)
    return library


def record(recorder: Path, folder: Path, synchronous: str, rounds: int, **extra: str) -> Recording:
    folder.mkdir()
    log = folder.with_suffix(".log")
    env = {
        "PYTHONPATH": str(SOURCES),
        "LD_PRELOAD": str(recorder),
        "RECORD_FOLDER": f"{folder}/",
        "RECORD_TO": str(log),
        **extra,
    }
    command = [sys.executable, str(HERE / "workload.py"), str(folder), synchronous, str(rounds)]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return Recording(steps(log), [int(number) for number in ended.stdout.split()])


def judge(recording: Recording, folder: Path, points: int) -> Verdict:
    random, verdict = Random(7), Verdict()
    done = recording.steps
    first = next(n for n, step in enumerate(done) if step.name == "acks" and step.what == "w")
    for _ in range(points):
        cut = random.randrange(first, len(done)) + 1
        acknowledged = {int.from_bytes(s.content, "big") for s in done[:cut] if s.name == "acks" and s.what == "w"}
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "data").mkdir(parents=True)
        for name, content in after_power_cut(done[:cut], random).items():
            (folder / name).write_bytes(content)
        verdict = Verdict(*map(sum, zip(verdict, _look(folder / DATABASE, acknowledged), strict=True)))
    return verdict


def _look(database: Path, acknowledged: set[int]) -> Verdict:
    db = sqlite3.connect(database)
    try:
        if db.execute("pragma integrity_check").fetchone() != ("ok",):
            return Verdict(damaged=1)
        # Without the table nothing of the log was on disk yet: lost, not damaged.
        there = db.execute("select 1 from sqlite_schema where name = 'proofs'").fetchone()
        rows = db.execute("select id, text, reverse from proofs").fetchall() if there else []
    except sqlite3.Error:
        return Verdict(damaged=1)
    finally:
        db.close()
    half = any(text != reverse[::-1] or not text.startswith(f"{number} ") for number, text, reverse in rows)
    return Verdict(lost=int(not acknowledged <= {row[0] for row in rows}), half=int(half))


def test_a_power_cut_loses_nothing_that_was_acknowledged(recorder: Path, tmp_path: Path) -> None:
    recording = record(recorder, tmp_path / "disk", "full", 60)
    assert recording.printed == [0, 480]
    assert judge(recording, tmp_path / "image", POINTS) == Verdict()


def test_the_harness_sees_what_a_weaker_setting_loses(recorder: Path, tmp_path: Path) -> None:
    recording = record(recorder, tmp_path / "disk", "normal", 60)
    verdict = judge(recording, tmp_path / "image", 30)
    assert verdict.lost > 10
    assert (verdict.damaged, verdict.half) == (0, 0)


def test_units_that_wait_together_share_a_sync(recorder: Path, tmp_path: Path) -> None:
    recording = record(recorder, tmp_path / "disk", "full", 60)
    syncs = sum(step.what == "s" and step.name == f"{DATABASE}-wal" for step in recording.steps)
    assert 60 <= syncs < 100


def test_a_disk_that_is_full_at_commit_refuses_units_whole_and_stays_readable(recorder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    refused, stored = record(recorder, folder, "full", 30, FULL_AFTER="1000000").printed
    acknowledged = (folder / "acks").stat().st_size // 8
    assert refused > 20
    assert stored == acknowledged == 240 - refused
    assert _look(folder / DATABASE, set()) == Verdict()
