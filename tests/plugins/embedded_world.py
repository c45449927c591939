"""What the tests of the embedded model share: the models folder of this machine and a small client for a socket."""

import json
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import msgspec

from respun.core.chat import Finished, ModelError, ModelRequest, News, SystemMessage, TextDelta, UserMessage
from respun.core.usage import Usage

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
ADDRESS = "http://embedded/v1/chat/completions"
MODELS_FOLDER = Path(os.environ.get("RESPUN_MODELS") or _CACHE / "respun" / "models")


class SocketClient:
    """Chat Completions over a Unix socket, with no more than these tests read of it."""

    def __init__(self, socket: str, key: str) -> None:
        self.socket = socket
        self.key = key
        self.silence = 60.0
        """Seconds without a byte after which a call is given up."""
        self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket, force_close=True))

    async def stream(self, request: ModelRequest) -> AsyncIterator[Sequence[News]]:
        body = msgspec.to_builtins(request) | {"stream": True, "stream_options": {"include_usage": True}}
        headers = {"Authorization": f"Bearer {self.key}"}
        limit = aiohttp.ClientTimeout(sock_read=self.silence)
        try:
            async with self._session.post(ADDRESS, json=body, headers=headers, timeout=limit) as answer:
                if answer.status != 200:
                    raise refusal(answer.status, await answer.json())
                async for line in answer.content:
                    if line.startswith(b"data: {") and (batch := news_of(json.loads(line[6:]))):
                        yield batch
        except TimeoutError as error:
            raise ModelError("timeout", "The model is silent.") from error
        except aiohttp.ClientError as error:
            raise ModelError("broken", "The answer ended early.") from error

    async def aclose(self) -> None:
        await self._session.close()


def refusal(status: int, body: dict) -> ModelError:
    kinds = {"exceed_context_size_error": "context_length", "authentication_error": "auth"}
    return ModelError(kinds.get(body["error"]["type"], "rejected"), body["error"]["message"], status=status)


def news_of(chunk: dict) -> list[News]:
    if usage := chunk.get("usage"):
        return [Finished("stop", Usage(usage["prompt_tokens"], usage["completion_tokens"]), chunk["model"])]
    text = chunk["choices"][0]["delta"].get("content") if chunk["choices"] else None
    return [TextDelta(text)] if text else []


def question(text: str, *, most: int | None = 24, system: str | None = None) -> ModelRequest:
    messages = (UserMessage(text),) if system is None else (SystemMessage(system), UserMessage(text))
    return ModelRequest(model="embedded", messages=messages, temperature=0, max_completion_tokens=most)


def text_of(batches: Sequence[Sequence[News]]) -> str:
    return "".join(news.text for batch in batches for news in batch if isinstance(news, TextDelta))
