"""The shim's part for files, uploads and vector stores: literal ids become those of fresh objects in a fit state."""

import re
from hashlib import md5
from typing import Any

from makers import CONTENT, Maker

REWRITES = (
    "the ids of files, uploads, vector stores, their files and batches become those of fresh objects; a file whose "
    "content is read has the purpose `vision`, one in a store has been read",
    "an upload of 0 bytes of `mime_type` becomes one of text; one to complete has the part and the hash that it names",
    "a batch of nothing gets a file, and one with both `file_ids` and `files` loses `files`",
    "vector stores get a name, because the SDK's types forbid the null that the API answered without one",
)

_FILE = re.compile(r"^/files/file_id")
_UPLOAD = re.compile(r"^/uploads/upload_abc123")
_STORE = re.compile(r"^/vector_stores/(?:vector_store_id|vs_abc123)")
_FILE_OF = re.compile(r"/files/(?:file_id|file-abc123)")
_BATCH_OF = re.compile(r"/file_batches/(?:batch_id|vsfb_abc123)")


def rewritten(maker: Maker, method: str, path: str, body: Any) -> tuple[str, Any]:
    """Path and body as a server can serve them."""
    if _FILE.search(path):
        purpose = "vision" if path.endswith("/content") else "assistants"
        return _FILE.sub(f"/files/{maker.file(purpose)}", path), body
    if path.startswith("/uploads"):
        return _upload(maker, path, body)
    if path.startswith("/vector_stores"):
        return _store_path(maker, path), _store_body(maker, method, path, body)
    return path, body


def _upload(maker: Maker, path: str, body: Any) -> tuple[str, Any]:
    if path == "/uploads":
        return path, {**body, "bytes": len(CONTENT), "filename": "a.txt", "mime_type": "text/plain"}
    upload = maker.upload()
    if path.endswith("/complete"):
        hashed = {"md5": md5(CONTENT).hexdigest()} if "md5" in body else {}
        body = {"part_ids": [maker.part(upload)], **hashed}
    return _UPLOAD.sub(f"/uploads/{upload}", path), body


def _store_path(maker: Maker, path: str) -> str:
    if not _STORE.search(path):
        return path
    store = maker.store()
    path = _STORE.sub(f"/vector_stores/{store}", path)
    if _FILE_OF.search(path):
        path = _FILE_OF.sub(f"/files/{maker.file_in(store)}", path)
    if _BATCH_OF.search(path):
        path = _BATCH_OF.sub(f"/file_batches/{maker.batch(store)}", path)
    return path


def _store_body(maker: Maker, method: str, path: str, body: Any) -> Any:
    if method != "POST" or path.endswith(("/search", "/cancel")):
        return body
    given = dict(body or {})
    if path.endswith("/file_batches"):
        given.pop("files", None)
        return {**given, "file_ids": [maker.file()]}
    if "file_id" in given:
        return {**given, "file_id": maker.file()}
    if "file_ids" in given:
        given["file_ids"] = [maker.file()]
    return given if "attributes" in given else {"name": "A store", **given}
