"""What a failing store looks like to a caller: a problem that says whether trying again helps."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from respun.core.problems import Problem
from respun.store.backend import Backend, StorageFull, StoreError, TooSlow, Unit

T = TypeVar("T")


class Store:
    """A backend whose failures are problems."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def read(self, unit: Unit[T]) -> T:
        with explained():
            return await self._backend.read(unit)

    async def scan(self, unit: Unit[T]) -> T:
        with explained():
            return await self._backend.scan(unit)

    async def write(self, unit: Unit[T], *, frees_space: bool = False) -> T:
        with explained():
            return await self._backend.write(unit, frees_space=frees_space)


@contextmanager
def explained() -> Iterator[None]:
    try:
        yield
    except StorageFull as error:
        message = "The server's disk is full: nothing was stored. Delete something, or ask who runs it to make room."
        raise Problem(message, kind="full") from error
    except TooSlow as error:
        raise Problem("This took too long and was stopped. Ask for less at a time.", kind="unavailable") from error
    except StoreError as error:
        raise Problem("The server's store doesn't answer. Try again shortly.", kind="unavailable") from error
