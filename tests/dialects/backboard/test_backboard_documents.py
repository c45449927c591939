"""Documents through Backboard's SDK: given to an assistant, a thread or with a message, and searched in runs."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from backboard import BackboardClient
from backboard.exceptions import BackboardNotFoundError, BackboardValidationError
from openai import OpenAI

from respun.core.ids import spell

pytestmark = [pytest.mark.asyncio, pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")]

RECIPE = "Toad in the hole is made of sausages in a batter of eggs, milk and flour.\n"
SEARCH = '@call search_documents {"queries": ["sausages in batter"]}\n@then\n@say Toad in the hole.'


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipes.txt"
    path.write_text(RECIPE)
    return path


async def indexed(client: BackboardClient, document: Any) -> Any:
    async with asyncio.timeout(20):
        while (found := await client.get_document_status(document.document_id)).status.value not in (
            "indexed",
            "error",
        ):
            await asyncio.sleep(0.05)
    return found


async def test_a_document_of_an_assistant_is_found_in_all_its_threads(backboard: BackboardClient, recipe: Path):
    bot = (await backboard.create_assistant("Cook", tok_k=3)).assistant_id
    made = await backboard.upload_document_to_assistant(bot, recipe)
    assert [made.status.value, made.filename] == ["pending", "recipes.txt"]
    done = await indexed(backboard, made)
    assert [done.status.value, done.file_size_bytes, done.chunk_count] == ["indexed", len(RECIPE), 1]
    assert [done.document_type, done.summary] == ["txt", RECIPE.strip()]
    for _ in range(2):
        said = await backboard.send_message(SEARCH, assistant_id=bot)
        assert [said.content, said.messages[-1]["retrieved_files"]] == ["Toad in the hole.", ["recipes.txt"]]
    assert [each.document_id for each in await backboard.list_assistant_documents(bot)] == [made.document_id]
    gone = await backboard.delete_document(made.document_id)
    assert [gone["filename"], gone["document_type"]] == ["recipes.txt", "txt"]
    assert await backboard.list_assistant_documents(bot) == []
    with pytest.raises(BackboardNotFoundError, match=f"Document {made.document_id} not found"):
        await backboard.get_document_status(made.document_id)


async def test_a_document_of_a_thread_stays_there(backboard: BackboardClient, recipe: Path):
    bot = (await backboard.create_assistant("Cook")).assistant_id
    thread, other = [(await backboard.create_thread(bot)).thread_id for _ in range(2)]
    await indexed(backboard, await backboard.upload_document_to_thread(thread, recipe))
    assert [each.filename for each in await backboard.list_thread_documents(thread)] == ["recipes.txt"]
    assert await backboard.list_thread_documents(other) == []
    said = await backboard.add_message(thread, content=SEARCH)
    assert said.messages[-1]["retrieved_files"] == ["recipes.txt"]
    # Our own search is no tool call of the caller's: it leaves no message behind.
    assert [each.role.value for each in (await backboard.get_thread(thread)).messages] == ["user", "assistant"]


async def test_a_file_with_a_message_becomes_a_document_of_its_thread(backboard: BackboardClient, recipe: Path):
    bot = (await backboard.create_assistant("Cook")).assistant_id
    thread = (await backboard.create_thread(bot)).thread_id
    said = await backboard.add_message(thread, content=SEARCH, files=[recipe])
    assert said.messages[-1]["retrieved_files"] == ["recipes.txt"]
    assert said.messages[-1]["attachments"][0]["filename"] == "recipes.txt"
    (document,) = await backboard.list_thread_documents(thread)
    (attached,) = (await backboard.get_thread(thread)).messages[0].attachments
    assert [attached.document_id, attached.status] == [document.document_id, "indexed"]
    await backboard.delete_thread(thread)
    with pytest.raises(BackboardNotFoundError):
        await backboard.get_document_status(document.document_id)


async def test_a_document_is_a_file_in_a_vector_store_elsewhere(backboard: BackboardClient, sdk: OpenAI, recipe: Path):
    bot = (await backboard.create_assistant("Cook")).assistant_id
    made = await indexed(backboard, await backboard.upload_document_to_assistant(bot, recipe))
    assert sdk.files.retrieve(spell("file", UUID(str(made.document_id)))).filename == "recipes.txt"
    assistant = sdk.beta.assistants.retrieve(spell("assistant", UUID(str(bot))))
    assert assistant.tool_resources and assistant.tool_resources.file_search  # noqa: PT018
    (store,) = assistant.tool_resources.file_search.vector_store_ids or ()
    assert sdk.vector_stores.retrieve(store).file_counts.completed == 1
    await backboard.delete_assistant(bot)
    assert sdk.vector_stores.retrieve(store).file_counts.total == 0


async def test_what_cannot_be_read_is_refused(backboard: BackboardClient, http: httpx.Client, tmp_path: Path):
    bot = (await backboard.create_assistant("Cook")).assistant_id
    picture = tmp_path / "cat.gif"
    picture.write_bytes(b"GIF89a")
    with pytest.raises(BackboardValidationError, match="gif"):
        await backboard.upload_document_to_assistant(bot, picture)
    answer = http.post(f"/assistants/{bot}/documents", files={"other": ("a.txt", b"x")})
    assert [answer.status_code, answer.json()["detail"][0]["loc"]] == [422, ["body", "file"]]
    nobody = uuid4()
    assert http.post(f"/threads/{nobody}/documents", files={"file": ("a.txt", b"x")}).status_code == 404


async def test_a_clone_has_documents_of_its_own(backboard: BackboardClient, recipe: Path):
    bot = (await backboard.create_assistant("Cook")).assistant_id
    await indexed(backboard, await backboard.upload_document_to_assistant(bot, recipe))
    clone = await backboard.clone_assistant(bot)
    assert clone.documents_cloned == 1
    (copy,) = await backboard.list_assistant_documents(clone.assistant.assistant_id)
    await indexed(backboard, copy)
    await backboard.delete_assistant(bot)
    said = await backboard.send_message(SEARCH, assistant_id=clone.assistant.assistant_id)
    assert said.messages[-1]["retrieved_files"] == ["recipes.txt"]
    bare = await backboard.clone_assistant(clone.assistant.assistant_id, copy_documents=False)
    assert bare.documents_cloned == 0
    assert await backboard.list_assistant_documents(bare.assistant.assistant_id) == []
