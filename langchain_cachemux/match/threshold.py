"""Is it the same question? A threshold on the similarity, and guards that know what it cannot see.

No encoder's cosine separates paraphrases from hard negatives: "capital of France" is nearer to
"capital of Germany" than to many a rewording. What tells them apart is a few words, so a guard reads
the words: it names the difference that makes two similar texts different questions, or says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from langchain_cachemux.arguments import expect, is_number, number_of, shown, takes
from langchain_cachemux.match.guards import GUARDS, Guard
from langchain_cachemux.types import Hit, Match, Miss, Query


class Matcher(Protocol):
    """Decides whether one of the stored questions near a query is the same question."""

    def judge(self, query: Query, matches: Iterable[Match]) -> Hit | Miss:
        """Return the verdict; `matches` come nearest first and all share the query's partition.

        Where a judge may be asked of any pair, they share its `kin`, and are `elsewhere` if no more.
        """
        ...


class Threshold:
    """Serve the nearest stored answer that is similar enough and that no guard objects to.

    Args:
        similarity: Least cosine to serve, in (0, 1]; at 1 nothing but exact matches is served, since
            two texts may have one vector.
        guards: What must not differ; by default `GUARDS`: the closer the wording, the less may differ.
    """

    def __init__(self, similarity: float = 0.85, *, guards: Iterable[Guard] | None = None) -> None:
        right = is_number(similarity) and 0 < similarity <= 1
        expect(right, "similarity", "in (0, 1]", similarity)
        several = guards is None or isinstance(guards, Iterable)
        self.guards = GUARDS if guards is None else tuple(guards) if several else ()
        right = several and all(takes(guard, 2) for guard in self.guards)
        expect(right, "guards", "functions of two texts, such as GUARDS", guards)
        self.similarity = number_of(similarity)

    def __repr__(self) -> str:
        """How it was made."""
        names = ", ".join(map(shown, self.guards))
        guards = "" if self.guards == GUARDS else f", guards=({names})"
        return f"Threshold({self.similarity!r}{guards})"

    def judge(self, query: Query, matches: Iterable[Match]) -> Hit | Miss:
        """Return the first match at or above the threshold that passes every guard.

        An answer that is the same question is taken to cost nothing more, and another to cost a miss.
        So the credit, the share (min(c, d2) - d1)⁺ / c of a miss's cost c that is lost with the nearest
        when it costs d1 to serve it and d2 to serve the next, is 1, or 0 when the next serves as well.
        """
        if self.similarity == 1:
            return Miss(query, "only exact matches are served")
        nearest, objection, served = None, "", None
        for match in matches:
            nearest = nearest or match
            if match.similarity < self.similarity:
                break
            found = self._objection(query.text, match.entry.text)
            if found is None and served is not None:
                return Hit(query, served.entry, "semantic", served.similarity, credit=0.0)
            if found is None:
                served = match
            objection = objection or found or ""
        if served is not None:
            return Hit(query, served.entry, "semantic", served.similarity)
        if nearest is None:
            return Miss(query, "nothing near is stored")
        if objection:
            return Miss(query, objection, nearest)
        reason = f"the nearest is only {nearest.similarity:.2f} similar, of {self.similarity:.2f}"
        return Miss(query, reason, nearest)

    def _objection(self, new: str, stored: str) -> str | None:
        if new == stored:
            return None
        return next(filter(None, (guard(new, stored) for guard in self.guards)), None)
