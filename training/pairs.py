"""Pairs of questions made by rules: what changes a question, and what does not.

    python training/pairs.py --n 200000 --seed 0 > pairs.tsv    # label, first, second

A question begins as a `Meaning`: its kind, and what stands in each place. Two renderings of one meaning ask
the same; of two meanings that differ in one part they do not. On top come edits of the words: some that
change what is asked (a number, a modal, a denial, a pronoun, a contrast, a modifier more), some that do not
(chatter, contractions, spellings, slips, synonyms, an adjunct moved to the front). Noise falls on both
labels alike, so that it tells nothing of the label.

All text is this project's own: `words.txt`, `synonyms.txt`, `contrasts.txt`, `frames.py`.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import frames

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
HELD_OUT = ("hotel", "pets", "money", "documents")
"""Domains that no training pair is about: they validate."""
FAMILIES = {
    "act": frames.ACTS,
    "fact": frames.FACTS,
    "event": frames.EVENTS,
    "past": frames.PAST,
    "state": frames.STATES,
    "thing": frames.THINGS,
    "trouble": frames.TROUBLES,
    "relation": frames.RELATIONS,
    "task": frames.TASKS,
    "clause": frames.CLAUSES,
    "sum": frames.SUMS,
}
WEIGHTS = {"act": 40, "fact": 11, "event": 9, "state": 8, "thing": 10, "trouble": 7, "relation": 5}
WEIGHTS |= {"task": 3, "clause": 4, "sum": 6}
ORDERED = "more better over into minus over convert greater route fares translate".split()
"""Kinds in which it matters which of two comes first."""
AKIN = {
    frozenset(pair.split("/"))
    for pair in (
        "how/you how/fail why not/fail have/get where/get where/have fix/why need/why should/worth"
        " should/why whether/says how/again use/how need/must use/get how/need for without/how"
        " when/when must safe/should safe/may after/why still/why avoid/fix what/kinds what/how what/example"
        " how/what good/why over/better either/better compare/more be/have get/who whether/did"
    ).split(" ")
    if "/" in pair
} | {
    frozenset(("why not", "fail")),
    frozenset(("how", "need for")),
    frozenset(("when", "when must")),
}
"""Kinds too near for a rule to say that they ask something else: no pair is made of them."""


class Domain(NamedTuple):
    """What a question can be about: the lines of one section of `words.txt`, by their first word."""

    lines: dict[str, list[tuple[list[str], list[str]]]]
    extras: list[str]


class Meaning(NamedTuple):
    """What is asked, however it is put; each place holds a sense, which may have several names."""

    family: str
    kind: str
    places: tuple[tuple[str, str], ...]
    domain: str

    def at(self, name: str) -> str:
        """What stands in a place."""
        return dict(self.places).get(name, "")

    def put(self, **places: str) -> Meaning:
        """Another meaning, with something else in these places."""
        return self._replace(places=tuple((dict(self.places) | places).items()))


@cache
def domains() -> dict[str, Domain]:
    """Read `words.txt`."""
    found: dict[str, Domain] = {}
    for line in (HERE / "words.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            found[line.strip("[]")] = current = Domain(defaultdict(list), [])
        elif line and not line.startswith("#"):
            head, _, rest = line.partition(": ")
            left, _, right = rest.partition(" :: ")
            if head == "on":
                current.extras.extend(one.strip() for one in left.split(","))
            elif head == "thing":
                current.lines[head].append((left.split(", "), []))
            else:
                senses = left.split(", ") if head == "fact" else left.split(" | ")
                current.lines[head].append((senses, right.split(", ")))
    return found


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


def meaning(rng: random.Random, names: list[str]) -> Meaning:
    """Draw what is asked."""
    while True:
        (family,) = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
        name = rng.choice(names)
        domain = domains()[name]
        if family == "sum":
            return _sum(rng, name)
        head = {"act": "do", "clause": "do"}.get(family, family)
        if not domain.lines[head]:
            continue
        senses, objects = rng.choice(domain.lines[head])
        if family == "event" and (past := [e for e in senses if _base(e.split(", ")[0])[1]]):
            family, senses = "past", past  # noqa: PLW2901
        kind = rng.choice(list(FAMILIES[family]))
        if family in ("act", "clause"):
            extra = rng.choice(domain.extras) if domain.extras and rng.random() < 0.45 else ""
            actor = rng.choice(frames.ACTORS) if rng.random() < 0.2 else "I"
            places = {"v": rng.choice(senses), "o": rng.choice(objects), "x": extra, "s": actor}
        elif family == "thing":
            one, other = rng.sample(senses, 2)
            places = {"t": one, "u": other}
        elif family in ("fact", "relation"):
            one, other = rng.sample(objects, 2)
            places = {"a": rng.choice(senses), "t": one, "u": other}
        elif family == "task":
            places = {"v": rng.choice(senses), "o": rng.choice(objects)}
        else:
            extra = rng.choice(frames.TIMES) if rng.random() < 0.25 else ""
            places = {"t": rng.choice(objects), "e": rng.choice(senses), "x": extra}
        return Meaning(family, kind, tuple(places.items()), name)


def _sum(rng: random.Random, name: str) -> Meaning:
    kind = rng.choice(list(frames.SUMS))
    places = {
        "n": str(rng.choice((rng.randint(2, 30), rng.randint(2, 999)))),
        "m": str(rng.randint(2, 500)),
    }
    if kind == "convert":
        units = rng.choice(frames.UNITS.split("|"))
        places["t"], places["u"] = rng.sample(
            units.split(",") if "," in units else units.split(), 2
        )
    elif kind in ("weekday", "until"):
        places |= {"t": rng.choice(frames.MONTHS), "n": str(rng.randint(1, 28))}
    elif kind in ("route", "fares"):
        places["t"], places["u"] = rng.sample(frames.PLACES, 2)
        places["n"] = str(rng.randint(2, 9))
    elif kind == "translate":
        places["t"], places["u"] = rng.sample(frames.LANGUAGES, 2)
        places["o"] = rng.choice(domains()["language"].lines["task"][0][1])
    return Meaning("sum", kind, tuple(places.items()), name)


def frames_of(asked: Meaning) -> list[str]:
    """The frames of a meaning's kind; those that say who acts, when that is not the one who asks."""
    options = FAMILIES[asked.family][asked.kind].split("|")
    return [one for one in options if "{s}" in one or asked.at("s") in ("", "I")] or options


def written(rng: random.Random, asked: Meaning, frame: str) -> str:
    """Put a meaning into words: one name of each sense, in the frame."""
    chosen = {name: rng.choice(re.split(", |/", sense)) for name, sense in asked.places}
    for name in ("o", "t", "u", "a", "x"):  # of these, a comma is part of the name
        if name in chosen and "/" not in asked.at(name):
            chosen[name] = asked.at(name)
    fields = {**chosen, "x": f" {chosen['x']}" if chosen.get("x") else ""}
    if asked.family in ("act", "clause", "task"):
        verb = chosen["v"]
        fields |= {"ving": _gerund(verb), "lv": verb[0].lower() + verb[1:]}
        if asked.family == "clause":
            fields["v"] = verb[0].upper() + verb[1:]
        if asked.family == "task" and verb.endswith("that"):
            frame = frame.replace("{v}:", "{v}").replace("{lv}:", "{lv}").replace('"{o}"', "{o}")
            frame = "{v} {o}" if frame.startswith("{o}") else frame
    elif asked.family in ("event", "past"):
        fields["b"] = _base(chosen["e"])[0]
    elif asked.family == "thing":
        many = chosen["t"] if chosen["t"].endswith("s") else f"{chosen['t']}s"
        fields |= {"at": _article(chosen["t"]), "au": _article(chosen["u"]), "ts": many}
    elif asked.family == "state":
        many = _plural(chosen["t"])
        fields |= {"y": chosen["e"], "is": "Are" if many else "Is", "is_": "are" if many else "is"}
        fields |= {"was": "Were" if many else "Was", "was_": "were" if many else "was"}
        fields["has"] = "have" if many else "has"
    elif asked.family == "relation":
        verb = asked.at("a").split(", ")
        fields |= dict(zip(("v", "past", "pp", "noun"), verb, strict=True))
    text = frame.format(**_headed(fields))
    return _fitting(text, chosen.get("s", "I"))


def _headed(fields: dict[str, str]) -> dict[str, str]:
    upper = {k.upper(): v[0].upper() + v[1:] for k, v in fields.items() if k in ("t", "u") and v}
    return fields | upper


def _fitting(text: str, actor: str) -> str:
    """Make the verb fit who acts, and begin with a capital."""
    if actor == "I":
        text = re.sub(r"\b(A|a)re I\b", r"\1m I", text)
    elif actor not in ("we", "you", "they") and not actor.endswith(("s", "men", "children")):
        text = re.sub(rf"\b(D|d)o {actor}\b", rf"\1oes {actor}", text)
        text = re.sub(rf"\bAre {actor}\b", f"Is {actor}", text)
        text = re.sub(rf"\bare {actor}\b", f"is {actor}", text)
    return text[0].upper() + text[1:]


def _gerund(verb: str) -> str:
    word, _, rest = verb.partition(" ")
    doubled = (
        "set reset get put cut stop plan drop swap map chip run begin win split zip trim sit dig hit tap skip submit ban"
    ).split()
    if word in doubled:
        word += word[-1]
    elif word.endswith("ie"):
        word = word[:-2] + "y"
    elif word.endswith("e") and not word.endswith(("ee", "oe", "ye")):
        word = word[:-1]
    return f"{word}ing {rest}".rstrip()


_PRESENT = {"is": "be", "was": "be", "has": "have", "goes": "go", "does": "do"}
_PASTS = {
    "began": "begin", "started": "start", "ended": "end", "finished": "finish", "reached": "reach",
    "fell": "fall", "dropped": "drop", "rose": "rise", "went": "go",
}  # fmt: skip


def _base(event: str) -> tuple[str, bool]:
    """What stands after "does" or "did", and whether it is past."""
    word, _, rest = event.partition(" ")
    if word in _PASTS:
        return f"{_PASTS[word]} {rest}".rstrip(), True
    if word in _PRESENT:
        return f"{_PRESENT[word]} {rest}".rstrip(), False
    cut = 2 if word.endswith(("ches", "shes", "sses")) else 1 if word.endswith("s") else 0
    return f"{word[: len(word) - cut]} {rest}".rstrip(), False


def _article(thing: str) -> str:
    if thing.endswith("s") or thing.split()[-1] in (
        "flour",
        "oil",
        "energy",
        "parking",
        "soda",
        "powder",
        "cheese",
    ):
        return thing
    return f"{'an' if thing[0] in 'aeiouAEIO' else 'a'} {thing}"


def _plural(thing: str) -> bool:
    first = thing.split(" for ")[0].split(" from ")[0]
    return first.endswith("s") and not first.endswith(("ss", "us", "is"))


def changed(rng: random.Random, asked: Meaning) -> Meaning | None:
    """Another meaning that differs in one part; None when the part drawn has no other."""
    domain = domains()[asked.domain]
    part = rng.choice(("kind", *[name for name, _ in asked.places], "order"))
    if part == "order":
        ordered = asked.kind in ORDERED or (
            asked.family == "relation" and asked.kind not in ("who", "whom")
        )
        return asked.put(t=asked.at("u"), u=asked.at("t")) if ordered and asked.at("u") else None
    if part == "kind":
        if asked.family == "sum":
            return None
        kinds = [k for k in FAMILIES[asked.family] if k != asked.kind]
        kinds = [k for k in kinds if frozenset((k, asked.kind)) not in AKIN]
        return asked._replace(kind=rng.choice(kinds)) if kinds else None
    here = asked.at(part)
    if part == "s" and not all("{s}" in one for one in frames_of(asked.put(s="you"))):
        return None
    if f"{{{part}" not in "".join(frames_of(asked)) and part not in ("e", "a", "t"):
        return None
    others = _siblings(rng, asked, part, domain)
    others = [
        one
        for one in others
        if one and one != here and not set(one.split("/")) & set(here.split("/"))
    ]
    if part in ("t", "u"):
        others = [one for one in others if one not in (asked.at("t"), asked.at("u"))]
    return asked.put(**{part: rng.choice(others)}) if others else None


def _siblings(rng: random.Random, asked: Meaning, part: str, domain: Domain) -> list[str]:
    if asked.family == "sum":
        if part in ("n", "m"):
            return _numbers(rng, int(asked.at(part)))
        units = [u.split(",") if "," in u else u.split() for u in frames.UNITS.split("|")]
        pools = [
            *units,
            frames.PLACES,
            frames.LANGUAGES,
            frames.MONTHS,
            domains()["language"].lines["task"][0][1],
        ]
        return next((pool for pool in pools if asked.at(part) in pool), [])
    if part == "s":
        return (
            ["I", "you", "they", *frames.ACTORS[4:]] if asked.at("s") != "we" else frames.ACTORS[2:]
        )
    if part == "x":
        if asked.family not in ("act", "clause"):
            return frames.TIMES
        return domain.extras + rng.sample(frames.FURTHER, 6) if domain.extras else frames.FURTHER
    head = {"act": "do", "clause": "do", "past": "event"}.get(asked.family, asked.family)
    own = [
        (senses, objects)
        for senses, objects in domain.lines[head]
        if any(asked.at(name) in senses + objects for name in ("v", "a", "e", "t"))
    ]
    own = [line for line in own if asked.at(part) in line[0] + line[1]]
    if not own:
        return []
    senses, objects = own[0]
    pool = senses if asked.at(part) in senses else objects
    if asked.family in ("event", "past"):
        past = asked.family == "past"
        pool = [one for one in pool if pool is objects or _base(one.split(", ")[0])[1] is past]
    return pool


def _numbers(rng: random.Random, number: int) -> list[str]:
    near = {
        number + 1,
        number - 1,
        number * 10,
        number + 10,
        int(str(number)[::-1]),
        rng.randint(2, 999),
    }
    return [str(one) for one in near if one > 1 and one != number]


# Edits of the words that change what is asked: each returns None where it finds nothing to change.


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
        others = _numbers(rng, int(one))
        return re.sub(rf"(?<!\d){one}(?!\d)", rng.choice(others), text, count=1) if others else None
    for place, word in enumerate(frames.NUMBERS):
        if re.search(rf"\b{word}\b", text, re.IGNORECASE):
            other = rng.choice([n for k, n in enumerate(frames.NUMBERS) if k != place])
            return _swap(text, word, other)
    return None


_MODALS = "can|must|should|will|may"
_MODAL = re.compile(
    r"\b(can|could|may|must|should|will)\b(?= (?:I|we|you|they|my|a|an|the|one|children|adults|visitors)\b)",
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
        (word for word in ("my", "your", "our") if re.search(rf"\b{word}\b", text, re.I)), None
    )
    if here is None:
        if re.search(r"\bfor me\b", text):
            return text.replace(
                "for me", rng.choice(("for him", "for her", "for my son", "for them")), 1
            )
        return None
    if (
        here == "my"
        and re.search(r"\b(can|could|do|how to|would) ", text, re.I)
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
    ("does", ("did", "will")), ("do", ("did", "will")), ("did", ("does", "will")), ("is", ("was", "will be")),
    ("are", ("were",)), ("was", ("is",)), ("will", ("did", "does")), ("has", ("had", "will have")), ("have", ("had",)),
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
        return f"{text.rstrip()[:-1]} {rng.choice(frames.FURTHER)}?"
    found = list(re.finditer(r"\b(my|the|a|two|your) (?=[a-z])", text))
    if not found:
        return None
    one, word = rng.choice(found), rng.choice(frames.ADJECTIVES)
    head = "an " if one[1] == "a" and word[0] in "aeiou" else f"{one[1]} "
    return f"{text[: one.start()]}{head}{word} {text[one.end() :]}"


_SIGNS = (
    ("+", "-"), ("-", "+"), ("*", "/"), ("<", ">"), (">", "<"), ("%", " euros"), ("=", "≠"), ("^2", "^3"), ("C++", "C#"),
    ("C#", "C"), ("$", "€"), ("sin", "cos"), ("cos", "tan"), ("x", "y"), ("{", "["), ("(", "["), ("!", ""),
)  # fmt: skip


def sign(rng: random.Random, text: str) -> str | None:
    """Put another sign."""
    found = [
        (old, new)
        for old, new in _SIGNS[:-1]
        if old in text and (old not in "xsincos-" or "=" in text)
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
    contrast: 6, number: 12, modal: 14, pronoun: 6, asking: 5, denial: 4, tense: 3, modified: 4, sign: 16, scope: 2,
}  # fmt: skip
"""How often each is tried first; those that seldom find something to change more often."""


# Edits that do not change what is asked.


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


def _either_way(pairs: str) -> list[tuple[str, str]]:
    split = [pair.split("=") for pair in pairs.split("|")]
    return [(a, b) for a, b in split] + [(b, a) for a, b in split if len(b) > 3]  # noqa: PLR2004


_CONTRACTED, _SPELT = _either_way(frames.CONTRACTIONS), _either_way(frames.SPELLINGS)


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
    before = rng.choice(frames.CHATTER["before"]) if rng.random() < 0.6 else ""
    after = rng.choice(frames.CHATTER["after"]) if not before or rng.random() < 0.4 else ""
    lowered = before.endswith((", ", "but ")) and not re.match(
        r"I\b|[A-Z]{2}|[A-Z][a-z]+ [A-Z]", text
    )
    return before + (text[0].lower() + text[1:] if lowered else text) + after


def cased(rng: random.Random, text: str) -> str | None:
    """Small letters, or no sign at the end, or too many."""
    return rng.choice((text.lower(), text.rstrip("?.!"), text.lower().rstrip("?.!"), text + "??", text.rstrip("?.!") + "!",
                       text.rstrip("?.") + " ?"))  # fmt: skip


def spelled_number(rng: random.Random, text: str) -> str | None:  # noqa: ARG001
    """Two for 2, and 2 for two."""
    for value, word in enumerate(frames.NUMBERS, 2):
        if re.search(rf"(?<![\w.]){value}(?![\w.:/])", text):
            return re.sub(rf"(?<![\w.]){value}(?![\w.:/])", word, text, count=1)
        if re.search(rf"\b{word}\b", text):
            return re.sub(rf"\b{word}\b", str(value), text, count=1)
    return None


def filled(rng: random.Random, text: str) -> str | None:
    """A word that says nothing."""
    if not text.rstrip().endswith("?"):
        return None
    return f"{text.rstrip()[:-1]}{rng.choice((' ', ', '))}{rng.choice(frames.REWORDED.split('|'))}?"


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


def moved(text: str, extra: str) -> str:
    """An adjunct at the end, moved to the front."""
    end = re.search(rf" {re.escape(extra)}([?.!]?)$", text) if extra else None
    if end is None:
        return text
    rest = text[: end.start()] + end[1]
    first = rest if re.match(r"I\b|[A-Z]{2}", rest) else rest[0].lower() + rest[1:]
    return f"{extra[0].upper()}{extra[1:]}, {first}"


def noisy(rng: random.Random, text: str, most: int) -> str:
    """Up to so many edits that do not change what is asked."""
    for edit in rng.sample(NOISE, rng.randint(0, most)):
        text = edit(rng, text) or text
    return text


CONTEXT = 0.08
"""Share of pairs that stand behind the same sentences, or behind sentences that differ."""


class Made(NamedTuple):
    """A pair, and whether both ask the same."""

    same: bool
    first: str
    second: str
    how: str
    """What was changed, or kept."""


def _nearest(rng: random.Random, text: str, options: list[str]) -> str:
    """The frame with most words of a text, or any."""
    if rng.random() < 0.4:
        return rng.choice(options)
    words = set(text.lower().split())
    return max(
        options,
        key=lambda one: (len(words & set(one.lower().split())) / len(one.split()), rng.random()),
    )


def _different(
    rng: random.Random, asked: Meaning, frame: str, first: str
) -> tuple[str, str] | None:
    """Another question, near to the first in its words, and what was changed."""
    if rng.random() < 0.45:
        new = changed(rng, asked)
        if new is None:
            return None
        options = frames_of(new)
        both = options if new.kind == asked.kind else ()
        second = written(rng, new, frame if frame in both else _nearest(rng, first, options))
        if rng.random() < 0.2:
            second = moved(second, new.at("x"))
        return second, "kind" if new.kind != asked.kind else "slot"
    base = first if rng.random() < 0.65 else written(rng, asked, frame)
    edits = list(CHANGES)
    while edits:
        (edit,) = rng.choices(edits, [CHANGES[one] for one in edits])
        second = edit(rng, base)
        if second and second != base:
            return second, edit.__name__
        edits.remove(edit)
    return None


def _alike(rng: random.Random, asked: Meaning, frame: str, first: str) -> tuple[str, str]:
    """The same question again."""
    second = written(rng, asked, frame)
    if rng.random() < 0.5:
        second = moved(second, asked.at("x"))
    for edit in rng.sample(NOISE, 3) if first == second else ():
        second = edit(rng, second) or second
    return second, "worded" if first.split()[:3] == second.split()[:3] else "framed"


def _told(rng: random.Random, names: list[str]) -> str:
    """A sentence that a question may come after."""
    while True:
        asked = meaning(rng, names)
        if asked.family in ("state", "relation"):
            asked = asked._replace(kind="says")
            return written(rng, asked, frames_of(asked)[0])
        if asked.family in ("trouble", "clause"):
            return written(rng, asked, "{T} {e}." if asked.family == "trouble" else "{v} {o}.")


def pair(rng: random.Random, names: list[str], *, same: bool) -> Made | None:
    """Make one pair; None when the edit drawn found nothing to edit."""
    asked = meaning(rng, names)
    options = frames_of(asked)
    frame = rng.choice(options)
    first = written(rng, asked, frame)
    other = frame if rng.random() < 0.65 else rng.choice(options)
    found = (_alike if same else _different)(rng, asked, other, first)
    if found is None:
        return None
    second, how = found
    first, second = noisy(rng, first, 1), noisy(rng, second, 2)
    if rng.random() < CONTEXT:
        before = " ".join(_told(rng, names) for _ in range(rng.randint(1, 2)))
        after = before
        if not same and rng.random() < 0.5:
            edit = rng.choice(list(CHANGES))
            after = edit(rng, before) or before
            if after != before:
                second, how = noisy(rng, first, 1), f"context, {edit.__name__}"
        first, second = f"{before} {first}", f"{after} {second}"
    if rng.random() < 0.5:
        first, second = second, first
    if first == second or (not same and _bare(first) == _bare(second)):
        return None
    return Made(same, first, second, how)


def _bare(text: str) -> str:
    return text.lower().strip(" ?.!")


def pairs(n: int, *, seed: int | str, held_out: bool = False) -> Iterator[Made]:
    """Make n pairs about the domains to train on, or about those held out; the same for the same seed."""
    rng = random.Random(f"{seed} {held_out}")
    names = [name for name in domains() if (name in HELD_OUT) is held_out]
    for _ in range(n):
        same, made = rng.random() < 0.5, None  # noqa: PLR2004
        while made is None:
            made = pair(rng, names, same=same)
        yield made


def main() -> None:
    """Print pairs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", action="store_true")
    told = parser.parse_args()
    for made in pairs(told.n, seed=told.seed, held_out=told.held_out):
        sys.stdout.write(f"{int(made.same)}\t{made.first}\t{made.second}\t{made.how}\n")


if __name__ == "__main__":
    main()
