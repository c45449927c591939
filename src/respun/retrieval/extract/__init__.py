"""A file's bytes become text, in a confined child process that may crash without harm."""

from respun.retrieval.extract.extractor import Extractor
from respun.retrieval.extract.formats import refusal
from respun.retrieval.extract.text import Extracted, Format, Limits, Unreadable

__all__ = ["Extracted", "Extractor", "Format", "Limits", "Unreadable", "refusal"]
