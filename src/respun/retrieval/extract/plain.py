"""Plain text, code and HTML."""

import codecs
from typing import BinaryIO, Final

from respun.retrieval.extract.text import Limits, invalid

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE: Final = 1 << 16
_WITHOUT_TEXT: Final = ("script", "style", "noscript", "template", "svg", "head > meta", "head > link")
_BLOCKS: Final = (
    "p, div, section, article, header, footer, li, ul, ol, table, tr, h1, h2, h3, h4, h5, h6, pre, blockquote, "
    "title, dt, dd, option, figcaption, br, hr"
)


def read_text(source: BinaryIO, limits: Limits) -> str:
    content = source.read(4 * limits.characters + 1)
    if len(content) > 4 * limits.characters:
        raise invalid(f"it holds more than {limits.characters:,} characters; split it into smaller files")
    text = decode(content)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def decode(content: bytes) -> str:
    """UTF by its mark, UTF-8 if it is, else the encoding that its letters make likely."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode(_likely(content), errors="replace")


def _likely(content: bytes) -> str:
    import charset_normalizer

    best = charset_normalizer.from_bytes(content[:_SAMPLE]).best()
    if best is None:
        raise invalid("it is neither text nor a format that is known")
    return best.encoding


def read_html(source: BinaryIO, limits: Limits) -> str:
    """The words of a page without scripts and styles, a line a block, cells apart."""
    from selectolax.lexbor import LexborHTMLParser

    page = LexborHTMLParser(read_text(source, limits))
    page.strip_tags(list(_WITHOUT_TEXT), recursive=True)
    root = page.root
    if root is None:
        return ""
    for cell in root.css("td, th"):
        cell.insert_after("\t")
    for block in root.css(_BLOCKS):
        block.insert_before("\n")
        block.insert_after("\n")
    return _tidied(root.text(deep=True))


def _tidied(text: str) -> str:
    lines = ("\t".join(" ".join(cell.split()) for cell in line.split("\t")).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
