"""What a back-end must offer, and what a call answers.

Everything in a `Result` was made by the model's code: treat it as untrusted bytes and text.
"""

from collections.abc import Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct, field

from respun.core.problems import Problem

MOUNT: Final = "/mnt/data"
"""Where the model's code sees its files, on every back-end."""


class Limits(Struct, frozen=True):
    """What a session may use. Sizes in bytes, times in seconds."""

    call_seconds: float = 60
    grace_seconds: float = 5
    """After `call_seconds` the code is interrupted and keeps its state; this much later it is killed."""
    memory: int = 1 << 30
    """Of all processes of a session together; shared memory is counted once."""
    processes: int = 64
    """Threads count as processes."""
    disk: int = 512 << 20
    file: int = 256 << 20
    files: int = 10_000
    logs: int = 256 << 10
    images: int = 20
    image: int = 10 << 20
    start_seconds: float = 30


class Account(Struct, frozen=True):
    """Where remote machines are made and with which key."""

    key: str
    api: str = "https://api.e2b.app"
    address: str = "https://{port}-{machine}.{domain}"
    domain: str = "e2b.app"
    template: str = "code-interpreter-v1"

    def __repr__(self) -> str:
        return f"Account(api={self.api!r}, template={self.template!r}, key=...)"


class Settings(Struct, frozen=True):
    """How sessions are made and how long they live. Times in seconds."""

    limits: Limits = field(default_factory=Limits)
    idle_seconds: float = 20 * 60
    life_seconds: float = 60 * 60
    sessions: int = 100
    """At once; the session that has been idle longest makes room for one more."""
    folder: str | None = None
    """Holds the files of live sessions. Default: a folder of its own in the temporary directory."""
    python: str | None = None
    """Interpreter of the sessions, for packages of their own. Default: the one that runs respun."""
    preload: tuple[str, ...] = ("numpy", "pandas", "matplotlib.pyplot")
    """Imported once by the fork server where installed."""
    spares: int = 1
    """Sessions kept ready with `preload` imported, where a back-end cannot fork them (bwrap); about 90 MiB each."""
    own_users: bool = True
    """As root: a user id of its own for each session, from `first_user` on."""
    first_user: int = 60_600
    backend: Literal["auto", "bwrap", "process", "wasm", "remote"] = "auto"
    """`auto`: the first of bwrap, process and wasm whose self-test passes. `remote` is never chosen by itself."""
    remote: Account | None = None
    """For the back-end `remote`."""
    cache: str | None = None
    """Where the back-end `wasm` keeps its compiled Python; no session may see it. Default: the user's cache folder."""
    bwrap: str | None = None
    """Path of bubblewrap. Default: the extra `sandbox`, then the search path."""


class FileInfo(Struct, frozen=True):
    """A regular file of a session; `name` is relative to /mnt/data."""

    name: str
    size: int
    changed_ns: int


class Image(Struct, frozen=True):
    """A plot. Checked to be a PNG of this size in pixels; not decoded."""

    png: bytes
    width: int
    height: int


class Result(Struct, frozen=True):
    """What one call of the model's code did."""

    logs: str = ""
    """What was printed and the value of the last expression, in order."""
    truncated: bool = False
    error: str | None = None
    """The traceback, or why the code did not finish."""
    images: tuple[Image, ...] = ()
    changed: tuple[FileInfo, ...] = ()
    """Files that this call made or changed."""
    removed: tuple[str, ...] = ()
    timed_out: bool = False
    session_lost: str | None = None
    """Why the session was stopped during this call: its variables are gone."""
    files_lost: bool = False
    """The files are gone with the session."""
    restarted: str | None = None
    """Why variables of earlier calls were gone when this call began."""
    seconds: float = 0.0


class Sandbox(Protocol):
    """A back-end. A session is named by its caller; each method of an unknown session raises `NoSession`."""

    name: str

    def warm(self) -> None:
        """A session may be wanted soon: what takes long can be done now, in the background."""

    async def create(self, session: str) -> None: ...

    async def put(self, session: str, name: str, data: bytes) -> None: ...

    async def run(self, session: str, code: str, *, seconds: float | None = None) -> Result: ...

    async def list(self, session: str) -> Sequence[FileInfo]: ...

    async def get(self, session: str, name: str) -> bytes: ...

    async def renew(self, session: str) -> None:
        """Keep the session for another idle period, and start its Python again if that has ended."""

    async def close(self, session: str) -> None:
        """End every process of the session and delete its files. Closing twice is fine."""

    async def aclose(self) -> None:
        """Close every session and the back-end."""


class NoSandbox(Problem):
    """No back-end holds here, or it stopped working: the tool is refused, never run unconfined."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"code_interpreter is not available: {reason}", kind="unavailable")


class NoSession(Problem):
    def __init__(self, session: str) -> None:
        super().__init__(f"No code interpreter session '{session}'. Create it first.", kind="not_found")


class BadFile(Problem):
    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Cannot use file {name!r} in {MOUNT}: {reason}", kind="invalid")


def report(result: Result) -> str:
    """The text that a model is given: logs, then what it must know about errors and lost state."""
    parts = []
    if result.restarted:
        parts.append(
            f"[The session was restarted before this code ran ({result.restarted}): "
            f"variables and imports of earlier calls are gone, files in {MOUNT} are kept.]\n"
        )
    parts.append(result.logs)
    if result.truncated:
        parts.append("\n[The output was longer; the rest is not shown.]")
    if result.error and not result.session_lost:
        parts.append(("\n" if result.logs else "") + result.error)
    if result.session_lost:
        files = f"files in {MOUNT} are {'gone as well' if result.files_lost else 'kept'}"
        parts.append(f"\n[The code did not finish and the session was stopped: {result.session_lost}. ")
        parts.append(f"Its variables and imports are gone, {files}.]")
    return "".join(parts)
