"""Files by the stock SDK, on both stores: what comes back is what was sent, and nothing else can be had."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from plugins.server import BOTH_STORES, Server

pytestmark = BOTH_STORES

NAMES = ["notes.txt", "text/csv", "../../etc/passwd", "..", "naïve – 文件.md", 'quo"te.txt', "a b\\c.txt", "x" * 1000]


def put(sdk: OpenAI, content: bytes = b"Hello", name: str = "hello.jsonl", purpose: str = "batch") -> str:
    return sdk.files.create(file=(name, content), purpose=purpose).id  # type: ignore[arg-type]


def test_a_file_comes_back_as_it_was_sent(sdk: OpenAI) -> None:
    content = bytes(range(256)) * 20_000
    file = sdk.files.create(file=("data.bin", content), purpose="batch")
    assert (file.object, file.purpose, file.filename, file.bytes) == ("file", "batch", "data.bin", len(content))
    assert (file.status, file.expires_at, file.status_details) == ("processed", None, None)
    assert file.id.startswith("file-")
    assert sdk.files.retrieve(file.id) == file
    assert sdk.files.content(file.id).read() == content


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_any_kind_is_kept_and_never_opened(sdk: OpenAI, name: str) -> None:
    file = sdk.files.create(file=(name, b"x"), purpose="batch")
    assert sdk.files.retrieve(file.id).filename == file.filename
    assert file.filename in (name, name.replace("\\", ""))
    answer = sdk.files.content(file.id).response
    assert answer.content == b"x"
    assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")


def test_an_empty_file_is_a_file(sdk: OpenAI) -> None:
    assert sdk.files.content(put(sdk, b"")).read() == b""


@pytest.mark.parametrize("purpose", ["assistants", "user_data"])
def test_what_is_for_assistants_stays_inside(sdk: OpenAI, purpose: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        sdk.files.content(put(sdk, purpose=purpose))
    assert refused.value.body["message"] == f"Not allowed to download files of purpose: {purpose}"  # type: ignore[index]


def test_a_deleted_file_is_gone(sdk: OpenAI) -> None:
    ident = put(sdk)
    answer = sdk.files.with_raw_response.delete(ident)
    assert answer.text == f'{{"object":"file","deleted":true,"id":"{ident}"}}'
    for call in (sdk.files.retrieve, sdk.files.content, sdk.files.delete):
        with pytest.raises(NotFoundError) as refused:
            call(ident)
        message = f"No such File object: {ident}"
        assert refused.value.response.json() == {
            "error": {"message": message, "type": "invalid_request_error", "param": "id", "code": None},
            "detail": {"message": message, "code": None},
        }


def test_files_are_listed_by_purpose_in_pages_and_either_order(sdk: OpenAI) -> None:
    made = [put(sdk, name=f"{number}.jsonl", purpose="evals") for number in range(5)]
    assert [file.id for file in sdk.files.list(purpose="evals", order="asc", limit=2)] == made
    assert [file.id for file in sdk.files.list(purpose="evals", limit=3)] == made[::-1]
    page = sdk.files.list(purpose="evals", after=made[1], order="asc", limit=1)
    assert [file.id for file in page.data] == [made[2]]
    assert page.has_more
    for ident in made:
        sdk.files.delete(ident)
    assert sdk.files.list(purpose="evals").data == []


@pytest.mark.parametrize(
    ("fields", "message", "param"),
    [
        (
            {"purpose": "world_domination"},
            "'world_domination' is not one of ['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals'] "
            "- 'purpose'",
            "purpose",
        ),
        ({}, "'purpose' is a required property", "purpose"),
        (
            {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "60"},
            "Invalid 'expires_after.seconds': integer below minimum value. Expected a value >= 3600, but got 60 "
            "instead.",
            "expires_after.seconds",
        ),
        ({"purpose": "batch", "expires_after[seconds]": "3600"}, "Missing required parameter", "expires_after.anchor"),
    ],
)
def test_a_bad_form_is_refused_and_keeps_nothing(
    server: Server, sdk: OpenAI, fields: dict[str, str], message: str, param: str
) -> None:
    before = len(sdk.files.list().data)
    answer = httpx2.post(f"{server.base_url}/files", data=fields, files={"file": ("a.txt", b"abc")})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["message"].startswith(message)
    assert (error["param"], answer.json()["detail"]["message"]) == (param, error["message"])
    assert len(sdk.files.list().data) == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc',
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b--\r\n',
        b"--b\r\n" + b"X: y\r\n" * 50 + b"\r\nabc\r\n--b--\r\n",
    ],
)
def test_a_malformed_form_is_refused(server: Server, body: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = httpx2.post(f"{server.base_url}/files", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_file_beyond_the_limit_is_refused_before_it_is_kept(
    start_server: Callable[..., Server], tmp_path: Path, server: Server
) -> None:
    small = start_server("--max-file-bytes", "100000")
    for content in (b"x" * 100_001, b"x" * 3_000_000):
        answer = httpx2.post(
            f"{small.base_url}/files", data={"purpose": "batch"}, files={"file": ("a", io.BytesIO(content))}
        )
        assert (answer.status_code, answer.json()["error"]["param"]) == (413, "file")
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


def test_files_expire(sdk: OpenAI) -> None:
    expires = {"anchor": "created_at", "seconds": 3600}
    file = sdk.files.create(file=("a", b"a"), purpose="batch", expires_after=expires)  # type: ignore[arg-type]
    assert file.expires_at == file.created_at + 3600


def test_an_upload_in_parts_becomes_a_file(sdk: OpenAI) -> None:
    parts = [b"first ", b"second ", b"third"]
    whole = b"".join(parts)
    upload = sdk.uploads.create(bytes=len(whole), filename="all.jsonl", mime_type="text/jsonl", purpose="batch")
    assert (upload.status, upload.bytes, upload.expires_at) == ("pending", len(whole), upload.created_at + 3600)
    sent = [sdk.uploads.parts.create(upload.id, data=part) for part in reversed(parts)]
    assert all(part.id.startswith("part_") and part.upload_id == upload.id for part in sent)
    done = sdk.uploads.complete(
        upload.id, part_ids=[part.id for part in reversed(sent)], md5=hashlib.md5(whole).hexdigest()
    )
    assert done.status == "completed"
    assert done.file
    assert sdk.files.content(done.file.id).read() == whole
    with pytest.raises(BadRequestError, match="has status 'completed'"):
        sdk.uploads.parts.create(upload.id, data=b"more")


def test_the_sdk_uploads_a_file_in_chunks(sdk: OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "big.jsonl"
    path.write_bytes(b"0123456789" * 1000)
    done = sdk.uploads.upload_file_chunked(file=path, mime_type="text/jsonl", purpose="batch", part_size=3000)
    assert done.file
    assert sdk.files.content(done.file.id).read() == path.read_bytes()


def test_parts_that_do_not_make_the_whole_are_refused(sdk: OpenAI) -> None:
    upload = sdk.uploads.create(bytes=4, filename="a", mime_type="text/plain", purpose="batch")
    one = sdk.uploads.parts.create(upload.id, data=b"ab")
    two = sdk.uploads.parts.create(upload.id, data=b"cd")
    with pytest.raises(BadRequestError, match="more than the 4 of the upload"):
        sdk.uploads.parts.create(upload.id, data=b"e")
    with pytest.raises(BadRequestError, match="hold 2 bytes together"):
        sdk.uploads.complete(upload.id, part_ids=[one.id])
    with pytest.raises(BadRequestError, match="is named twice"):
        sdk.uploads.complete(upload.id, part_ids=[one.id, one.id])
    with pytest.raises(BadRequestError, match="The MD5 of the parts is"):
        sdk.uploads.complete(upload.id, part_ids=[one.id, two.id], md5="0" * 32)
    done = sdk.uploads.complete(upload.id, part_ids=[two.id, one.id])
    assert done.file
    assert sdk.files.content(done.file.id).read() == b"cdab"


def test_a_cancelled_upload_takes_nothing_more(sdk: OpenAI) -> None:
    upload = sdk.uploads.create(bytes=4, filename="a", mime_type="text/plain", purpose="batch")
    sdk.uploads.parts.create(upload.id, data=b"ab")
    assert sdk.uploads.cancel(upload.id).status == "cancelled"
    for again in (
        lambda: sdk.uploads.cancel(upload.id),
        lambda: sdk.uploads.complete(upload.id, part_ids=[]),
        lambda: sdk.uploads.parts.create(upload.id, data=b"ab"),
    ):
        with pytest.raises(BadRequestError, match="has status 'cancelled'"):
            again()
    with pytest.raises(NotFoundError):
        sdk.uploads.cancel("upload_of_nobody")
