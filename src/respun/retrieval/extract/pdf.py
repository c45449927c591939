"""PDF: pdfium first, because it is ten times faster; pypdf when pdfium fails. A page a text."""

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from respun.retrieval.extract.text import Unreadable, invalid

_MOST_PAGES: Final = 50_000
# pdfium marks a hyphen that only a line's end put there.
_SOFT_HYPHEN: Final = re.compile("\ufffe\r?\n?")
_PASSWORD: Final = 4


def read_with_pdfium(source: BinaryIO) -> Iterator[str]:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(source.read())
    except pypdfium2.PdfiumError as fault:
        if fault.err_code == _PASSWORD:
            raise encrypted() from fault
        raise invalid(f"its PDF structure is damaged ({fault})") from fault
    _check(len(document))
    for number in range(len(document)):
        yield _page(document, number)


def read_with_pypdf(source: BinaryIO) -> Iterator[str]:
    import pypdf
    from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

    try:
        document = pypdf.PdfReader(source)
        if document.is_encrypted and not document.decrypt(""):
            raise encrypted()
        _check(len(document.pages))
        for page in document.pages:
            yield page.extract_text()
    except (DependencyError, FileNotDecryptedError) as fault:
        raise encrypted() from fault
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as fault:
        raise invalid(f"its PDF structure is damaged ({fault})") from fault


def encrypted() -> Unreadable:
    return invalid("it is encrypted; upload a copy without a password")


def _check(pages: int) -> None:
    if pages > _MOST_PAGES:
        raise invalid(f"it claims {pages:,} pages and at most {_MOST_PAGES:,} are read; split it")
    if not pages:
        raise invalid("it has no pages")


def _page(document: object, number: int) -> str:
    import pypdfium2

    try:
        page = document[number]  # type: ignore[index]
        text = page.get_textpage()
    except pypdfium2.PdfiumError as fault:
        raise invalid(f"page {number + 1} is damaged ({fault})") from fault
    found: str = text.get_text_range()
    text.close()
    page.close()
    return _SOFT_HYPHEN.sub("", found).replace("\r\n", "\n")
