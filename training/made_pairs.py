"""Pairs of questions made by rules: what changes a question, and what does not.

    python training/made_pairs.py --n 200000 --seed 0 > pairs.tsv    # label, first, second

A question begins as a `Meaning`: its kind, and what stands in each place. Two renderings of one
meaning ask the same; of two meanings that differ in one part they do not. On top come edits of the
words: some that change what is asked (a number, a modal, a denial, a pronoun, a contrast, a modifier
more), some that do not (chatter, contractions, spellings, slips, synonyms, an adjunct moved to the
front). Noise falls on both labels alike, so that it tells nothing of the label.

All text is this project's own: `words.txt`, `synonyms.txt`, `contrasts.txt`, `frames.txt`, `lists.py`.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import unicodedata
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import lists
from edits import CHANGES, NOISE, noisy, numbers_near

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
HELD_OUT = ("hotel", "pets", "money", "documents")
"""Domains that no training pair is about: they validate."""
WEIGHTS = {"act": 40, "fact": 11, "event": 9, "state": 8, "thing": 10, "trouble": 7, "relation": 5}
WEIGHTS |= {"task": 3, "clause": 4, "sum": 6}
ORDERED = "more better over into minus over convert greater route fares translate".split()
"""Kinds in which it matters which of two comes first."""
AKIN = {
    frozenset(pair.split("/"))
    for pair in (
        "how/you,how/fail,how/again,how/need for,how/need,how/without,use/how,what/how,use/get"
        ",where/get,get/who,have/get,where/have,why not/fail,fix/why,avoid/fix,still/why"
        ",after/why,need/why,good/why,should/why,should/worth,safe/should,safe/may,need/must"
        ",when/when must,whether/says,whether/did,what/kinds,what/example,over/better"
        ",either/better,compare/more"
    ).split(",")
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
            family, senses = "past", past
        kind = rng.choice(list(lists.families()[family]))
        if family in ("act", "clause"):
            extra = rng.choice(domain.extras) if domain.extras and rng.random() < 0.45 else ""
            actor = rng.choice(lists.ACTORS) if rng.random() < 0.2 else "I"
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
            extra = rng.choice(lists.TIMES) if rng.random() < 0.25 else ""
            places = {"t": rng.choice(objects), "e": rng.choice(senses), "x": extra}
        return Meaning(family, kind, tuple(places.items()), name)


def _sum(rng: random.Random, name: str) -> Meaning:
    kind = rng.choice(list(lists.families()["sum"]))
    places = {
        "n": str(rng.choice((rng.randint(2, 30), rng.randint(2, 999)))),
        "m": str(rng.randint(2, 500)),
    }
    if kind == "convert":
        units = rng.choice(lists.UNITS)
        places["t"], places["u"] = rng.sample(
            units.split(",") if "," in units else units.split(), 2
        )
    elif kind in ("weekday", "until"):
        places |= {"t": rng.choice(lists.MONTHS), "n": str(rng.randint(1, 28))}
    elif kind in ("route", "fares"):
        places["t"], places["u"] = rng.sample(lists.PLACES, 2)
        places["n"] = str(rng.randint(2, 9))
    elif kind == "translate":
        places["t"], places["u"] = rng.sample(lists.LANGUAGES, 2)
        places["o"] = rng.choice(domains()["language"].lines["task"][0][1])
    return Meaning("sum", kind, tuple(places.items()), name)


def frames_of(asked: Meaning) -> list[str]:
    """The frames of a meaning's kind; those that say who acts, when that is not the one who asks."""
    options = lists.families()[asked.family][asked.kind]
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
        "set reset get put cut stop plan drop swap map chip run begin win split zip trim sit dig hit tap"
        " skip submit ban"
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
    if thing.endswith("s") or thing.rsplit(maxsplit=1)[-1] in (
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
    first = thing.split(" for ", maxsplit=1)[0].split(" from ", maxsplit=1)[0]
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
        kinds = [k for k in lists.families()[asked.family] if k != asked.kind]
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


def _siblings(  # noqa: PLR0911
    rng: random.Random, asked: Meaning, part: str, domain: Domain
) -> list[str]:
    """What else could stand in a place."""
    if asked.family == "sum":
        if part in ("n", "m"):
            return numbers_near(rng, int(asked.at(part)))
        units = [u.split(",") if "," in u else u.split() for u in lists.UNITS]
        pools = [
            *units,
            lists.PLACES,
            lists.LANGUAGES,
            lists.MONTHS,
            domains()["language"].lines["task"][0][1],
        ]
        return next((pool for pool in pools if asked.at(part) in pool), [])
    if part == "s":
        return (
            ["I", "you", "they", *lists.ACTORS[4:]] if asked.at("s") != "we" else lists.ACTORS[2:]
        )
    if part == "x":
        if asked.family not in ("act", "clause"):
            return lists.TIMES
        return domain.extras + rng.sample(lists.FURTHER, 6) if domain.extras else lists.FURTHER
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


def moved(text: str, extra: str) -> str:
    """An adjunct at the end, moved to the front."""
    end = re.search(rf" {re.escape(extra)}([?.!]?)$", text) if extra else None
    if end is None:
        return text
    rest = text[: end.start()] + end[1]
    first = rest if re.match(r"I\b|[A-Z]{2}", rest) else rest[0].lower() + rest[1:]
    return f"{extra[0].upper()}{extra[1:]}, {first}"


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
        edited = edit(rng, base)
        if edited and edited != base:
            return edited, edit.__name__
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
    """Make n pairs about the domains to train on, or about those held out; the same for one seed."""
    rng = random.Random(f"{seed} {held_out}")
    names = [name for name in domains() if (name in HELD_OUT) is held_out]
    for _ in range(n):
        same, made = rng.random() < 0.5, None
        while made is None:
            made = pair(rng, names, same=same)
        yield made


def ordered(first: str, second: str) -> tuple[str, str]:
    """Two texts as the judge reads them: one form of each letter, small, and always in one order."""
    texts = [" ".join(unicodedata.normalize("NFC", t).casefold().split()) for t in (first, second)]
    one, other = sorted(texts)
    return one, other


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
