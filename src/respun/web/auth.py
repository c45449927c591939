"""Whose request is this: keys, and what protects a server that has none.

Every path but the health checks is behind it. `scope["respun.project"]` is set for what comes after. Keys come as
`Authorization: Bearer`, `X-API-Key` or `api-key`; a browser may give one as its password, for the docs alone.
"""

import asyncio
import time
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from hashlib import sha256
from ipaddress import ip_address
from typing import Final

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from respun import telemetry
from respun.core.problems import Problem
from respun.dialects.openai.answers import Call, Dialect, refuse
from respun.dialects.openai.problems import Refused
from respun.dialects.openai.problems import error_body as openai_body
from respun.store import keys
from respun.store.backend import Backend, StoreError

log: Final = telemetry.log("auth")

PUBLIC: Final = frozenset({"/healthz", "/readyz", "/health"})
DOCS: Final = frozenset({"/docs", "/openapi.json"})
PROJECT: Final = "default"

_REMEMBERED_SECONDS: Final = 1.0
_NOTED_SECONDS: Final = 60.0
_MOST_REMEMBERED: Final = 4096
_ASK_BROWSER: Final = ((b"www-authenticate", b'Basic realm="respun: any user, a key as password", charset="UTF-8"'),)


class Known(msgspec.Struct, frozen=True, gc=False):
    """A key that opened a project, until it is looked up again."""

    project: str
    until: float


class Auth:
    """ASGI middleware. A revoked key stops working within a second, also when another process revoked it."""

    def __init__(
        self,
        app: ASGIApp,
        backend: Backend,
        *,
        loopback: bool,
        error_body: Callable[[Problem, Refused], bytes] = openai_body,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`loopback` says that only this machine can connect: names of other machines are then refused.

        `error_body` writes a refusal as the dialect does that lives at its path.
        """
        self._app = app
        self._backend = backend
        self._dialect = Dialect(error_body=error_body)
        self._loopback = loopback
        self._monotonic = monotonic
        self._now = now
        self._known: dict[bytes, Known] = {}
        self._noted: dict[str, float] = {}
        self._notes: set[asyncio.Task[None]] = set()
        self._keyless = False
        self._keyless_until = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in PUBLIC:
            try:
                scope["respun.project"] = await self._project_of(scope)
            except Problem as problem:
                await self._refuse(scope, receive, send, problem)
                return
            except StoreError as error:
                log.error("keys can't be looked up", reason=str(error))
                silent = Problem("The store doesn't answer. Try again shortly.", kind="unavailable")
                await self._refuse(scope, receive, send, silent)
                return
        await self._app(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
        more = _ASK_BROWSER if problem.kind == "unauthorized" and scope["path"] in DOCS else ()
        await refuse(Call(self._dialect, scope, receive), problem, send, more=more)

    async def _project_of(self, scope: Scope) -> str:
        now = self._monotonic()
        if now >= self._keyless_until:
            self._keyless = not await self._backend.read(keys.any_made)
            self._keyless_until = now + _REMEMBERED_SECONDS
        if self._keyless:
            refuse_foreign(scope["headers"], loopback=self._loopback)
            return PROJECT
        secret = secret_in(scope["headers"], basic=scope["path"] in DOCS)
        digest = sha256(secret).digest()
        known = self._known.get(digest)
        if known is not None and now < known.until:
            return known.project
        return await self._look_up(secret, digest, now)

    async def _look_up(self, secret: bytes, digest: bytes, now: float) -> str:
        self._known.pop(digest, None)
        key = await self._backend.read(lambda tx: keys.find(tx, digest.hex()))
        if key is None or key.revoked_at is not None:
            raise wrong_key(secret)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[digest] = Known(key.project, now + _REMEMBERED_SECONDS)
        if now >= self._noted.get(key.id, 0.0):
            self._noted[key.id] = now + _NOTED_SECONDS
            note = asyncio.create_task(self._note(key.id))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)
        return key.project

    async def _note(self, ident: str) -> None:
        used_at = self._now()
        try:
            await self._backend.write(lambda tx: keys.used(tx, ident, used_at))
        except StoreError as error:
            log.warning("a key's last use can't be noted", key=ident, reason=str(error))


def secret_in(headers: list[tuple[bytes, bytes]], *, basic: bool = False) -> bytes:
    """The key that a request carries. Raises the 401 for none."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, secret = value.partition(b" ")
            if scheme.lower() == b"bearer" and secret.strip():
                return secret.strip()
            if basic and scheme.lower() == b"basic":
                return _password(secret)
        elif name in (b"x-api-key", b"api-key") and value.strip():
            return value.strip()
    raise Problem(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY). `respun keys create` makes one.",
        kind="unauthorized",
    )


def refuse_foreign(headers: list[tuple[bytes, bytes]], *, loopback: bool) -> None:
    """Without keys, keep web pages out: those of other names (DNS rebinding) and of other origins (CSRF)."""
    host = origin = b""
    for name, value in headers:
        if name == b"host":
            host = value
        elif name == b"origin":
            origin = value
    if loopback and host and host not in _own_hosts and not _is_own(host):
        raise Problem(
            f"This server answers to names of this machine only, not to '{_printable(host)}'. To serve that name, "
            "make a key with `respun keys create`.",
            kind="forbidden",
            code="foreign_host",
        )
    if origin and origin != b"http://" + host:
        raise Problem(
            f"A web page of another origin ('{_printable(origin)}') may not use a server without keys. Make one with "
            "`respun keys create`.",
            kind="forbidden",
            code="foreign_origin",
        )


def wrong_key(secret: bytes) -> Problem:
    return Problem(
        f"Incorrect API key provided: {_starred(_printable(secret))}. `respun keys list` shows the keys of this "
        "server, `respun keys create` makes one.",
        kind="unauthorized",
        code="invalid_api_key",
    )


def is_loopback(host: str) -> bool:
    """Whether a name or address can only mean this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


_own_hosts: Final[set[bytes]] = set()


def _is_own(host: bytes) -> bool:
    text = host.decode("latin-1").lower()
    name = text[: text.find("]") + 1] if text.startswith("[") else text.partition(":")[0]
    own = is_loopback(name)
    if own and len(_own_hosts) < 64:
        _own_hosts.add(host)
    return own


def _password(encoded: bytes) -> bytes:
    try:
        return b64decode(encoded, validate=True).partition(b":")[2]
    except NotBase64:
        return b""


def _starred(secret: str) -> str:
    if len(secret) < 20:
        return "*" * min(len(secret), 12)
    return f"{secret[:8]}{'*' * min(len(secret) - 12, 40)}{secret[-4:]}"


def _printable(text: bytes) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:200].decode("ascii", "replace"))
