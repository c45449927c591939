"""Backboard's own SDK against a server started as a user would start it."""

import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from plugins.server import Server

with warnings.catch_warnings():
    # The SDK defines its models in a way that pydantic 2 frowns upon.
    warnings.simplefilter("ignore")
    from backboard import BackboardClient


@pytest_asyncio.fixture
async def backboard(server: Server) -> AsyncIterator[BackboardClient]:
    async with BackboardClient(api_key="none", base_url=f"{server.origin}/api/") as client:
        yield client


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.origin}/api", headers={"x-api-key": "none"}) as client:
        yield client


@pytest.fixture
def weather() -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {
        "type": "function",
        "function": {"name": "weather", "description": "The weather in a city.", "parameters": parameters},
    }
