"""What files become as text, and that a bad one fails alone, with its reason."""

import os
import socket
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from corpus import WHOLE, mutants
from documents import archive, assembled, compound, doc, docx, odt, pdf, pdf_of_operators, pptx, xlsx

from respun.retrieval.extract import Extracted, Extractor, Limits, Unreadable, refusal

Read = Callable[..., Extracted]


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with Extractor() as made:
        yield made


@pytest.fixture
def read(extractor: Extractor, tmp_path: Path) -> Read:
    def extract(content: bytes, name: str = "file.txt", with_limits: Limits | None = None) -> Extracted:
        path = tmp_path / "given"
        path.write_bytes(content)
        if with_limits is None:
            return extractor.extract(path, name)
        with Extractor(with_limits) as other:
            return other.extract(path, name)

    return extract


@pytest.fixture
def fault(read: Read) -> Callable[..., Unreadable]:
    def failing(content: bytes, name: str = "file.txt", with_limits: Limits | None = None) -> Unreadable:
        with pytest.raises(Unreadable) as raised:
            read(content, name, with_limits)
        return raised.value

    return failing


def test_a_pdf_gives_its_text_with_the_page_of_every_character(read: Read) -> None:
    found = read(pdf(["Alpha is first.", "Beta follows (of course).", "Größe: 5 €"]), "a.pdf")
    assert found.format == "pdf"
    assert [found.page_at(found.text.index(word)) for word in ("Alpha", "Beta", "Größe")] == [1, 2, 3]
    assert "Beta follows (of course)." in found.text


def test_a_pdf_without_its_end_is_read_all_the_same(read: Read) -> None:
    whole = pdf(["Still here"])
    assert "Still here" in read(whole[: whole.rindex(b"xref")], "cut.pdf").text


def test_a_word_file_gives_paragraphs_and_a_line_a_table_row(read: Read) -> None:
    found = read(docx("One &amp; two", "Three", table=[["a", "b"], ["c", "d"]]), "a.docx")
    assert found == Extracted("docx", "One & two\nThree\na\tb\nc\td", ())


def test_a_slide_is_a_page_with_its_notes(read: Read) -> None:
    found = read(pptx("First", "Second", notes={2: "Said aloud"}), "a.pptx")
    assert found.page_at(found.text.index("First")) == 1
    assert found.page_at(found.text.index("Said aloud")) == 2


def test_a_workbook_gives_a_line_a_row(read: Read) -> None:
    assert read(xlsx([["name", "price"], ["tea", 3]]), "a.xlsx").text == "name\tprice\ntea\t3"


def test_an_open_document_gives_its_paragraphs(read: Read) -> None:
    assert read(odt("Guten Tag", "Auf Wiedersehen"), "a.odt").text == "Guten Tag\nAuf Wiedersehen"


@pytest.mark.parametrize("wide", [False, True])
def test_a_document_of_word_97_gives_its_text_and_notes(read: Read, wide: bool) -> None:
    field = "see \x13 HYPERLINK \x13 QUOTE \x14x\x15 \x14the site\x15."
    text = f"Größe – “quoted”\rname\x07price\x07\x07tea\x073\x07\x07{field}\r"
    found = read(doc(text, wide=wide, notes="A footnote.\r"), "old.doc")
    assert found.format == "doc"
    assert found.text == "Größe – “quoted”\nname\tprice\ntea\t3\nsee the site.\nA footnote."


@pytest.mark.parametrize(
    ("content", "code", "sentence"),
    [
        (doc("secret", flags=0x0100), "invalid_file", "it is encrypted"),
        (compound({"EncryptedPackage": b"x" * 5000}), "invalid_file", "it is encrypted"),
        (compound({"PowerPoint Document": b"x"}), "unsupported_file", "save it as .pptx"),
        (compound({"WordDocument": struct.pack("<HHQ", 0xA5DC, 101, 0)}), "unsupported_file", "Word before 97"),
        (doc("cut")[:1500], "invalid_file", "The file could not be parsed"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 3000, "invalid_file", "its sectors"),
    ],
    ids=["encrypted", "encrypted docx", "ppt", "word 6", "cut", "zeros"],
)
def test_a_compound_file_that_is_not_read_says_why(
    fault: Callable[..., Unreadable], content: bytes, code: str, sentence: str
) -> None:
    failure = fault(content, "old.doc")
    assert (failure.code, sentence in failure.message) == (code, True), failure.message


def test_a_word_file_gives_its_headers_and_footers(read: Read) -> None:
    part = "<w:hdr xmlns:w='w'><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:hdr>"
    parts = {f"word/{name}1.xml": part.format(name) for name in ("document", "header", "footer")}
    parts["word/document.xml"] = parts.pop("word/document1.xml")
    assert read(archive(parts), "a.docx").text.split() == ["document", "footer", "header"]


def test_html_gives_its_words_without_scripts(read: Read) -> None:
    head = "<html><head><title>T</title><style>x{}</style></head>"
    page = f"{head}<body><p>One<b>two</b></p><script>evil()</script><table><tr><td>a<td>b</table>"
    assert read(page.encode(), "a.html").text == "T\nOnetwo\na\tb"


def test_php_that_prints_html_stays_code(read: Read) -> None:
    source = "<?php echo '<p>hello</p>'; ?>"
    assert read(source.encode(), "a.php").text == source


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_text_is_read_in_its_encoding(read: Read, encoding: str) -> None:
    text = "Die Größe der Straße überrascht: Äpfel, Öl und Übermut kosten fünfzig.\nZweite Zeile für Jürgen."
    found = read(text.encode(encoding))
    assert found.text == text
    assert found.line_at(text.index("Zweite")) == 2


def test_text_is_composed_and_has_no_nul(read: Read) -> None:
    assert read(b"x" * 5000 + "e\u0301 \0end".encode()).text == "x" * 5000 + "é end"


def test_the_name_does_not_decide_what_a_file_is(read: Read) -> None:
    assert read(pdf(["really a PDF"]), "notes.txt").format == "pdf"


@pytest.mark.parametrize(
    ("content", "code", "sentence"),
    [
        (b"", "invalid_file", "The file could not be parsed because it is empty."),
        (b"   \n ", "invalid_file", "it holds no text"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "unsupported_file", "neither text nor a document format"),
        (archive({"readme.md": "x"}), "unsupported_file", "The file is an archive"),
        (b"PK\x03\x04 not an archive", "invalid_file", "its archive is damaged"),
        (docx("text")[:-30], "invalid_file", "its archive is damaged"),
        (pdf([""]), "invalid_file", "scanned pages need a text layer"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 20, "invalid_file", "its PDF structure is damaged"),
    ],
    ids=["empty", "blank", "image", "zip", "torn zip", "cut docx", "scanned", "broken pdf"],
)
def test_a_file_without_text_fails_with_the_reason(
    fault: Callable[..., Unreadable], content: bytes, code: str, sentence: str
) -> None:
    failure = fault(content)
    assert failure.code == code
    assert sentence in failure.message


def test_an_encrypted_pdf_is_named_as_such(fault: Callable[..., Unreadable]) -> None:
    key = "00" * 32
    locked = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{key}> /U <{key}> /P -44 >> /ID [<00> <00>]"
    assert "it is encrypted" in fault(pdf(["secret"], trailer=locked), "a.pdf").message


def test_a_zip_bomb_is_refused_by_what_it_declares(fault: Callable[..., Unreadable]) -> None:
    bomb = archive({"word/document.xml": b"<w>" + b" " * (80 << 20) + b"</w>"})
    assert len(bomb) < 200_000
    assert "unpacks to more than 64 MiB" in fault(bomb, "a.docx").message


def test_a_zip_that_lies_about_its_size_is_refused_while_unpacking(fault: Callable[..., Unreadable]) -> None:
    bomb = bytearray(archive({"word/document.xml": b"<w>" + b" " * (80 << 20) + b"</w>"}))
    size = (80 << 20) + 7
    for at in range(len(bomb) - 4):
        if bomb[at : at + 4] == size.to_bytes(4, "little"):
            bomb[at : at + 4] = (1000).to_bytes(4, "little")
    assert fault(bytes(bomb), "a.docx").code == "invalid_file"


def test_xml_entities_are_refused(fault: Callable[..., Unreadable]) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = docx("&l9;", prolog=f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>')
    assert "defines XML entities" in fault(bomb, "a.docx").message


def test_a_pdf_that_claims_a_billion_pages_gives_the_one_it_has(read: Read) -> None:
    assert read(pdf(["only me"], count=1_000_000_000), "a.pdf", Limits(seconds=5)).text == "only me"


def test_a_pdf_whose_pages_go_in_a_circle_fails(fault: Callable[..., Unreadable]) -> None:
    circle = assembled(
        [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 9 /Parent 2 0 R >>"]
    )
    assert fault(circle, "a.pdf", Limits(seconds=10)).code == "invalid_file"


def test_a_pdf_bomb_ends_its_child_and_nothing_else(read: Read, fault: Callable[..., Unreadable]) -> None:
    bomb = pdf_of_operators(1_000_000)
    assert len(bomb) < 200_000
    assert fault(bomb, "a.pdf", Limits(seconds=3, memory_bytes=256 << 20)).code == "invalid_file"
    assert read(b"life goes on").text == "life goes on"


def test_a_file_that_takes_too_long_is_given_up(fault: Callable[..., Unreadable]) -> None:
    failure = fault(pdf_of_operators(2_000_000), "a.pdf", Limits(seconds=1, memory_bytes=8 << 30))
    assert "reading it takes more than 1 seconds" in failure.message


def test_too_many_characters_are_refused(fault: Callable[..., Unreadable]) -> None:
    assert "more than 1,000 characters" in fault(b"word " * 400, with_limits=Limits(characters=1000)).message


def test_files_are_read_side_by_side(extractor: Extractor, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    paths = [tmp_path / f"{number}.txt" for number in range(20)]
    for path in paths:
        path.write_text(f"I am {path.name}")
    with ThreadPoolExecutor(4) as pool:
        texts = list(pool.map(lambda path: extractor.extract(path, path.name).text, paths))
    assert texts == [f"I am {path.name}" for path in paths]


def test_a_confined_process_can_open_no_file_and_no_socket(tmp_path: Path) -> None:
    from respun.retrieval.extract.confine import confine

    secret = tmp_path / "secret"
    secret.write_text("x")
    ours, theirs = socket.socketpair()
    child = os.fork()
    if not child:
        confine(Limits(seconds=5))
        could = b""
        for attempt in (secret.read_bytes, lambda: os.listdir("/"), socket.socket, os.fork):
            try:
                attempt()
                could += b"y"
            except OSError:
                could += b"n"
        theirs.sendall(could)
        os._exit(0)
    theirs.close()
    assert ours.recv(10) == b"nnnn"
    ours.close()
    os.waitpid(child, 0)


def test_a_nursery_that_was_killed_is_started_again(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("again")
    with Extractor() as extractor:
        extractor.extract(path, "a.txt")
        nursery = extractor._nursery
        assert nursery
        nursery._process.kill()
        nursery._process.wait()
        assert extractor.extract(path, "a.txt").text == "again"


def test_damaged_files_are_read_or_refused_and_harm_nothing(extractor: Extractor, read: Read, tmp_path: Path) -> None:
    path = tmp_path / "given"
    for name, content in mutants(Random(7), 90):
        path.write_bytes(content)
        with suppress(Unreadable):
            extractor.extract(path, name)
    for name, content in WHOLE.items():
        assert read(content, name).text


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("many.docx", archive({f"word/x{n}.xml": b"" for n in range(20_000)}), "The file is an archive"),
        ("deep.docx", docx("<w:r>" * 200_000 + "</w:r>" * 200_000), "The file could not be parsed"),
        ("quine.docx", archive({"word/document.xml": archive({"word/document.xml": b"x"})}), "not well-formed"),
        ("ext.docx", docx("&x;", prolog='<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "XML entities"),
    ],
)
def test_an_attack_fails_with_its_reason(
    fault: Callable[..., Unreadable], name: str, content: bytes, sentence: str
) -> None:
    assert sentence in fault(content, name).message


def test_one_line_without_end_is_read(read: Read) -> None:
    assert len(read(b"word " * 1_000_000, "a.json").text) == 4_999_999


def test_a_pdf_of_ten_thousand_pages_is_read(read: Read) -> None:
    found = read(pdf([f"Page {number}" for number in range(1, 10_001)]), "a.pdf")
    assert found.page_at(found.text.index("Page 9999")) == 9999


def test_names_are_refused_with_openais_sentence() -> None:
    assert refusal("Report.PDF") is None
    assert refusal("data.csv") == "Files with extensions [.csv] are not supported for retrieval."


def test_the_archives_made_here_are_real_ones() -> None:
    import io

    assert zipfile.ZipFile(io.BytesIO(docx("x"))).testzip() is None
