"""Who answers which name: routes of the settings, fallbacks, and what is found when nothing is set."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from plugins.upstream import Reply, upstream
from respun.config import Config, Route, Upstream
from respun.core.chat import ModelError, ModelRequest, TextDelta, UserMessage
from respun.providers.route import Choice
from respun.settle import ConfigError
from respun.web.models import Models, find_models

__all__ = ["upstream"]


@pytest.fixture
def configured(tmp_path: Path):
    def make(**settings: Any) -> Config:
        return Config(data=tmp_path, models_folder=tmp_path / "models", **settings)

    return make


def choices(models: Models, name: str) -> list[tuple[str, str]]:
    return [(choice.upstream, choice.model) for choice in models.router.routes.choices(name)]


async def said(models: Models, name: str) -> str:
    request = ModelRequest(name, (UserMessage("@say hello"),))
    pieces = [news async for batch in models.router.stream(request) for news in batch]
    return "".join(news.text for news in pieces if isinstance(news, TextDelta))


async def test_a_key_sends_every_name_on_to_openai_as_it_is(configured) -> None:
    models = await find_models(configured(openai_api_key="sk-x"), {}, addresses=())
    assert choices(models, "gpt-4-turbo") == [("openai", "gpt-4-turbo")]
    assert "api.openai.com" in models.answers
    assert "sk-x" not in models.answers
    await models.aclose()


async def test_without_anything_the_embedded_model_answers_every_name(configured) -> None:
    models = await find_models(configured(provider="embedded", embedded_model="smollm2-135m"), {}, addresses=())
    assert choices(models, "gpt-4-turbo") == [("embedded smollm2-135m", "smollm2-135m")]
    assert list(await models.router.models()) == ["smollm2-135m"]
    await models.aclose()


async def test_the_scripted_model_answers_when_it_is_asked_for(configured) -> None:
    models = await find_models(configured(provider="scripted"), {}, addresses=())
    assert await said(models, "gpt-4-turbo") == "hello"
    await models.aclose()


async def test_routes_go_where_they_say_and_fall_back_by_name(configured) -> None:
    config = configured(
        upstreams={"house": Upstream(base_url="http://127.0.0.1:1/v1", api_key_env="HOUSE_KEY")},
        models={
            "gpt-*": Route(upstream="house", fallback=("small",)),
            "lab": Route(base_url="http://127.0.0.1:2/v1", model="qwen3"),
            "small": Route(upstream="scripted"),
        },
        retries=0,
    )
    models = await find_models(config, {"HOUSE_KEY": "k"}, addresses=())
    assert choices(models, "gpt-4o") == [("house", "gpt-4o"), ("scripted", "small")]
    assert choices(models, "lab") == [('models."lab"', "qwen3")]
    assert choices(models, "claude") == []
    assert models.answers == "gpt-* → house; lab → 127.0.0.1:2 (qwen3); small → scripted"
    assert await said(models, "gpt-4o") == "hello"
    await models.aclose()


@pytest.mark.parametrize("tools", [True, False])
async def test_what_an_upstream_says_that_its_models_hold_is_reckoned_with(configured, upstream, tools: bool) -> None:
    listed = [{"id": "big", "max_model_len": 16_000}, {"id": "mute"}]
    upstream.script = [
        Reply(headers={"content-type": "application/json"}, acts=[json.dumps({"data": listed}).encode()])
    ]
    house = Upstream(base_url=upstream.base_url, tools=tools)
    models = await find_models(
        configured(upstreams={"house": house}, models={"*": Route(upstream="house")}), {}, addresses=()
    )
    models.startup({})
    async with asyncio.timeout(10):
        while models.windows.of("big") != 16_000:
            await asyncio.sleep(0.02)
    # A model on this machine that is known by name may have been given less room than it could hold.
    assert [models.windows.of(name) for name in ("mute", "gpt-4o")] == [8192, 8192]
    await models.aclose()


async def test_a_fallback_that_no_route_serves_is_refused(configured) -> None:
    with pytest.raises(ConfigError, match="no route serves its fallback 'nowhere'"):
        await find_models(configured(models={"a": Route(upstream="scripted", fallback=("nowhere",))}), {}, addresses=())


async def test_names_that_no_route_matches_can_be_given_to_a_provider(configured) -> None:
    config = configured(provider="scripted", models={"lab": Route(base_url="http://127.0.0.1:2/v1")})
    models = await find_models(config, {}, addresses=())
    assert models.router.routes.choices("other") == (Choice("scripted", "other"),)
    await models.aclose()


async def test_with_no_model_at_all_a_run_is_told_so(configured) -> None:
    models = await find_models(configured(provider="none"), {}, addresses=())
    with pytest.raises(ModelError, match="No upstream serves the model"):
        await said(models, "gpt-4o")
    await models.aclose()


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"provider": "openai"}, "Set OPENAI_API_KEY"),
        ({"provider": "local"}, "no server of models answers"),
        ({"provider": "embedded", "embedded_model": "gpt-9"}, "smollm2-135m"),
    ],
)
async def test_a_provider_that_cannot_be_had_is_refused_with_advice(configured, settings: dict, advice: str) -> None:
    with pytest.raises(ConfigError, match=advice):
        await find_models(configured(**settings), {}, addresses=())
