"""Sessions in micro virtual machines elsewhere: E2B's HTTP interface, as its own client library speaks it.

For deployments whose users do not trust each other. The walls are the provider's, so no self-test is run; the
internet is refused to each machine when it is made. Changed files are told by comparing listings.
"""

import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import msgspec

from respun.sandbox import wire
from respun.sandbox.ports import (
    MOUNT,
    Account,
    BadFile,
    FileInfo,
    Image,
    Limits,
    NoSandbox,
    NoSession,
    Result,
    Settings,
)

_CODE, _FILES = 49999, 49983  # ports of the code interpreter and of the files, in every machine
_ANSWER: Final = 30.0  # seconds for anything but running code and moving files
_TRANSFER: Final = 300.0
_MAKE_MOUNT: Final = f"""
import os, subprocess
if not os.path.isdir({MOUNT!r}):
    subprocess.run(['sudo', 'mkdir', '-p', {MOUNT!r}]); subprocess.run(['sudo', 'chmod', '777', {MOUNT!r}])
os.chdir({MOUNT!r})
"""
_LIST: Final = f"""(lambda os, json: print(json.dumps([
    [os.path.relpath(path, {MOUNT!r}), state.st_size, state.st_mtime_ns]
    for top, _, names in os.walk({MOUNT!r}) for path in (os.path.join(top, name) for name in names)
    for state in [os.lstat(path)] if state.st_mode & 0o170000 == 0o100000])))(__import__('os'), __import__('json'))"""


class _Made(msgspec.Struct, frozen=True):
    """The provider's answer to a machine that was asked for."""

    sandboxID: str  # noqa: N815 - the provider's spelling
    domain: str | None = None
    envdAccessToken: str | None = None  # noqa: N815


@dataclass(slots=True)
class _Machine:
    ident: str
    domain: str
    token: str | None
    before: dict[str, FileInfo] = field(default_factory=dict)


@dataclass(slots=True)
class _Said:
    """What a run has said so far."""

    logs: list[str] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    error: str | None = None


class Remote:
    """Use inside a running event loop; `await aclose()`."""

    name = "remote"

    def __init__(self, account: Account, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._account, self._settings, self._clock = account, settings, clock
        self._limits: Limits = settings.limits
        self._machines: dict[str, _Machine] = {}
        self._http = aiohttp.ClientSession()

    async def start(self) -> None:
        """Ask the provider for something that only a valid key is given. Raises `NoSandbox`."""
        try:
            self._account.address.format(port=_CODE, machine="m", domain="d")
        except (LookupError, ValueError):
            known = "{port}, {machine} and {domain}"
            raise NoSandbox(f"`code_remote_address` can have {known} in braces, and no others") from None
        async with self._api("GET", "/sandboxes", None):
            pass

    def warm(self) -> None:
        """Nothing here takes long enough."""

    async def create(self, session: str) -> None:
        if session in self._machines:
            return
        asked = {
            "templateID": self._account.template,
            "timeout": int(self._settings.idle_seconds),
            "secure": True,
            "allow_internet_access": False,
        }
        async with self._api("POST", "/sandboxes", asked) as answer:
            machine = self._made(await answer.read())
        self._machines[session] = machine
        try:
            await self._execute(machine, _MAKE_MOUNT, _ANSWER, _Said())
        except (aiohttp.ClientError, TimeoutError, NoSandbox) as problem:
            await self.close(session)
            raise NoSandbox(f"a remote machine was made and does not answer ({_short(problem)})") from None

    def _made(self, body: bytes) -> _Machine:
        try:
            made = msgspec.json.decode(body, type=_Made)
        except msgspec.DecodeError:
            raise NoSandbox("the provider of remote machines did not answer in its form") from None
        return _Machine(made.sandboxID, made.domain or self._account.domain, made.envdAccessToken)

    async def put(self, session: str, name: str, data: bytes) -> None:
        form = aiohttp.FormData()
        form.add_field("file", data, filename=_checked(name))
        async with self._files(session, "POST", name, form) as answer:
            if answer.status >= 400:
                raise BadFile(name, f"the machine answered {answer.status}")
        machine = self._machine(session)
        machine.before = await self._entries(machine)

    async def run(self, session: str, code: str, *, seconds: float | None = None) -> Result:
        machine = self._machine(session)
        said, began = _Said(), self._clock()
        timed_out, lost = False, None
        try:
            await self._execute(machine, code, seconds or self._limits.call_seconds, said)
        except TimeoutError:
            timed_out = True
            said.error = "The code ran too long and was interrupted."
        except (aiohttp.ClientError, NoSandbox) as problem:
            lost = f"the remote machine is gone ({_short(problem)})"
            said.error = f"The code did not finish: {lost}."
        after = {} if lost else await self._entries(machine)
        before, machine.before = machine.before, after
        if lost:
            await self.close(session)
        logs = "".join(said.logs)
        return Result(
            logs=logs[: self._limits.logs],
            truncated=len(logs) > self._limits.logs,
            error=said.error,
            images=tuple(said.images[: self._limits.images]),
            changed=tuple(info for name, info in after.items() if before.get(name) != info),
            removed=() if lost else tuple(name for name in before if name not in after),
            timed_out=timed_out,
            session_lost=lost,
            files_lost=lost is not None,
            seconds=self._clock() - began,
        )

    async def list(self, session: str) -> tuple[FileInfo, ...]:
        return tuple((await self._entries(self._machine(session))).values())

    async def get(self, session: str, name: str) -> bytes:
        _checked(name)
        async with self._files(session, "GET", name, None) as answer:
            if answer.status >= 400:
                raise BadFile(name, "no such file")
            data = await answer.content.read(self._limits.file + 1)
            while len(data) <= self._limits.file and (more := await answer.content.read(self._limits.file)):
                data += more
        if len(data) > self._limits.file:
            raise BadFile(name, f"it has more than {self._limits.file} bytes")
        return data

    async def renew(self, session: str) -> None:
        machine = self._machine(session)
        asked = {"timeout": int(self._settings.idle_seconds)}
        async with self._api("POST", f"/sandboxes/{machine.ident}/timeout", asked):
            pass

    async def close(self, session: str) -> None:
        machine = self._machines.pop(session, None)
        if machine is None:
            return
        with contextlib.suppress(NoSandbox):  # one that is gone already needs no ending
            async with self._api("DELETE", f"/sandboxes/{machine.ident}", None):
                pass

    async def aclose(self) -> None:
        for session in tuple(self._machines):
            await self.close(session)
        await self._http.close()

    async def _execute(self, machine: _Machine, code: str, seconds: float, said: _Said) -> None:
        """Leaving before the end closes the connection, on which the provider interrupts the code."""
        url = self._url(machine, _CODE, "/execute")
        timeout = aiohttp.ClientTimeout(total=seconds, connect=min(_ANSWER, seconds))
        asked = {"code": code, "context_id": None, "language": None, "env_vars": None}
        async with self._http.post(
            url, json=asked, headers=_headers(machine, _CODE), timeout=timeout, read_bufsize=1 << 20
        ) as answer:
            if answer.status >= 400:
                raise NoSandbox(f"the remote machine answered {answer.status}")
            async for line in _lines(answer.content, self._limits.images * self._limits.image + (1 << 20)):
                self._take(line, said)

    def _take(self, line: bytes, said: _Said) -> None:
        try:
            event = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError:
            return
        match event:
            case {"type": "stdout" | "stderr", "text": str(text)}:
                said.logs.append(text)
            case {"type": "error", "traceback": str(text)}:
                said.error = text[-8192:]
            case {"type": "result", "png": str(png)}:
                image = wire.checked(_decoded(png), self._limits.image)
                said.images += [image] if image else []
            case {"type": "result", "text": str(text)}:
                said.logs.append(text + "\n")
            case _:
                pass

    async def _entries(self, machine: _Machine) -> dict[str, FileInfo]:
        said = _Said()
        with contextlib.suppress(TimeoutError, aiohttp.ClientError, NoSandbox, msgspec.DecodeError):
            await self._execute(machine, _LIST, _ANSWER, said)
            rows = msgspec.json.decode("".join(said.logs), type=list[tuple[str, int, int]])
            return {name: FileInfo(name, size, changed) for name, size, changed in rows[: self._limits.files]}
        return {}

    @contextlib.asynccontextmanager
    async def _api(self, method: str, path: str, asked: object) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=_ANSWER)
        headers = {"X-API-Key": self._account.key}
        try:
            async with self._http.request(
                method, self._account.api + path, json=asked, headers=headers, timeout=timeout
            ) as answer:
                if answer.status >= 400:
                    raise NoSandbox(f"the provider of remote machines answered {answer.status} to {method} {path}")
                yield answer
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise NoSandbox(f"the provider of remote machines cannot be reached ({_short(problem)})") from None

    @contextlib.asynccontextmanager
    async def _files(
        self, session: str, method: str, name: str, data: aiohttp.FormData | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        machine = self._machine(session)
        try:
            async with self._http.request(
                method,
                self._url(machine, _FILES, "/files"),
                params={"path": f"{MOUNT}/{name}", "username": "user"},
                data=data,
                headers=_headers(machine, _FILES),
                timeout=aiohttp.ClientTimeout(total=_TRANSFER, connect=_ANSWER),
            ) as answer:
                yield answer
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise BadFile(name, f"the remote machine did not hand it over ({_short(problem)})") from None

    def _url(self, machine: _Machine, port: int, path: str) -> str:
        return self._account.address.format(port=port, machine=machine.ident, domain=machine.domain) + path

    def _machine(self, session: str) -> _Machine:
        if session not in self._machines:
            raise NoSession(session)
        return self._machines[session]


async def _lines(content: aiohttp.StreamReader, most: int) -> AsyncIterator[bytes]:
    """Lines of at most `most` bytes; a longer one is dropped."""
    kept = b""
    async for part in content.iter_any():
        *whole, kept = (kept + part).split(b"\n")
        for line in whole:
            yield line
        kept = kept if len(kept) <= most else b""
    if kept:
        yield kept


def _headers(machine: _Machine, port: int) -> dict[str, str]:
    headers = {"E2b-Sandbox-Id": machine.ident, "E2b-Sandbox-Port": str(port)}
    return {**headers, "X-Access-Token": machine.token} if machine.token else headers


def _checked(name: str) -> str:
    if not name or name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/")):
        raise BadFile(name, "a name is a path below the folder")
    return name


def _decoded(png: str) -> bytes:
    try:
        return base64.b64decode(png)
    except ValueError:
        return b""


def _short(problem: Exception) -> str:
    return json.dumps(str(problem) or type(problem).__name__)[:200]
