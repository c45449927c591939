"""What comes with files and uploads -> what the workspace takes (contract 1.2)."""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from msgspec import Struct

from respun.core.files import (
    GIVEN_PURPOSES,
    LARGEST_UPLOAD,
    PURPOSES,
    FileDraft,
    FileFilter,
    GivenPurpose,
    UploadDraft,
)
from respun.core.problems import Problem
from respun.dialects.openai.queries import Query, integer, last
from respun.dialects.openai.requests import checked
from respun.dialects.openai.sentences import missing, shown, wrong_type
from respun.dialects.openai.validate import Array, Choice, Field, Integer, Object, String

_SECONDS: Final = Integer(3600, 2_592_000)
_ANCHOR: Final = Choice(("created_at",))
_LIMIT: Final = Integer(1, 10_000)
_ORDER: Final = Choice(("asc", "desc"))
_MD5: Final = re.compile(r"[0-9a-fA-F]{32}")

FILE: Final = Object(
    {
        "file": Field(String(), required=True),
        "purpose": Field(Choice(GIVEN_PURPOSES), required=True),
        "expires_after[anchor]": Field(_ANCHOR),
        "expires_after[seconds]": Field(_SECONDS),
    }
)
"""For the description of the API: forms are checked field by field."""

PART: Final = Object({"data": Field(String(), required=True)})

UPLOAD: Final = Object(
    {
        "filename": Field(String(most=1024, least=1), required=True),
        "purpose": Field(String(), required=True),
        "bytes": Field(Integer(0, LARGEST_UPLOAD), required=True),
        "mime_type": Field(String(most=256), required=True),
        "expires_after": Field(
            Object({"anchor": Field(_ANCHOR, required=True), "seconds": Field(_SECONDS, required=True)}), nullable=True
        ),
    }
)
COMPLETION: Final = Object(
    {
        "part_ids": Field(Array(String(most=128), most=1024), required=True),
        "md5": Field(String(most=64), nullable=True),
    }
)


class Completion(Struct, frozen=True):
    part_ids: tuple[str, ...]
    md5: str | None


def file(fields: Mapping[str, str], filename: str) -> FileDraft:
    if "purpose" not in fields:
        raise Problem("'purpose' is a required property", param="purpose")
    return FileDraft(filename, _purpose(fields["purpose"]), _expires_after(fields))


def upload(body: bytes, strict: bool) -> UploadDraft:
    given = checked(UPLOAD, body, strict)
    expires = given.get("expires_after")
    return UploadDraft(
        filename=given["filename"],
        purpose=_purpose(given["purpose"]),
        size=given["bytes"],
        mime_type=given["mime_type"],
        expires_after=expires["seconds"] if expires else None,
    )


def completion(body: bytes, strict: bool) -> Completion:
    given = checked(COMPLETION, body, strict)
    checksum = given.get("md5")
    if checksum is not None and not _MD5.fullmatch(checksum):
        raise Problem(
            f"Invalid 'md5': '{shown(checksum)}'. Expected 32 hexadecimal digits.", param="md5", code="invalid_value"
        )
    return Completion(tuple(given["part_ids"]), checksum)


def listed(query: Query) -> FileFilter:
    limit = integer(query, "limit", _LIMIT)
    order: Any = last(query, "order") or "desc"
    _ORDER.check(order, "order", True)
    purpose = last(query, "purpose") or None
    if purpose is not None and purpose not in PURPOSES:
        raise _no_purpose(purpose, PURPOSES)
    return FileFilter(10_000 if limit is None else limit, order, last(query, "after") or None, purpose)


def _purpose(given: str) -> GivenPurpose:
    if given not in GIVEN_PURPOSES:
        raise _no_purpose(given, GIVEN_PURPOSES)
    return cast(GivenPurpose, given)


def _no_purpose(given: str, known: tuple[str, ...]) -> Problem:
    listed = ", ".join(f"'{each}'" for each in known)
    return Problem(f"'{shown(given)}' is not one of [{listed}] - 'purpose'", param="purpose")


def _expires_after(fields: Mapping[str, str]) -> int | None:
    anchor, seconds = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    if anchor is None:
        raise missing("expires_after.anchor")
    if seconds is None:
        raise missing("expires_after.seconds")
    _ANCHOR.check(anchor, "expires_after.anchor", True)
    if not re.fullmatch(r"-?[0-9]{1,9}", seconds):
        raise wrong_type("expires_after.seconds", "an integer", seconds)
    _SECONDS.check(int(seconds), "expires_after.seconds", True)
    return int(seconds)
