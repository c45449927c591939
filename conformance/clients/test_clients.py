"""Stock programs of every library that speaks the protocol, each in an environment of its own, against the server.

`make test-clients` makes the environments first.
"""

import os
import subprocess
from pathlib import Path

import pytest

from plugins.server import Server

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".venvs"
_LONGEST = 120.0
OPENAI = ("openai-2", "openai-1", "openai-1.66", "openai-1.40", "openai-1.29", "openai-1.21")
OF_OPENAI = ("drive_openai.py", "drive_openai_async.py", "drive_azure_openai.py")


def _command(environment: str, program: str, base_url: str) -> list[str]:
    folder = ENVIRONMENTS / environment
    assert (folder / ".installed").exists(), f"There is no environment {folder}. Run `make test-clients`."
    if program.endswith(".mjs"):
        return ["node", str(HERE / program), str(folder), base_url]
    return [str(folder / "bin" / "python"), str(HERE / program), base_url]


@pytest.mark.parametrize(
    ("environment", "program"),
    [
        # First, because Backboard's first SDK can't read tools with keys that it does not know, as others make them.
        ("backboard-1.0", "drive_backboard.py"),
        ("backboard-1.1", "drive_backboard.py"),
        ("backboard-1.3", "drive_backboard.py"),
        ("backboard-1.4", "drive_backboard.py"),
        ("backboard-1.5.7", "drive_backboard.py"),
        ("backboard-1.5", "drive_backboard.py"),
        ("backboard-node-1.5", "drive_backboard.mjs"),
        *((version, program) for version in OPENAI for program in OF_OPENAI),
        ("openai-node-4", "drive_openai.mjs"),
        ("openai-node-5", "drive_openai.mjs"),
        ("openai-node-6", "drive_openai.mjs"),
        ("openai-node-7", "drive_openai.mjs"),
        ("langchain-node", "drive_langchain.mjs"),
        ("langchain", "drive_langchain.py"),
        ("langchain-0.3", "drive_langchain.py"),
        ("semantic-kernel", "drive_semantic_kernel.py"),
        ("semantic-kernel-1.30", "drive_semantic_kernel.py"),
        ("agents", "drive_autogen.py"),
        ("agents", "drive_llama_index.py"),
        ("autogen-0.2", "drive_autogen_old.py"),
        ("swarm", "drive_swarm.py"),
        ("agent-framework", "drive_agent_framework.py"),
        ("openai-2", "drive_azure.py"),
        ("azure-1.0", "drive_azure.py"),
        ("azure-1.2", "drive_azure.py"),
        ("azure-1.0", "drive_azure_projects.py"),
        ("azure-1.2", "drive_azure_projects.py"),
    ],
)
def test_a_program_of_the_library_runs_unchanged(server: Server, environment: str, program: str):
    # A program that reached for the network instead would fail at a proxy where nobody listens.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        _command(environment, program, server.base_url),
        capture_output=True,
        text=True,
        timeout=_LONGEST,
        env={"PATH": os.environ["PATH"], "HOME": str(ENVIRONMENTS), "NO_PROXY": "127.0.0.1", **nowhere},
        check=False,
    )
    assert done.returncode == 0, f"{program} with {environment}:\n{done.stdout}\n{done.stderr}"
