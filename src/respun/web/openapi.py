"""The OpenAPI document of the OpenAI dialect, made from what the dialect itself checks and answers with."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.routing import Route

from respun import __version__
from respun.dialects.openai import bodies, file_requests, file_shapes, objects
from respun.dialects.openai import vector_store_requests as wanted
from respun.dialects.openai import vector_store_shapes as stores
from respun.dialects.openai.answers import Operations
from respun.dialects.openai.validate import (
    Array,
    Choice,
    Decimal,
    Either,
    Flag,
    Integer,
    Link,
    Object,
    Pairs,
    Spec,
    String,
    Tagged,
)

Json = dict[str, Any]


class Described(Struct, frozen=True):
    """What an operation takes and gives."""

    gives: type[Struct] | None
    takes: Object | None = None
    many: bool = False
    query: tuple[str, ...] = ()
    form: bool = False
    media: str = "text/event-stream"


_ROOMS: Final = (objects, file_shapes, stores)
_ROOM_NAMES: Final = frozenset(room.__name__ for room in _ROOMS)
_PAGE: Final = ("limit", "order", "after", "before")
_OPERATIONS: Final = {
    "list_assistants": Described(objects.AssistantObject, many=True, query=_PAGE),
    "create_assistant": Described(objects.AssistantObject, bodies.ASSISTANT),
    "get_assistant": Described(objects.AssistantObject),
    "modify_assistant": Described(objects.AssistantObject, bodies.ASSISTANT_CHANGES),
    "delete_assistant": Described(objects.DeletedObject),
    "list_threads": Described(
        objects.ThreadObject,
        many=True,
        query=(*_PAGE, "metadata[key]", "created_after", "created_before", "assistant_id"),
    ),
    "search_threads": Described(objects.MessageObject, many=True, query=(*_PAGE, "query")),
    "create_thread": Described(objects.ThreadObject, bodies.THREAD),
    "get_thread": Described(objects.ThreadObject),
    "modify_thread": Described(objects.ThreadObject, bodies.THREAD_CHANGES),
    "delete_thread": Described(objects.DeletedObject),
    "list_messages": Described(objects.MessageObject, many=True, query=(*_PAGE, "run_id")),
    "create_message": Described(objects.MessageObject, bodies.MESSAGE),
    "get_message": Described(objects.MessageObject),
    "modify_message": Described(objects.MessageObject, bodies.METADATA_CHANGES),
    "delete_message": Described(objects.DeletedObject),
    "create_thread_and_run": Described(objects.RunObject, bodies.THREAD_AND_RUN),
    "create_run": Described(objects.RunObject, bodies.RUN),
    "list_runs": Described(objects.RunObject, many=True, query=_PAGE),
    "get_run": Described(objects.RunObject),
    "modify_run": Described(objects.RunObject, bodies.METADATA_CHANGES),
    "cancel_run": Described(objects.RunObject),
    "submit_tool_outputs": Described(objects.RunObject, bodies.OUTPUTS),
    "list_steps": Described(objects.StepObject, many=True, query=(*_PAGE, "include[]")),
    "get_step": Described(objects.StepObject, query=("include[]",)),
    "get_context": Described(objects.ContextObject, query=("limit", "after")),
    "preview_context": Described(objects.ContextObject, bodies.CONTEXT),
    "follow_run": Described(None, query=("starting_after",)),
    "list_files": Described(file_shapes.FileObject, many=True, query=("limit", "order", "after", "purpose")),
    "create_file": Described(file_shapes.FileObject, file_requests.FILE, form=True),
    "get_file": Described(file_shapes.FileObject),
    "delete_file": Described(file_shapes.DeletedFile),
    "download_file": Described(None, media="application/octet-stream"),
    "create_upload": Described(file_shapes.UploadObject, file_requests.UPLOAD),
    "add_part": Described(file_shapes.PartObject, file_requests.PART, form=True),
    "complete_upload": Described(file_shapes.UploadObject, file_requests.COMPLETION),
    "cancel_upload": Described(file_shapes.UploadObject),
    "list_vector_stores": Described(stores.VectorStoreObject, many=True, query=_PAGE),
    "create_vector_store": Described(stores.VectorStoreObject, wanted.STORE),
    "get_vector_store": Described(stores.VectorStoreObject),
    "modify_vector_store": Described(stores.VectorStoreObject, wanted.STORE_CHANGES),
    "delete_vector_store": Described(stores.DeletedStore),
    "search_vector_store": Described(stores.SearchObject, wanted.SEARCH),
    "list_store_files": Described(stores.StoreFileObject, many=True, query=(*_PAGE, "filter")),
    "add_store_file": Described(stores.StoreFileObject, wanted.FILE),
    "get_store_file": Described(stores.StoreFileObject),
    "modify_store_file": Described(stores.StoreFileObject, wanted.FILE_CHANGES),
    "remove_store_file": Described(stores.DeletedStore),
    "read_store_file": Described(stores.ContentObject),
    "create_file_batch": Described(stores.FileBatchObject, wanted.BATCH),
    "get_file_batch": Described(stores.FileBatchObject),
    "cancel_file_batch": Described(stores.FileBatchObject),
    "list_batch_files": Described(stores.StoreFileObject, many=True, query=(*_PAGE, "filter")),
    "list_models": Described(objects.ModelObject, many=True),
    "get_model": Described(objects.ModelObject),
    "delete_model": Described(objects.DeletedObject),
}


def document(routes: Iterable[Route], prefix: str = "/v1") -> Json:
    """OpenAPI 3.1 of these routes."""
    shown = [kind for room in _ROOMS for kind in vars(room).values() if _is_object(kind)]
    _, schemas = msgspec.json.schema_components(shown, ref_template="#/components/schemas/{name}")
    schemas["Problem"] = _PROBLEM
    return {
        "openapi": "3.1.0",
        "info": {"title": "respun", "version": __version__, "description": "The OpenAI Assistants API v2, and more."},
        "servers": [{"url": prefix}],
        "security": [{"key": []}],
        "paths": {_path(route): _methods(route) for route in routes},
        "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


_PROBLEM: Final[Json] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


def _is_object(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct) and kind.__module__ in _ROOM_NAMES


def _path(route: Route) -> str:
    return route.path.replace(":path}", "}")


def _methods(route: Route) -> Json:
    assert isinstance(route.endpoint, Operations)
    handlers = route.endpoint.handlers
    return {
        method.lower(): _operation(getattr(handler, "__name__", ""), handler.__doc__, route)
        for method, handler in handlers.items()
    }


def _operation(name: str, words: str | None, route: Route) -> Json:
    described = _OPERATIONS[name]
    operation: Json = {"operationId": name, "summary": name.replace("_", " ").capitalize(), "tags": [_tag(route)]}
    if words:
        operation["description"] = words
    parameters = [_parameter(each, "path") for each in route.param_convertors]
    parameters += [_parameter(each, "query") for each in described.query]
    if parameters:
        operation["parameters"] = parameters
    if described.takes:
        operation["requestBody"] = {"content": {_media(described): {"schema": schema(described.takes)}}}
    problem = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    operation["responses"] = {"200": _answer(described), "default": {"description": "A refusal", **problem}}
    return operation


def _media(described: Described) -> str:
    return "multipart/form-data" if described.form else "application/json"


def _tag(route: Route) -> str:
    parts = [part for part in route.path.split("/") if part and not part.startswith("{")]
    known = {"assistants", "threads", "messages", "runs", "steps", "files", "uploads", "vector_stores", "models"}
    return next((part for part in reversed(parts) if part in known), "threads")


def _parameter(name: str, place: str) -> Json:
    kind: Json = {"type": "integer", "minimum": 1, "maximum": 100} if name == "limit" else {"type": "string"}
    return {"name": name, "in": place, "required": place == "path", "schema": kind}


def _answer(described: Described) -> Json:
    # A frame of a stream, as readers of server-sent events see it.
    frames: Json = {"text/event-stream": {"schema": {"type": "object", "required": ["event", "data"]}}}
    if described.gives is None:
        content = (
            frames if described.media == "text/event-stream" else {described.media: {"schema": {"type": "string"}}}
        )
        return {"description": "A stream", "content": content}
    one = {"$ref": f"#/components/schemas/{described.gives.__name__}"}
    many = {"type": "object", "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": one}}}
    content = {"application/json": {"schema": many if described.many else one}}
    if described.takes and "stream" in described.takes.fields:
        content |= frames
    return {"description": "OK", "content": content}


def schema(spec: Spec) -> Json:
    """JSON Schema of a description that bodies are checked against."""
    match spec:
        case String():
            limits = {"maxLength": spec.most, "minLength": spec.least or None, "pattern": spec.pattern}
            return {"type": "string", **{name: limit for name, limit in limits.items() if limit is not None}}
        case Link():
            return {"type": "string", "format": "uri", "pattern": "^(https?://[^\\s/]|data:image/)"}
        case Choice():
            return {"type": "string", "enum": list(spec.values)}
        case Integer():
            return {"type": "integer", "minimum": spec.least, "maximum": spec.most}
        case Decimal():
            return {"type": "number", "minimum": spec.least, "maximum": spec.most}
        case Flag():
            return {"type": "boolean"}
        case Array():
            return {"type": "array", "items": schema(spec.of)} | ({"maxItems": spec.most} if spec.most else {})
        case Object():
            return _object(spec)
        case Tagged():
            return {"oneOf": [_tagged(name, kind) for name, kind in spec.kinds.items()]}
        case Pairs():
            value = {"type": "string", "maxLength": spec.value}
            return {"type": "object", "maxProperties": spec.most, "additionalProperties": value}
        case Either():
            return {"oneOf": [schema(spec.string), schema(spec.other)]}
        case _:
            return {"type": "object"}


def _object(spec: Object) -> Json:
    properties = {}
    for name, field in spec.fields.items():
        shape = schema(field.spec)
        properties[name] = {"anyOf": [shape, {"type": "null"}]} if field.nullable else shape
    required = {"required": list(spec.required)} if spec.required else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **required}


def _tagged(name: str, kind: Object) -> Json:
    shape = _object(kind)
    return {**shape, "properties": {**shape["properties"], "type": {"const": name}}}
