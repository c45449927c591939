"""A corpus of damaged files, the same for the same seed: whole ones of every format, cut, flipped, spliced and swollen."""

from collections.abc import Callable, Iterator
from random import Random

from documents import doc, docx, odt, pdf, pptx, xlsx

WHOLE = {
    "a.pdf": pdf(["Alpha is first.", "Beta follows."]),
    "a.docx": docx("One", "Two", table=[["a", "b"]]),
    "a.pptx": pptx("First", "Second", notes={2: "Said aloud"}),
    "a.xlsx": xlsx([["name", "price"], ["tea", 3]]),
    "a.odt": odt("Guten Tag"),
    "a.doc": doc("An old\rdocument\x07with cells\x07\x07" * 20, notes="Note\r"),
    "a.html": b"<html><body><table><tr><td>a<td>b</table><p>text</body></html>",
    "a.md": "# Größe\n\nText \U0001f32e and more.\n".encode(),
    "a.txt": "Grüße aus Zürich".encode("utf-16"),
}


def mutants(random: Random, count: int) -> Iterator[tuple[str, bytes]]:
    names = sorted(WHOLE)
    for number in range(count):
        name = names[number % len(names)]
        content = WHOLE[name]
        for _ in range(random.randint(1, 4)):
            content = random.choice(_HARMS)(random, content) or b"\0"
        # Now and then under another name: what it is called proves nothing.
        yield (random.choice(names) if random.random() < 0.1 else name), content


def _flipped(random: Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(random.randint(1, 12)):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def _cut(random: Random, content: bytes) -> bytes:
    return content[: random.randrange(len(content))]


def _spliced(random: Random, content: bytes) -> bytes:
    other = WHOLE[random.choice(sorted(WHOLE))]
    return content[: random.randrange(len(content))] + other[random.randrange(len(other)) :]


def _repeated(random: Random, content: bytes) -> bytes:
    start = random.randrange(len(content))
    piece = content[start : start + random.randint(1, 200)]
    return content[:start] + piece * random.randint(2, 400) + content[start:]


def _huge_numbers(random: Random, content: bytes) -> bytes:
    at = random.randrange(max(1, len(content) - 4))
    return content[:at] + random.choice([b"\xff" * 4, b"\x00" * 4, b"\xff\xff\xff\x7f", b"9999"]) + content[at + 4 :]


_HARMS: tuple[Callable[[Random, bytes], bytes], ...] = (_flipped, _cut, _spliced, _repeated, _huge_numbers)
