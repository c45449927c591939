"""The fork server: a process of its own that starts sessions, wakes and stops them, watches them, and ends them.

It is executed afresh with an empty environment and never holds a secret, because sessions inherit its memory. It
imports the heavy packages once; a session is then a fork that locks itself in (`confine`), or a program it executes
(bubblewrap). A session runs only during a call: between calls all of its processes are stopped, so that an idle
session can do nothing. Its processes are one group, its orphans come back here, and one signal ends all of it.

Spoken on a SEQPACKET socket, one JSON object a packet. Standard library only.
"""

import contextlib
import fcntl
import gc
import json
import os
import select
import shutil
import signal
import socket
import struct
import sys
import time
import warnings
from dataclasses import dataclass
from typing import Any, Final

from respun.sandbox import confine, watch
from respun.sandbox.kernel import Kernel

_TICK: Final = 0.05
_FILES_EVERY: Final = 4
_DYING: Final = 2  # milliseconds
_LOG_KEEP, _LOG_MOST = 1 << 20, 16 << 20
_SUBREAPER: Final = 36


@dataclass(slots=True)
class Session:
    """A group of processes; `pid` is its leader's and its group's, and stays ours until we reap it."""

    name: str
    pid: int
    folder: str
    log: int
    memory: int
    processes: int
    disk: int
    files: int
    inner: bool
    awake: bool = True
    why: str | None = None


class Warden:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._sessions: dict[str, Session] = {}
        self._dying: set[str] = set()
        """Their leader is dead, something of their group is not yet."""
        self._ticks = 0

    def serve(self) -> None:
        """Obey until the other end of the socket is gone, then end every session."""
        wake, woken = os.pipe()
        os.set_blocking(woken, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(wake, select.POLLIN)
        due = time.monotonic()
        while True:
            watching = any(session.awake for session in self._sessions.values())
            pause = max(0.0, due - time.monotonic()) if watching else None
            ready = {fd for fd, _ in poll.poll(_DYING if self._dying else None if pause is None else 1000 * pause)}
            if wake in ready:
                os.read(wake, 4096)
            if wake in ready or self._dying:
                self._reap()
            if self._control.fileno() in ready and not self._obey():
                break
            if watching and time.monotonic() >= due:
                self._watch()
                due = time.monotonic() + _TICK
        for session in self._sessions.values():
            self._end(session, "closed")

    def _obey(self) -> bool:
        packet, fds, _, _ = socket.recv_fds(self._control, 1 << 16, 3)
        if not packet:
            return False
        order = json.loads(packet)
        if order["do"] == "start":
            self._start(order, fds)
            return True
        session = self._sessions.get(order["session"])
        if session is None:
            return True
        match order["do"]:
            case "wake":
                session.awake = True
                self._signal(session, signal.SIGCONT)
            case "rest":
                session.awake = False
                self._signal(session, signal.SIGSTOP)
            case "interrupt":
                self._interrupt(session)
            case "kill":
                self._end(session, order["why"])
        return True

    def _start(self, order: dict[str, Any], fds: list[int]) -> None:
        requests, answers, log = fds
        pid = os.fork()
        if pid == 0:
            _become_session(order, requests, answers, log)
        os.close(requests)
        os.close(answers)
        limits = {key: order[key] for key in ("memory", "processes", "disk", "files")}
        inner = order["argv"] is not None
        self._sessions[order["session"]] = Session(order["session"], pid, order["folder"], log, inner=inner, **limits)
        self._say({"started": order["session"], "pid": pid})

    def _interrupt(self, session: Session) -> None:
        pid = _inside_namespace(session) if session.inner else session.pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)

    def _end(self, session: Session, why: str) -> None:
        session.why = session.why or why
        self._signal(session, signal.SIGKILL)

    def _signal(self, session: Session, number: signal.Signals) -> None:
        # The leader is not reaped before the session is forgotten, so the group cannot be another's.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(session.pid, number)

    def _reap(self) -> None:
        """Bury the dead: orphans at once, a leader when nothing of its group is left."""
        leaders = {session.pid: session for session in self._sessions.values()}
        for pid, session in leaders.items():
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                self._dying.add(session.name)
                self._signal(session, signal.SIGKILL)
        for orphan in set(watch.dead_children(os.getpid())) - set(leaders):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(orphan, os.WNOHANG)
        if self._dying:
            living = {process.group for process in watch.family(self._orphans())}
            for name in tuple(self._dying):
                if self._sessions[name].pid not in living:
                    self._bury(self._sessions[name])

    def _orphans(self) -> list[int]:
        leaders = {session.pid for session in self._sessions.values()}
        return [pid for pid in watch.children(os.getpid()) if pid not in leaders]

    def _bury(self, session: Session) -> None:
        status = os.waitstatus_to_exitcode(os.waitpid(session.pid, 0)[1])
        os.close(session.log)
        del self._sessions[session.name]
        self._dying.discard(session.name)
        self._say({"ended": session.name, "why": session.why or "exit", "status": status})

    def _watch(self) -> None:
        self._ticks += 1
        awake = [session.pid for session in self._sessions.values() if session.awake]
        groups: dict[int, list[watch.Process]] = {}
        for process in watch.family([*awake, *self._orphans()]):
            groups.setdefault(process.group, []).append(process)
        for session in self._sessions.values():
            if session.awake and session.why is None:
                self._check(session, groups.get(session.pid, []))

    def _check(self, session: Session, processes: list[watch.Process]) -> None:
        excess = watch.too_many(processes, session.memory, session.processes)
        if excess is None and self._ticks % _FILES_EVERY == 0:
            nameless = watch.nameless(processes, session.log)
            excess = watch.too_much(session.folder, session.disk, session.files, nameless)
        if excess is not None:
            self._end(session, excess)
        elif os.fstat(session.log).st_size > _LOG_MOST:
            os.ftruncate(session.log, _LOG_KEEP)  # the server shows less than this; the rest is only a full disk

    def _say(self, event: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._control.send(json.dumps(event).encode())


def _become_session(order: dict[str, Any], requests: int, answers: int, log: int) -> None:
    """In the forked child: lock in, then run the loop or the program. Never returns."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        requests, answers = _only_these(requests, answers, log)
        cell = confine.Cell(tuple(order["writable"]), order["user"], order["memory"], order["processes"], order["file"])
        os.environ.clear()
        os.environ.update(order["environ"])
        if order["argv"] is not None:
            _execute(order, cell)
        os.chdir(order["kernel"]["folder"])
        confine.confine(cell)
        _seed_anew()
        Kernel(requests, answers, **order["kernel"]).serve()
    except BaseException as problem:
        _fail(answers, problem)
    os._exit(0)


def _execute(order: dict[str, Any], cell: confine.Cell) -> None:
    filter_file = os.open(order["filter"], os.O_RDONLY)
    os.set_inheritable(filter_file, True)
    confine.limit(cell)
    if cell.user is not None:
        confine.become(cell.user)
    confine.die_with_parent()
    argv = [str(filter_file) if word == "{filter}" else word for word in order["argv"]]
    os.execve(argv[0], argv, {})  # noqa: S606 - bubblewrap, with nothing in its environment


def _only_these(requests: int, answers: int, log: int) -> tuple[int, int]:
    """Standard output is the log; requests and answers become 3 and 4; every other descriptor is closed."""
    free = max(requests, answers, log, 10) + 1
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, free) for fd in (requests, answers, log)]
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (high[2], 1), (high[2], 2), (high[0], 3), (high[1], 4)):
        os.dup2(source, target)
    os.closerange(5, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") > 0 else 1 << 16)
    return 3, 4


def _seed_anew() -> None:
    numpy = sys.modules.get("numpy")
    if numpy is not None:  # else every session would draw the fork server's numbers
        numpy.random.seed()


def _fail(answers: int, problem: BaseException) -> None:
    body = json.dumps({"failed": str(problem) or type(problem).__name__, "images": []}).encode()
    with contextlib.suppress(OSError):
        os.write(answers, struct.pack(">II", 4 + len(body), len(body)) + body)


def _inside_namespace(session: Session) -> int:
    """The Python under bubblewrap: process 2 of its namespace."""
    for process in watch.family([session.pid]):
        if watch.inner_pid(process.pid) == 2:
            return process.pid
    return session.pid


def _preload(modules: list[str]) -> list[str]:
    loaded = []
    with warnings.catch_warnings(action="ignore"):
        for module in modules:
            with contextlib.suppress(Exception):
                __import__(module)
                loaded.append(module)
        if "matplotlib.pyplot" in loaded:
            _draw_once()
    gc.collect()
    gc.freeze()
    return loaded


def _draw_once() -> None:
    """The first figure loads fonts and renderers; drawn here, no session pays for it."""
    plt = sys.modules["matplotlib.pyplot"]
    plt.plot([1, 2], label="x")
    plt.title("x")
    plt.legend()
    plt.savefig(os.devnull, format="png")
    plt.close("all")


def main(control: int) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    given = json.loads(sys.argv[1])
    server = os.getppid()
    warden = Warden(socket.socket(fileno=control))
    os.environ.update(given["environ"])
    loaded = _preload(given["preload"])
    ready = {
        "ready": loaded,
        "reachable": all(map(confine.reachable_by_others, [sys.executable, *confine.python_folders()])),
        "folders": confine.python_folders(),
        "machine": confine.machine(),
        "watched": os.path.exists(f"/proc/self/task/{os.getpid()}/children"),
        "python": sys.executable,
    }
    warden._say(ready)
    warden.serve()
    if given["folder"] and os.getppid() != server:  # killed, so that nobody else can remove what its sessions left
        _remove(given["folder"])


def _remove(folder: str) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    shutil.rmtree(folder, ignore_errors=True)
