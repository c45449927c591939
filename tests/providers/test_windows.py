"""What models hold: by their names, and as servers spell it in their lists."""

import pytest

from respun.providers.windows import known_window, told_window


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("gpt-4o-mini-2024-07-18", 128_000),
        ("gpt-4", 8_192),
        ("gpt-4-0613", 8_192),
        ("gpt-4-32k", 32_768),
        ("gpt-4-0125-preview", 128_000),
        ("gpt-4-turbo-preview", 128_000),
        ("gpt-4.1-nano", 1_047_576),
        ("openai/gpt-5-mini", 400_000),
        ("anthropic/claude-sonnet-4", 200_000),
        ("llama3:8b", 8_192),
        ("llama3.1:8b", 131_072),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", 131_072),
        ("Qwen/Qwen3-8B", 32_768),
        ("somebody/unheard-of", None),
        ("", None),
    ],
)
def test_a_known_model_is_known_by_any_spelling_of_its_name(model: str, window: int | None) -> None:
    assert known_window(model) == window


@pytest.mark.parametrize(
    ("entry", "window"),
    [
        ({"id": "a", "max_model_len": 16_000}, 16_000),
        ({"id": "a", "meta": {"n_ctx": 4096, "n_ctx_train": 131_072}}, 4096),
        ({"id": "a", "context_length": 200_000, "top_provider": {"context_length": 32_000}}, 32_000),
        ({"id": "a", "max_context_length": 131_072, "loaded_context_length": 8192}, 8192),
        ({"id": "a", "context_length": "many"}, None),
        ({"id": "a", "context_length": True}, None),
        ({"id": "a"}, None),
    ],
)
def test_a_server_says_what_a_model_holds_in_its_own_words(entry: dict[str, object], window: int | None) -> None:
    assert told_window(entry) == window
