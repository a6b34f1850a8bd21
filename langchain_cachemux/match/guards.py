"""Why two similar texts are different questions: the closer their wording, the more a word matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product
from typing import TypeAlias

from langchain_cachemux.match import english
from langchain_cachemux.match.alignment import align, opposed

Guard: TypeAlias = Callable[[str, str], str | None]
"""Reads the new and the stored text; returns why they differ in meaning, or None."""

DENIED, COUNTED = 0.5, 0.6
"""Share of the words in common from which on a "not" or sign, or a number, on one side counts."""


def numbers(new: str, stored: str) -> str | None:
    """Neither has a number in place of the other's, or, much alike, where the other has none."""
    return _differ(new, stored, "numbers")


def signs(new: str, stored: str) -> str | None:
    """Neither has a sign in place of the other's (== is not !=), nor, much alike, one of its own."""
    return _differ(new, stored, "signs")


def negation(new: str, stored: str) -> str | None:
    """Both deny or neither does; and neither holds the opposite of the other's word (un-, dis-)."""
    pair = align(new, stored)
    if pair.new.denies != pair.stored.denies and pair.common >= DENIED:
        return "one of them is negated"
    for some, others in ((pair.new, pair.stored), (pair.stored, pair.new)):
        for word in some.prefixed - others.every:
            for base in (word.removeprefix(prefix) for prefix in english.PREFIXES):
                if len(base) > 3 and base != word and base in others.every - some.every:  # noqa: PLR2004
                    return f"opposites: {word!r} and {base!r}"
    return None


def names(new: str, stored: str) -> str | None:
    """Neither has a name in place of the other's."""
    pair = align(new, stored)
    left, right = pair.new.strange(pair.stored), pair.stored.strange(pair.new)
    if left and right:
        return f"the names differ: {_show(left)}, stored {_show(right)}"
    return None


def small_words(new: str, stored: str) -> str | None:
    """No word of a closed class (to, must, his, and) stands where another of its class stood."""
    pair = align(new, stored)
    for found in pair.differences if pair.in_frame else ():
        if found.opposed:
            return f"{found.new!r} is not {found.stored!r}"
    asked, answered = (english.KINDS.intersection(text.words) for text in (pair.new, pair.stored))
    if asked - answered and answered - asked:
        return f"asked is {_show(asked - answered)}, stored {_show(answered - asked)}"
    for after, words in pair.new.steps.items():
        others = pair.stored.steps.get(after, words)
        for word, other in product(sorted(words - others), sorted(others - words)):
            if opposed(word, other):
                return f"'{word} {after}' is not '{other} {after}'"
    return None


def order(new: str, stored: str) -> str | None:
    """Two parts have not changed places: who does what to whom."""
    pair = align(new, stored)
    if pair.exchanged:
        return f"in another order: {_show(pair.moved)}"
    return "one asks who did it, the other to whom" if pair.other_role() else pair.other_way()


def frame(new: str, stored: str) -> str | None:
    """In one frame, where most words are shared, no other word differs."""
    pair = align(new, stored)
    if not pair.in_frame:
        return None
    if both := [found for found in pair.differences if found.new and found.stored]:
        return f"{both[0].new!r} is not {both[0].stored!r}"
    if pair.new.ones != pair.stored.ones:
        return "only one of them says 'one'"
    if pair.differences:
        return f"only one of them says {pair.differences[0].new or pair.differences[0].stored!r}"
    return f"in another order: {_show(pair.moved)}" if pair.moved else None


VETOES: tuple[Guard, ...] = (numbers, signs, negation, names, small_words, order)
GUARDS: tuple[Guard, ...] = (*VETOES, frame)


def _differ(new: str, stored: str, kind: str) -> str | None:
    pair = align(new, stored)
    mine, theirs = getattr(pair.new, kind), getattr(pair.stored, kind)
    if mine == theirs:
        return None
    more, less = Counter(mine) - Counter(theirs), Counter(theirs) - Counter(mine)
    if (more and less) or ((more or less) and pair.common >= COUNTED):
        return f"the {kind} differ: {_show(mine)}, stored {_show(theirs)}"
    return None


def _show(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"
