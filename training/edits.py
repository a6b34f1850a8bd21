"""Edits of a question's words: those that change what is asked, and those that do not.

Each takes a text and returns another, or None where it finds nothing to edit.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import lists

HERE = Path(__file__).parent


@cache
def groups(name: str) -> list[list[list[str]]]:
    """Read `synonyms.txt` (one sense a line) or `contrasts.txt` (senses by `|`)."""
    lines = (HERE / name).read_text("utf-8").splitlines()
    split = [line.split(" | ") for line in lines if line and not line.startswith("#")]
    return [[sense.split(", ") for sense in senses] for senses in split]


@cache
def _where(name: str) -> dict[str, list[tuple[int, int]]]:
    """In which group, and which sense of it, a word is."""
    found = defaultdict(list)
    for number, group in enumerate(groups(name)):
        for place, sense in enumerate(group):
            for word in sense:
                found[word].append((number, place))
    return found


@cache
def _words(name: str) -> re.Pattern[str]:
    """Finds the words and phrases of a file."""
    longest = sorted(_where(name), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)")


def numbers_near(rng: random.Random, number: int) -> list[str]:
    """Other numbers, most of them near in value or in their digits."""
    near = {
        number + 1,
        number - 1,
        number * 10,
        number + 10,
        int(str(number)[::-1]),
        rng.randint(2, 999),
    }
    return [str(one) for one in near if one > 1 and one != number]


def _swap(text: str, old: str, new: str) -> str:
    """Put one word or phrase in place of another, once, with the capital that the old one had."""

    def put(found: re.Match[str]) -> str:
        return new[:1].upper() + new[1:] if found[0][:1].isupper() and new != "I" else new

    return re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", put, text, count=1, flags=re.IGNORECASE)


def contrast(rng: random.Random, text: str) -> str | None:
    """Put a word that says something else in the place of one that has a contrast."""
    where = _where("contrasts.txt")
    found = _words("contrasts.txt").findall(text.lower())
    rare = [w for w in found if w not in ("to", "in", "for", "on", "and", "or")]
    if not found:
        return None
    word = rng.choice(rare if rare and rng.random() < 0.8 else found)
    number, place = rng.choice(where[word])
    others = [s for k, s in enumerate(groups("contrasts.txt")[number]) if k != place]
    return _swap(text, word, rng.choice(rng.choice(others)))


def number(rng: random.Random, text: str) -> str | None:
    """Change a number, in digits or in words."""
    digits = re.findall(r"\d+", text)
    if digits:
        one = rng.choice(digits)
        others = numbers_near(rng, int(one))
        return re.sub(rf"(?<!\d){one}(?!\d)", rng.choice(others), text, count=1) if others else None
    for place, word in enumerate(lists.NUMBERS):
        if re.search(rf"\b{word}\b", text, re.IGNORECASE):
            other = rng.choice([n for k, n in enumerate(lists.NUMBERS) if k != place])
            return _swap(text, word, other)
    return None


_MODALS = "can|must|should|will|may"
_MODAL = re.compile(
    r"\b(can|could|may|must|should|will)\b"
    r"(?= (?:I|we|you|they|my|a|an|the|one|children|adults|visitors)\b)",
    re.IGNORECASE,
)
_OBLIGED = re.compile(r"\b(?:do|does) ((?:my |an? )?\w+) (?:have|need) to\b", re.IGNORECASE)


def modal(rng: random.Random, text: str) -> str | None:
    """Put may for must, should for can; after "how" they say the same."""
    if obliged := _OBLIGED.search(text):
        word = rng.choice(("can", "should", "may", "will"))
        return _swap(text, obliged[0], f"{word} {obliged[1]}")
    found = _MODAL.search(text)
    if found is None or re.match(r"how\b(?! often| long| much)", text, re.IGNORECASE):
        return None
    able = ("can", "could", "may")
    here = found[1].lower()
    others = [m for m in _MODALS.split("|") if m != here and not (m in able and here in able)]
    return text[: found.start()] + _swap(found[1], here, rng.choice(others)) + text[found.end() :]


def pronoun(rng: random.Random, text: str) -> str | None:
    """Ask about somebody else's."""
    owners = [
        "my",
        "your",
        "her",
        "his",
        "their",
        "our",
        "my mother's",
        "my boss's",
        "a friend's",
        "someone else's",
    ]
    here = next(
        (word for word in ("my", "your", "our") if re.search(rf"\b{word}\b", text, re.IGNORECASE)),
        None,
    )
    if here is None:
        if re.search(r"\bfor me\b", text):
            return text.replace(
                "for me", rng.choice(("for him", "for her", "for my son", "for them")), 1
            )
        return None
    if (
        here == "my"
        and re.search(r"\b(can|could|do|how to|would) ", text, re.IGNORECASE)
        and rng.random() < 0.05
    ):
        return None
    return _swap(
        text, here, rng.choice([w for w in owners if w != here and {w, here} != {"my", "our"}])
    )


_ASKING = (
    ("how do", ("why do", "when do", "where do")),
    ("how can", ("why can", "when can", "where can", "who can")),
    ("how to", ("when to", "where to", "why")),
    ("what is", ("where is", "who is", "why is", "when is", "how is")),
    ("what are", ("where are", "who are", "why are")),
    ("where can", ("when can", "how can", "why can")),
    ("when can", ("where can", "how can", "why can")),
    ("when does", ("where does", "how does", "why does")),
    ("how does", ("when does", "where does", "why does")),
    ("when did", ("where did", "how did", "why did")),
    ("why did", ("when did", "where did", "how did")),
    ("how much", ("how many", "how long", "how old", "how often")),
    ("how long", ("how often", "how much", "how far", "how soon")),
    ("who", ("what", "when", "where")),
    ("how often", ("how long", "how soon", "how late")),
)


def asking(rng: random.Random, text: str) -> str | None:
    """Ask with another question word."""
    for old, others in _ASKING:
        if re.match(rf"{old}\b", text, re.IGNORECASE):
            return _swap(text, old, rng.choice(others))
    return None


_DENIED = re.compile(
    r"\b(can|could|should|must|will|would|may|does|do|did|is|are|was|were|am) "
    r"((?:I|you|we|they|he|she|the|my|a|an|children|adults|all|some)\b(?: [a-z]+)?)", re.IGNORECASE
)  # fmt: skip


def denial(rng: random.Random, text: str) -> str | None:
    """Deny it, or take the denial away."""
    if re.search(r"\bnot\b", text):
        return re.sub(r" ?\bnot\b", "", text, count=1)
    if re.search(r"n't\b", text) and "can't" not in text and "won't" not in text:
        return re.sub(r"n't\b", "", text, count=1)
    if re.search(r"\bwithout\b", text) and rng.random() < 0.5:
        return _swap(text, "without", "with")
    found = _DENIED.search(text)
    if found is None:
        return re.sub(r"\bto ([a-z]+)", r"not to \1", text, count=1) if " to " in text else None
    subject = found[2].split()
    keep = (
        1
        if subject[0].lower() in ("i", "you", "we", "they", "he", "she", "children", "adults")
        else 2
    )
    end = found.start(2) + len(" ".join(subject[:keep]))
    return f"{text[:end]} {rng.choice(('not', 'not', 'never', 'no longer'))}{text[end:]}"


_PLACES_OF_TENSE = (
    ("does", ("did", "will")), ("do", ("did", "will")), ("did", ("does", "will")),
    ("is", ("was", "will be")), ("are", ("were",)), ("was", ("is",)), ("will", ("did", "does")),
    ("has", ("had", "will have")), ("have", ("had",)),
)  # fmt: skip


def tense(rng: random.Random, text: str) -> str | None:
    """Ask about another time."""
    if text.startswith(("There", "The problem", "What is the reason", "For what reason")):
        return None
    for old, others in _PLACES_OF_TENSE:
        if re.match(rf"(?:\w+ )?{old}\b", text, re.IGNORECASE) and not re.search(
            r"\b(you|I) ", text[:18]
        ):
            return _swap(text, old, rng.choice(others))
    return None


def modified(rng: random.Random, text: str) -> str | None:
    """Say one thing more: what kind of thing, or in which case."""
    if rng.random() < 0.5 and text.rstrip().endswith("?"):
        return f"{text.rstrip()[:-1]} {rng.choice(lists.FURTHER)}?"
    found = list(re.finditer(r"\b(my|the|a|two|your) (?=[a-z])", text))
    if not found:
        return None
    one, word = rng.choice(found), rng.choice(lists.ADJECTIVES)
    head = "an " if one[1] == "a" and word[0] in "aeiou" else f"{one[1]} "
    return f"{text[: one.start()]}{head}{word} {text[one.end() :]}"


_SIGNS = (
    ("+", "-"), ("-", "+"), ("*", "/"), ("<", ">"), (">", "<"), ("%", " euros"), ("=", "≠"),
    ("^2", "^3"), ("C++", "C#"), ("C#", "C"), ("$", "€"), ("sin", "cos"), ("cos", "tan"), ("x", "y"),
    ("{", "["), ("(", "["),
)  # fmt: skip


def sign(rng: random.Random, text: str) -> str | None:
    """Put another sign."""
    found = [
        (old, new) for old, new in _SIGNS if old in text and (old not in "xsincos-" or "=" in text)
    ]
    if not found:
        return None
    old, new = rng.choice(found)
    return text.replace(old, new, 1)


def scope(rng: random.Random, text: str) -> str | None:
    """Ask of all, of some, of only one."""
    found = re.search(r"\b(the|my|your) (?=[a-z]+s\b)", text)
    if found:
        word = rng.choice(
            ("all of ", "only ", "some of ", "none of ", "most of ", "one of ", "both of ")
        )
        return text[: found.start()] + word + text[found.start() :]
    found = re.search(r"\b(an?|the|my) (?=[a-z])", text)
    if found:
        return (
            text[: found.start()]
            + rng.choice(("only ", "more than ", "anything but "))
            + text[found.start() :]
        )
    return None


CHANGES = {
    contrast: 6, number: 12, modal: 14, pronoun: 6, asking: 5, denial: 4, tense: 3, modified: 4,
    sign: 16, scope: 2,
}  # fmt: skip
"""How often each is tried first; those that seldom find something to change more often."""


def synonym(rng: random.Random, text: str) -> str | None:
    """Put a synonym."""
    where = _where("synonyms.txt")
    found = _words("synonyms.txt").findall(text.lower())
    if not found:
        return None
    word = rng.choice(found)
    number, place = rng.choice(where[word])
    others = [w for w in groups("synonyms.txt")[number][place] if w != word]
    return _swap(text, word, rng.choice(others))


def _either_way(pairs: list[str]) -> list[tuple[str, str]]:
    split = [pair.split("=") for pair in pairs]
    return [(a, b) for a, b in split] + [(b, a) for a, b in split if len(b) > 3]


_CONTRACTED, _SPELT = _either_way(lists.CONTRACTIONS), _either_way(lists.SPELLINGS)


def contracted(rng: random.Random, text: str) -> str | None:
    """Contract or abbreviate, or write it out."""
    return _one_of(rng, text, _CONTRACTED)


def spelt(rng: random.Random, text: str) -> str | None:
    """Spell as on the other side of the Atlantic."""
    return _one_of(rng, text, _SPELT)


def _one_of(rng: random.Random, text: str, pairs: list[tuple[str, str]]) -> str | None:
    lower = text.lower()
    found = [(a, b) for a, b in pairs if re.search(rf"(?<!\w){re.escape(a.lower())}(?!\w)", lower)]
    return _swap(text, *rng.choice(found)) if found else None


def slip(rng: random.Random, text: str) -> str | None:
    """A slip of the fingers in a longer word: two letters exchanged, one lost, one twice."""
    found = [
        m for m in re.finditer(r"[A-Za-z]{5,}", text) if m[0].lower() not in _where("contrasts.txt")
    ]
    if not found:
        return None
    one = rng.choice(found)
    word, place = one[0], rng.randint(1, len(one[0]) - 3)
    slipped = rng.choice((
        word[:place] + word[place + 1] + word[place] + word[place + 2 :],
        word[:place] + word[place + 1 :],
        word[:place] + word[place] + word[place:],
    ))  # fmt: skip
    return text[: one.start()] + slipped + text[one.end() :]


def chatter(rng: random.Random, text: str) -> str | None:
    """Greet or thank."""
    before = rng.choice(lists.BEFORE) if rng.random() < 0.6 else ""
    after = rng.choice(lists.AFTER) if not before or rng.random() < 0.4 else ""
    lowered = before.endswith((", ", "but ")) and not re.match(
        r"I\b|[A-Z]{2}|[A-Z][a-z]+ [A-Z]", text
    )
    return before + (text[0].lower() + text[1:] if lowered else text) + after


def cased(rng: random.Random, text: str) -> str | None:
    """Small letters, or no sign at the end, or too many."""
    bare = text.rstrip("?.!")
    several = (text.lower(), bare, bare.lower(), f"{text}??", f"{bare}!", f"{text.rstrip('?.')} ?")
    return rng.choice(several)


def spelled_number(rng: random.Random, text: str) -> str | None:  # noqa: ARG001
    """Two for 2, and 2 for two."""
    for value, word in enumerate(lists.NUMBERS, 2):
        if re.search(rf"(?<![\w.]){value}(?![\w.:/])", text):
            return re.sub(rf"(?<![\w.]){value}(?![\w.:/])", word, text, count=1)
        if re.search(rf"\b{word}\b", text):
            return re.sub(rf"\b{word}\b", str(value), text, count=1)
    return None


def filled(rng: random.Random, text: str) -> str | None:
    """A word that says nothing."""
    if not text.rstrip().endswith("?"):
        return None
    return f"{text.rstrip()[:-1]}{rng.choice((' ', ', '))}{rng.choice(lists.FILLERS)}?"


NOISE = (
    synonym,
    synonym,
    synonym,
    contracted,
    contracted,
    spelt,
    slip,
    chatter,
    chatter,
    cased,
    cased,
    spelled_number,
    filled,
)


def noisy(rng: random.Random, text: str, most: int) -> str:
    """Up to so many edits that do not change what is asked."""
    for edit in rng.sample(NOISE, rng.randint(0, most)):
        text = edit(rng, text) or text
    return text
