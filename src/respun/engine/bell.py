"""Wake a chore that waits for work, or have it look by itself now and then."""

import asyncio


class Bell:
    """One chore listens; anybody rings. What rings while the chore works is heard when it listens next."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def listen(self, seconds: float) -> None:
        """Until it rings, at most so many seconds."""
        try:
            # Not wait_for: in Python 3.11 it swallows a cancel that comes together with the event.
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return
        self._rung.clear()
