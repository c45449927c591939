"""Standing statements: what a user said once and means to hold for ever ("always answer in French").

Three kinds, found in a user's words by patterns per language: *rules* and *facts* are kept in the prompt when the
message that carries them is not (rules first), *preferences* make a message weigh more. The patterns are data:
`Statements.extended` adds a user's own. They match whole statements at the start of a clause, so that a report of
the past ("it has always been so") is not taken for a wish.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

from respun.core.context.languages import Language

Force = Literal["rule", "fact"]


class Patterns(Struct, frozen=True):
    """Regular expressions without regard to case, any of which is enough; typographic apostrophes are made plain."""

    rules: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    preferences: tuple[str, ...] = ()

    def joined(self, other: "Patterns") -> "Patterns":
        return Patterns(self.rules + other.rules, self.facts + other.facts, self.preferences + other.preferences)


_EN_CLAUSE = r"(?:^|[.!?;:\n,(]\s*|\b(?:and|so|but)\s+)(?:(?:please|also|ok(?:ay)?|and|hey)[, ]+)*"
_EN_DOING = (
    r"(?:use|include|give|show|suggest|mention|add|write|call|tell|recommend|forget|assume|respond|reply|answer|speak"
    r"|talk|make|put|send|ask|format|keep|provide|translate)"
)
_DE_DOING = r"(?:antworte|schreib|nutze|benutze|verwende|nimm|zeig|gib|sag|nenn|erklär|sprich|formatier|füg|mach)e?"
_FR_DOING = (
    r"(?:répond[sez]*|écri[svez]+|utilise[zr]?|donne[zr]?|montre[zr]?|parle[zr]?|explique[zr]?|ajoute[zr]?|mets|mettez"
    r"|propose[zr]?|cite[zr]?|traduis(?:ez)?)"
)
_ES_DOING = (
    r"(?:responde[rd]?|escribe|escriba|contesta|conteste|usa|use|utiliza|utilice|da|dame|muestra|muéstrame|habla|hable"
    r"|explica|añade|incluye|incluya|pon|sugieras?|menciones?|uses|utilices|escribas|respondas|hables|incluyas|añadas)"
)

PATTERNS: Final[Mapping[Language, Patterns]] = {
    "en": Patterns(
        rules=(
            _EN_CLAUSE + r"always\b(?!\s+(?:been|had|was|were|a\b|the\b))",
            _EN_CLAUSE + rf"(?:never|do(?:n't| not) ever)\s+{_EN_DOING}\b",
            _EN_CLAUSE + r"(?:from now on|going forward|from here on|in (?:all )?future)\b",
            _EN_CLAUSE + r"(?:whenever|every time|each time|any ?time) i (?:ask|mention|request|say|send|write)\b",
            _EN_CLAUSE + r"when i ask\b",
            _EN_CLAUSE + rf"{_EN_DOING}\s[^.!?\n]{{0,40}}\b(?:always|only) in [a-z]+",
            r"\b(?:i want|i'd like|i need) you to (?:always|never)\b",
            r"\byou (?:should|must|have to|are to) (?:always|never)\b",
        ),
        facts=(
            _EN_CLAUSE + r"(?:remember|note|keep in mind|bear in mind|don't forget)\s+(?:that|to|this|my|i)\b",
            _EN_CLAUSE + r"keep in mind\b",
            _EN_CLAUSE + r"call me\b(?!\s+(?:back|when|at|on|later|tomorrow|today|if))",
            _EN_CLAUSE + r"my name(?: is|'s)\b",
        ),
        preferences=(
            r"\bi(?:'d| would)? (?:really |strongly |generally |usually |always |personally |much )?prefer\b",
            r"\bi(?:'d| would) rather\b",
            r"\bi(?:'m| am) (?:allergic|vegan|vegetarian|lactose|intolerant|diabetic)\b",
            r"\bi (?:chose|decided|opted) (?:to|on|for|not)\b",
            r"\bi (?:can't|cannot|don't|won't) (?:eat|drink|use|like|want)\b",
            r"\bmy (?:favou?rite|preferred)\b",
        ),
    ),
    "de": Patterns(
        rules=(
            r"(?:^|[.!?;:\n,]\s*)(?:bitte\s+)?(?:immer|niemals|stets)\s",
            rf"\b{_DE_DOING}\b[^.!?\n]{{0,40}}\b(?:immer|stets|nie|niemals|ausschließlich|nur noch|nur auf)\b",
            r"\b(?:ab (?:jetzt|sofort|heute|nun)|von (?:jetzt|nun|heute) an|künftig|in zukunft|zukünftig)\b",
            r"\b(?:wann immer|immer wenn|jedes mal,? wenn|wenn) ich (?:dich )?(?:frage|bitte|schreibe)\b",
            r"\bdu (?:sollst|musst) (?:immer|nie|niemals|stets)\b",
        ),
        facts=(
            r"\b(?:merk(?:e)? dir|denk(?:e)? daran|vergiss nicht|behalte? im (?:kopf|gedächtnis)|erinnere dich)\b",
            r"\bnenn(?:e)? mich\b|\bmein name ist\b|(?:^|[.!?;:\n,]\s*)ich heiße\b",
        ),
        preferences=(
            r"\bich (?:bevorzuge|mag (?:lieber|kein|nicht)|möchte (?:lieber|kein)|hätte lieber|esse kein|trinke kein)",
            r"\bich bin (?:allergisch|veganer|vegetarier|vegan|diabetiker)",
            r"\bmir (?:ist|sind|wäre)\b[^.!?\n]{0,30}\blieber\b|\bmein(?:e|en)? liebling|\bich vertrage kein",
        ),
    ),
    "fr": Patterns(
        rules=(
            r"(?:^|[.!?;:\n,]\s*)(?:s'il (?:te|vous) pla[iî]t,?\s+)?(?:toujours|jamais)\s",
            rf"\b{_FR_DOING}\b[^.!?\n]{{0,30}}\b(?:toujours|jamais|uniquement|seulement en)\b",
            r"\b(?:désormais|dorénavant|à partir de (?:maintenant|là)|à l'avenir)\b",
            r"\b(?:chaque fois que|quand|lorsque) je (?:te |vous )?(?:demande|pose|parle|écris)\b",
            r"\b(?:tu dois|vous devez|il faut) (?:toujours|ne jamais)\b",
        ),
        facts=(
            r"\b(?:souviens-toi|souvenez-vous|rappelle-toi|rappelez-vous|n'oublie[zs]? (?:pas|jamais)|retiens|retenez"
            r"|note[zs]? (?:que|bien)|garde[zs]? (?:en tête|à l'esprit))\b",
            r"\bappelle[zs]?-moi\b|\bje m'appelle\b|\bmon nom est\b",
        ),
        preferences=(
            r"\bje (?:préfère|préférerais|déteste|ne (?:mange|bois|veux|supporte|peux) (?:pas|jamais))\b",
            r"\bje suis (?:allergique|végan|végane|vegan|végétarien|végétarienne|intolérante?|diabétique)\b",
            r"\bj'aimerais mieux\b|\bm(?:on|a|es) [\w-]+ préférée?s?\b|\bj'ai (?:choisi|décidé|opté)\b",
        ),
    ),
    "es": Patterns(
        rules=(
            r"(?:^|[.!?;:\n,¡]\s*)(?:por favor,?\s+)?(?:siempre|nunca|jamás)\s",
            rf"\b{_ES_DOING}(?:me)?\b[^.!?\n]{{0,30}}\b(?:siempre|nunca|solamente en|sólo en|solo en|únicamente)\b",
            r"\b(?:a partir de (?:ahora|hoy)|de ahora en adelante|desde ahora|en el futuro|en adelante)\b",
            r"\b(?:cada vez que|cuando|siempre que) (?:te |le )?(?:pida|pregunte|escriba|pido|pregunto)\b",
            r"\b(?:debes|tienes que|quiero que) (?:siempre|nunca)\b",
        ),
        facts=(
            r"\b(?:recuerda|recuerde|acuérdate|ten en cuenta|tenga en cuenta|ten presente|no olvides|no te olvides)\b",
            r"\bllámame\b|\bme llamo\b|\bmi nombre es\b",
        ),
        preferences=(
            r"\b(?:yo )?(?:prefiero|preferiría|odio)\b|\bno (?:como|bebo|quiero|me gusta|puedo comer)\b",
            r"\bsoy (?:alérgic[oa]|vegan[oa]|vegetarian[oa]|intolerante|diabétic[oa])\b",
            r"\bmi [\w-]+ (?:favorit[oa]|preferid[oa])\b|\b(?:decidí|opté por|he decidido)\b",
        ),
    ),
    "zh": Patterns(
        rules=(
            r"(?:请|請|务必|務必|要|应该|應該)?(?:始终|始終|总是|總是|一直|一律|每次都?)(?:都|要|用|使用|以|把|给|給|回答|回复|先)",
            r"从现在(?:起|开始)|從現在(?:起|開始)|(?:以后|以後|今后|今後|往后|往後)[^。！？\n]{0,8}(?:都|请|請|要|用|不要|别|別)",
            r"(?:永远|永遠|千万|千萬|绝对|絕對)(?:不要|别|別|不能|不可)|(?:都|只)(?:用|以)[^。！？\n]{1,8}(?:回答|回复|回覆|答复)",
            r"(?:每当|每當|每次|只要)我(?:问|問|说|說|提到|要求)",
        ),
        facts=(r"记住|記住|记得我|記得我|别忘了|別忘了|不要忘记|不要忘記|请注意我|叫我|我叫|我的名字(?:是|叫)",),
        preferences=(
            r"我(?:更|比较|比較|最)?(?:喜欢|喜歡|偏好|倾向|傾向)|我(?:宁愿|寧願|宁可|寧可)|我(?:对|對)[^。！？\n]{1,10}(?:过敏|過敏)",
            r"我(?:不吃|不喝|不喜欢|不喜歡|不想|不要|讨厌|討厭)|我(?:是|吃)(?:素食|素|纯素)|我(?:决定|決定|选择|選擇)",
        ),
    ),
    "ja": Patterns(
        rules=(
            r"(?:常に|必ず|いつも|毎回)[^。！？\n]{0,40}(?:て|で|に|と)(?:ください|下さい|ほしい|欲しい|ね|くれ)",
            r"(?:これからは?|今後は?|以後|以降は?|次から)[^。！？\n]{0,40}(?:て|で)(?:ください|下さい|ほしい|欲しい|ね|くれ)",
            r"(?:絶対に|決して|二度と)[^。！？\n]{0,40}(?:ないで|しないこと|するな)",
            r"(?:と|って)(?:聞|尋ね|頼|言)[いんっ](?:たら|だら|た(?:とき|時))",
        ),
        facts=(
            r"(?:覚えて|記憶して|忘れないで|留意して|念頭に)|と呼んで|(?:私|僕|俺)の名前は|(?:私|僕|俺)は[^。！？\n]{1,12}と(?:申し|言い|いい)ます",
        ),
        preferences=(
            r"(?:の方|のほう)が(?:好き|いい|良い)|(?:好み|お気に入り)(?:は|の)|アレルギー|(?:食べ|飲め|飲み|使い)(?:ません|たくない|られません)",
            r"(?:嫌い|苦手)(?:です|な|だ)|ベジタリアン|ヴィーガン|ことに(?:決め|し)ました",
        ),
    ),
}


class Found(Struct, frozen=True):
    """What one text carries."""

    force: Force | None = None
    prefers: bool = False


class Statements:
    """The patterns of several languages, tried together: users change language within a thread."""

    def __init__(self, patterns: Mapping[Language, Patterns] = PATTERNS) -> None:
        """Raises `re.error` if a pattern is no regular expression."""
        self._patterns = dict(patterns)
        each = self._patterns.values()
        self._rules = _any(pattern for patterns in each for pattern in patterns.rules)
        self._facts = _any(pattern for patterns in each for pattern in patterns.facts)
        self._preferences = _any(pattern for patterns in each for pattern in patterns.preferences)

    def extended(self, language: Language, more: Patterns) -> "Statements":
        """These and a user's own."""
        known = self._patterns.get(language, Patterns())
        return Statements({**self._patterns, language: known.joined(more)})

    def find(self, text: str) -> Found:
        text = text.replace("’", "'")
        return Found(self._force(text), self._preferences.search(text) is not None)

    def _force(self, text: str) -> Force | None:
        if self._rules.search(text):
            return "rule"
        return "fact" if self._facts.search(text) else None


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    # (?!) never matches: no patterns find nothing.
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or "(?!)", re.IGNORECASE)


STATEMENTS: Final = Statements()
