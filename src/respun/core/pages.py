"""Pages of a list, by cursor."""

from typing import Generic, Literal, TypeVar

from msgspec import Struct

T = TypeVar("T")


class PageRequest(Struct, frozen=True):
    """`after` and `before` are ids: the items behind and in front of that one, in the chosen order of creation."""

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


class Page(Struct, Generic[T], frozen=True):
    """`has_more`: there are further items in the direction of travel."""

    items: tuple[T, ...]
    has_more: bool = False
