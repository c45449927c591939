"""Azure's paths: those of an OpenAI resource, by the stock `AzureOpenAI` client, and those of a Foundry project."""

import httpx
import pytest
from openai import AsyncAzureOpenAI, AzureOpenAI, NotFoundError

from plugins.server import Server
from plugins.stock import TWO_CITIES, WEATHER, ask, outputs_of

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")

VERSION = "2024-05-01-preview"


def resource(server: Server, deployment: str | None = None) -> AzureOpenAI:
    """As Azure's guides make it, with and without the deployment that old programs name."""
    return AzureOpenAI(
        azure_endpoint=server.origin,
        azure_deployment=deployment,
        api_key="none",
        api_version=VERSION,
        max_retries=0,
    )


@pytest.mark.parametrize("deployment", [None, "gpt-4o"])
def test_a_program_of_an_azure_resource_polls_and_streams_with_tools(server: Server, deployment: str | None):
    with resource(server, deployment) as azure:
        assistant, thread = ask(azure, TWO_CITIES, tools=[WEATHER])
        threads = azure.beta.threads
        run = threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant)
        assert run.status == "requires_action"
        with threads.runs.submit_tool_outputs_stream(
            thread_id=thread, run_id=run.id, tool_outputs=outputs_of(run)
        ) as stream:
            assert "".join(stream.text_deltas) == "Warm and cold."
        assert threads.messages.list(thread, limit=1).data[0].role == "assistant"
        assert threads.delete(thread).deleted


async def test_an_asynchronous_program_of_an_azure_resource_runs(server: Server):
    client = AsyncAzureOpenAI(azure_endpoint=server.origin, api_key="none", api_version=VERSION, max_retries=0)
    async with client as azure:
        made = await azure.beta.assistants.create(model="my-deployment")
        run = await azure.beta.threads.create_and_run_poll(
            assistant_id=made.id, thread={"messages": [{"role": "user", "content": "@say Hi"}]}
        )
        assert [run.status, run.model] == ["completed", "my-deployment"]


def test_a_resource_keeps_files_and_vector_stores(server: Server):
    with resource(server) as azure:
        file = azure.files.create(file=("a.txt", b"Rome is warm."), purpose="assistants")
        store = azure.vector_stores.create(file_ids=[file.id])
        assert azure.vector_stores.retrieve(store.id).file_counts.total == 1
        assert azure.files.delete(file.id).deleted


def test_a_resource_refuses_in_openais_words(server: Server):
    with resource(server) as azure, pytest.raises(NotFoundError, match="No thread found with id 'thread_gone'"):
        azure.beta.threads.retrieve("thread_gone")
    with httpx.Client(base_url=server.origin) as http:
        missing = http.get(f"/openai/files/file-gone?api-version={VERSION}").json()
        assert missing["detail"]["message"] == missing["error"]["message"]
        unknown = http.get("/openai/images/generations").json()
        assert unknown["error"]["message"] == "Invalid URL (GET /openai/images/generations)"


def test_the_newer_paths_of_a_resource_are_the_same_objects(server: Server):
    with httpx.Client(base_url=server.origin) as http:
        made = http.post("/openai/v1/threads", json={"metadata": {"of": "azure"}}).json()
        assert http.get(f"/openai/threads/{made['id']}?api-version={VERSION}").json()["metadata"] == {"of": "azure"}


def test_a_foundry_project_is_served_under_its_path(server: Server):
    with httpx.Client(base_url=f"{server.origin}/api/projects/mine") as http:
        made = http.post("/assistants?api-version=v1", json={"model": "m", "agentKind": "x"})
        assert made.status_code == 200
        assert http.get(f"/assistants/{made.json()['id']}?api-version=v1").json()["model"] == "m"
        assert http.get("/threads?api-version=v1").json()["object"] == "list"
        assert http.get("/indexes?api-version=v1").json()["error"]["message"].startswith("Invalid URL")
