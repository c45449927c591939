"""The code interpreter as a user has it: the stock SDK, a real server, a real sandbox, the scripted model.

Where no sandbox holds on the machine that tests, these are skipped with the sandbox's own reason.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types.beta.assistant_stream_event import AssistantStreamEvent, ThreadRunStepDelta
from openai.types.beta.threads import Message, Run
from openai.types.beta.threads.runs import CodeInterpreterToolCall, ToolCallsStepDetails

from plugins.server import Server, serving
from respun.sandbox.choose import choose
from respun.sandbox.ports import NoSandbox, Settings

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")

CSV = b"day,sum\n1,10\n2,32\n"
SECRET = "sk-canary-5f2d91"
Start = Callable[..., Server]


@pytest.fixture(scope="module", autouse=True)
def _a_sandbox_holds() -> None:
    async def attempt() -> None:
        await (await choose(Settings(preload=()))).aclose()

    try:
        asyncio.run(attempt())
    except NoSandbox as problem:
        pytest.skip(problem.reason)


@pytest.fixture(scope="module")
def coding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """A server that runs code, with a secret in its environment."""
    os.environ["SECRET_OF_THE_SERVER"] = SECRET
    try:
        with serving(tmp_path_factory.mktemp("coding"), "--code-interpreter", "auto") as server:
            yield OpenAI(api_key="none", base_url=server.base_url, max_retries=0)
    finally:
        del os.environ["SECRET_OF_THE_SERVER"]


def calls(*codes: str, say: str = "Done.") -> str:
    """A script: the codes one after another, a turn each, then words."""
    lines = [f"@call code_interpreter {json.dumps({'code': code})}" for code in codes]
    return "\n@then\n".join([*lines, f"@say {say}"])


def assistant(sdk: OpenAI, *files: str) -> str:
    resources: Any = {"code_interpreter": {"file_ids": list(files)}}
    tools: Any = [{"type": "code_interpreter"}]
    return sdk.beta.assistants.create(model="scripted", tools=tools, tool_resources=resources).id


def ask(sdk: OpenAI, thread: str, script: str, *files: str, **options: Any) -> Run:
    attachments: Any = [{"file_id": file, "tools": [{"type": "code_interpreter"}]} for file in files]
    sdk.beta.threads.messages.create(thread, role="user", content=script, attachments=attachments or None)
    ident = options.pop("assistant", None) or assistant(sdk)
    return sdk.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=ident, **options)


def cells(sdk: OpenAI, run: Run) -> list[CodeInterpreterToolCall]:
    steps = sdk.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id, order="asc").data
    details = [step.step_details for step in steps if isinstance(step.step_details, ToolCallsStepDetails)]
    return [call for one in details for call in one.tool_calls if isinstance(call, CodeInterpreterToolCall)]


def logs(cell: CodeInterpreterToolCall) -> str:
    return "".join(output.logs for output in cell.code_interpreter.outputs if output.type == "logs")


def said(sdk: OpenAI, thread: str) -> Message:
    return sdk.beta.threads.messages.list(thread).data[0]


def thread_of(sdk: OpenAI) -> str:
    return sdk.beta.threads.create().id


def outcome(sdk: OpenAI, code: str) -> str:
    """What one call prints in a thread of its own."""
    (cell,) = cells(sdk, ask(sdk, thread_of(sdk), calls(code)))
    return logs(cell)


def upload(sdk: OpenAI, name: str = "sales.csv", content: bytes = CSV) -> str:
    return sdk.files.create(file=(name, content), purpose="assistants").id


PLOT = """\
import pandas as pd
import matplotlib.pyplot as plt
table = pd.read_csv("/mnt/data/sales.csv")
table.plot(x="day", y="sum")
plt.show()
table.cumsum().to_csv("/mnt/data/sums.csv", index=False)
int(table["sum"].sum())"""


def test_a_table_is_read_computed_with_plotted_and_given_back(coding: OpenAI) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    thread = thread_of(coding)
    run = ask(coding, thread, calls(PLOT, say="See [sums](sandbox:/mnt/data/sums.csv)."), upload(coding))
    assert run.status == "completed"
    (cell,) = cells(coding, run)
    assert cell.code_interpreter.input == PLOT
    assert logs(cell) == "42\n"
    answer = said(coding, thread)
    image, text = answer.content
    assert image.type == "image_file"
    assert text.type == "text"
    assert [out.image.file_id for out in cell.code_interpreter.outputs if out.type == "image"] == [
        image.image_file.file_id
    ]
    assert coding.files.content(image.image_file.file_id).read().startswith(b"\x89PNG\r\n\x1a\n")
    (note,) = text.text.annotations
    assert note.type == "file_path"
    assert note.text == "sandbox:/mnt/data/sums.csv" == text.text.value[note.start_index : note.end_index]
    assert [one.file_id for one in answer.attachments or []] == [note.file_path.file_id]
    made = coding.files.retrieve(note.file_path.file_id)
    assert (made.filename, made.purpose) == ("sums.csv", "assistants_output")
    assert coding.files.content(made.id).read() == b"day,sum\n1,10\n3,42\n"


def test_variables_and_files_stay_between_the_runs_of_a_thread(coding: OpenAI) -> None:
    thread = thread_of(coding)
    ask(coding, thread, calls("x = 41; open('/mnt/data/kept.txt', 'w').write('kept')", "x += 1"))
    run = ask(coding, thread, calls("print(x, open('kept.txt').read())", say="sandbox:/mnt/data/kept.txt"))
    assert logs(cells(coding, run)[0]) == "42 kept\n"
    (part,) = said(coding, thread).content
    assert part.type == "text"
    assert [note.type for note in part.text.annotations] == ["file_path"]
    assert "NameError" in outcome(coding, "x"), "another thread has its own"


def test_code_that_never_ends_is_interrupted_and_the_thread_goes_on(start_server: Start) -> None:
    server = start_server("--code-interpreter", "auto", "--code-call-seconds", "1")
    sdk = OpenAI(api_key="none", base_url=server.base_url, max_retries=0)
    thread = thread_of(sdk)
    run = ask(sdk, thread, calls("x = 7", "while True: pass", "x"))
    assert run.status == "completed"
    _, loop, after = cells(sdk, run)
    assert "KeyboardInterrupt" in logs(loop)
    assert "variables are kept" in logs(loop)
    assert logs(after) == "7\n"


def test_a_session_that_died_is_told_and_its_files_are_kept(coding: OpenAI) -> None:
    thread = thread_of(coding)
    run = ask(
        coding, thread, calls("x = 1; open('f', 'w').write('here')", "import os; os._exit(3)", "open('f').read()")
    )
    _, died, after = cells(coding, run)
    assert "variables and imports are gone, files in /mnt/data are kept" in logs(died)
    assert "'here'" in logs(after)
    assert "NameError" in logs(cells(coding, ask(coding, thread, calls("x")))[0])


def test_cancelling_a_run_stops_its_code_at_once(coding: OpenAI) -> None:
    thread = thread_of(coding)
    script = calls("x = 5", "import time\ntime.sleep(1.5)\nopen('late', 'w').write('x')")
    coding.beta.threads.messages.create(thread, role="user", content=script)
    run = coding.beta.threads.runs.create(thread_id=thread, assistant_id=assistant(coding))
    _wait_for_cells(coding, run, 2)
    began = time.monotonic()
    coding.beta.threads.runs.cancel(run.id, thread_id=thread)
    assert coding.beta.threads.runs.poll(run.id, thread_id=thread).status == "cancelled"
    assert time.monotonic() - began < 1.0
    later = ask(coding, thread, calls("import os, time\ntime.sleep(1.5)\nprint(x, os.listdir())"))
    assert logs(cells(coding, later)[0]) == "5 []\n"


def _wait_for_cells(sdk: OpenAI, run: Run, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(cells(sdk, run)) < count:
        assert time.monotonic() < deadline, "the code was not called"
        time.sleep(0.02)
    time.sleep(0.2)


def test_a_run_that_expires_ends_with_its_code(start_server: Start) -> None:
    server = start_server("--code-interpreter", "auto", "--run-expires-after", "3")
    sdk = OpenAI(api_key="none", base_url=server.base_url, max_retries=0)
    thread = thread_of(sdk)
    run = ask(sdk, thread, calls("import time\ntime.sleep(60)"))
    assert run.status == "expired"
    assert logs(cells(sdk, ask(sdk, thread, calls("'usable'")))[0]).endswith("'usable'\n")


def test_the_stream_adds_up_in_the_sdk(coding: OpenAI) -> None:
    code = 'for i in range(3):\n    print("näive \\"quoted\\" \U0001f600", i)\nopen("/mnt/data/a.txt", "w").write("a")'
    thread = thread_of(coding)
    coding.beta.threads.messages.create(thread, role="user", content=calls(code))
    events: list[AssistantStreamEvent] = []
    with coding.beta.threads.runs.stream(thread_id=thread, assistant_id=assistant(coding)) as stream:
        events.extend(stream)
        summed = [step.step_details for step in stream.get_final_run_steps()]
    names = [event.event for event in events]
    begun = names.index("thread.run.step.created")
    assert names[begun : begun + 3] == [
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.run.step.delta",
    ]
    assert names[-1] == "thread.run.completed"
    written = "".join(piece for event in events if isinstance(event, ThreadRunStepDelta) for piece in _inputs(event))
    assert written == code
    details = next(one for one in summed if isinstance(one, ToolCallsStepDetails))
    (call,) = details.tool_calls
    assert isinstance(call, CodeInterpreterToolCall)
    assert call.code_interpreter.input == code
    run = coding.beta.threads.runs.list(thread).data[0]
    stored = cells(coding, run)[0]
    assert (stored.id, stored.code_interpreter.input) == (call.id, code)
    assert logs(stored) == logs(call), "what was streamed is what is stored"


def _inputs(event: ThreadRunStepDelta) -> Iterator[str]:
    details = event.data.delta.step_details
    assert details is not None
    assert details.type == "tool_calls"
    for call in details.tool_calls or ():
        assert call.type == "code_interpreter"
        if call.code_interpreter:
            yield call.code_interpreter.input or ""


@pytest.mark.parametrize("wrapped", ["print(6 * 7)", "```python\nprint(6 * 7)\n```"])
def test_code_that_is_not_wrapped_as_asked_runs_too(coding: OpenAI, wrapped: str) -> None:
    thread = thread_of(coding)
    run = ask(coding, thread, f"@call code_interpreter {json.dumps(wrapped)}\n@then\n@say Done.")
    (cell,) = cells(coding, run)
    assert cell.code_interpreter.input == wrapped
    assert logs(cell) == "42\n"


def test_files_of_the_assistant_the_thread_and_messages_are_in_one_folder(coding: OpenAI) -> None:
    mine, theirs = upload(coding, "a.txt", b"assistant"), upload(coding, "b.txt", b"thread")
    resources: Any = {"code_interpreter": {"file_ids": [theirs]}}
    thread = coding.beta.threads.create(tool_resources=resources).id
    listing = "import os; print({name: open(name).read() for name in sorted(os.listdir())})"
    who = assistant(coding, mine)
    run = ask(coding, thread, calls(listing), upload(coding, "c.txt", b"message"), assistant=who)
    assert logs(cells(coding, run)[0]) == "{'a.txt': 'assistant', 'b.txt': 'thread', 'c.txt': 'message'}\n"
    again = ask(coding, thread, calls(listing), upload(coding, "../c.txt", b"another"), assistant=who)
    found = logs(cells(coding, again)[0])
    assert "'c.txt': 'message'" in found
    assert "-c.txt': 'another'" in found


def test_files_that_messages_bring_are_listed_by_their_thread(coding: OpenAI) -> None:
    file = upload(coding)
    attachments: Any = [{"file_id": file, "tools": [{"type": "code_interpreter"}]}]
    thread = coding.beta.threads.create(messages=[{"role": "user", "content": "x", "attachments": attachments}])
    resources = coding.beta.threads.retrieve(thread.id).tool_resources
    assert resources
    assert resources.code_interpreter
    assert resources.code_interpreter.file_ids == [file]
    with pytest.raises(NotFoundError, match="No such File object: file-none"):
        coding.beta.threads.messages.create(
            thread.id,
            role="user",
            content="x",
            attachments=[{"file_id": "file-none", "tools": attachments[0]["tools"]}],
        )


def test_code_finds_no_secret_of_the_server(coding: OpenAI) -> None:
    search = (
        "import os, glob\nfound = [repr(dict(os.environ))]\n"
        "for path in glob.glob('/proc/*/environ') + glob.glob('/proc/*/cmdline'):\n"
        "    try: found.append(open(path).read())\n"
        "    except OSError: pass\n"
        "print('SECRET_OF' in ''.join(found), 'canary-5f2d91' in ''.join(found))"
    )
    assert outcome(coding, search) == "False False\n"


def test_long_output_is_cut_and_told(coding: OpenAI) -> None:
    shown = outcome(coding, "print('x' * 3_000_000)")
    assert len(shown) < 270_000
    assert shown.endswith("[The output was longer; the rest is not shown.]")


def test_a_call_that_the_end_of_a_server_cut_off_is_made_again(tmp_path: Path) -> None:
    code = "import os, time\nprint('x' in globals(), os.listdir())\ntime.sleep(1)\nprint('whole')"
    with serving(tmp_path, "--code-interpreter", "auto") as server:
        sdk = OpenAI(api_key="none", base_url=server.base_url, max_retries=0)
        thread = thread_of(sdk)
        script = calls("x = 1; open('made', 'w').write('x')", code)
        sdk.beta.threads.messages.create(thread, role="user", content=script)
        run = sdk.beta.threads.runs.create(thread_id=thread, assistant_id=assistant(sdk))
        _wait_for_cells(sdk, run, 2)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    with serving(tmp_path, "--code-interpreter", "auto") as server:
        sdk = OpenAI(api_key="none", base_url=server.base_url, max_retries=0)
        assert sdk.beta.threads.runs.poll(run.id, thread_id=thread).status == "completed"
        shown = logs(cells(sdk, run)[1])
        assert shown.startswith("[A session was begun for this code: variables, imports and files of earlier calls")
        assert shown.endswith("False []\nwhole\n")


def test_a_deleted_thread_takes_its_session_and_its_files_along(start_server: Start, tmp_path: Path) -> None:
    os.environ["TMPDIR"] = str(tmp_path)
    try:
        server = start_server("--code-interpreter", "process")
    finally:
        del os.environ["TMPDIR"]
    sdk = OpenAI(api_key="none", base_url=server.base_url, max_retries=0)
    thread, other = thread_of(sdk), thread_of(sdk)
    code = "import os\nif os.fork() == 0:\n    while True: pass\nopen('/mnt/data/left.bin', 'wb').write(b'x' * 1000)"
    ask(sdk, thread, calls(code))
    ask(sdk, other, calls("open('kept.bin', 'w').write('x')"))
    assert len(list(tmp_path.rglob("left.bin"))) == 1
    sdk.beta.threads.delete(thread)
    assert list(tmp_path.rglob("left.bin")) == []
    assert len(list(tmp_path.rglob("kept.bin"))) == 1, "another thread keeps its own"
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    deadline = time.monotonic() + 20
    while list(tmp_path.glob("respun-sessions-*")):
        assert time.monotonic() < deadline, "what a killed server left is removed by its fork server"
        time.sleep(0.05)


def test_a_thread_that_is_deleted_while_its_code_runs_ends_it(coding: OpenAI) -> None:
    thread = thread_of(coding)
    coding.beta.threads.messages.create(thread, role="user", content=calls("1", "while True: pass"))
    run = coding.beta.threads.runs.create(thread_id=thread, assistant_id=assistant(coding))
    _wait_for_cells(coding, run, 2)
    coding.beta.threads.delete(thread)
    assert outcome(coding, "'usable'") == "'usable'\n"


def test_where_it_is_switched_off_runs_are_refused_with_the_reason(start_server: Start) -> None:
    server = start_server("--code-interpreter", "off")
    with OpenAI(api_key="none", base_url=server.base_url, max_retries=0) as sdk:
        with pytest.raises(BadRequestError) as refused:
            ask(sdk, thread_of(sdk), calls("1"))
        assert refused.value.code == "unsupported_tool"
        assert refused.value.param == "tools[0].type"
        assert "it is switched off by the setting `code_interpreter`" in refused.value.message


def test_where_none_holds_runs_are_refused_with_what_is_missing(start_server: Start) -> None:
    server = start_server("--code-interpreter", "process", "--code-python", "/nonexistent/python")
    sdk = OpenAI(api_key="none", base_url=server.base_url, max_retries=0)
    with pytest.raises(BadRequestError, match="the interpreter /nonexistent/python does not start"):
        ask(sdk, thread_of(sdk), calls("1"))


def test_a_server_stops_at_once_while_its_sandbox_is_still_starting(tmp_path: Path) -> None:
    with serving(tmp_path, "--code-interpreter", "auto") as server:
        began = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        server.process.wait(10)
        assert time.monotonic() - began < 3
