"""What each request body may hold: fields, kinds and limits, as data (contract sections 1.1 and 5)."""

from typing import Final

from respun.dialects.openai.chunking import CHUNKING
from respun.dialects.openai.validate import (
    Anything,
    Array,
    Choice,
    Decimal,
    Either,
    Field,
    Flag,
    Integer,
    Link,
    Object,
    Pairs,
    Spec,
    String,
    Tagged,
)


def _required(spec: Spec) -> Field:
    return Field(spec, required=True)


def _nullable(spec: Spec) -> Field:
    return Field(spec, nullable=True)


_TEXT: Final = String(most=256_000)
_NAME: Final = String(most=64, least=1, pattern="[a-zA-Z0-9_-]+")
_ID: Final = String(most=256, least=1)
_METADATA: Final = _nullable(Pairs())
_ONLY_TYPE: Final = {"type": _required(String())}
_DETAIL: Final = Field(Choice(("auto", "low", "high")))
_EFFORT: Final = _nullable(Choice(("none", "minimal", "low", "medium", "high", "xhigh", "max")))

# Tools

_HYBRID: Final = Object(
    {"embedding_weight": _required(Decimal(0, 1)), "text_weight": _required(Decimal(0, 1))},
)
_RANKING: Final = Object(
    {
        "score_threshold": _required(Decimal(0, 1)),
        "ranker": _nullable(Choice(("auto", "default_2024_08_21"))),
        "hybrid_search": _nullable(_HYBRID),
    }
)
_SEARCH_OPTIONS: Final = Object(
    {"max_num_results": _nullable(Integer(1, 50)), "ranking_options": _nullable(_RANKING)},
)
_FUNCTION: Final = Object(
    {
        "name": _required(_NAME),
        "description": _nullable(String(most=256_000)),
        "parameters": _nullable(Anything()),
        "strict": _nullable(Flag()),
    }
)
_TOOL: Final = Tagged(
    {
        "code_interpreter": Object(_ONLY_TYPE),
        "function": Object({**_ONLY_TYPE, "function": _required(_FUNCTION)}),
        "file_search": Object({**_ONLY_TYPE, "file_search": _nullable(_SEARCH_OPTIONS)}),
    }
)
_CODE_FILES: Final = _nullable(Object({"file_ids": _nullable(Array(_ID, most=20))}))
_STORE: Final = Object(
    {
        "file_ids": Field(Array(_ID, most=10_000)),
        "chunking_strategy": _nullable(CHUNKING),
        "metadata": _METADATA,
    }
)
_RESOURCES: Final = Object(
    {
        "code_interpreter": _CODE_FILES,
        "file_search": _nullable(
            Object(
                {
                    "vector_store_ids": _nullable(Array(_ID, most=1)),
                    "vector_stores": _nullable(Array(_STORE, most=1)),
                }
            )
        ),
    }
)
_RESOURCE_IDS: Final = Object(
    {
        "code_interpreter": _CODE_FILES,
        "file_search": _nullable(Object({"vector_store_ids": _nullable(Array(_ID, most=1))})),
    }
)

# Ours: what is remembered beyond threads. `user` keeps people apart who share an assistant.

_MEMORY_MODE: Final = Choice(("off", "readonly", "auto"))
_ASSISTANT_MEMORY: Final = _nullable(Object({"mode": _required(_MEMORY_MODE)}))
_RUN_MEMORY: Final = _nullable(Object({"mode": _required(_MEMORY_MODE), "user": _nullable(String(most=256, least=1))}))

# How the model answers

_SCHEMA: Final = Object(
    {
        "name": _required(_NAME),
        "description": _nullable(String()),
        "schema": _nullable(Anything()),
        "strict": _nullable(Flag()),
    }
)
_FORMAT: Final = _nullable(
    Either(
        Choice(("auto",)),
        Tagged(
            {
                "text": Object(_ONLY_TYPE),
                "json_object": Object(_ONLY_TYPE),
                "json_schema": Object({**_ONLY_TYPE, "json_schema": _required(_SCHEMA)}),
            }
        ),
    )
)
_TOOL_CHOICE: Final = _nullable(
    Either(
        Choice(("none", "auto", "required")),
        Tagged(
            {
                "function": Object({**_ONLY_TYPE, "function": _required(Object({"name": _required(_NAME)}))}),
                "code_interpreter": Object(_ONLY_TYPE),
                "file_search": Object(_ONLY_TYPE),
            }
        ),
    )
)
# Ours beyond `auto` and `last_messages`: the other strategies and all the further keys.
_CONTEXT_LIMIT: Final = {"max_context_tokens": _nullable(Integer())}
_NO_NUMBER: Final = {**_ONLY_TYPE, "last_messages": _nullable(Integer()), **_CONTEXT_LIMIT}
_AUTO: Final = {
    "preset": _nullable(Choice(("economy", "balanced", "recall"))),
    "recall_share": _nullable(Decimal(0, 1)),
    "recall_max_tokens": _nullable(Integer(0)),
    "window_keep": _nullable(Decimal(0, 1)),
    "fill": _nullable(Flag()),
    "pins": _nullable(Flag()),
    "vectors": _nullable(Flag()),
    "digest": _nullable(Flag()),
}
_TRUNCATION: Final = _nullable(
    Tagged(
        {
            "auto": Object({**_NO_NUMBER, **_AUTO}),
            "last_messages": Object({**_ONLY_TYPE, "last_messages": _required(Integer()), **_CONTEXT_LIMIT}),
            "drop_middle": Object(_NO_NUMBER),
            "drop_oldest": Object(_NO_NUMBER),
            "disabled": Object(_NO_NUMBER),
        }
    )
)
_SAMPLING: Final = {"temperature": _nullable(Decimal(0, 2)), "top_p": _nullable(Decimal(0, 1))}

# Bodies

_ASSISTANT_FIELDS: Final = {
    "name": _nullable(String(most=256)),
    "description": _nullable(String(most=512)),
    "instructions": _nullable(_TEXT),
    "reasoning_effort": _EFFORT,
    "tools": Field(Array(_TOOL, most=128)),
    "metadata": _METADATA,
    **_SAMPLING,
    "response_format": _FORMAT,
    "memory": _ASSISTANT_MEMORY,
}
ASSISTANT: Final = Object(
    {"model": _required(String(most=256, least=1)), **_ASSISTANT_FIELDS, "tool_resources": _nullable(_RESOURCES)}
)
ASSISTANT_CHANGES: Final = Object(
    {"model": Field(String(most=256, least=1)), **_ASSISTANT_FIELDS, "tool_resources": _nullable(_RESOURCE_IDS)}
)

_PART: Final = Tagged(
    {
        "text": Object({**_ONLY_TYPE, "text": _required(_TEXT)}),
        "image_file": Object(
            {**_ONLY_TYPE, "image_file": _required(Object({"file_id": _required(_ID), "detail": _DETAIL}))}
        ),
        "image_url": Object(
            {**_ONLY_TYPE, "image_url": _required(Object({"url": _required(Link()), "detail": _DETAIL}))}
        ),
    }
)
_ATTACHMENT: Final = Object(
    {
        "file_id": Field(_ID),
        "tools": _nullable(Array(Tagged({"code_interpreter": Object(_ONLY_TYPE), "file_search": Object(_ONLY_TYPE)}))),
    }
)
MESSAGE: Final = Object(
    {
        "role": _required(Choice(("user", "assistant"))),
        "content": _required(Either(_TEXT, Array(_PART, least=1))),
        "attachments": _nullable(Array(_ATTACHMENT)),
        "metadata": _METADATA,
    }
)
METADATA_CHANGES: Final = Object({"metadata": _METADATA})

_THREAD_FIELDS: Final = {"messages": _nullable(Array(MESSAGE)), "metadata": _METADATA}
THREAD: Final = Object({**_THREAD_FIELDS, "tool_resources": _nullable(_RESOURCES)})
THREAD_CHANGES: Final = Object({"tool_resources": _nullable(_RESOURCE_IDS), "metadata": _METADATA})

_RUN_FIELDS: Final = {
    "assistant_id": _required(String()),
    "model": _nullable(String(most=256, least=1)),
    "instructions": _nullable(_TEXT),
    "tools": _nullable(Array(_TOOL, most=20)),
    "metadata": _METADATA,
    **_SAMPLING,
    "stream": _nullable(Flag()),
    "max_prompt_tokens": _nullable(Integer()),
    "max_completion_tokens": _nullable(Integer()),
    "truncation_strategy": _TRUNCATION,
    "tool_choice": _TOOL_CHOICE,
    "parallel_tool_calls": _nullable(Flag()),
    "response_format": _FORMAT,
    "when_busy": _nullable(Choice(("reject", "enqueue", "interrupt"))),
    "memory": _RUN_MEMORY,
}
RUN: Final = Object(
    {
        **_RUN_FIELDS,
        "reasoning_effort": _EFFORT,
        "additional_instructions": _nullable(_TEXT),
        "additional_messages": _nullable(Array(MESSAGE)),
    }
)
THREAD_AND_RUN: Final = Object(
    {**_RUN_FIELDS, "thread": _nullable(THREAD), "tool_resources": _nullable(_RESOURCE_IDS)},
)

CONTEXT: Final = Object(
    {
        "query": _nullable(_TEXT),
        "model": _nullable(String(most=256)),
        "assistant_id": _nullable(String()),
        "max_prompt_tokens": _nullable(Integer()),
        "truncation_strategy": _TRUNCATION,
    }
)

OUTPUTS: Final = Object(
    {
        "tool_outputs": _required(
            Array(Object({"tool_call_id": _nullable(String()), "output": _nullable(String())}), least=1)
        ),
        "stream": _nullable(Flag()),
    }
)
