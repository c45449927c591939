"""Old releases of Backboard's SDK, by the name they give themselves: what they can't read (contract 2.8)."""

import re
from typing import Final

_SDK: Final = re.compile(r"backboard-python-sdk/(?:(\d+)\.(\d+)\.(\d+)|async)")
# Releases up to 1.1 send it with JSON only, and what `requests` calls itself with forms; those to 1.4.8 say "async".
_KNOWS_TOOL_MESSAGES: Final = (1, 5, 11)
_KNOWS_ERRORS: Final = (1, 5, 16)


def release(user_agent: str) -> tuple[int, int, int] | None:
    """None: not an old one, as far as it says."""
    found = _SDK.match(user_agent)
    if not found:
        return None
    major, minor, patch = (int(number or 0) for number in found.groups())
    return major, minor, patch


def knows_tool_messages(user_agent: str) -> bool:
    found = release(user_agent)
    return found is None or found >= _KNOWS_TOOL_MESSAGES


def knows_errors(user_agent: str) -> bool:
    """Whether a document may have the status `error`; others know `failed` alone."""
    found = release(user_agent)
    return found is None or found >= _KNOWS_ERRORS
