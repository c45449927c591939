"""Small real documents, made here: PDF, Word, PowerPoint, Excel, OpenDocument."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
_S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_TYPES = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'


def pdf(pages: Sequence[str], *, count: int | None = None, trailer: str = "") -> bytes:
    """A PDF with one line of text a page; `count` is what the page tree claims."""
    first = 4
    kids = " ".join(f"{first + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages) if count is None else count} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, text in enumerate(pages):
        content = b"BT /F1 12 Tf 72 720 Td (" + _escaped(text) + b") Tj ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {first + 2 * number + 1} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(_stream(content))
    return assembled(objects, trailer)


def pdf_of_operators(operators: int) -> bytes:
    """One small page that draws text again and again: little to download, much to hold."""
    content = b"BT /F1 12 Tf " + b"(abcdefgh) Tj 1 0 Td " * operators + b"ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R "
        b"/Resources << /Font << /F1 3 0 R >> >> >>",
        _stream(content),
    ]
    return assembled(objects)


def assembled(objects: Sequence[bytes], trailer: str = "") -> bytes:
    out = io.BytesIO(b"%PDF-1.4\n")
    out.seek(0, io.SEEK_END)
    places = []
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(f"{number} 0 obj\n".encode() + body + b"\nendobj\n")
    table = out.tell()
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    for place in places:
        out.write(f"{place:010} 00000 n \n".encode())
    out.write(f"trailer << /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{table}\n%%EOF\n".encode())
    return out.getvalue()


def _stream(content: bytes) -> bytes:
    packed = zlib.compress(content)
    return f"<< /Length {len(packed)} /Filter /FlateDecode >>\nstream\n".encode() + packed + b"\nendstream"


def _escaped(text: str) -> bytes:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("cp1252")


def archive(parts: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return out.getvalue()


def docx(*paragraphs: str, table: Sequence[Sequence[str]] = (), prolog: str = "") -> bytes:
    body = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    if table:
        cells = ("".join(f"<w:tc><w:p><w:r><w:t>{cell}</w:t></w:r></w:p></w:tc>" for cell in row) for row in table)
        body += "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in cells) + "</w:tbl>"
    document = f"{prolog}<w:document {_W}><w:body>{body}</w:body></w:document>"
    return archive({"[Content_Types].xml": _TYPES, "word/document.xml": document})


def pptx(*slides: str, notes: Mapping[int, str] | None = None) -> bytes:
    parts = {"[Content_Types].xml": _TYPES, "ppt/presentation.xml": "<p/>"}
    for number, text in enumerate(slides, 1):
        parts[f"ppt/slides/slide{number}.xml"] = f"<s {_A}><a:p><a:r><a:t>{text}</a:t></a:r></a:p></s>"
    for number, text in (notes or {}).items():
        parts[f"ppt/slides/_rels/slide{number}.xml.rels"] = (
            '<Relationships><Relationship Target="../notesSlides/notesSlide1.xml"/></Relationships>'
        )
        parts["ppt/notesSlides/notesSlide1.xml"] = f"<n {_A}><a:p><a:r><a:t>{text}</a:t></a:r></a:p></n>"
    return archive(parts)


def xlsx(rows: Sequence[Sequence[str | int]]) -> bytes:
    strings = [cell for row in rows for cell in row if isinstance(cell, str)]
    shared = "".join(f"<si><t>{text}</t></si>" for text in strings)
    lines = "".join(
        "<row>"
        + "".join(
            f'<c t="s"><v>{strings.index(cell)}</v></c>' if isinstance(cell, str) else f"<c><v>{cell}</v></c>"
            for cell in row
        )
        + "</row>"
        for row in rows
    )
    return archive(
        {
            "[Content_Types].xml": _TYPES,
            "xl/workbook.xml": "<workbook/>",
            "xl/sharedStrings.xml": f"<sst {_S}>{shared}</sst>",
            "xl/worksheets/sheet1.xml": f"<worksheet {_S}><sheetData>{lines}</sheetData></worksheet>",
        }
    )


def odt(*paragraphs: str) -> bytes:
    text = 'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    body = "".join(f"<text:p>{each}</text:p>" for each in paragraphs)
    return archive({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": f"<o {text}>{body}</o>"})


def doc(text: str, *, wide: bool = False, flags: int = 0, notes: str = "") -> bytes:
    """A document of Word 97: its text in one piece, of one byte a character or of two."""
    whole = text + notes
    content = whole.encode("utf-16-le" if wide else "cp1252")
    at = 0x600
    head = bytearray(at)
    struct.pack_into("<HH", head, 0, 0xA5EC, 193)
    struct.pack_into("<H", head, 0x0A, flags | 0x0200)
    struct.pack_into("<II", head, 0x4C, len(text), len(notes))
    pieces = struct.pack("<II", 0, len(whole)) + struct.pack("<HIH", 0, at if wide else at * 2 | 1 << 30, 0)
    table = b"\1\2\0ab" + b"\2" + struct.pack("<I", len(pieces)) + pieces
    struct.pack_into("<II", head, 0x01A2, 0, len(table))
    return compound({"WordDocument": bytes(head) + content, "1Table": table})


def compound(streams: Mapping[str, bytes]) -> bytes:
    """A compound file with sectors of 512 bytes and all streams in them: none is small enough to be elsewhere."""
    size, end = 512, 0xFFFFFFFE
    sectors: list[bytes] = []
    table: list[int] = []

    def put(content: bytes) -> int:
        first = len(sectors)
        count = max(1, -(-len(content) // size))
        for number in range(count):
            sectors.append(content[number * size : (number + 1) * size].ljust(size, b"\0"))
            table.append(first + number + 1 if number + 1 < count else end)
        return first

    def entry(name: str, kind: int, start: int, length: int) -> bytes:
        spelled = name.encode("utf-16-le") + b"\0\0"
        return struct.pack(
            "<64sHBB3I16sI8s8sIII",
            spelled,
            len(spelled),
            kind,
            1,
            *[0xFFFFFFFF] * 3,
            b"",
            0,
            b"",
            b"",
            start,
            length,
            0,
        )

    entries = [entry("Root Entry", 5, end, 0)]
    entries += [entry(name, 2, put(content), len(content)) for name, content in streams.items()]
    directory = put(b"".join(entries))
    tables = -(-(len(sectors) + 1) // (size // 4)) + 1
    places = [len(sectors) + number for number in range(tables)]
    table += [0xFFFFFFFD] * tables
    packed = struct.pack(f"<{len(table)}I", *table).ljust(tables * size, b"\xff")
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 62, 3, 0xFFFE, 9, 6, b"", 0, tables,
        directory, 0, 0, end, 0, end, 0,
    )  # fmt: skip
    header += struct.pack("<109I", *places, *[0xFFFFFFFF] * (109 - tables))
    return header + b"".join(sectors) + packed
