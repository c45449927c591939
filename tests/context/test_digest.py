"""The digest: a summary of what was said before the window, made behind the runs by their own model."""

import asyncio

from context_world import PROJECT, World, small_talk, world

from respun.core.chat import SystemMessage
from respun.core.drafts import Preview
from respun.core.runs import DigestUse, Run, Truncation
from respun.engine.turns import Recollection
from respun.providers.scripted import Rule
from respun.store import context_digests, contexts
from respun.store.backend import Tx
from respun.store.context_digests import Digest

WITH = Truncation(digest=True)
TOLD = Rule("@say They spoke of shelves in eight towns.\n@usage 100 10", r"\ASummary so far:")


def use(run: Run) -> DigestUse:
    assert run.status == "completed"
    assert run.context is not None
    assert run.context.digest is not None
    assert run.context.used <= run.context.budget
    return run.context.digest


async def kept(shop: World, thread: str) -> Digest | None:
    async def unit(tx: Tx) -> Digest | None:
        known = await contexts.find(tx, thread)
        return await context_digests.get(tx, known, "scripted") if known else None

    return await shop.backend.read(unit)


async def finished(shop: World, thread: str) -> Digest:
    """Once it tells of all that it is to."""
    async with asyncio.timeout(30):
        while (found := await kept(shop, thread)) is None or found.upto < found.target:
            await asyncio.sleep(0.02)
    return found


async def talk(shop: World) -> str:
    thread = await shop.thread(small_talk(60))
    await shop.indexed(thread)
    assert use(await shop.ask(thread, "Summarise everything.", WITH)).status == "not_ready"
    return thread


def asked(shop: World) -> list[str]:
    """What the model was asked to sum up."""
    last = [request.messages[-1].content for request in shop.model.requests]
    return [text for text in last if isinstance(text, str) and text.startswith("Summary so far:")]


async def test_a_run_is_sent_what_its_model_made_of_the_past(place: str) -> None:
    async with world(place, [TOLD], window=3_000) as shop:
        thread = await talk(shop)
        made = await finished(shop, thread)
        run = await shop.ask(thread, "Summarise everything.", WITH)
        told = use(run)
        assert (told.status, told.upto) == ("used", made.upto)
        assert told.usage.prompt == 100 * len(asked(shop)) == made.usage.prompt
        assert run.usage.prompt != told.usage.prompt
        first = shop.prompt[0]
        assert isinstance(first, SystemMessage)
        assert "They spoke of shelves in eight towns." in str(first.content)
        (choice,) = await shop.choices(run)
        assert [(item.kind, item.first, item.last, item.tokens) for item in choice.items if item.kind == "digest"] == [
            ("digest", 1, made.upto, told.tokens)
        ]


async def test_each_message_is_told_of_once(place: str) -> None:
    async with world(place, [TOLD], window=3_000) as shop:
        thread = await talk(shop)
        made = await finished(shop, thread)
        before = len(asked(shop))
        await shop.ask(thread, "And now?", WITH)
        assert await kept(shop, thread) == made  # the window stands
        for role, text in small_talk(12, first=60):
            await shop.say(thread, text, role)
        await shop.indexed(thread)
        await shop.ask(thread, "And now?", WITH)
        assert (await finished(shop, thread)).upto > made.upto
        said = "\n".join(asked(shop))
        assert len(asked(shop)) > before > 1
        assert said.count("in week 3.") == said.count("in week 40.") == 1
        assert "They spoke of shelves" in asked(shop)[-1]


async def test_without_being_asked_for_there_is_none(place: str) -> None:
    async with world(place, [TOLD], window=3_000) as shop:
        thread = await shop.thread(small_talk(60))
        await shop.indexed(thread)
        run = await shop.ask(thread, "Summarise everything.")
        assert run.context is not None
        assert run.context.digest is None
        assert await kept(shop, thread) is None
    async with world(place, [TOLD], window=3_000, recollection=Recollection(digest=True)) as shop:
        assert use(await shop.ask(thread, "Summarise everything.")).status == "not_ready"
        off = await shop.ask(thread, "Summarise everything.", Truncation(digest=False))
        assert off.context is not None
        assert off.context.digest is None


async def test_a_failure_is_shown_and_stops_no_run(place: str) -> None:
    failing = Rule("@fail rejected No summaries here.", r"\ASummary so far:")
    async with world(place, [failing], window=3_000) as shop:
        thread = await talk(shop)
        async with asyncio.timeout(20):
            while (found := await kept(shop, thread)) is None or not found.error:
                await asyncio.sleep(0.02)
        assert "No summaries here." in use(await shop.ask(thread, "Summarise everything.", WITH)).error


async def test_a_deleted_message_takes_the_digest_that_tells_of_it(place: str) -> None:
    async with world(place, [TOLD], window=3_000) as shop:
        thread = await talk(shop)
        await finished(shop, thread)
        known = await shop.indexed(thread)
        (first,) = await shop.backend.read(lambda tx: contexts.sources(tx, known, [1]))
        await shop.workspace.messages.delete(PROJECT, thread, first.source)
        assert await kept(shop, thread) is None
        calls = len(asked(shop))
        assert use(await shop.ask(thread, "Summarise everything.", WITH)).status == "not_ready"
        await finished(shop, thread)
        assert "(none)" in asked(shop)[calls]
        assert "in week 0." not in asked(shop)[calls]


async def test_a_worker_that_stops_leaves_its_digest_to_the_next(place: str) -> None:
    hanging = Rule("@hang", r"\ASummary so far:")
    async with world(place, [hanging], window=3_000) as shop:
        thread = await talk(shop)
        async with asyncio.timeout(20):
            while not asked(shop):
                await asyncio.sleep(0.02)
    async with world(place, [TOLD], window=3_000) as shop:
        assert (await finished(shop, thread)).text == "They spoke of shelves in eight towns."


async def test_a_dry_run_shows_it_and_makes_none(shop: World) -> None:
    thread = await shop.thread(small_talk(90))
    await shop.indexed(thread)
    wanted = Preview("scripted", None, "Summarise everything.", None, Truncation(digest=True))
    shown = await shop.engine.preview(thread, wanted)
    assert shown.context.digest is not None  # type: ignore[union-attr]
    assert await kept(shop, thread) is None
