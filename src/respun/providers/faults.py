"""What went wrong with an upstream, said so that the reader knows what to do, and without any key.

Pure: statuses, headers and bodies in, a `Failure` out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from respun.core.chat import ModelError, ModelErrorKind

MAX_RETRY_AFTER: Final = 30.0
"""Seconds; an upstream that asks for more is asked again after this long, or never."""

_KEYLIKE: Final = re.compile(
    r"(?i:\bbearer\s+\S+)"
    r"|\b(?:sk|pk|rk|gsk|xai|hf|key|api|ghp|glpat)[-_][A-Za-z0-9_*.\-]{6,}"
    r"|\bAIza[A-Za-z0-9_\-]{8,}"
    r"|\b(?=[A-Za-z_]*[0-9])[A-Za-z0-9_]{32,}"
)
_CONTEXT: Final = re.compile(
    r"maximum context length|context[ _](?:length|window|size).{0,80}(?:exceed|too|limit|larger|longer)"
    r"|(?:exceed|longer than|larger than).{0,60}(?:context|max_model_len)"
    r"|prompt is too long|too many (?:input )?tokens",
    re.IGNORECASE | re.DOTALL,
)
_SHOWN: Final = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt. `again`: the same request may succeed later; `wait`: seconds the upstream asked for."""

    error: ModelError
    again: bool = False
    wait: float | None = None
    complaint: "Complaint | None" = None
    """What a refusal said, cleaned of keys."""


class Complaint(msgspec.Struct, frozen=True):
    """What an upstream's error body says, in whatever of the common shapes it came."""

    message: str = ""
    code: str = ""
    type: str = ""
    param: str = ""
    prompt_tokens: int | None = None
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Reporter:
    """Words failures of one upstream; `secrets` are cut out of everything it says."""

    host: str
    model: str
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Reporter(host={self.host!r}, model={self.model!r})"

    @property
    def upstream(self) -> str:
        return self.clean(f"{self.host} (model {self.model})")

    def clean(self, text: str) -> str:
        """One short line with nothing in it that looks like a key."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        text = " ".join("".join(c if c.isprintable() else " " for c in text[: 20 * _SHOWN]).split())
        text = _KEYLIKE.sub("***", text)
        return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."

    def error(self, kind: ModelErrorKind, what: str, advice: str = "", status: int | None = None) -> ModelError:
        return ModelError(kind, " ".join(filter(None, (f"{self.upstream} {what}", advice))), status=status)

    def unreachable(self, reason: str) -> Failure:
        advice = "Check its base_url, and that it is running and can be reached from here."
        return Failure(self.error("unreachable", f"cannot be reached: {self.clean(reason)}.", advice), again=True)

    def timeout(self, what: str, seconds: float) -> Failure:
        advice = "Try again, or raise the timeout of this upstream."
        return Failure(self.error("timeout", f"{what} within {seconds:g} seconds.", advice), again=True)

    def broken(self, what: str, *, again: bool = False) -> Failure:
        return Failure(self.error("broken", f"{self.clean(what)}", "Try again; if it stays, look at its logs."), again)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes, now: float) -> Failure:
        """An answer with a status other than 200. `now` is in seconds since the epoch."""
        complaint = complaint_of(body)
        kind = kind_of(status, complaint)
        wait = retry_after(headers, now)
        error = self.error(kind, self._what(status, complaint), _ADVICE.get(kind, ""), status)
        error.retry_after = wait
        again = kind in ("rate_limited", "server") and headers.get("x-should-retry") != "false"
        said = msgspec.structs.replace(complaint, message=self.clean(complaint.message))
        return Failure(error, again, wait, said)

    def told_in_stream(self, body: bytes) -> Failure:
        """An error object in the middle of an answer that began with status 200."""
        complaint = complaint_of(body)
        status = int(complaint.code) if complaint.code.isdecimal() and len(complaint.code) == 3 else 0
        if not status:
            status = 429 if "rate_limit" in (complaint.code + complaint.type) else 500
        kind = kind_of(status, complaint)
        said = f"stopped its answer with an error: {self.clean(complaint.message).rstrip('. ') or 'no message'}."
        return Failure(self.error(kind, said, _ADVICE.get(kind, "")), again=kind in ("rate_limited", "server"))

    def _what(self, status: int, complaint: Complaint) -> str:
        if 300 <= status < 400:
            return f"answered with a redirect ({status}), which is not followed."
        said = self.clean(complaint.message).rstrip(". ")
        sizes = ""
        if complaint.prompt_tokens is not None and complaint.context is not None:
            sizes = f" (the prompt has {complaint.prompt_tokens} tokens, the model reads {complaint.context})"
        return f"answered {status}{': ' + said if said else ' without a message'}{sizes}."


_ADVICE: Final[Mapping[ModelErrorKind, str]] = {
    "auth": "Check the API key that is configured for this upstream.",
    "quota": "Check the plan and billing of the account the key belongs to.",
    "rate_limited": "Wait, or lower the number of runs at once.",
    "context_length": "Send fewer or shorter messages, or use a model that reads more.",
    "unavailable": "Check the model name and the base_url (most end with /v1).",
    "unreachable": "Set base_url to the address that it redirects to, if you trust it.",
    "server": "Try again later.",
}


def kind_of(status: int, complaint: Complaint) -> ModelErrorKind:
    marks = (complaint.code, complaint.type)
    if "insufficient_quota" in marks or status == 402:
        return "quota"
    if "context_length_exceeded" in marks or "exceed_context_size_error" in marks:
        return "context_length"
    if status in (400, 413, 422, 500) and _CONTEXT.search(complaint.message):
        return "context_length"
    if status in (401, 403):
        return "auth"
    if status == 429:
        return "rate_limited"
    if status == 404:
        return "unavailable"
    if status in (408, 409) or status >= 500:
        return "server"
    return "unreachable" if 300 <= status < 400 else "rejected"


def complaint_of(body: bytes) -> Complaint:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Complaint(_plain(body))
    if isinstance(found, list) and found:
        found = found[0]
    if isinstance(found, dict):
        inner = found.get("error")
        return _from_object(inner if isinstance(inner, dict) else found, inner if isinstance(inner, str) else "")
    return Complaint(str(found))


def _from_object(found: dict[str, Any], message: str) -> Complaint:
    detail = found.get("message") or found.get("detail") or found.get("msg") or ""
    return Complaint(
        message=message or (detail if isinstance(detail, str) else msgspec.json.encode(detail).decode()),
        code=str(found.get("code") or ""),
        type=str(found.get("type") or ""),
        param=str(found.get("param") or ""),
        prompt_tokens=_count(found.get("n_prompt_tokens")),
        context=_count(found.get("n_ctx")),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _plain(body: bytes) -> str:
    """A proxy's HTML page says what it means in its title."""
    text = body[:4000].decode("utf-8", "replace").strip()
    if not text.startswith("<"):
        return text
    title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    return title.group(1).strip() if title else "an HTML page"


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds the upstream asks to wait, capped; None where it says nothing that makes sense."""
    seconds = _number(headers.get("retry-after-ms"), 0.001)
    if seconds is None:
        seconds = _number(headers.get("retry-after"), 1.0)
    if seconds is None:
        seconds = _until(headers.get("retry-after"), now)
    if seconds is None or not seconds >= 0:
        return None
    return min(seconds, MAX_RETRY_AFTER)


def _number(text: str | None, unit: float) -> float | None:
    try:
        return float(text) * unit if text else None
    except ValueError:
        return None


def _until(text: str | None, now: float) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now) if text else None
    except (ValueError, OverflowError):
        return None
