"""What is set once for an upstream: its address, key, limits, and the effects a provider needs."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from respun.core.ids import spell
from respun.providers.asking import Capabilities, expected_of
from respun.providers.faults import Reporter
from respun.providers.sse import MAX_EVENT


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds. `total` spans all attempts of one call, with the pauses between them."""

    connect: float = 10.0
    first_byte: float = 120.0
    """Until the first event of a stream; a server may spend long on the prompt. Unstreamed answers have `total`."""
    idle: float = 60.0
    """Between two network reads of a stream."""
    total: float = 600.0
    listing: float = 5.0
    """For the list of models."""


@dataclass(frozen=True, slots=True, repr=False)
class Upstream:
    """An OpenAI-compatible endpoint. Its key, headers and a password in its address never show in a repr."""

    base_url: str
    api_key: str | None = None
    model: str | None = None
    """The upstream's name of the model; None passes on the name that was asked for."""
    headers: Mapping[str, str] = field(default_factory=dict)
    streaming: bool = True
    """False: the upstream is asked for one JSON answer, which comes as one batch."""
    timeouts: Timeouts = Timeouts()
    retries: int = 2
    capabilities: Capabilities | None = None
    """None: guessed from the host, then learnt from refusals."""
    max_event: int = MAX_EVENT
    """Bytes of one event of a stream."""
    max_answer: int = 32 << 20
    """Characters of a whole answer; also the bytes of one that is not streamed."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url must look like http://127.0.0.1:11434/v1 or https://api.example.com/v1.")

    def __repr__(self) -> str:
        return f"Upstream(host={self.host!r}, model={self.model!r}, streaming={self.streaming})"

    @property
    def host(self) -> str:
        parts = urlsplit(self.base_url)
        return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""

    @property
    def expected(self) -> Capabilities:
        return self.capabilities or expected_of(self.base_url)

    def address(self, path: str) -> str:
        """The URL of an endpoint; a query in `base_url` (an API version) is kept."""
        parts = urlsplit(self.base_url)
        return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + path, parts.query, ""))

    def sent_headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "respun"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return headers | dict(self.headers)

    def reporter(self, model: str) -> Reporter:
        secrets = [self.api_key or "", urlsplit(self.base_url).password or ""]
        for value in self.headers.values():
            secrets += [value, value.rpartition(" ")[2]]
        return Reporter(self.host, model, tuple(secret for secret in secrets if len(secret) > 3))


@dataclass(frozen=True, slots=True)
class Effects:
    """What a provider takes from the world."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random
    now: Callable[[], float] = time.time
    """Seconds since the epoch, to read a Retry-After date."""
    new_call_id: Callable[[], str] = lambda: spell("call", uuid4())
