"""The loop inside a session: read a cell, run it, keep its state, answer.

Runs confined and beside the model's code, so nothing here is a safety measure: whoever reads the answers
trusts none of it. Standard library only, and no import of respun: bubblewrap runs this file alone.

A request is a length (4 bytes, big-endian) and JSON; an answer is two lengths (all, JSON), JSON, then images.
Standard output and error go to a file that the server made, so that they survive a kill.
"""

import ast
import builtins
import contextlib
import io
import json
import linecache
import os
import re
import signal
import struct
import sys
import traceback
import types
import warnings
from typing import Any

_ERROR = 8192
_MOUNT = "/mnt/data"
_IN_TEXT = re.compile(r"/mnt/data(?![\w.-])")
_IN_BYTES = re.compile(rb"/mnt/data(?![\w.-])")


class Kernel:
    """`folder` is the session's data; `rewrite` says that it is not at /mnt/data, so literals must be changed."""

    def __init__(self, requests: int, answers: int, folder: str, rewrite: bool, images: int, image: int) -> None:
        self._requests, self._answers = requests, answers
        self._folder, self._rewrite = folder, rewrite
        self._images, self._image = images, image
        self._pid = os.getpid()
        self._log = -1
        self._cells = 0
        self._busy = False
        self._main = types.ModuleType("__main__")
        self._main.__dict__.update(__builtins__=builtins, display=self._show)
        self._shown: list[bytes] = []

    def serve(self) -> None:
        """Answer requests until they end."""
        sys.modules["__main__"] = self._main
        sys.argv = [""]
        os.chdir(self._folder)
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
        self._log = os.dup(1)
        sys.stdout, sys.stderr = _stream(1), _stream(2)
        warnings.filterwarnings("ignore", message=".*is non-interactive, and thus cannot be shown")
        signal.signal(signal.SIGINT, self._interrupted)
        self._answer({"ready": True}, [])
        while (request := self._next()) is not None:
            error, images = self._run(request["code"])
            if os.getpid() != self._pid:
                os._exit(0)  # a child forked by the cell came back from it
            self._answer({"number": request["number"], "error": error}, images)

    def _interrupted(self, _signal: int, _frame: Any) -> None:
        if self._busy:
            raise KeyboardInterrupt

    def _next(self) -> dict[str, Any] | None:
        head = self._read(4)
        if head is None:
            return None
        body = self._read(struct.unpack(">I", head)[0])
        return None if body is None else json.loads(body)

    def _read(self, size: int) -> bytes | None:
        parts = []
        while size:
            part = os.read(self._requests, min(size, 1 << 20))
            if not part:
                return None
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _answer(self, answer: dict[str, Any], images: list[bytes]) -> None:
        answer["images"] = [len(image) for image in images]
        body = json.dumps(answer).encode()
        out = memoryview(
            b"".join([struct.pack(">II", 4 + len(body) + sum(answer["images"]), len(body)), body, *images])
        )
        while out:
            out = out[os.write(self._answers, out) :]

    def _run(self, code: str) -> tuple[str | None, list[bytes]]:
        self._cells += 1
        self._shown = []
        name = f"<cell {self._cells}>"
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        signal.signal(signal.SIGINT, self._interrupted)
        self._mend_output()
        with contextlib.suppress(OSError):
            os.chdir(self._folder)
        error = None
        try:
            self._busy = True
            self._execute(code, name)
            self._collect_figures()
        except SystemExit as stop:
            error = f"SystemExit: {stop.code}" if stop.code else None
        except BaseException as problem:
            self._busy = False
            error = _traceback(problem)
        finally:
            self._busy = False
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        return error, self._shown[: self._images]

    def _mend_output(self) -> None:
        """Code that closed standard output or error has lost it for the rest of its call, not of its session."""
        if self._log < 0:
            return
        with contextlib.suppress(OSError):
            os.dup2(self._log, 1)
            os.dup2(self._log, 2)
        if getattr(sys.stdout, "closed", True):
            sys.stdout = _stream(1)
        if getattr(sys.stderr, "closed", True):
            sys.stderr = _stream(2)

    def _execute(self, code: str, name: str) -> None:
        tree = ast.parse(code, name)
        if self._rewrite:
            tree = ast.fix_missing_locations(_Moved(self._folder).visit(tree))
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
        space = self._main.__dict__
        exec(compile(tree, name, "exec"), space)  # noqa: S102 - what a session is for
        if last is None:
            return
        value = eval(compile(last, name, "eval"), space)  # noqa: S307
        if value is not None:
            space["_"] = value
            self._show(value)

    def _show(self, *values: object) -> None:
        """What a notebook does with a value: a picture where it has one, else its text."""
        for value in values:
            png = getattr(value, "_repr_png_", None)
            if callable(png) and isinstance(data := png(), bytes):
                self._keep(data)
            else:
                print(repr(value))

    def _collect_figures(self) -> None:
        plt = sys.modules.get("matplotlib.pyplot")
        if plt is None:
            return
        for number in plt.get_fignums():
            out = io.BytesIO()
            plt.figure(number).savefig(out, format="png")
            self._keep(out.getvalue())
        plt.close("all")

    def _keep(self, png: bytes) -> None:
        if len(png) > self._image:
            print(f"[An image of {len(png)} bytes is not shown: at most {self._image} are.]")
        elif len(self._shown) >= self._images:
            print(f"[More than {self._images} images in one call: the others are not shown.]")
        else:
            self._shown.append(png)


class _Moved(ast.NodeTransformer):
    """Point literals with /mnt/data at the folder, where the path itself cannot be made."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        value = node.value
        if isinstance(value, str) and _MOUNT in value:
            value = _IN_TEXT.sub(lambda _: self._folder, value)
        elif isinstance(value, bytes) and _MOUNT.encode() in value:
            value = _IN_BYTES.sub(lambda _: self._folder.encode(), value)
        return ast.copy_location(ast.Constant(value), node)


def _traceback(problem: BaseException) -> str:
    """As Python prints it, without the frames of this file."""
    try:
        told = traceback.TracebackException.from_exception(problem)
        told.stack[:] = [frame for frame in told.stack if frame.filename != __file__]
        text = "".join(told.format())
    except BaseException:
        text = f"{type(problem).__name__} (its text could not be made)"
    return text[-_ERROR:]


def _stream(number: int) -> io.TextIOWrapper:
    raw = open(number, "wb", closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


if __name__ == "__main__":
    _given = json.loads(sys.argv[1])
    for _module in _given.pop("preload"):
        with contextlib.suppress(Exception):
            __import__(_module)
    Kernel(**_given).serve()
