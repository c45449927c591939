"""The patterns of standing statements, per language: data for `statements.py`.

Each pattern stands under its hints: words in lower case, parted by |, of which every match holds at least one. A text
without the hint is never searched.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from respun.core.context.languages import Language

Hinted = Mapping[str, str]


class Patterns(Struct, frozen=True):
    """Regular expressions by their hints; "" is the hint of a pattern to be tried on every text.

    Matched without regard to case; typographic apostrophes are made plain before.
    """

    rules: Hinted = {}
    facts: Hinted = {}
    preferences: Hinted = {}


_CLAUSE = r"(?:^|[.!?;:\n,(¡]\s*)"
_EN = r"(?:^|[.!?;:\n,(]\s*|\b(?:and|so|but)\s+)(?:(?:please|also|ok(?:ay)?|and|hey)[, ]+){0,3}"
_EN_DO = (
    r"(?:use|include|give|show|suggest|mention|add|write|call|tell|recommend|forget|assume|respond|reply|answer|speak"
    r"|talk|make|put|send|ask|format|keep|provide|translate)"
)
_DE_DO = r"(?:antworte|schreib|nutze|benutze|verwende|nimm|zeig|gib|sag|nenn|erklär|sprich|formatier|füg|mach)e?"
_FR_DO = (
    r"(?:répond(?:s|ez)?|écri(?:s|vez)|utilise[zr]?|donne[zr]?|montre[zr]?|parle[zr]?|explique[zr]?|ajoute[zr]?|mets"
    r"|mettez|propose[zr]?|cite[zr]?|traduis(?:ez)?)"
)
_ES_DO = (
    r"(?:responde[rd]?|escrib[ea]|conteste?|contesta|us[ae]|utiliza|utilice|da|dame|muestra|muéstrame|habl[ae]"
    r"|explica|añade|incluy[ea]|pon|sugieras?|menciones?|uses|utilices|escribas|respondas|hables|incluyas|añadas)"
)

PATTERNS: Final[Mapping[Language, Patterns]] = {
    "en": Patterns(
        rules={
            "always": _EN + r"always\b(?!\s+(?:been|had|was|were|a\b|the\b))"
            rf"|{_EN}{_EN_DO}\s[^.!?\n]{{0,40}}\balways in [a-z]+"
            r"|\b(?:you (?:should|must|have to|are to)|(?:want|like|need) you to) always\b",
            "never": rf"{_EN}never\s+{_EN_DO}\b|\b(?:you (?:should|must)|(?:want|like|need) you to) never\b",
            "ever": rf"{_EN}do(?:n't| not) ever\s+{_EN_DO}\b",
            "from now on|going forward|from here on|future": _EN
            + r"(?:from now on|going forward|from here on|in (?:all )?future)\b",
            "only in": rf"{_EN}{_EN_DO}\s[^.!?\n]{{0,40}}\bonly in [a-z]+",
            " i ask| i mention| i request| i say| i send| i write": _EN
            + r"(?:(?:whenever|every time|each time|any ?time) i (?:ask|mention|request|say|send|write)|when i ask)\b",
        },
        facts={
            "remember|note|keep in mind|bear in mind|forget": _EN
            + r"(?:(?:remember|note|bear in mind|don't forget)\s+(?:that|to|this|my|i)|keep in mind)\b",
            "call me": _EN + r"call me\b(?!\s+(?:back|when|at|on|later|tomorrow|today|if))",
            "my name": _EN + r"my name(?: is|'s)\b",
        },
        preferences={
            "prefer": r"\bi(?:'d| would)? (?:really |strongly |generally |usually |always |personally |much )?prefer\b"
            r"|\bmy preferred\b",
            "rather": r"\bi(?:'d| would) rather\b",
            "i'm|i am": r"\bi(?:'m| am) (?:allergic|vegan|vegetarian|lactose|intolerant|diabetic)\b",
            "i chose|i decided|i opted": r"\bi (?:chose|decided|opted) (?:to|on|for|not)\b",
            "i can|i don't|i won't": r"\bi (?:can't|cannot|don't|won't) (?:eat|drink|use|like|want)\b",
            "my favo": r"\bmy favou?rite\b",
        },
    ),
    "de": Patterns(
        rules={
            "immer|niemals|stets|nie|ausschließlich|nur": _CLAUSE
            + rf"(?:bitte\s+)?(?:immer|niemals|stets)\s|\b{_DE_DO}\b[^.!?\n]{{0,40}}\b(?:immer|stets|niemals|nie"
            r"|ausschließlich|nur noch|nur auf)\b|\bdu (?:sollst|musst) (?:immer|nie|niemals|stets)\b",
            "ab jetzt|ab sofort|ab heute|ab nun| an|künftig|zukunft": r"\b(?:ab (?:jetzt|sofort|heute|nun)"
            r"|von (?:jetzt|nun|heute) an|künftig|in zukunft|zukünftig)\b",
            "wenn ich|wann immer ich|mal, wenn": r"\b(?:wann immer|immer wenn|jedes mal,? wenn|wenn) ich (?:dich )?"
            r"(?:frage|bitte|schreibe)\b",
        },
        facts={
            "merk|denk|vergiss|behalt|erinnere": r"\b(?:merke? dir|denke? daran|vergiss nicht|erinnere dich"
            r"|behalte? im (?:kopf|gedächtnis))\b",
            "nenn|mein name|ich heiße": rf"\bnenne? mich\b|\bmein name ist\b|{_CLAUSE}ich heiße\b",
        },
        preferences={
            "ich ": r"\bich (?:bevorzuge|mag (?:lieber|kein|nicht)|möchte (?:lieber|kein)|hätte lieber|esse kein"
            r"|trinke kein|vertrage kein|bin (?:allergisch|veganer|vegetarier|vegan|diabetiker))",
            "lieb": r"\bmir (?:ist|sind|wäre)\b[^.!?\n]{0,30}\blieber\b|\bmein(?:e|en)? liebling",
        },
    ),
    "fr": Patterns(
        rules={
            "toujours|jamais|uniquement|seulement": _CLAUSE
            + rf"(?:s'il (?:te|vous) pla[iî]t,?\s+)?(?:toujours|jamais)\s|\b{_FR_DO}\b[^.!?\n]{{0,30}}\b(?:toujours"
            r"|jamais|uniquement|seulement en)\b|\b(?:tu dois|vous devez|il faut) (?:toujours|ne jamais)\b",
            "désormais|dorénavant|à partir de|à l'avenir": r"\b(?:désormais|dorénavant|à partir de (?:maintenant|là)"
            r"|à l'avenir)\b",
            "que je |quand je |lorsque je ": r"\b(?:chaque fois que|quand|lorsque) je (?:te |vous )?"
            r"(?:demande|pose|parle|écris)\b",
        },
        facts={
            "souv|rappel|oubli|retien|reten|note|garde": r"\b(?:souviens-toi|souvenez-vous|rappelle-toi|rappelez-vous"
            r"|n'oublie[zs]? (?:pas|jamais)|retiens|retenez|note[zs]? (?:que|bien)"
            r"|garde[zs]? (?:en tête|à l'esprit))\b",
            "appelle|appelez|mon nom": r"\bappele(?:z|lle)-moi\b|\bappelle-moi\b|\bje m'appelle\b|\bmon nom est\b",
        },
        preferences={
            "je ": r"\bje (?:préfère|préférerais|déteste|ne (?:mange|bois|veux|supporte|peux) (?:pas|jamais)"
            r"|suis (?:allergique|végane?|vegan|végétarien|végétarienne|intolérante?|diabétique))\b",
            "préféré|aimerais mieux|j'ai": r"\bj'aimerais mieux\b|\bm(?:on|a|es) [\w-]+ préférée?s?\b"
            r"|\bj'ai (?:choisi|décidé|opté)\b",
        },
    ),
    "es": Patterns(
        rules={
            "siempre|nunca|jamás|solamente|sólo|solo|únicamente": _CLAUSE
            + rf"(?:por favor,?\s+)?(?:siempre|nunca|jamás)\s|\b{_ES_DO}(?:me)?\b[^.!?\n]{{0,30}}\b(?:siempre|nunca"
            r"|solamente en|sólo en|solo en|únicamente)\b|\b(?:debes|tienes que|quiero que) (?:siempre|nunca)\b",
            "a partir de|adelante|desde ahora|futuro": r"\b(?:a partir de (?:ahora|hoy)|de ahora en adelante"
            r"|desde ahora|en el futuro|en adelante)\b",
            "pid|pregunt|escrib": r"\b(?:cada vez que|cuando|siempre que) (?:te |le )?"
            r"(?:pida|pregunte|escriba|pido|pregunto)\b",
        },
        facts={
            "recuerd|acuérd|cuenta|presente|olvides": r"\b(?:recuerda|recuerde|acuérdate|tenga? en cuenta"
            r"|ten (?:en cuenta|presente)|no (?:te )?olvides)\b",
            "llám|me llamo|mi nombre": r"\bllámame\b|\bme llamo\b|\bmi nombre es\b",
        },
        preferences={
            "prefer|prefier|odio|decid|opté": r"\b(?:prefiero|preferiría|odio|decidí|opté por|he decidido)\b",
            "no ": r"\bno (?:como|bebo|quiero|me gusta|puedo comer)\b",
            "soy ": r"\bsoy (?:alérgic[oa]|vegan[oa]|vegetarian[oa]|intolerante|diabétic[oa])\b",
            "favorit|preferid": r"\bmi [\w-]+ (?:favorit[oa]|preferid[oa])\b",
        },
    ),
    "zh": Patterns(
        rules={
            "始终|始終|总是|總是|一直|一律|每次": r"(?:始终|始終|总是|總是|一直|一律|每次都?)"
            r"(?:都|要|用|使用|以|把|给|給|回答|回复|先)",
            "从现在|從現在|以后|以後|今后|今後|往后|往後": r"从现在(?:起|开始)|從現在(?:起|開始)"
            r"|(?:以后|以後|今后|今後|往后|往後)[^。！？\n]{0,8}(?:都|请|請|要|用|不要|别|別)",
            "永远|永遠|千万|千萬|绝对|絕對": r"(?:永远|永遠|千万|千萬|绝对|絕對)(?:不要|别|別|不能|不可)",
            "答|回复|回覆": r"(?:都|只)(?:用|以)[^。！？\n]{1,8}(?:回答|回复|回覆|答复)",
            "每当我|每當我|每次我|只要我": r"(?:每当|每當|每次|只要)我(?:问|問|说|說|提到|要求)",
        },
        facts={
            "记|記|忘|注意我": r"记住|記住|记得我|記得我|别忘了|別忘了|不要忘记|不要忘記|请注意我",
            "叫|名字": r"叫我|我叫|我的名字(?:是|叫)",
        },
        preferences={
            "我": r"我(?:更|比较|比較|最)?(?:喜欢|喜歡|偏好|倾向|傾向)|我(?:宁愿|寧願|宁可|寧可)"
            r"|我(?:对|對)[^。！？\n]{1,10}(?:过敏|過敏)|我(?:不吃|不喝|不喜欢|不喜歡|不想|不要|讨厌|討厭)"
            r"|我(?:是|吃)(?:素食|素|纯素)|我(?:决定|決定|选择|選擇)",
        },
    ),
    "ja": Patterns(
        rules={
            "常に|必ず|いつも|毎回": r"(?:常に|必ず|いつも|毎回)[^。！？\n]{0,40}(?:て|で|に|と)"
            r"(?:ください|下さい|ほしい|欲しい|ね|くれ)",
            "これから|今後|以後|以降|次から": r"(?:これからは?|今後は?|以後|以降は?|次から)[^。！？\n]{0,40}(?:て|で)"
            r"(?:ください|下さい|ほしい|欲しい|ね|くれ)",
            "絶対に|決して|二度と": r"(?:絶対に|決して|二度と)[^。！？\n]{0,40}(?:ないで|しないこと|するな)",
            "聞い|尋ね|頼ん|言っ": r"(?:と|って)(?:聞いた|尋ねた|頼んだ|言った)(?:ら|とき|時)",
        },
        facts={
            "覚えて|記憶して|忘れないで|念頭": r"(?:覚えて|記憶して|忘れないで|念頭に)",
            "呼んで|名前は|言います|いいます|申します": r"と呼んで|(?:私|僕|俺)の名前は"
            r"|(?:私|僕|俺)は[^。！？\n]{1,12}と(?:申し|言い|いい)ます",
        },
        preferences={
            "好|お気に入り|方がいい|ほうがいい": r"(?:の方|のほう)が(?:好き|いい|良い)|(?:好み|お気に入り)(?:は|の)",
            "アレルギー|ません|たくない": r"アレルギー|(?:食べ|飲め|飲み|使い)(?:ません|たくない|られません)",
            "嫌い|苦手|ベジタリアン|ヴィーガン|ことに": r"(?:嫌い|苦手)(?:です|な|だ)"
            r"|ベジタリアン|ヴィーガン|ことに(?:決め|し)ました",
        },
    ),
}
