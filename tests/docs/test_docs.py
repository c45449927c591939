"""The docs say what is: settings, verbs, models, links, and a README that runs."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from plugins.command import Command, Server
from respun.cli.main import respun
from respun.config import SETTINGS
from respun.providers.catalogue import MODELS
from respun.reference import reference

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
README = (ROOT / "README.md").read_text()


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def blocks(text: str, language: str, *, marked: bool = False) -> list[str]:
    mark = "<!-- run -->\n" if marked else ""
    return re.findall(rf"{mark}```{language}\n(.*?)```", text, re.DOTALL)


def test_every_setting_has_its_reference_word_for_word() -> None:
    configuration = page("configuration.md")
    assert configuration.endswith(reference()), "Write it anew with `respun config --reference`."
    assert all(f"\n### {setting.name}\n" in configuration for setting in SETTINGS)


def test_every_verb_has_a_heading() -> None:
    command = page("command.md")
    for verb in respun.list_commands(None):  # type: ignore[arg-type]
        assert f"\n## respun {verb}\n" in command


def test_every_embedded_model_is_told_with_its_size_and_licence() -> None:
    for model in MODELS:
        assert f"| `{model.name}` | {model.size // 1_000_000} MB | {model.licence} |" in page("models.md")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_examples_of_settings_are_valid(path: Path, command: Command) -> None:
    for text in blocks(path.read_text(), "toml"):
        (command.home / "respun.toml").write_text(text)
        said = command("config", OPENAI_API_KEY="sk-x", OPENROUTER_API_KEY="sk-y")
        assert said.returncode == 0, said.stderr


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_that_are_shown_exist(path: Path, command: Command) -> None:
    called = {tuple(words.split()[:2]) for words in re.findall(r"`respun ((?:[a-z]+ ?)+)", path.read_text())}
    for words in called:
        group = respun.get_command(None, words[0])  # type: ignore[arg-type]
        assert group is not None, f"{path.name} shows `respun {words[0]}`"
        verbs = getattr(group, "commands", None)
        assert verbs is None or len(words) == 1 or words[1] in verbs, f"{path.name} shows `respun {' '.join(words)}`"


def test_the_code_of_the_readme_runs(serve: Callable[..., Server]) -> None:
    server = serve()
    (code,) = blocks(README, "python", marked=True)
    assert "http://127.0.0.1:8484" in code
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code.replace("http://127.0.0.1:8484", server.origin)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("completed This is the scripted model")


def test_the_demo_prints_what_the_readme_shows(command: Command) -> None:
    shown = next(block for block in blocks(README, "console") if "make demo" in block)
    printed = command("demo", "--scripted").stdout
    assert _labels(shown) == _labels(printed)[: len(_labels(shown))]
    assert "The thread holds 4 messages." in printed


def _labels(text: str) -> list[str]:
    return re.findall(r"^  (assistant|thread|message|you|run) ", text, re.MULTILINE)
