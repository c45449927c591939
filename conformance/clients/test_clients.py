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


def _command(environment: str, program: str, base_url: str) -> list[str]:
    folder = ENVIRONMENTS / environment
    assert (folder / ".installed").exists(), f"There is no environment {folder}. Run `make test-clients`."
    if program.endswith(".mjs"):
        return ["node", str(HERE / program), str(folder), base_url]
    return [str(folder / "bin" / "python"), str(HERE / program), base_url]


@pytest.mark.parametrize(
    ("environment", "program"),
    [
        ("openai-2", "drive_openai.py"),
        ("openai-1", "drive_openai.py"),
        ("openai-1.29", "drive_openai.py"),
        ("openai-node-4", "drive_openai.mjs"),
        ("openai-node-6", "drive_openai.mjs"),
        ("langchain", "drive_langchain.py"),
        ("semantic-kernel", "drive_semantic_kernel.py"),
        ("agents", "drive_autogen.py"),
        ("agents", "drive_llama_index.py"),
        ("openai-2", "drive_azure.py"),
        ("backboard-1.0", "drive_backboard.py"),
        ("backboard-1.1", "drive_backboard.py"),
        ("backboard-1.3", "drive_backboard.py"),
        ("backboard-1.4", "drive_backboard.py"),
        ("backboard-1.5.7", "drive_backboard.py"),
        ("backboard-1.5", "drive_backboard.py"),
        ("backboard-node-1.5", "drive_backboard.mjs"),
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
