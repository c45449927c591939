"""One score out of two legs: what the words of a message say, and what its meaning adds."""

from collections.abc import Mapping


def mixed(words: Mapping[int, float], near: Mapping[int, float]) -> dict[int, float]:
    """`near` counts in parts of the best score that words have, so that their scale doesn't matter."""
    if not near:
        return dict(words)
    best = max(words.values(), default=0.0) or 1.0
    return {n: words.get(n, 0.0) + best * near.get(n, 0.0) for n in {**words, **near}}
