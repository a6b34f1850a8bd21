"""Words that refer to what was said before, where nothing was, as "he" in "Where was he born?".

What such words ask depends on what was said before. Where nothing was, a cache cannot know what is
meant, and the same words from somebody else may mean another thing.

No parser is asked. The closed classes of English are listed, and what "it" and "this" go with when they
refer to nothing said: the weather and the time ("Is it raining?", "this week"), a clause that follows
("How long does it take to …"), what is in sight ("this app"). A pronoun dangles when nothing before it
in the text could be what it stands for. Of other languages only what they share with English is seen, so
there a reference may pass.
"""

from __future__ import annotations

import re
from itertools import pairwise

_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[^\w\s]|\n")
_QUOTES = re.compile("[’‘‛`]")
_IS = re.compile(r"\b(it|that|there|what|who|where|how|when|he|she|here)'s\b")
_ARE = re.compile(r"\b(they|those|these)'(?:re|ve)\b")

PERSONS = frozenset("he him his she her hers they them their theirs its".split())
POINTERS = frozenset("this that these those".split())
SUBSTITUTES = frozenset("one ones".split())
_REFERRING = PERSONS | POINTERS | SUBSTITUTES | {"it", "there"}
_BE = frozenset("is are was were be been being 's 're isn't aren't wasn't weren't am".split())
_AUXILIARIES = _BE | frozenset(
    "do does did don't doesn't didn't has have had hasn't haven't hadn't can could can't cannot"
    " couldn't will would won't wouldn't shall should shouldn't may might must 'd 'll 've".split()
)
_DO = frozenset("do does did don't doesn't didn't".split())
_ASKED = frozenset("what who whom whose which when where why how".split())
_PREPOSITIONS = frozenset(
    "of in on at to for from with without by about as into onto over under after before between"
    " against during through than like off out up down around across near since until toward"
    " towards upon".split()
)
_JOINS = frozenset("and or but so then if because while although though whether unless".split())
_ARTICLES = frozenset("a an the".split())
_OTHERS = frozenset(
    "i me my mine myself we us our ours you your yours it there here not no yes too also just only"
    " even still now ever never really please some any all both each every other another else more"
    " most less much many few very well thanks thank ok okay hi hello hey let let's again back"
    " else's such same himself herself itself themselves".split()
)
_CLOSED = (
    PERSONS
    | POINTERS
    | SUBSTITUTES
    | _AUXILIARIES
    | _ASKED
    | _PREPOSITIONS
    | _JOINS
    | _ARTICLES
    | _OTHERS
)
_SAID = frozenset(
    "tell show give explain describe say said know think mean guess see wonder happen happens"
    " happened".split()
)
"""Verbs by which one asks: never what a pronoun stands for."""
_NAMELESS = _CLOSED | _SAID
_SPEAKERS = frozenset("i my mine we us our you your".split())
_ON = (
    _ASKED | _JOINS | _SAID | frozenset("yes no not ok okay more less again another really".split())
)
_BESIDE = frozenset("and now also but only just please again instead then ok okay".split())
"""May stand beside a phrase that continues what was asked."""
_BEGINS = frozenset("to i we you that without my".split())
"""A clause may begin with one of these, or with a word in -ing."""
_ORDER = frozenset(
    "first second third fourth fifth last next former latter previous other another which this"
    " that each these those".split()
)
_TIMES = frozenset(
    "time day week weekend month year morning afternoon evening night season quarter century"
    " moment spring summer autumn fall winter monday tuesday wednesday thursday friday saturday"
    " sunday".split()
)
"""After "this", the time of speaking."""
_WEATHER = frozenset(
    "raining rain rains snowing snow snows sunny windy cloudy humid hot cold warm chilly freezing"
    " dark late early".split()
)
_IMPERSONAL = frozenset(
    "take takes took cost costs mean means feel matter say says show shows seem seems appear"
    " appears look looks sound sounds hurt help like".split()
)
_EXTRAPOSED = frozenset("to that if when how whether my".split())
_CONTINUES = re.compile(
    r"(?:so|ok|okay|well|and|or|but)?\s*(?:(?:what|how) about\b|(?:what|who|where|why|when) else\b)"
    r"|(?:and|or|but)\b|(?:(?:go|carry) on|try again|continue|proceed)(?:,? please)?\W*$"
    r"|(?:(?:and|now|also|then|but) )?(?:do |ask )?(?:the )?same(?: \w+)?"
    r"(?: (?:for|in|on|to|with|from|at|as|but|again|please)\b|\W*$)"
)
_BEFORE = re.compile(
    r"\bthe (?:latter|former|above)(?: please)?\s*(?:[.,;:?!]|$)"
    r"|\b(?:previous|last|earlier|above) (?:answer|question|message|reply|response)\b"
)
"""What was written earlier, by the words for it."""
_END = frozenset(".!?\n;")
_BREAKS = _END | frozenset(',:()"-–—') | _JOINS


def dangles(text: str) -> bool:
    """Whether a text refers to something that was said before it.

    Args:
        text: As somebody wrote it; nothing was said before.
    """
    line = _QUOTES.sub("'", text).casefold().strip()
    words = _TOKEN.findall(_apart(line))
    if not any(word[0].isalpha() for word in words):
        return False
    if _CONTINUES.match(line) or _BEFORE.search(line) or _goes_on(words):
        return True
    return any(
        word in _REFERRING and _refers(words, at) and not _named(words, at)
        for at, word in enumerate(words)
    )


def _apart(line: str) -> str:
    """Contractions as two words."""
    return _ARE.sub(r"\1 are", _IS.sub(r"\1 is", line)) if "'" in line else line


def _goes_on(words: list[str]) -> bool:
    """Whether it only asks or answers on, about nothing it names: "Why?", "And then?", "Yes"."""
    said = [word for word in words if word[0].isalnum()]
    names = not _NAMELESS.issuperset(said) or not _SPEAKERS.isdisjoint(said)
    return (not names and not _ON.isdisjoint(said)) or _is_phrase(said)


def _is_phrase(said: list[str]) -> bool:
    """Whether it is a short phrase that hangs on what was asked: "in Spanish please", "as a table"."""
    said = [word for word in said if word not in _BESIDE]
    short = len(said) == 2 + (said[1:2] != [] and said[1] in _ARTICLES)
    return short and said[0] in _PREPOSITIONS and _is_open(said[-1])


def _refers(words: list[str], at: int) -> bool:
    """Whether a word stands for something that has to be named elsewhere."""
    word, before = words[at], words[at - 1] if at else ""
    after = words[at + 1] if at + 1 < len(words) else "."
    if word in PERSONS:
        return True
    if word == "it":
        return not _expletive(words, at)
    if word == "there":
        return (
            after not in _AUXILIARIES
            and before not in _AUXILIARIES
            and before not in ("hi", "hello")
        )
    if word in SUBSTITUTES:
        counts = after in _CLOSED or not (after.isalnum() or after == "-")
        articled = not _ARTICLES.isdisjoint(words[max(at - 3, 0) : at])
        return counts and (before in _ORDER or word == "ones" or (articled and _is_open(before)))
    if word in POINTERS:
        return not (word == "that" and _joins(words, at)) and _points(words, at)
    return False


def _joins(words: list[str], at: int) -> bool:
    """Whether "that" begins a clause: "things that move", "I think that the bill is wrong".

    With nothing but the order of words, "cancel that order" looks the same.
    """
    before, after = words[at - 1] if at else "", words[at + 1] if at + 1 < len(words) else "."
    ends = after in _END or after in ("please", "again")
    if not before or ends or (after in _PREPOSITIONS and after != "of"):
        return False
    if before in _SAID:
        return after in _CLOSED and after not in _AUXILIARIES
    return _is_open(before) and words[at - 2 : at - 1] != ["who"]


def _points(words: list[str], at: int) -> bool:
    """Whether "this" or "that" points at something said, not at what is in sight or at the time."""
    word, after, beyond = [*words[at:], ".", "."][:3]
    if after in _TIMES or after == ":":
        return False
    works = at > 0 and words[at - 1] in _DO and _is_open(after) and _ends(beyond)
    return word != "this" or _ends(after) or works


def _ends(word: str) -> bool:
    return word in _CLOSED or word in _BREAKS or word == ","


def _expletive(words: list[str], at: int) -> bool:
    """Whether "it" stands for nothing: weather, time, or what follows it ("is it safe to")."""
    rest = words[at + 1 :]
    end = next((n for n, word in enumerate(rest) if word in _END), len(rest))
    rest, before = rest[:end], words[:at]
    if rest and not _WEATHER.isdisjoint(rest[:3]):
        return True
    copula = not _BE.isdisjoint(before[-1:] + rest[:1])
    if copula and not _TIMES.isdisjoint(before[-3:]):
        return True
    if rest[:1] == ["going"]:
        return True
    verb = any(word in _IMPERSONAL for word in rest[:2])
    if copula or verb:
        return any(
            word in _EXTRAPOSED and not (word == "to" and before.endswith("ed"))
            for before, word in pairwise(rest)
        )
    return False


def _named(words: list[str], at: int) -> bool:
    """Whether something before a pronoun could be what it stands for.

    An object's antecedent is in another clause (Chomsky's principle B): "Did sharks hurt them?" That of
    a subject or a possessor may be in its own, and is not the one word that governs it.
    """
    before = words[:at]
    if _is_object(words, at):
        clauses = [n for n, word in enumerate(before[:-1]) if n and _begins(word)]
        start = max(clauses, default=0)
        return any(_is_open(word) for word in before[:start])
    governed = True
    for word in reversed(before):
        if word in _BREAKS:
            governed = False
        elif _is_open(word) or word in _SAID:
            if not governed and _is_open(word):
                return True
            governed = False
    return False


def _is_open(word: str) -> bool:
    return word[0].isalpha() and word not in _CLOSED and word not in _SAID


def _begins(word: str) -> bool:
    """Whether a clause may begin with it."""
    return word in _BREAKS or word in _ASKED or word in _BEGINS or word.endswith("ing")


def _is_object(words: list[str], at: int) -> bool:
    """Whether a pronoun follows a verb or a preposition, and no verb follows it."""
    word, before = words[at], words[at - 1] if at else ""
    after = words[at + 1] if at + 1 < len(words) else "."
    if (
        word in ("his", "its", "their", "he", "she", "they")
        or not before
        or not before[0].isalpha()
    ):
        return False
    if word in ("her", "it") and (_is_open(after) or after in _AUXILIARIES):
        return False
    return before in _PREPOSITIONS or before not in _CLOSED
