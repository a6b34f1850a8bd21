"""What must not differ: why two similar texts are different questions, in words.

A guard reads the new and the stored text and says why they differ in meaning, or nothing. The closer
the two are worded, the more each difference matters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from langchain_cachemux.match import english
from langchain_cachemux.match.alignment import Difference, align, opposed
from langchain_cachemux.match.words import Text

Guard: TypeAlias = Callable[[str, str], str | None]
"""Reads the new and the stored text; returns why they differ in meaning, or None."""

NEAR = 0.5
"""Share of words in common from which on a "not" on one side is believed to turn the meaning."""


def numbers(new: str, stored: str) -> str | None:
    """Neither may have a number in place of the other's."""
    pair = align(new, stored)
    left, right = Counter(pair.new.numbers), Counter(pair.stored.numbers)
    if left - right and right - left:
        return f"the numbers differ: {_show(pair.new.numbers)}, stored {_show(pair.stored.numbers)}"
    return None


def signs(new: str, stored: str) -> str | None:
    """Neither may have a sign in place of the other's: == is not !=."""
    pair = align(new, stored)
    left, right = Counter(pair.new.signs), Counter(pair.stored.signs)
    if left - right and right - left:
        return f"the signs differ: {_show(left - right)}, stored {_show(right - left)}"
    return None


def negation(new: str, stored: str) -> str | None:
    """Both deny or neither; and neither holds the opposite of the other's word (un-, dis-)."""
    pair = align(new, stored)
    if pair.bag >= NEAR and pair.new.denies != pair.stored.denies:
        return "one of them is negated"
    mine, theirs = pair.new.every, pair.stored.every
    for some, others in ((mine, theirs), (theirs, mine)):
        for word in some - others:
            for prefix in english.OPPOSITE_PREFIXES:
                base = word.removeprefix(prefix)
                if len(base) > 3 and base != word and base in others and base not in some:  # noqa: PLR2004
                    return f"opposites: {word!r} and {base!r}"
    return None


def names(new: str, stored: str) -> str | None:
    """Neither may have a name in place of the other's."""
    pair = align(new, stored)
    left, right = _strange(pair.new, pair.stored), _strange(pair.stored, pair.new)
    if left and right:
        return f"the names differ: {_show(left)}, stored {_show(right)}"
    return None


def small_words(new: str, stored: str) -> str | None:
    """A word of a closed class (to, must, his, and) may not stand where another of its class stood."""
    pair = align(new, stored)
    if pair.in_frame:
        for found in pair.differences:
            if found.opposed:
                return f"{found.new!r} is not {found.stored!r}"
    mine, theirs = set(_steps(pair.new)), set(_steps(pair.stored))
    for word, after in mine - theirs:
        for other, then in theirs - mine:
            if after == then and opposed(word, other) and (other, then) not in mine:
                return f"'{word} {after}' is not '{other} {after}'"
    return None


def order(new: str, stored: str) -> str | None:
    """Two parts may not have changed places: who does what to whom."""
    pair = align(new, stored)
    return f"in another order: {_show(pair.moved)}" if pair.exchanged else None


def frame(new: str, stored: str) -> str | None:
    """In one frame, where most words are shared, no other word may differ."""
    pair = align(new, stored)
    if not pair.in_frame:
        return None
    for found in sorted(pair.differences, key=_one_sided):
        if _one_sided(found):
            return f"only one of them says {found.new or found.stored!r}"
        return f"{found.new!r} is not {found.stored!r}"
    return f"in another order: {_show(pair.moved)}" if pair.moved else None


VETOES: tuple[Guard, ...] = (numbers, signs, negation, names, small_words, order)
"""What makes it another question, whatever else is said."""
GUARDS: tuple[Guard, ...] = (*VETOES, frame)
"""All of the above."""


def _steps(text: Text) -> Iterator[tuple[str, str]]:
    return zip(text.words, text.stems[1:], strict=False)


def _one_sided(found: Difference) -> bool:
    return not (found.new and found.stored)


def _strange(text: Text, other: Text) -> list[str]:
    """The names of a text that the other has not, nor their adjective, nor their initials."""
    initials = "".join(name[0] for name in other.names)
    begins = {name[:4] for name in other.names}
    return [
        name
        for name in text.names
        if name not in other.every and name not in initials and name[:4] not in begins
    ]


def _show(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"
