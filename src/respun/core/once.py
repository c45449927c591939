"""Retries: a request that is sent again has the effect of one."""

from typing import Final

from msgspec import Struct

WINDOW: Final = 600.0
"""Seconds in which an equal request that says it is a retry is taken for one."""
ANSWERS_KEPT: Final = 86_400.0
"""Seconds for which the answer to a request with a key of its own is kept."""


class Once(Struct, frozen=True):
    """A request as a retry of it would be known: `fingerprint` of who asks, where, and what (and of its key).

    `retry`: its client says that it sent this before. `keyed`: it gave a key under which there is but one effect.
    """

    fingerprint: str
    at: float
    retry: bool = False
    keyed: bool = False

    @property
    def repeated(self) -> bool:
        """Whether it may have been sent before."""
        return self.retry or self.keyed
