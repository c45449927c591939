"""The parts of the fitter, each by itself: words, statements, passages, clips, budgets, a run's steps, the prompt."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.context.threads import chat, count, select, small_talk

from respun.core.chat import (
    AssistantMessage,
    CalledFunction,
    ChatToolCall,
    ImagePart,
    ImageUrl,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from respun.core.context.budget import Fixed, Limits, NoRoom, Room, thread_room
from respun.core.context.clip import clip_to_ends, clip_to_hits, join
from respun.core.context.memory import Said
from respun.core.context.passages import PASSAGE_TOKENS, split
from respun.core.context.patterns import PATTERNS, Patterns
from respun.core.context.render import PINNED_HEADING, RECALLED_HEADING, render
from respun.core.context.statements import STATEMENTS
from respun.core.context.steps import fit_steps
from respun.core.context.thread import Written
from respun.core.context.words import guess_language, terms

texts = st.one_of(
    st.text(max_size=800), st.lists(st.sampled_from(["Ab", "c.", "D!", "字。語", "\n", "```", "x"])).map(" ".join)
)


@pytest.mark.parametrize(
    ("language", "said", "asked"),
    [
        ("en", "Caroline adopted two dogs", "Which dog did Caroline adopt?"),
        ("de", "Die Häuser an der Straße sind verkauft", "Welches Haus in der STRASSE?"),
        ("fr", "J'ai acheté de l'eau minérale", "Quelle eau minérale achetons-nous ?"),
        ("es", "Compré unas manzanas rojas", "¿Qué manzana roja?"),
        ("zh", "我的猫名字是咪咪", "猫叫什么"),
        ("ja", "来週は京都へ旅行します", "京都旅行はいつ？"),
        ("ko", "고양이가 좋아요", "고양이는?"),
        ("other", "Москва красивая", "москва"),
    ],
)
def test_a_question_and_its_answer_share_terms(language, said, asked):
    assert set(terms(said, language)) & set(terms(asked, language))


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "How are you doing today? I have been thinking about it."),
        ("de", "Wie geht es dir heute? Ich habe darüber nachgedacht."),
        ("fr", "Comment vas-tu aujourd'hui ? J'ai pensé à ce que tu as dit."),
        ("es", "¿Cómo estás hoy? He pensado en lo que me has dicho."),
        ("zh", "你今天怎么样？我想了一下 Python 的问题。"),
        ("ja", "今日はお元気ですか。Python について考えました。"),
        ("ko", "오늘 기분이 어때요? 생각해 봤어요."),
        ("other", "Привет, как дела?"),
        ("other", ""),
    ],
)
def test_a_language_is_known_by_its_words(language, text):
    assert guess_language([text]) == language


def test_words_do_not_depend_on_how_a_letter_is_composed():
    assert terms("cafe\u0301 ＡＢＣ", "other") == terms("caf\u00e9 abc", "other")


def test_marks_belong_to_the_word_they_stand_on():
    assert terms("हिन्दी में", "other") == ["हिन्दी", "में"]


@pytest.mark.parametrize(
    "text",
    [
        "Always answer in French.",
        "Thanks! From now on, use metric units.",
        "please always format code with syntax highlighting",
        "Never suggest paid tools.",
        "Don’t ever mention my brother.",
        "Whenever I ask about dates, give the weekday.",
        "Antworte bitte immer auf Deutsch.",
        "Ab jetzt duzen wir uns.",
        "Réponds toujours en français.",
        "Désormais, utilise le système métrique.",
        "Responde siempre en español.",
        "A partir de ahora, háblame de tú.",
        "请始终用中文回答。",
        "从现在开始用公制单位。",
        "これからは日本語で答えてください。",
        "必ず日本語で返事してください。",
    ],
)
def test_a_rule_is_recognised(text):
    assert STATEMENTS.find(text).force == "rule"


@pytest.mark.parametrize(
    "text",
    [
        "Remember that I live in Oslo.",
        "Call me Sam.",
        "Merk dir: ich wohne in Köln.",
        "Je m'appelle Léa.",
        "Recuerda que vivo en Lima.",
        "请记住我住在北京。",
        "私の名前は田中です。",
        "覚えておいてください。",
    ],
)
def test_a_fact_to_remember_is_recognised(text):
    assert STATEMENTS.find(text).force == "fact"


@pytest.mark.parametrize(
    "text",
    [
        "I'd really prefer tea.",
        "I’m allergic to nuts.",
        "Ich bin allergisch gegen Nüsse.",
        "Je préfère le thé.",
        "Soy alérgica a las nueces.",
        "我对花生过敏。",
        "ピーナッツアレルギーです。",
    ],
)
def test_a_preference_is_recognised(text):
    assert STATEMENTS.find(text).prefers


@pytest.mark.parametrize(
    "text",
    [
        "It has always been so.",
        "I never saw it.",
        "He remembers that.",
        "Das war schon immer so.",
        "Il pleut.",
        "Call me back later.",
        "昨天我去了北京。",
        "昨日は雨でした。",
        "No me acuerdo.",
        "",
    ],
)
def test_a_report_is_no_statement(text):
    found = STATEMENTS.find(text)
    assert found.force is None
    assert not found.prefers


def test_a_users_own_patterns_are_found_beside_ours():
    mine = STATEMENTS.extended("other", Patterns(rules={"всегда": r"\bвсегда отвечай"}))
    assert mine.find("Всегда отвечай по-русски").force == "rule"
    assert mine.find("Always answer in French.").force == "rule"


def test_a_broken_pattern_is_refused_when_it_is_given():
    with pytest.raises(re.error):
        STATEMENTS.extended("en", Patterns(facts={"": "("}))


def test_every_language_has_all_three_kinds_of_patterns():
    assert all(each.rules and each.facts and each.preferences for each in PATTERNS.values())


@given(texts)
@settings(deadline=None)
def test_passages_cover_a_text_without_gaps(text):
    passages = split(text, count)
    assert "".join(text[each.start : each.end] for each in passages) == text
    assert all(each.tokens <= PASSAGE_TOKENS for each in passages)


def test_passages_end_with_sentences_in_every_script():
    text = "东京很大。" * 30
    assert all(text[each.start : each.end].endswith("。") for each in split(text, count))


@given(texts, st.integers(0, 400), st.sampled_from([clip_to_ends, clip_to_hits]))
@settings(deadline=None)
def test_a_clip_never_exceeds_its_room(text, room, clip_to):
    written = Written(text * 4, split(text * 4, count))
    clip = clip_to(written, {"字": 5, "語": 3}, "zh", room)
    if clip is not None:
        assert clip.tokens <= room
        assert count(join(written.text, clip.spans)) <= clip.tokens


def test_a_clip_keeps_the_passage_that_was_asked_for_and_marks_the_gaps():
    text = (
        "".join(f"Item {at} is grey and rather dull to look at. " for at in range(40))
        + "The kestrel is red. "
        + ("".join(f"Thing {at} is grey and rather dull to look at. " for at in range(40)))
    )
    clip = clip_to_hits(Written(text, split(text, count)), {"kestrel": 9}, "en", 90)
    assert clip is not None
    shown = join(text, clip.spans)
    assert "The kestrel is red." in shown
    assert shown.startswith("[…]\n")
    assert shown.endswith("\n[…]")


def test_a_clip_closes_the_code_that_it_cuts_open():
    text = "```py\n" + "value = compute(value)\n" * 100 + "```\n"
    clip = clip_to_hits(Written(text, split(text, count)), {}, "en", 100)
    assert clip is not None
    assert join(text, clip.spans).count("```") % 2 == 0


def test_the_room_for_a_thread_is_what_the_narrowest_limit_leaves():
    fixed = Fixed(instructions=500, tools=300)
    assert thread_room(Limits(10_000, 2_000), fixed) == Room(6_900, "model_window")
    assert thread_room(Limits(10_000, 2_000, max_prompt=1_000), fixed) == Room(200, "max_prompt_tokens")
    assert thread_room(Limits(10_000, 2_000, max_context=4_000), fixed) == Room(4_000, "max_context_tokens")


def test_no_room_says_what_it_would_have_taken():
    found = thread_room(Limits(10_000, 2_000, max_prompt=700), Fixed(instructions=500, tools=300))
    assert found == NoRoom(needed=800, allowed=700, bound="max_prompt_tokens")


def _steps(results):
    steps = []
    for at, text in enumerate(results):
        call = ChatToolCall(f"call_{at}", CalledFunction("look", "{}"))
        steps += [AssistantMessage(None, (call,)), ToolMessage(call.id, text)]
    return steps, [20 if isinstance(step, AssistantMessage) else count(step.content) + 4 for step in steps]


def test_a_runs_oldest_results_are_cleared_first():
    steps, cost = _steps(["word " * 200] * 8)
    found = fit_steps(steps, 1500, count, cost)
    results = [step.content for step in found.messages if isinstance(step, ToolMessage)]
    assert [text.startswith("[result of") for text in results] == [True] * 5 + [False] * 3
    assert found.fits
    assert found.tokens <= 1500


def test_what_was_cleared_stays_cleared_in_the_next_turn():
    steps, cost = _steps(["word " * 200] * 9)
    first = fit_steps(steps[:16], 1500, count, cost[:16])
    second = fit_steps(steps, 1500, count, cost, cleared=first.cleared)
    assert second.messages[:16] == first.messages


@given(st.lists(st.integers(0, 3000).map(lambda size: "some words. " * (size // 3)), max_size=8), st.integers(0, 9000))
@settings(deadline=None, max_examples=40)
def test_steps_that_are_said_to_fit_do(results, room):
    steps, cost = _steps(results)
    found = fit_steps(steps, room, count, cost)
    assert len(found.messages) == len(steps)
    assert found.fits == (found.tokens <= room)
    sent = sum(20 if isinstance(step, AssistantMessage) else count(step.content) + 4 for step in found.messages)
    assert sent <= found.tokens


def test_excerpts_stand_in_the_newest_user_message_under_a_heading():
    said = small_talk(200)
    said[4] = Said("user", "My cousin Zelda moved to Tromsø.", day="2026-01-05")
    said[-1:] = [Said("user", "Where did Zelda move?")]
    said[6] = Said("user", "Always be brief.")
    prompt = render(select(said, 1200), chat(said), "You are kind.")
    first, newest = prompt.messages[0], prompt.messages[-1]
    assert isinstance(first, SystemMessage)
    assert first.content.startswith(f"You are kind.\n\n{PINNED_HEADING}\n[#7 user] Always be brief.")
    assert isinstance(newest, UserMessage)
    assert newest.content.startswith(RECALLED_HEADING)
    assert "\n2026-01-05\n[#5 user] My cousin Zelda moved to Tromsø.\n" in newest.content
    assert newest.content.endswith("\n\nWhere did Zelda move?")
    assert prompt.stable == len(prompt.messages) - 1


def test_a_picture_in_the_newest_message_stays_below_the_excerpts():
    said = [*small_talk(200), Said("user", "Is this the lantern?")]
    messages = chat(said)
    picture = ImagePart(ImageUrl("data:image/png;base64,AAAA"))
    messages[401] = UserMessage((TextPart("Is this the dragon garden?"), picture))
    said[-1] = Said("user", "Is this the dragon garden?")
    newest = render(select(said, 1200), messages).messages[-1]
    assert isinstance(newest.content, tuple)
    assert newest.content[0].text.startswith(RECALLED_HEADING)
    assert newest.content[1:] == (TextPart("Is this the dragon garden?"), picture)


def test_calls_that_were_never_answered_are_not_sent():
    call = ChatToolCall("call_1", CalledFunction("look", "{}"))
    said = [Said("user", "Look."), Said("assistant", "", calls=True), Said("user", "Never mind.")]
    messages = {1: UserMessage("Look."), 2: AssistantMessage(None, (call,)), 3: UserMessage("Never mind.")}
    assert render(select(said, 1000), messages).messages == (messages[1], messages[3])
