"""What a model sees of a session: state, output, files, plots, and the truth about what was lost."""

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from respun.sandbox.local import Local
from respun.sandbox.ports import BadFile, NoSession, report
from sandbox.backends import LIMITS, make

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def fresh(request: pytest.FixtureRequest) -> str:
    return request.node.name


async def test_state_is_kept_between_calls(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    await sandbox.run(fresh, "import math\ndef twice(x): return 2 * x\nx = 20")
    assert (await sandbox.run(fresh, "twice(x) + math.floor(2.5)")).logs == "42\n"


async def test_output_errors_and_the_last_value_come_in_order(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    code = "import subprocess, sys\nprint('one')\n"
    code += "subprocess.run(['/bin/echo', 'two'])\nprint('three', file=sys.stderr)\n'four'"
    assert (await sandbox.run(fresh, code)).logs == "one\ntwo\nthree\n'four'\n"


async def test_an_error_shows_the_line_of_the_model_and_not_the_loop(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    result = await sandbox.run(fresh, "def f():\n    return 1 / 0\nf()")
    assert result.error is not None
    assert "    return 1 / 0" in result.error
    assert "ZeroDivisionError: division by zero" in result.error
    assert "kernel.py" not in result.error
    broken = await sandbox.run(fresh, "x = (")
    assert broken.error is not None
    assert "SyntaxError" in broken.error


async def test_files_go_in_and_out_under_mnt_data(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    await sandbox.put(fresh, "in/numbers.csv", b"a\n1\n2\n")
    code = """
import os, subprocess, sqlite3
from pathlib import Path
folder = '/mnt/data'
rows = open(f'{folder}/in/numbers.csv').read().split()[1:]
Path('/mnt/data', 'sum.txt').write_text(str(sum(map(int, rows))))
sqlite3.connect('/mnt/data/base.db').execute('create table t (x)')
print(subprocess.run(['ls', '/mnt/data'], capture_output=True, text=True).stdout.split())
print(os.path.abspath('sum.txt'), os.getcwd())
"""
    result = await sandbox.run(fresh, code)
    assert result.error is None
    assert result.logs == "['base.db', 'in', 'sum.txt']\n/mnt/data/sum.txt /mnt/data\n"
    assert {info.name for info in result.changed} == {"base.db", "sum.txt"}
    assert await sandbox.get(fresh, "sum.txt") == b"3"
    assert {info.name: info.size for info in await sandbox.list(fresh)}["in/numbers.csv"] == 6


async def test_changed_and_removed_files_are_told(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    await sandbox.run(fresh, "open('kept', 'w').write('x'); open('old', 'w').write('x'); open('more', 'w').write('x')")
    result = await sandbox.run(fresh, "import os\nos.remove('old')\nwith open('more', 'a') as f: f.write('y')")
    assert [info.name for info in result.changed] == ["more"]
    assert result.removed == ("old",)


async def test_a_loop_is_interrupted_and_keeps_its_state(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    await sandbox.run(fresh, "x = 42")
    result = await sandbox.run(fresh, "print('began')\nwhile True: x += 0", seconds=0.3)
    assert result.timed_out
    assert result.session_lost is None
    assert result.logs == "began\n"
    assert "interrupted; its variables are kept" in report(result)
    assert (await sandbox.run(fresh, "x")).logs == "42\n"


async def test_after_a_kill_the_model_is_told_that_variables_are_gone_and_files_kept(
    sandbox: Local, fresh: str
) -> None:
    await sandbox.create(fresh)
    await sandbox.run(fresh, "x = 42\nopen('kept.txt', 'w').write('here')")
    deaf = "import time\nwhile True:\n    try:\n        time.sleep(9)\n    except BaseException: pass"
    result = await sandbox.run(fresh, f"print('before')\n{deaf}", seconds=0.3)
    assert result.session_lost == "the code did not stop within 0.3 seconds of being interrupted"
    assert report(result).startswith("before\n")
    assert "session was stopped: the code did not stop" in report(result)
    assert "variables and imports are gone, files in /mnt/data are kept" in report(result)
    after = await sandbox.run(fresh, "print('x' in globals(), open('/mnt/data/kept.txt').read())")
    assert after.restarted == result.session_lost
    assert report(after).endswith("False here\n")
    assert "The session was restarted before this code ran" in report(after)
    assert (await sandbox.run(fresh, "1")).restarted is None


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import os; os._exit(3)", "its Python exited with status 3"),
        ("import os; os.kill(os.getpid(), 9)", "its Python was ended by SIGKILL"),
    ],
)
async def test_an_end_of_the_session_is_explained(sandbox: Local, fresh: str, code: str, why: str) -> None:
    await sandbox.create(fresh)
    lost = (await sandbox.run(fresh, code)).session_lost
    if sandbox.name == "bwrap" and "SIGKILL" in why:
        why = "its Python exited with status 137"
    assert lost == why


async def test_what_a_call_wrote_over_the_limit_is_removed_and_the_rest_kept(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    await sandbox.put(fresh, "mine.txt", b"mine")
    code = "import time\nfor n in range(4):\n    open(f'{n}', 'wb').write(b'x' * (40 << 20))\ntime.sleep(5)"
    result = await sandbox.run(fresh, code)
    assert result.session_lost == "its files were larger than 96 MiB; those of this call were removed"
    assert [info.name for info in await sandbox.list(fresh)] == ["mine.txt"]
    assert (await sandbox.run(fresh, "open('mine.txt').read()")).logs == "'mine'\n"


async def test_a_session_does_nothing_between_calls(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    code = "import threading, time\ncount = 0\n"
    code += "def work():\n    global count\n    while True: count += 1; time.sleep(0.001)\n"
    await sandbox.run(fresh, code + "threading.Thread(target=work, daemon=True).start()\nseen = count")
    await asyncio.sleep(0.3)
    result = await sandbox.run(fresh, "print(count - seen < 100, count)")
    assert result.logs.startswith("True")


async def test_a_cancelled_call_leaves_a_session_that_works(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    await sandbox.run(fresh, "x = 42")
    call = asyncio.create_task(sandbox.run(fresh, "import time\ntime.sleep(30)"))
    await asyncio.sleep(0.2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await sandbox.run(fresh, "x")).logs == "42\n"


async def test_closing_a_session_ends_the_call_that_runs(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    call = asyncio.create_task(sandbox.run(fresh, "import time\ntime.sleep(30)"))
    waiting = asyncio.create_task(sandbox.run(fresh, "1"))
    await asyncio.sleep(0.1)
    await sandbox.close(fresh)
    assert (await call).session_lost == "it was closed"
    with pytest.raises(NoSession):
        await waiting


async def test_output_beyond_the_limit_is_cut_with_a_word(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    result = await sandbox.run(fresh, "for _ in range(40): print('x' * (1 << 20))\nprint('end')")
    assert result.truncated
    assert len(result.logs) == LIMITS.logs
    assert report(result).endswith("[The output was longer; the rest is not shown.]")
    assert (await sandbox.run(fresh, "2")).logs == "2\n"


async def test_a_child_that_returns_from_the_cell_answers_nothing(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    code = "import os\npid = os.fork()\nif pid: print(os.waitpid(pid, 0)[1])\nprint('child' if pid == 0 else 'parent')"
    assert (await sandbox.run(fresh, code)).logs == "child\n0\nparent\n"
    assert (await sandbox.run(fresh, "7")).logs == "7\n"


@pytest.mark.parametrize("how", ["import sys; sys.stdout.close()", "import os; os.close(1); os.close(2)"])
async def test_closed_output_is_open_again_in_the_next_call(sandbox: Local, fresh: str, how: str) -> None:
    await sandbox.create(fresh)
    await sandbox.run(fresh, "x = 42")
    await sandbox.run(fresh, how)
    assert (await sandbox.run(fresh, "print(x)")).logs == "42\n"


async def test_daemons_end_with_their_session(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    code = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        if os.fork() == 0: time.sleep(60)
        os._exit(0)
    os.wait()
"""
    await sandbox.run(fresh, code)
    group = sandbox.pid_of(fresh)
    assert group is not None
    assert len(members(group)) >= 4
    await sandbox.close(fresh)
    assert members(group) == []


def members(group: int) -> list[int]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[2]) == group and words[0] not in "ZX":
            found.append(int(pid))
    return found


async def test_a_session_must_be_made_first(sandbox: Local) -> None:
    with pytest.raises(NoSession, match="Create it first"):
        await sandbox.run("never", "1")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", "a//b", "x\0y", "n" * 256, "a\nb"])
async def test_names_that_lead_out_are_refused(sandbox: Local, name: str) -> None:
    await sandbox.create("names")
    for attempt in (sandbox.put("names", name, b"x"), sandbox.get("names", name)):
        with pytest.raises(BadFile):
            await attempt


async def test_links_and_pipes_are_not_read_for_the_code(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    code = """
import os
os.symlink('/etc/hostname', 'link')
os.symlink('/etc', 'folder')
os.mkfifo('pipe')
open('real', 'w').close()
"""
    result = await sandbox.run(fresh, code)
    assert [info.name for info in result.changed] == ["real"]
    for name in ("link", "folder/hostname", "pipe"):
        with pytest.raises(BadFile):
            await sandbox.get(fresh, name)
    with pytest.raises(BadFile):
        await sandbox.put(fresh, "folder/x", b"x")


async def test_putting_a_file_over_a_link_replaces_the_link(sandbox: Local, fresh: str) -> None:
    await sandbox.create(fresh)
    await sandbox.run(fresh, "import os\nos.symlink('/etc/hostname', 'link')")
    await sandbox.put(fresh, "link", b"mine")
    assert await sandbox.get(fresh, "link") == b"mine"


FORGE = """
import os, json, struct
def forge(answer, extra=b'', size=None):
    body = json.dumps(answer).encode()
    size = 4 + len(body) + len(extra) if size is None else size
    os.write(4, struct.pack('>II', size, len(body)) + body + extra)
"""


@pytest.mark.parametrize(
    ("forgery", "lost"),
    [
        ("forge({'number': 2, 'error': None, 'images': [9]}, b'<svg></svg>'[:9])", False),
        ("forge({'number': 7})", False),
        ("forge({'number': 2, 'images': [-1, 5]}, b'xxxx')", True),
        ("forge({'number': 2, 'images': [1 << 40]})", True),
        ("forge({'number': 'x'})", True),
        ("os.write(4, b'\\xff' * 64)", True),
        ("os.write(4, b'{}\\n' * (1 << 20)); import time; time.sleep(5)", True),
    ],
)
async def test_a_forged_answer_gains_nothing(sandbox: Local, fresh: str, forgery: str, lost: bool) -> None:
    await sandbox.create(fresh)
    await sandbox.run(fresh, FORGE)
    result = await sandbox.run(fresh, forgery)
    assert (result.session_lost == "it broke the form of its answers") is lost
    assert result.images == ()
    for _ in range(2):
        after = await sandbox.run(fresh, "print('usable')")
    assert after.logs == "usable\n"


@pytest.fixture(params=["process", "bwrap"])
def plotting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Local:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    limits = msgspec.structs.replace(LIMITS, memory=1 << 30, images=2)
    return make(request.param, tmp_path_factory.mktemp("plots"), limits)


async def test_plots_come_back_as_png_images(plotting: Local) -> None:
    await plotting.create("plots")
    code = """
import matplotlib.pyplot as plt
for n in range(3):
    plt.figure(figsize=(2, 1), dpi=50)
    plt.plot([1, n])
plt.show()
"""
    result = await plotting.run("plots", code)
    assert [(image.width, image.height) for image in result.images] == [(100, 50), (100, 50)]
    assert result.logs == "[More than 2 images in one call: the others are not shown.]\n"
    assert (await plotting.run("plots", "1")).images == ()
    await plotting.aclose()


async def test_a_spare_session_has_its_packages_before_it_is_used(tmp_path_factory: pytest.TempPathFactory) -> None:
    spared = make("bwrap", tmp_path_factory.mktemp("spare"), preload=("decimal", "sqlite3"))
    await spared.create("first")
    assert (await spared.run("first", LOADED)).logs == "False\n"
    async with asyncio.timeout(30):
        while not spared.spares:
            await asyncio.sleep(0.02)
    await spared.create("second")
    assert (await spared.run("second", LOADED)).logs == "True\n"
    await spared.aclose()


LOADED = "import sys; 'sqlite3' in sys.modules"
