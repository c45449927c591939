"""`/openapi.json`, and `/docs`: the same as a page to read. One file, no script, nothing from anywhere else."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from html import escape
from itertools import groupby
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from respun import __version__
from respun.web.openapi import document

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: light-dark(#176b3a, #6fce98) }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: 13px/1.5 ui-monospace, monospace }
pre { background: var(--soft); padding: .8rem; border-radius: .4rem; overflow-x: auto }
h1 small { font-weight: normal; opacity: .7 }
h2 { border-bottom: 1px solid var(--line); text-transform: capitalize }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .4rem 0; padding: .4rem .8rem }
summary { cursor: pointer }
summary b { color: var(--accent); display: inline-block; min-width: 4.5rem }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .2rem .6rem .2rem 0;
  border-top: 1px solid var(--line); vertical-align: top }
"""
_CSP: Final = f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
_HEADERS: Final = {
    "content-security-policy": f"{_CSP}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def docs_routes(operations: Sequence[Route]) -> list[Route]:
    """Two routes that describe these. They are written when first asked for, so that the server starts fast."""
    docs = _Docs(operations)
    return [Route("/openapi.json", docs.json), Route("/docs", docs.page)]


class _Docs:
    def __init__(self, operations: Sequence[Route]) -> None:
        self._operations = operations
        self._document: dict[str, Any] | None = None

    async def json(self, request: Request) -> Response:
        return Response(msgspec.json.encode(self._written()), media_type="application/json")

    async def page(self, request: Request) -> HTMLResponse:
        return HTMLResponse(page(self._written(), str(request.base_url).rstrip("/")), headers=_HEADERS)

    def _written(self) -> dict[str, Any]:
        if self._document is None:
            self._document = document(self._operations)
        return self._document


def page(description: dict[str, Any], origin: str) -> str:
    """The document as HTML: how to begin, then every operation with its parameters and body."""
    operations = [
        (operation["tags"][0], method.upper(), "/v1" + path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    operations.sort(key=lambda row: _ORDER.index(row[0]))
    sections = [
        f"<h2>{escape(tag)}</h2>" + "".join(_operation(method, path, each) for _, method, path, each in rows)
        for tag, rows in groupby(operations, key=lambda row: row[0])
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>respun: the API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>respun <small>{escape(__version__)}</small></h1>"
        f"<p>The OpenAI Assistants API v2. Clients need two lines:</p>"
        f"<pre>from openai import OpenAI\nclient = OpenAI(base_url=&quot;{escape(origin)}/v1&quot;, "
        f"api_key=&quot;your key, or anything if none was made&quot;)</pre>"
        f'<p>For machines: <a href="/openapi.json">/openapi.json</a></p>{"".join(sections)}</body></html>'
    )


_ORDER: Final = ("assistants", "threads", "messages", "runs", "steps", "files", "uploads", "vector_stores", "models")


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    words = f"<p>{escape(operation['description'])}</p>" if "description" in operation else ""
    rows = "".join(_rows(operation))
    table = f"<table><tr><th>name</th><th>where</th><th>what</th></tr>{rows}</table>" if rows else ""
    return (
        f"<details><summary><b>{method}</b> <code>{escape(path)}</code> {escape(operation['summary'])}</summary>"
        f"{words}{table}</details>"
    )


def _rows(operation: dict[str, Any]) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        yield _row(parameter["name"], parameter["in"], _words(parameter["schema"]), required=parameter["required"])
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    for name, schema in body.get("properties", {}).items():
        yield _row(name, "body", _words(schema), required=name in body.get("required", ()))


def _row(name: str, where: str, words: str, *, required: bool) -> str:
    need = ", required" if required else ""
    return f"<tr><td><code>{escape(name)}</code></td><td>{where}{need}</td><td>{escape(words)}</td></tr>"


def _words(schema: dict[str, Any]) -> str:
    """A schema in a few words: its type, its choices, its limits."""
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(dict.fromkeys(_words(each) for each in schema.get("anyOf") or schema["oneOf"]))
    if "enum" in schema:
        return ", ".join(schema["enum"])
    limits = {"minimum": "from", "maximum": "to", "maxLength": "up to length", "maxItems": "up to"}
    told = [f"{word} {schema[name]}" for name, word in limits.items() if name in schema]
    inner = f" of {_words(schema['items'])}" if "items" in schema else ""
    return " ".join([schema.get("type", "object") + inner, *told])
