"""Files and uploads in parts: what they are and what may be done with them (contract 1.2)."""

from typing import Final, Literal, get_args

from msgspec import Struct

from respun.core.problems import Problem

GivenPurpose = Literal["fine-tune", "assistants", "batch", "user_data", "vision", "evals"]
Purpose = GivenPurpose | Literal["assistants_output", "batch_output", "fine-tune-results"]
UploadStatus = Literal["pending", "completed", "cancelled", "expired"]

GIVEN_PURPOSES: Final[tuple[str, ...]] = get_args(GivenPurpose)
PURPOSES: Final[tuple[str, ...]] = (*GIVEN_PURPOSES, "assistants_output", "batch_output", "fine-tune-results")
UPLOAD_SECONDS: Final = 3600
LARGEST_PART: Final = 64 << 20
LARGEST_UPLOAD: Final = 8 << 30
MOST_CODE_FILES: Final = 20
"""Files of the code interpreter that an assistant or a thread may have (contract section 6)."""

_KEPT_FROM_DOWNLOAD: Final = ("assistants", "user_data")


class File(Struct, frozen=True):
    """`blob` names its bytes among the blobs; `filename` is what its owner calls it, never a path."""

    id: str
    created_at: float
    filename: str
    purpose: Purpose
    size: int
    blob: str
    expires_at: float | None = None


class FileDraft(Struct, frozen=True):
    """A file to be made of bytes that came; `expires_after` in seconds."""

    filename: str
    purpose: GivenPurpose
    expires_after: int | None = None


class UploadDraft(Struct, frozen=True):
    """A file that will come in parts; `size` is how many bytes they must hold together."""

    filename: str
    purpose: GivenPurpose
    size: int
    mime_type: str
    expires_after: int | None = None


class Upload(Struct, frozen=True):
    """`file` is the id of the file that it became. A pending one is `expired` past its time."""

    id: str
    created_at: float
    expires_at: float
    draft: UploadDraft
    status: UploadStatus = "pending"
    file: str | None = None

    def status_at(self, now: float) -> UploadStatus:
        return "expired" if self.status == "pending" and self.expires_at <= now else self.status


class UploadPart(Struct, frozen=True):
    id: str
    upload: str
    created_at: float
    size: int
    blob: str


class FileFilter(Struct, frozen=True):
    """A page of files: the contract gives no `before` here, and a limit of its own."""

    limit: int = 10_000
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    purpose: str | None = None


def no_such_file(ident: str) -> Problem:
    return Problem(f"No such File object: {ident}", kind="not_found", param="id")


def refuse_download(file: File) -> None:
    """Files for assistants stay inside, as at OpenAI; what tools made can be had."""
    if file.purpose in _KEPT_FROM_DOWNLOAD:
        raise Problem(f"Not allowed to download files of purpose: {file.purpose}")


def refuse_closed(upload: Upload, now: float) -> None:
    status = upload.status_at(now)
    if status != "pending":
        raise Problem(
            f"Upload {upload.id} has status '{status}' and takes nothing more. Create another upload and send its "
            "parts within an hour."
        )


def refuse_wrong_size(upload: Upload, size: int) -> None:
    if size != upload.draft.size:
        raise Problem(
            f"The parts hold {size} bytes together, but the upload was created for {upload.draft.size} bytes. "
            "Name all parts in 'part_ids', in order.",
            param="part_ids",
        )


def expiry(created_at: float, seconds: int | None) -> float | None:
    return None if seconds is None else int(created_at) + seconds
