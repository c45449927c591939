"""Guess the language of a text, to know which word endings to take off. Wrong guesses cost little: English is assumed.

A script that one language mainly uses decides by itself; Latin script is told apart by its most frequent small words.
"""

import re
from collections import Counter
from typing import Final

ENGLISH: Final = "english"
_SAMPLE: Final = 1_000
_WORD: Final = re.compile(r"[^\W\d_]+")
_FEWEST: Final = 2
_SCRIPTS: Final = (
    ("russian", re.compile("[\u0400-\u04ff]")),
    ("greek", re.compile("[\u0370-\u03ff]")),
    ("arabic", re.compile("[\u0600-\u06ff]")),
    ("tamil", re.compile("[\u0b80-\u0bff]")),
)
_SMALL_WORDS: Final = {
    ENGLISH: "the of and to in is was for that with as by on are from at which were this be it not what how who does",
    "german": "der die das und ist von den mit für auf ein eine nicht sich dem des im zu wie wer auch als wird war",
    "french": "le la les et est des du en une un dans pour que qui sur au par avec pas ce il ne se plus sont",
    "spanish": "el la los las de y en que es un una del por con para se su al como lo más fue no son",
    "italian": "il la di e che è un una in del della per con non si da dei sono al le gli nel come più",
    "portuguese": "o a os as de e em que um uma do da para com não se por dos das é mais ao foi no na",
    "dutch": "de het een en van is in op te dat die met voor zijn niet aan er om ook als bij door wordt naar",
    "swedish": "och att det som en på är av för med den till inte ett om har de i var från vid",
    "danish": "og at det som en på er af for med den til ikke et om har de i var fra ved blev",
    "norwegian": "og at det som en på er av for med den til ikke et om har de i var fra ved ble også",
    "finnish": "ja on ei se että oli joka ovat mutta myös kun niin tai sen hän ole mukaan kuin sekä",
    "hungarian": "a az és hogy nem is egy volt van meg ez csak el mint már de vagy ki még amely",
    "romanian": "și de în la cu pe a care este un o din nu că mai sau pentru prin au fost se ale",
    "turkish": "ve bir bu da de için ile olarak daha en çok olan gibi kadar sonra ise ne var veya",
}
_LANGUAGES_OF: Final[dict[str, tuple[str, ...]]] = {
    word: tuple(language for language, words in _SMALL_WORDS.items() if word in words.split())
    for words in _SMALL_WORDS.values()
    for word in words.split()
}

LANGUAGES: Final = (*_SMALL_WORDS, *(name for name, _ in _SCRIPTS))


def language_of(text: str) -> str:
    """One of `LANGUAGES`."""
    sample = text[:_SAMPLE]
    words = _WORD.findall(sample.lower())
    for language, letters in () if sample.isascii() else _SCRIPTS:
        if 2 * len(letters.findall(sample)) > sum(map(len, words)):
            return language
    found = Counter(language for word in words for language in _LANGUAGES_OF.get(word, ()))
    best = max(found, key=found.__getitem__, default=ENGLISH)
    return best if found[best] >= _FEWEST and found[best] > found[ENGLISH] else ENGLISH
