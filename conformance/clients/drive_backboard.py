"""Backboard's own SDK, of any version: assistants, threads, a message, a stream, a round of tools, memories.

Versions before 1.3 are synchronous; methods that a version does not have are left out. Argument: the base URL.
"""

import asyncio
import inspect
import json
import sys
import types
import warnings

warnings.simplefilter("ignore")

from backboard import BackboardClient

BASE = sys.argv[1].removesuffix("/v1") + "/api"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SCRIPT = '@call weather {"city":"Rome"}\n@then\n@say It is warm.'


async def done(given):
    return await given if inspect.isawaitable(given) else given


async def each(stream):
    if hasattr(stream, "__aiter__"):
        return [event async for event in stream]
    return list(stream)


def has(client, name):
    return hasattr(client, name)


def whole(reply):
    """Releases 1.5.6 to 1.5.8 show the reply as a list of messages alone."""
    if hasattr(reply, "content"):
        return reply
    return types.SimpleNamespace(**reply.messages[-1])


def calls_of(reply):
    """From 1.5.6 to 1.5.8 they are as they came."""
    as_objects = {"object_hook": lambda given: types.SimpleNamespace(**given)}
    return [json.loads(json.dumps(call), **as_objects) if isinstance(call, dict) else call for call in reply.tool_calls]


async def talk(client, thread):
    reply = whole(await done(client.add_message(thread, content="@say Hello.", stream=False)))
    assert (reply.content, reply.status) == ("Hello.", "COMPLETED"), reply
    events = await each(await done(client.add_message(thread, content="@say Hello you.", stream=True)))
    text = "".join(event["content"] for event in events if event["type"] == "content_streaming")
    assert text == "Hello you.", events
    assert events[-1]["type"] == "run_ended", events


async def use_tools(client, thread):
    for stream in (False, True):
        asked = whole(await done(client.add_message(thread, content=SCRIPT)))
        assert asked.status == "REQUIRES_ACTION", asked
        calls = calls_of(asked)
        assert [call.function.name for call in calls] == ["weather"], calls
        outputs = [{"tool_call_id": call.id, "output": "31"} for call in calls]
        answer = await done(client.submit_tool_outputs(thread, asked.run_id, outputs, stream=stream))
        if stream:
            assert (await each(answer))[-1]["final_content"] == "It is warm."
        else:
            answer = whole(answer)
            assert (answer.content, answer.status) == ("It is warm.", "COMPLETED"), answer


async def remember(client, assistant):
    made = await done(client.add_memory(assistant, "Likes tea.", {"kind": "taste"}))
    memory = await done(client.get_memory(assistant, made["memory_id"]))
    assert (memory.content, memory.metadata["kind"]) == ("Likes tea.", "taste"), memory
    assert (await done(client.update_memory(assistant, memory.id, "Likes coffee."))).content == "Likes coffee."
    assert (await done(client.get_memories(assistant))).total_count == 1
    assert (await done(client.get_memory_stats(assistant))).total_memories == 1
    if has(client, "search_memories"):
        found = await done(client.search_memories(assistant, "coffee"))
        assert found["total_count"] == 1, found
    await done(client.delete_memory(assistant, memory.id))


async def drive(client):
    made = await done(client.create_assistant(name="Bot", description="Be brief.", tools=[WEATHER]))
    assert made.tools[0].function.name == "weather", made
    assert made.assistant_id in [one.assistant_id for one in await done(client.list_assistants(limit=5))]
    assert (await done(client.update_assistant(made.assistant_id, name="Other"))).name == "Other"
    thread = (await done(client.create_thread(made.assistant_id))).thread_id
    await talk(client, thread)
    read = await done(client.get_thread(thread))
    assert [message.role.value for message in read.messages] == ["user", "assistant"] * 2, read
    assert read.messages[1].content == "Hello.", read
    await use_tools(client, thread)
    # Enumerations of versions up to 1.5.10 know no role "tool": reading such a thread must not fail there.
    roles = [message.role.value for message in (await done(client.get_thread(thread))).messages]
    assert len(roles) == 12, roles
    assert thread in [one.thread_id for one in await done(client.list_threads(limit=5))]
    if has(client, "add_memory"):
        await remember(client, made.assistant_id)
    if has(client, "list_models"):
        assert (await done(client.list_models())).total >= 1
    await done(client.delete_thread(thread))
    gone = await done(client.delete_assistant(made.assistant_id))
    assert gone["assistant_id"] == str(made.assistant_id), gone


async def main():
    client = BackboardClient(api_key="none", base_url=BASE)
    await drive(client)
    if has(client, "aclose"):
        await client.aclose()


asyncio.run(main())
