"""A rule for `ttl`: which questions have another answer after a while."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_cachemux.arguments import expect
from langchain_cachemux.keep.expiry import is_span, listed

if TYPE_CHECKING:
    from collections.abc import Collection

    from langchain_cachemux.keep.expiry import Span
    from langchain_cachemux.types import Query

NOW = (
    "now nowadays currently current today tonight tomorrow yesterday latest lately recent recently "
    "newest upcoming ago"
)
"""Words of English that say when, as seen from the moment in which they are said."""
_WHILES = (
    "second minute hour morning afternoon evening night day week weekend month season year".split()
)
NOW_PHRASES = (
    rf"(?:this|next|last|past|coming) (?:{'|'.join(_WHILES)})s?",
    r"(?:at|by) (?:the|this) (?:moment|time|point)",
    r"so far|as of|these days|up to date",
    r"(?:what|which) (?:time|day|date|year|month) is it",
)
"""Phrases that do; each is a regular expression over words in lower case."""


class Volatile:
    """A rule for `ttl`: an answer holds for a while where the question is asked from the moment.

    "Who won last night?" has another answer each morning, "who won the final of 1954?" has one. Two
    things tell them apart. Words may point from the moment of asking: a small closed class (`NOW`,
    `NOW_PHRASES`). Or the question is about what changes by itself: prices, the weather, who holds an
    office. That is no closed class, and differs with whom you serve, so you name such words; others for
    the same thing, and those of other languages, are found only where you name them too.

    What would need no words is to ask stored questions again and see whose answers have changed, as a
    crawler learns how often to visit a page. That costs calls, so it is not done here.

    Args:
        ttl: How long such an answer holds; by default five minutes.
        words: Words that make a question such a one beside those that come with it, in any language:
            `["price", "weather", "heute"]`. A plural in -s or -es is found too.
        otherwise: How long other answers hold; for ever by default.

    Raises:
        ValueError: An argument is of the wrong kind.
    """

    def __init__(
        self, ttl: Span = 300.0, *, words: Collection[str] = (), otherwise: Span | None = None
    ) -> None:
        expect(is_span(ttl), "ttl", "seconds > 0 or a timedelta, such as 300", ttl)
        right = otherwise is None or is_span(otherwise)
        expect(right, "otherwise", "seconds > 0, a timedelta or None", otherwise)
        self.ttl = ttl
        self.words = listed(words, "words")
        self.otherwise = otherwise
        own = [*map(re.escape, NOW.split()), *NOW_PHRASES]
        given = [rf"{re.escape(' '.join(word.casefold().split()))}(?:e?s)?" for word in self.words]
        self._pattern = re.compile(rf"\b(?:{'|'.join([*own, *given])})\b")

    def __repr__(self) -> str:
        """How it was made."""
        return f"Volatile({self.ttl!r}, words={[*self.words]}, otherwise={self.otherwise!r})"

    def __call__(self, query: Query) -> Span | None:
        """Say how long the answer to a question holds.

        Of a question whose words are not read (`Query.text`: one too long, say) nothing is known, so its
        answer holds as long as that of a volatile one.
        """
        if not query.text:
            return self.ttl
        text = " ".join(query.text.casefold().split())
        return self.ttl if self._pattern.search(text) else self.otherwise
