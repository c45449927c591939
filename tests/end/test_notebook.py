"""The main job on real input: a server as a user starts it, a real model, and a notebook's calls through the stock SDK.

The calls are those of a public course on threads: list and delete assistants, create one, create threads with and
without messages, retrieve, modify and delete them; then a run that is polled and one that is streamed.
"""

import pytest
from openai import NotFoundError, OpenAI

from plugins.embedded_world import MODELS_FOLDER
from plugins.server import serving

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory):
    flags = ["--provider", "embedded", "--embedded-model", "smollm2-135m", "--models-folder", str(MODELS_FOLDER)]
    with (
        serving(tmp_path_factory.mktemp("data"), *flags) as server,
        OpenAI(base_url=server.base_url, api_key="x") as sdk,
    ):
        yield sdk


def test_the_notebooks_calls_run(client: OpenAI) -> None:
    for assistant in client.beta.assistants.list():
        client.beta.assistants.delete(assistant.id)
    assert client.beta.assistants.list().data == []

    assistant = client.beta.assistants.create(
        model="gpt-4-turbo",
        instructions="You are a helpful assistant.",
        name="I Like Talking To Threads",
        metadata={"likes_threads": "True"},
        temperature=1,
        top_p=1,
    )
    assert (assistant.name, assistant.tools, assistant.model) == ("I Like Talking To Threads", [], "gpt-4-turbo")

    empty = client.beta.threads.create()
    assert (empty.object, empty.metadata) == ("thread", {})
    thread = client.beta.threads.create(
        messages=[
            {"role": "user", "content": "Hello, what is AI?"},
            {"role": "user", "content": "How does AI work? Explain it in simple terms."},
        ]
    )
    retrieved = client.beta.threads.retrieve(thread.id)
    assert retrieved.tool_resources
    assert retrieved.tool_resources.code_interpreter
    assert retrieved.tool_resources.code_interpreter.file_ids == []
    updated = client.beta.threads.update(
        thread.id, tool_resources=None, metadata={"modified": "True", "user": "abc123"}
    )
    assert updated.metadata == {"modified": "True", "user": "abc123"}
    assert client.beta.threads.delete(thread.id).deleted
    with pytest.raises(NotFoundError, match="No thread found with id"):
        client.beta.threads.retrieve(thread.id)


def test_a_real_model_answers_polled_and_streamed_on_the_same_thread(client: OpenAI) -> None:
    assistant = client.beta.assistants.create(
        model="gpt-4-turbo", instructions="You are a helpful assistant.", temperature=0
    )
    thread = client.beta.threads.create()
    client.beta.threads.messages.create(thread.id, role="user", content="What is the capital of France?")
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert (run.status, run.model) == ("completed", "gpt-4-turbo"), run.last_error
    assert run.usage
    assert run.usage.completion_tokens > 0
    (answer,) = client.beta.threads.messages.list(thread.id, run_id=run.id).data
    assert answer.content[0].type == "text"
    assert "Paris" in answer.content[0].text.value

    client.beta.threads.messages.create(thread.id, role="user", content="And what is the capital of Italy?")
    with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
        pieces = list(stream.text_deltas)
        (final,) = stream.get_final_messages()
    assert final.content[0].type == "text"
    assert "".join(pieces) == final.content[0].text.value
    assert len(pieces) > 1
    assert [message.role for message in client.beta.threads.messages.list(thread.id)] == [
        "assistant",
        "user",
        "assistant",
        "user",
    ]
