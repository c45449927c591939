"""Files and uploads as objects of the wire (contract 1.2, recorded key order)."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from respun.core.files import File, Upload, UploadPart


class FileObject(Struct):
    object: Literal["file"]
    id: str
    purpose: str
    filename: str
    bytes: int
    created_at: int
    expires_at: int | None
    status: Literal["processed"]
    status_details: None


class UploadObject(Struct):
    """`file` is there once the upload is completed."""

    id: str
    object: Literal["upload"]
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: str
    expires_at: int
    file: FileObject | UnsetType | None = UNSET


class PartObject(Struct):
    id: str
    object: Literal["upload.part"]
    created_at: int
    upload_id: str


class DeletedFile(Struct):
    """In another order than the other deleted objects, as recorded."""

    object: Literal["file"]
    deleted: bool
    id: str


def file(given: File) -> FileObject:
    return FileObject(
        object="file",
        id=given.id,
        purpose=given.purpose,
        filename=given.filename,
        bytes=given.size,
        created_at=int(given.created_at),
        expires_at=None if given.expires_at is None else int(given.expires_at),
        status="processed",
        status_details=None,
    )


def upload(given: Upload, whole: File | None = None) -> UploadObject:
    return UploadObject(
        id=given.id,
        object="upload",
        bytes=given.draft.size,
        created_at=int(given.created_at),
        filename=given.draft.filename,
        purpose=given.draft.purpose,
        status=given.status,
        expires_at=int(given.expires_at),
        file=file(whole) if whole else UNSET,
    )


def part(given: UploadPart) -> PartObject:
    return PartObject(given.id, "upload.part", int(given.created_at), given.upload)


def deleted(ident: str) -> DeletedFile:
    return DeletedFile("file", True, ident)
