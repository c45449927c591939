"""How many tokens a model holds: what its maker says, for models that are widely used.

Anything that serves a model may be set to hold less; what an upstream or the settings say comes before this table.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

DEFAULT: Final = 8_192
"""Of a model that nobody knows: small enough for nearly all that are in use."""

# By the start of the name without its vendor, in letters, digits and dots alone; the longest that fits.
_WINDOWS: Final[Mapping[str, int]] = {
    "chatgpt4o": 128_000,
    "gpt3.5turbo": 16_385,
    "gpt4": 8_192,
    "gpt40": 8_192,
    "gpt4.1": 1_047_576,
    "gpt4.5": 128_000,
    "gpt432k": 32_768,
    "gpt41106": 128_000,
    "gpt40125": 128_000,
    "gpt4o": 128_000,
    "gpt4turbo": 128_000,
    "gpt4vision": 128_000,
    "gpt5": 400_000,
    "gpt5chat": 128_000,
    "gptoss": 131_072,
    "o1": 200_000,
    "o1mini": 128_000,
    "o1preview": 128_000,
    "o3": 200_000,
    "o4mini": 200_000,
    "claude": 200_000,
    "claude2": 100_000,
    "claude2.1": 200_000,
    "claudeinstant": 100_000,
    "gemini": 1_048_576,
    "gemini1.0": 32_760,
    "gemini1.5pro": 2_097_152,
    "geminipro": 32_760,
    "gemma": 8_192,
    "gemma3": 131_072,
    "gemma31b": 32_768,
    "gemma3270m": 32_768,
    "gemma3n": 32_768,
    "llama2": 4_096,
    "llama3": 8_192,
    "llama3.1": 131_072,
    "llama3.2": 131_072,
    "llama3.3": 131_072,
    "llama4maverick": 1_048_576,
    "llama4scout": 1_048_576,
    "metallama3": 8_192,
    "metallama3.1": 131_072,
    "mistral7b": 32_768,
    "mistrallarge": 131_072,
    "mistralmedium": 131_072,
    "mistralnemo": 131_072,
    "mistralsmall": 32_768,
    "mistralsmall3.1": 131_072,
    "mistralsmall3.2": 131_072,
    "ministral": 131_072,
    "mixtral8x7b": 32_768,
    "mixtral8x22b": 65_536,
    "codestral": 32_768,
    "devstral": 131_072,
    "magistral": 40_960,
    "deepseek": 65_536,
    "deepseekv3": 131_072,
    "deepseekr1": 131_072,
    "qwen2": 32_768,
    "qwen2.5": 32_768,
    "qwen3": 32_768,
    "qwen34b2507": 262_144,
    "qwen3coder": 262_144,
    "qwenmax": 32_768,
    "qwenplus": 131_072,
    "qwenturbo": 131_072,
    "qwq": 32_768,
    "phi3mini4k": 4_096,
    "phi3mini128k": 131_072,
    "phi3.5": 131_072,
    "phi4": 16_384,
    "phi4mini": 131_072,
    "commandr": 131_072,
    "commanda": 262_144,
    "grok2": 131_072,
    "grok3": 131_072,
    "grok4": 262_144,
    "kimik2": 131_072,
    "moonshotv18k": 8_192,
    "moonshotv132k": 32_768,
    "moonshotv1128k": 131_072,
    "glm4": 131_072,
    "granite3": 131_072,
    "granite4": 131_072,
    "smollm": 2_048,
    "smollm2": 8_192,
    "smollm3": 65_536,
    "yi": 4_096,
    "olmo2": 4_096,
}
_NOISE: Final = re.compile(r"[^a-z0-9.]")
_LONGEST: Final = max(map(len, _WINDOWS))

# Of an entry in a list of models, as servers spell it; the smallest counts, since a model may be loaded with less
# than it was made for.
_TOLD: Final = (
    "loaded_context_length",
    "max_model_len",
    "n_ctx",
    "context_length",
    "context_window",
    "max_context_length",
    "max_input_tokens",
)
_LEAST_TOLD: Final = 256


def known_window(model: str) -> int | None:
    """What the model holds by its name; None for one that is not in the table."""
    name = _NOISE.sub("", model.rpartition("/")[2].lower())
    for length in range(min(len(name), _LONGEST), 1, -1):
        if (window := _WINDOWS.get(name[:length])) is not None:
            return window
    return None


def told_window(entry: Mapping[str, Any]) -> int | None:
    """What a server says of a model in its list; None if it says nothing."""
    inner = [entry.get(name) for name in ("meta", "top_provider", "limits")]
    places = [entry, *(each for each in inner if isinstance(each, dict))]
    told = [place[name] for place in places for name in _TOLD if name in place]
    return min((each for each in told if type(each) is int and each >= _LEAST_TOLD), default=None)
