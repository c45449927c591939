"""What the fitter knows of each language: its stemmer, its stop words, and whether its words stand apart."""

from typing import Final, Literal

from msgspec import Struct

Language = Literal["en", "de", "fr", "es", "zh", "ja", "ko", "other"]


class Lexicon(Struct, frozen=True):
    """`stemmer` is the Snowball name of the stemmer for words in letters; None leaves them as they are."""

    stemmer: str | None
    stop_words: frozenset[str]


_ENGLISH = """
a about above after again against all also am an and any are as at be because been before being below between both
but by can could did didnt do does doesnt doing don dont down during each few for from further get got had has have
having he her here hers hey hi him his how i if im in into is it its itself ive just let like ll m me more most my
myself no nor not now of off oh ok okay on once only or other our ours out over own re really s same she should so
some such t than that thats the their them themselves then there these they this those through to too under until up
us ve very was we well were what when where which while who whom why will with would yeah you your yours yourself d
"""
_GERMAN = """
ab aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beim bin bis bist da damit dann
das dass dein deine deinem deinen deiner dem den denn der des dich die dies diese diesem diesen dieser dieses dir doch
dort du durch ein eine einem einen einer eines er es etwas euch euer eure für gegen gewesen hab habe haben hast hat
hatte hatten hier hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im in ins ist ja jede jedem jeden jeder jedes
jetzt kann kannst können könnte man manche mein meine meinem meinen meiner mich mir mit muss musste nach
nicht noch nun
nur ob oder ohne sehr sein seine seinem seinen seiner sich sie sind so solche soll sollte sondern sonst über
um und uns
unser unsere unter viel vom von vor wann war waren warst was weg weil weiter welche welchem welchen welcher
welches wenn
wer werde werden wie wieder will wir wird wirst wo wollen wollte wurde wurden würde würden zu zum zur zwar zwischen
"""
_FRENCH = """
à ai aie ait alors après as au aucun aussi autre aux avais avait avant avec avez avoir avons bien c ça ce cela ces cet
cette ceux chez ci comme comment d dans de depuis des dit donc dont du elle elles en encore entre es est et étaient
était été êtes être eu eux fait faire fais font il ils j je l la là le les leur leurs lui ma mais me même mes
moi mon n
ne ni non nos notre nous on ont or ou où par parce pas peu peut peux plus pour pourquoi qu quand que quel quelle
quelles quels qui quoi s sa sans se sera ses si soi sommes son sont sous suis sur t ta te tes toi ton tous tout toute
toutes très tu un une va vais vas vers veux veut voici voilà vos votre vous y
"""
_SPANISH = """
a al algo alguna algunas alguno algunos ante antes aquí así aún aunque bien cada como cómo con contra cual cuál cuales
cuando cuándo cuánto de del desde donde dónde dos durante e el él ella ellas ellos en entre era eran eres es esa esas
ese eso esos esta está están estaba estar estas este esto estos estoy fue fueron fui ha haber había han hasta hay he
hemos hizo la las le les lo los más me mi mí mis mucho muchos muy nada ni no nos nosotros nuestra nuestro o os otra
otro otros para pero poco por porque puede pueden puedo pues que qué quien quién se sea ser si sí sido sin sobre
somos son soy su sus también tan tanto te tengo ti tiene tienen todo todos tu tú tus un una unas uno unos usted va
voy vosotros y ya yo
"""
# One sign is kept as a word of its own beside the pairs, so the commonest signs and pairs carry nothing.
_CHINESE = """
的 了 是 在 我 你 他 她 它 们 這 这 那 有 和 与 也 都 就 不 吗 呢 吧 啊 呀 把 被 给 让 对 为 以 于 及 或 而
但 要 会 能 可 很 到 说 去 个 上 下
什么 什麼 怎么 怎麼 怎样 哪里 哪儿 我们 我們 你们 你們 他们 她们 我的 你的 他的 这个 這個 那个 那個 一个 一個
可以 没有 沒有 不是 就是
还是 因为 所以 如果 但是 的是 了吗 是什 的时 时候 请问 一下 是我 是的 我是 我在
"""
_JAPANESE = """
です ます まし した して ので から まで など たい てい いる いた ある あり なる なり ない する され れる られ
こと もの ため よう
には では とは とか でも とも への での にも には この その あの どの これ それ あれ どれ ここ そこ あそ どこ
だっ った って いう
何で 何が ください くだ ださ さい ですか すか ませ せん でし ょう しょ だと とい が は を に の で と も か へ や
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LEXICONS: Final[dict[Language, Lexicon]] = {
    "en": Lexicon("english", _words(_ENGLISH)),
    "de": Lexicon("german", _words(_GERMAN)),
    "fr": Lexicon("french", _words(_FRENCH)),
    "es": Lexicon("spanish", _words(_SPANISH)),
    # Threads in these languages carry English words (names, code), which are stemmed as such.
    "zh": Lexicon("english", _words(_ENGLISH) | _words(_CHINESE)),
    "ja": Lexicon("english", _words(_ENGLISH) | _words(_JAPANESE)),
    "ko": Lexicon("english", _words(_ENGLISH)),
    "other": Lexicon(None, frozenset()),
}
"""The languages of the words above; `other` keeps every word as it is written, casefolded."""
