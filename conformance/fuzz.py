"""schemathesis against the server, with the server's own OpenAPI file and links that lead it to existing objects.

Refused is every 5xx, every status that `STATUSES` does not name, every body and content type that the file denies.
"""

import json
import os
import subprocess
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx2

ROWS = ("Assistants", "Threads", "Messages", "Runs", "Run steps", "Models", "Files", "Uploads", "Vector stores")
"""The resources that the table has a row for."""
STATUSES = ("400", "403", "404")
"""What an operation may answer but 200, in place of the file's `default`."""
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
_ID = "$response.body#/id"
_THREAD = "$response.body#/thread_id"
_FIRST = "$response.body#/data/0/id"

# Made by an operation, and what leads on from it: the parameters of others that its answer gives.
_LINKS: dict[str, dict[str, dict[str, str]]] = {
    "create_assistant": {
        name: {"assistant_id": _ID} for name in ("get_assistant", "modify_assistant", "delete_assistant")
    },
    "create_thread": {
        name: {"thread_id": _ID}
        for name in (
            "get_thread",
            "modify_thread",
            "create_message",
            "list_messages",
            "create_run",
            "list_runs",
            "delete_thread",
        )
    },
    "create_message": {
        name: {"thread_id": _THREAD, "message_id": _ID} for name in ("get_message", "modify_message", "delete_message")
    },
    "create_thread_and_run": {
        name: {"thread_id": _THREAD, "run_id": _ID}
        for name in ("get_run", "modify_run", "submit_tool_outputs", "cancel_run", "list_steps", "follow_run")
    },
    "create_run": {name: {"thread_id": _THREAD, "run_id": _ID} for name in ("get_run", "cancel_run", "list_steps")},
    "list_steps": {
        "get_step": {
            "thread_id": "$request.path.thread_id",
            "run_id": "$request.path.run_id",
            "step_id": _FIRST,
        }
    },
}
_RUN_OF = ("create_thread_and_run", "create_run")


@dataclass(frozen=True, slots=True)
class Fuzzed:
    statuses: Counter[str]
    failures: list[str]


def linked(schema: dict[str, Any], assistant: str) -> dict[str, Any]:
    """The file with the links and the statuses. Runs are made of the assistant, or else hardly any would be made."""
    schema = deepcopy(schema)
    for path in schema["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict) and "responses" in operation:
                _complete(operation, schema, assistant)
    return schema


def _complete(operation: dict[str, Any], schema: dict[str, Any], assistant: str) -> None:
    responses = operation["responses"]
    refusal = responses.pop("default")
    responses |= dict.fromkeys(STATUSES, refusal)
    name = operation["operationId"]
    links = {to: {"operationId": to, "parameters": parameters} for to, parameters in _LINKS.get(name, {}).items()}
    if links:
        responses["200"]["links"] = links
    if name in _RUN_OF:
        body = operation["requestBody"]["content"]["application/json"]
        body["schema"] = _of_assistant(_resolved(body["schema"], schema), assistant, waits=name == _RUN_OF[0])


def _resolved(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        found: Any = schema
        for key in part["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        part = found
    return deepcopy(part)


def _of_assistant(body: dict[str, Any], assistant: str, *, waits: bool) -> dict[str, Any]:
    """A run's body that names an assistant that exists. `waits`: for its caller, so that it can be cancelled."""
    body["properties"]["assistant_id"] = {"type": "string", "enum": [assistant]}
    if waits:
        del body["properties"]["tools"]
        body["properties"]["tool_choice"] = {"type": "string", "enum": ["required"]}
        body["required"] = [*body.get("required", ()), "tool_choice"]
    return body


def run(origin: str, executable: Path, folder: Path, examples: int) -> dict[str, Fuzzed]:
    """Fuzz the server at the origin; reports lie in the folder."""
    with urlopen(f"{origin}/openapi.json") as answer:
        schema = json.load(answer)
    file = folder / "openapi.json"
    file.write_text(json.dumps(linked(schema, _assistant(origin))))
    report = folder / "report.ndjson"
    command = [str(executable), "run", str(file), "--url", f"{origin}/v1", "--checks", CHECKS, "--no-color"]
    options = ["--max-examples", str(examples), "--seed", "7", "--continue-on-failure", "--no-shrink", "-w", "1"]
    reporting = ["--report", "ndjson", "--report-ndjson-path", str(report), "--warnings", "off"]
    (folder / "schemathesis.log").write_text(
        subprocess.run(
            [*command, *options, *reporting, "--request-timeout", "20", "--suppress-health-check", "all"],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    )
    return _read(report)


def _read(report: Path) -> dict[str, Fuzzed]:
    """What was asked of each resource and answered, from the report's finished scenarios."""
    found: dict[str, Fuzzed] = {}
    for line in report.open(encoding="utf-8"):
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for case, exchange in recorder.get("interactions", {}).items():
            if exchange["response"] is None:
                status, checks = "no answer", []
            else:
                status, checks = str(exchange["response"]["status_code"]), recorder["checks"].get(case, [])
            asked = recorder["cases"][case]["value"]
            fuzzed = found.setdefault(resource_of(asked["path"]), Fuzzed(Counter(), []))
            fuzzed.statuses[status] += 1
            failed = [check for check in checks if check["status"] != "success"]
            if failed or status == "no answer":
                names = " ".join(check["name"] for check in failed)
                fuzzed.failures.append(f"{asked['method']} {asked['path']}: {status} {names}")
    return found


def resource_of(path: str) -> str:
    """The row of the table that an operation belongs to."""
    parts = path.partition("?")[0].split("/")
    if "vector_stores" in parts:
        return "Vector stores"
    return next(name for part in reversed(parts) for name in ROWS if _word(name) == part)


def _word(row: str) -> str:
    return "steps" if row == "Run steps" else row.lower().replace(" ", "_")


def _assistant(origin: str) -> str:
    tools = [{"type": "function", "function": {"name": "weather"}}]
    answer = httpx2.post(f"{origin}/v1/assistants", json={"model": "scripted", "tools": tools})
    return str(answer.json()["id"])
