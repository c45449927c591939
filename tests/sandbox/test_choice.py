"""Which back-end is used is found out by attacking each; where none holds the tool is refused."""

import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

from respun.sandbox import bwrap, choose, confine, landlock, selftest
from respun.sandbox.keeper import Ready
from respun.sandbox.launch import ProcessLaunch
from respun.sandbox.local import Local
from respun.sandbox.ports import Limits, NoSandbox, Settings
from respun.sandbox.room import Room
from sandbox.backends import container_python, make, skip_without_features

PLAIN = Settings(preload=())


@pytest.mark.parametrize("name", ["process", "bwrap"])
async def test_a_back_end_that_holds_is_chosen(name: str) -> None:
    skip_without_features(name)
    sandbox = await choose.choose(Settings(preload=(), backend=name))  # type: ignore[arg-type]
    assert sandbox.name == name
    await sandbox.create("a")
    assert (await sandbox.run("a", "6 * 7")).logs == "42\n"
    await sandbox.aclose()


async def test_in_a_default_container_the_process_back_end_is_chosen(tmp_path: Path) -> None:
    skip_without_features("process")
    sandbox = await choose.choose(Settings(preload=(), python=str(container_python(tmp_path)), own_users=False))
    assert sandbox.name == "process"
    await sandbox.aclose()


async def test_the_doctor_is_told_why_a_candidate_does_not_hold(tmp_path: Path) -> None:
    skip_without_features("bwrap")
    settings = Settings(preload=(), python=str(container_python(tmp_path)), own_users=False)
    findings = {finding.name: finding for finding in await choose.examine(settings)}
    assert findings["process"].holds
    assert not findings["bwrap"].holds
    assert "a bwrap session did not start" in findings["bwrap"].reason
    assert "namespace" in findings["bwrap"].reason


async def test_without_any_back_end_the_tool_is_refused_with_one_sentence() -> None:
    settings = Settings(preload=(), backend="bwrap", bwrap="/nonexistent/bwrap")
    with pytest.raises(NoSandbox) as refusal:
        await choose.choose(settings)
    assert refusal.value.message == (
        "code_interpreter is not available: bwrap does not hold: bubblewrap is not installed "
        "(pip install 'respun[sandbox]')."
    )


async def test_an_interpreter_that_does_not_run_is_named() -> None:
    with pytest.raises(NoSandbox, match="/nonexistent/python"):
        await choose.choose(Settings(preload=(), backend="process", python="/nonexistent/python"))


class Unlocked:
    """A launch that forgets the walls: bubblewrap's place taken by a bare Python."""

    name = "unlocked"
    preloads = False

    def order(self, room: Room, limits: Limits, ready: Ready, preload: tuple[str, ...]) -> dict[str, object]:
        order = bwrap.BwrapLaunch(sys.executable).order(room, limits, ready, preload)
        kernel = str(Path(bwrap.__file__).with_name("kernel.py"))
        given = {"requests": 3, "answers": 4, "folder": room.data, "rewrite": True, "preload": []}
        given |= {"images": 1, "image": 1}
        return {**order, "argv": [sys.executable, "-I", kernel, json.dumps(given)]}

    def shown(self, room: Room) -> str:
        return room.data


async def test_the_self_test_finds_every_wall_that_is_missing() -> None:
    skip_without_features("process")
    sandbox = Local(PLAIN, Unlocked(), own_users=False)
    through = {probe.name for probe in await selftest.leaks(sandbox)}
    await sandbox.aclose()
    # A process cannot leave a group that it leads, and tracing or user namespaces may be refused to everyone here.
    machine_may_refuse = {"leave the session's process group", "trace a process of the host", "make a user namespace"}
    assert through | machine_may_refuse == {probe.name for probe in selftest.PROBES}


def test_it_is_the_same_on_the_event_loop_that_serve_uses() -> None:
    skip_without_features("process")
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not for this system")

    async def call() -> str:
        sandbox = await choose.choose(Settings(preload=(), backend="process"))
        await sandbox.create("a")
        await sandbox.put("a", "f", b"x")
        result = await sandbox.run("a", "while True: pass", seconds=0.2)
        await sandbox.aclose()
        return str(result.error)

    assert "its variables are kept" in uvloop.run(call())


def test_twelve_attempts_are_made() -> None:
    assert len(selftest.PROBES) == 12


async def test_no_secret_of_the_server_reaches_the_fork_server_or_a_session(tmp_path: Path) -> None:
    skip_without_features("process")
    os.environ["RESPUN_TEST_SECRET"] = "sk-very-secret"
    try:
        sandbox = make("process", tmp_path)
        await sandbox.create("a")
        pids = [sandbox.server_pid, sandbox.pid_of("a")]
        found = b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for pid in pids for name in ("environ", "cmdline"))
        assert b"sk-very-secret" not in found
        seen = (await sandbox.run("a", "import os; sorted(os.environ)")).logs
        assert "RESPUN" not in seen
        await sandbox.aclose()
    finally:
        del os.environ["RESPUN_TEST_SECRET"]


async def test_when_the_server_goes_every_session_goes(tmp_path: Path) -> None:
    skip_without_features("process")
    sandbox = make("process", tmp_path)
    await sandbox.create("a")
    await sandbox.run("a", "import os, time\nif os.fork() == 0: time.sleep(60)")
    group = sandbox.pid_of("a")
    assert group is not None
    await sandbox.aclose()
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


async def test_a_lost_fork_server_is_started_again_and_the_files_stay(tmp_path: Path) -> None:
    skip_without_features("process")
    sandbox = make("process", tmp_path)
    await sandbox.create("a")
    await sandbox.put("a", "f", b"x")
    os.kill(sandbox.server_pid, 9)
    result = await sandbox.run("a", "open('f').read()")
    if result.session_lost:
        result = await sandbox.run("a", "open('f').read()")
    assert result.logs == "'x'\n"
    assert result.restarted == "the sandbox was restarted"
    await sandbox.aclose()


async def test_nothing_is_left_on_disk_after_the_end() -> None:
    skip_without_features("process")
    before = set(os.listdir(tempfile.gettempdir()))
    sandbox = Local(PLAIN, ProcessLaunch(linked=False), own_users=False)
    await sandbox.create("a")
    await sandbox.run("a", "import os\nos.mkdir('hidden', 0o300); open('hidden/x', 'w').close()")
    await sandbox.aclose()
    assert {
        name for name in set(os.listdir(tempfile.gettempdir())) - before if name.startswith("respun-sessions")
    } == set()


async def test_what_a_killed_server_left_is_removed_and_what_is_younger_stays(tmp_path: Path) -> None:
    skip_without_features("process")
    for name, age in (("a" * 16, 9000), ("b" * 16, 10)):
        (tmp_path / name / "data").mkdir(parents=True)
        then = tmp_path.stat().st_mtime - age
        os.utime(tmp_path / name, (then, then))
    sandbox = Local(Settings(preload=(), folder=str(tmp_path)), ProcessLaunch(linked=False), own_users=False)
    await sandbox.start()
    assert sorted(os.listdir(tmp_path)) == ["b" * 16, "cache"]
    await sandbox.aclose()


def test_landlock_is_asked_and_not_assumed() -> None:
    assert landlock.abi() >= 0
    assert confine.machine() in ("x86_64", "aarch64")
