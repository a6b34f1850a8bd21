from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from langchain_cachemux.match import english

Verdict = Literal["same", "unsure", "another", "reworded"]


@dataclass(frozen=True, slots=True)
class Surface:
    verdict: Verdict
    reason: str
    shared: float
    in_frame: bool
    differing: tuple[tuple[str, str], ...]


REPLACED = 0.6
ADDED = 0.7
ALONE = 0.4

_MARKS = "".join(chr(c) for c in range(0x300, 0x3100) if unicodedata.category(chr(c))[0] == "M")
_TOKEN = re.compile(
    rf"(?P<number>\.?\d+(?:[.,:]\d+)*)"
    rf"|(?P<word>(?:[^\W\d]|[{_MARKS}])+(?:'[^\W\d]+)*)"
    r"|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_SYLLABLES = re.compile(rf"[{_UNSPACED}][{_MARKS}]*|[^{_UNSPACED}]+")
_HAS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
_QUOTES = str.maketrans("’‘‛`“”„«»‹›「」『』", "''''\"\"\"\"\"\"\"\"\"\"\"")
_BREAKS = frozenset(".!?;:,\n。！？；：，、؟،؛।…")
_PLAIN = _BREAKS | frozenset("\"'()（）¿¡·•")
_DASHES = frozenset("-‐‑‒–—―−")
_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")
_PLURAL = re.compile(r"(?<=[^aeiou])ies$|(?<=[sxz])es$|(?<=[cs]h)es$|(?<=[^suia'])s$")


@dataclass(frozen=True, slots=True)
class Text:
    words: tuple[str, ...]
    stems: tuple[str, ...]
    clauses: tuple[int, ...]
    numbers: tuple[str, ...]
    signs: tuple[str, ...]
    names: tuple[str, ...]
    denials: int
    every: frozenset[str]


def compare(new: str, stored: str) -> Surface:
    if new == stored:
        return Surface("same", "the same text", 1.0, True, ())
    pair = align(new, stored)
    differing = tuple((d.new, d.stored) for d in pair.differences)
    verdict, reason = judge(pair)
    return Surface(verdict, reason, pair.shared, pair.in_frame, differing)


@dataclass(frozen=True, slots=True)
class Difference:
    new: str
    stored: str
    hard: bool


@dataclass(frozen=True, slots=True)
class Pair:
    new: Text
    stored: Text
    differences: tuple[Difference, ...]
    moved: tuple[str, ...]
    shared: float
    in_frame: bool


def judge(pair: Pair) -> tuple[Verdict, str]:
    for veto in (numbers, signs, negation, names, closed, order):
        if reason := veto(pair):
            return "another", reason
    if reason := frame(pair):
        return "unsure", reason
    if not pair.differences and not pair.moved:
        return "same", "nothing differs that matters"
    return "reworded", "worded differently"


def numbers(pair: Pair) -> str | None:
    left, right = pair.new.numbers, pair.stored.numbers
    if left == right or not (left and right):
        return None
    return f"the numbers differ: {_show(left)}, stored {_show(right)}"


def signs(pair: Pair) -> str | None:
    left, right = Counter(pair.new.signs), Counter(pair.stored.signs)
    if left - right and right - left:
        return f"the signs differ: {_show(left - right)}, stored {_show(right - left)}"
    return None


def negation(pair: Pair) -> str | None:
    if pair.new.denials != pair.stored.denials:
        return "one of them is negated"
    mine, theirs = pair.new.every, pair.stored.every
    for some, others in ((mine, theirs), (theirs, mine)):
        for word in some - others:
            for prefix in english.OPPOSITE_PREFIXES:
                base = word.removeprefix(prefix)
                if len(base) > 3 and base != word and base in others and base not in some:
                    return f"opposites: {word!r} and {base!r}"
    return None


def names(pair: Pair) -> str | None:
    left = [name for name in pair.new.names if name not in pair.stored.every]
    right = [name for name in pair.stored.names if name not in pair.new.every]
    if left and right:
        return f"the names differ: {_show(left)}, stored {_show(right)}"
    return None


def closed(pair: Pair) -> str | None:
    if not pair.in_frame:
        return None
    for difference in pair.differences:
        if difference.hard:
            return f"{difference.new!r} is not {difference.stored!r}"
    return None


def order(pair: Pair) -> str | None:
    if pair.moved and not pair.differences:
        return f"in another order: {_show(pair.moved)}"
    return None


def frame(pair: Pair) -> str | None:
    if not pair.in_frame or not (pair.differences or pair.moved):
        return None
    for d in pair.differences:
        if d.new and d.stored:
            return f"{d.new!r} is not {d.stored!r}"
    for d in pair.differences:
        return f"only one of them says {d.new or d.stored!r}"
    return f"in another order: {_show(pair.moved)}"


def align(new: str, stored: str) -> Pair:
    left, right = parse(new), parse(stored)
    blocks, aligned = _blocks(left.stems, right.stems)
    gone = Counter(w for a, b, _, _ in blocks for w in left.stems[a:b])
    come = Counter(w for _, _, a, b in blocks for w in right.stems[a:b])
    moved = gone & come
    differences: list[Difference] = []
    if moved:
        unmoved = _rotated(left, right)
        if unmoved:
            blocks, aligned, moved = [], len(left.stems), Counter()
    skip_left, skip_right = Counter(moved), Counter(moved)
    sizes = []
    for a, b, c, d in blocks:
        mine = _without(left, a, b, skip_left)
        theirs = _without(right, c, d, skip_right)
        found, akin = _differences(mine, theirs)
        aligned += akin
        differences += found
        if found:
            sizes.append(max(len(mine), len(theirs)))
    for word in [w for w in moved if w in _MOVABLE]:
        aligned += moved.pop(word)
    total = len(left.stems) + len(right.stems)
    shared = 2 * aligned / total if total else 1.0
    replaced = any(d.new and d.stored for d in differences)
    in_frame = (
        shared >= ADDED
        or (replaced and shared >= REPLACED)
        or (len(sizes) == 1 and not moved and sizes[0] <= 2 and shared >= ALONE)
    )
    return Pair(left, right, tuple(differences), tuple(moved), shared, in_frame)


_MOVABLE = frozenset("is was do did have had can will would should".split())


def _without(text: Text, start: int, end: int, skip: Counter[str]) -> list[str]:
    kept = []
    for word, stem in zip(text.words[start:end], text.stems[start:end], strict=True):
        if skip[stem]:
            skip[stem] -= 1
        else:
            kept.append(word)
    return kept


def _differences(mine: list[str], theirs: list[str]) -> tuple[list[Difference], int]:
    if len(mine) == len(theirs):
        found = [
            Difference(x, y, _opposed(x, y))
            for x, y in zip(mine, theirs, strict=True)
            if not _akin(x, y)
        ]
        return found, len(mine) - len(found)
    mine = [w for w in mine if w not in _UNSAID]
    theirs = [w for w in theirs if w not in _UNSAID]
    if not mine and not theirs:
        return [], 0
    hard = any(_opposed(x, y) for x in mine[:6] for y in theirs[:6])
    return [Difference(" ".join(mine[:12]), " ".join(theirs[:12]), hard)], 0


_UNSAID = frozenset(("my", "our"))
_SIDES: dict[str, list[tuple[int, str]]] = {}
for _number, _group in enumerate(english.OPPOSED):
    for _side in _group.split("|"):
        for _word in _side.split(","):
            _SIDES.setdefault(_word, []).append((_number, _side))


def _opposed(word: str, other: str) -> bool:
    word, other = english.EQUAL.get(word, word), english.EQUAL.get(other, other)
    return any(
        number == at and side != beside
        for number, side in _SIDES.get(word, ())
        for at, beside in _SIDES.get(other, ())
    )


def _akin(word: str, other: str) -> bool:
    if english.EQUAL.get(word, word) == english.EQUAL.get(other, other):
        return True
    if not (word.isascii() and other.isascii() and word.isalpha() and other.isalpha()):
        return False
    return _inflected(word, other) or _inflected(other, word) or _misspelt(word, other)


def _inflected(word: str, other: str) -> bool:
    """word + ing"""
    if not word.endswith("ing") or len(word) < 6:
        return False
    base = word[:-3]
    return other in (base, base + "e") or (base[-1:] == base[-2:-1] and other == base[:-1])


def _misspelt(word: str, other: str) -> bool:
    if len(word) < len(other):
        word, other = other, word
    if len(other) < 5 or word[0] != other[0] or len(word) - len(other) > 1:
        return False
    at = next((i for i, (x, y) in enumerate(zip(word, other)) if x != y), len(other))
    if len(word) == len(other):
        swapped = word[at] == other[at + 1 : at + 2] and word[at + 1 : at + 2] == other[at]
        return swapped and word[at + 2 :] == other[at + 2 :]
    if word[at + 1 :] != other[at:]:
        return False
    return word[at] == word[at - 1] or len(word) >= 9


def _rotated(left: Text, right: Text) -> bool:
    a, b = left.stems, right.stems
    if len(a) != len(b):
        return False
    for k in range(1, len(a)):
        if a[k] == b[0] and a[k:] + a[:k] == b:
            n = len(a) - k
            return a[k] in _ADJUNCT or a[0] in _ADJUNCT or k in left.clauses or n in right.clauses
    return False


_ADJUNCT = frozenset(
    "in on at for from to with without before after during by if when while since until".split()
)


def _blocks(
    left: tuple[str, ...], right: tuple[str, ...]
) -> tuple[list[tuple[int, int, int, int]], int]:
    start, n, m = 0, len(left), len(right)
    while start < n and start < m and left[start] == right[start]:
        start += 1
    while n > start and m > start and left[n - 1] == right[m - 1]:
        n, m = n - 1, m - 1
    pairs = _matches(left[start:n], right[start:m])
    blocks = []
    i, j = start, start
    for x, y in [*((x + start, y + start) for x, y in pairs), (n, m)]:
        if x > i or y > j:
            blocks.append((i, x, j, y))
        i, j = x + 1, y + 1
    return blocks, start + len(left) - n + len(pairs)


LONGEST = 4000


def _matches(left: tuple[str, ...], right: tuple[str, ...]) -> list[tuple[int, int]]:
    """bit-parallel LCS: arXiv? Hyyrö 2004."""
    if not left or not right:
        return []
    if max(len(left), len(right)) > LONGEST:
        return []
    places: dict[str, int] = {}
    for i, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << i
    mask = (1 << len(left)) - 1
    row, rows = mask, []
    for word in right:
        hits = row & places.get(word, 0)
        row = ((row + hits) | (row - hits)) & mask
        rows.append(row)
    pairs = []
    i, j = len(left), len(right)
    while i and j:
        bit = 1 << (i - 1)
        if rows[j - 1] & bit:
            i -= 1
            continue
        j -= 1
        if j and not rows[j - 1] & bit:
            continue
        i -= 1
        pairs.append((i, j))
    return pairs[::-1]


@lru_cache(maxsize=4096)
def parse(text: str) -> Text:
    text = unicodedata.normalize("NFC", text).translate(_QUOTES)
    clauses = _clauses(text)
    every = frozenset(w for clause, _ in clauses for w in clause)
    clauses = _unwrapped(clauses)
    words: list[str] = []
    starts = []
    for clause, quoted in clauses:
        starts.append(len(words))
        words += _bare(clause if quoted else _framed(clause))
    stems = tuple(map(_stem, words))
    return Text(
        words=tuple(words),
        stems=stems,
        clauses=tuple(starts),
        numbers=tuple(w for w in words if w[0].isdigit() or w[0] == "#" and len(w) > 1),
        signs=tuple(w for w in words if not w[0].isalnum() and not w[0] == "#"),
        names=_names(text),
        denials=sum(w in english.NEGATIONS for w in words),
        every=every | frozenset(words),
    )


def _clauses(text: str) -> list[tuple[list[str], bool]]:
    clauses: list[tuple[list[str], bool]] = []
    clause: list[str] = []
    quoted = False
    for found in _TOKEN.finditer(text):
        kind, token = found.lastgroup, found.group()
        if kind == "word":
            _add(clause, token.casefold())
        elif kind == "number":
            clause.append(_figure(token))
        elif kind == "other" and _is_sign(text, found.start()):
            clause.append(token)
        elif _breaks(text, token, found.end()) and clause:
            clauses.append((clause, quoted))
            quoted = quoted or (token == ":" and not _is_chatter(clause))
            clause = []
    if clause:
        clauses.append((clause, quoted))
    return [(_counted(words), quoted) for words, quoted in clauses]


def _breaks(text: str, token: str, end: int) -> bool:
    if token[0].isspace():
        return "\n" in token
    return token in _BREAKS and (token > "\x7f" or not text[end : end + 1].isalnum())


def _add(clause: list[str], word: str) -> None:
    if not word.isascii() and _HAS_UNSPACED.search(word):
        clause.extend(_SYLLABLES.findall(word))
        return
    if "'" in word and word not in english.CONTRACTIONS:
        if word.endswith("n't"):
            base, ending = word[:-3], "n't"
        else:
            base, _, ending = word.rpartition("'")
            ending = f"'{ending}"
        if ending == "'s":
            clause.append(_form(base))
            if base in english.IS_AFTER:
                clause.append("is")
            return
        if ending in english.CONTRACTIONS:
            clause.append(_form(base))
            clause.append(english.CONTRACTIONS[ending])
            return
    for part in english.CONTRACTIONS.get(word, word).split():
        clause.append(_form(part))


def _form(word: str) -> str:
    return english.FORMS.get(word, word)


def _figure(token: str) -> str:
    token = _THOUSANDS.sub("", token)
    if not token.isascii():
        token = "".join(str(unicodedata.digit(c, c)) for c in token)
    return token.lstrip("0") or "0" if token.isdigit() else token if token[0] != "." else f"0{token}"


_VALUES = {word: n for n, word in enumerate(english.UNITS)}
_VALUES |= {word: 10 * n for n, word in enumerate(english.TENS, 2)}
_ORDINALS = {word: f"#{n}" for n, word in enumerate(english.ORDINALS, 1)}


def _counted(words: list[str]) -> list[str]:
    found: list[str] = []
    value: int | None = None
    for i, word in enumerate(words):
        after = words[i + 1] if i + 1 < len(words) else ""
        n = _VALUES.get(word)
        if n is not None and not (word == "one" and value is None and after not in english.SCALES):
            if value is not None and 20 <= value % 100 < 100 and value % 10 == 0 and 0 < n < 10:
                value += n
            elif value is not None and value >= 100 and value % 100 == 0 and n < 100:
                value += n
            else:
                if value is not None:
                    found.append(str(value))
                value = n
        elif word in english.SCALES and (value is not None or (found and found[-1] == "a")):
            if value is None:
                found.pop()
            value = (1 if value is None else value) * english.SCALES[word]
        elif word in english.SCALES and found and found[-1].isdigit():
            value = int(found.pop()) * english.SCALES[word]
        else:
            if value is not None:
                found.append(str(value))
                value = None
            if word in ("st", "nd", "rd", "th") and found and found[-1].isdigit():
                found[-1] = f"#{found[-1]}"
            else:
                found.append(_ORDINALS.get(word, word))
    if value is not None:
        found.append(str(value))
    return found


def _is_sign(text: str, at: int) -> bool:
    sign = text[at]
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if sign in _DASHES:
        ahead = text[at + 1 : at + 3].lstrip()[:1]
        behind = text[max(0, at - 2) : at].rstrip()[-1:]
        if before.isalpha() and after.isalpha():
            return not (text[at - 2 : at].isalpha() and at > 1 or text[at + 1 : at + 3].isalpha() and len(text[at+1:at+3])==2)
        if before.isalnum() or after.isalnum():
            return True
        return ahead.isdigit() or behind.isdigit()
    if sign == ".":
        return after.isalpha() and not before.isalnum()
    if sign == "!":
        return before.isdigit() or (not before.isalnum() and (after.isalnum() or after == "="))
    if sign in "()":
        return text[at : at + 2] == "()" and not before.isalnum() or text[at-1:at+1] == "()" and not text[at-2:at-1].isalnum()
    if sign in _PLAIN or "\ufe00" <= sign <= "\ufe0f":
        return False
    kind = unicodedata.category(sign)
    return not (kind == "Cc" or (kind == "Cf" and sign <= "\uffff"))


def _is_chatter(clause: list[str]) -> bool:
    return english.CHATTER.issuperset(clause) and not english.GREETINGS.isdisjoint(clause)


def _unwrapped(clauses: list[tuple[list[str], bool]]) -> list[tuple[list[str], bool]]:
    first, last = 0, len(clauses)
    while first < last - 1 and not clauses[first][1]:
        words = clauses[first][0]
        named = words[0] in ("hi", "hello", "hey", "dear") and len(words) <= 2
        if not (_is_chatter(words) or named):
            break
        first += 1
    while last - 1 > first and not clauses[last - 1][1] and _is_chatter(clauses[last - 1][0]):
        last -= 1
    return clauses[first:last]


_POLITE = re.compile("|".join(f"(?:{pattern})" for pattern in english.POLITE))
_FRAMES = tuple((re.compile(pattern), one) for pattern, one in english.FRAMES)


def _framed(clause: list[str]) -> list[str]:
    line = " ".join(_bare(clause)) + " "
    while (found := _POLITE.match(line)) and found.end() < len(line):
        line = line[found.end() :]
    for pattern, one in _FRAMES:
        found = pattern.match(line)
        if found and found.end() < len(line):
            if " you " in found[0]:
                line = line.replace(" your ", " my ")
            line = one + line[found.end() :]
            break
    words = line.split()
    while len(words) > 1 and words[-1] in ("please", "pls", "plz", "thanks"):
        words.pop()
    return words


def _bare(words: list[str]) -> list[str]:
    kept = []
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if not (word in english.ARTICLES and after[:1].isalnum() and after not in english.CLOSED):
            kept.append(word)
    return kept


@lru_cache(maxsize=8192)
def _stem(word: str) -> str:
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    word = _PLURAL.sub(lambda m: "y" if m[0] == "ies" else "", word)
    word = re.sub(r"our(?=$|[aeif])", "or", word) if len(word) > 4 else word
    word = re.sub(r"is(?=e$|ing$|ed$|ation$)", "iz", word)
    word = re.sub(r"([^aeiou])re$", r"\1er", word)
    return re.sub(r"nce$", "nse", word)


_CAPITAL = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|[.!?:\n\"]")


def _names(text: str) -> tuple[str, ...]:
    found: list[str] = []
    start = True
    words = capitals = 0
    for token in _CAPITAL.findall(text):
        if not token[0].isalpha():
            start = True
            continue
        words += 1
        inner = any(c.isupper() for c in token[1:])
        if token[0].isupper() or inner:
            capitals += not start
            if (inner or not start) and token != "I" and not token.startswith("I'"):
                name = token.casefold()
                found.append(name.removesuffix("'s"))
        start = False
    if words > 2 and 2 * capitals > words:
        return ()
    return tuple(found)


def _show(words: object) -> str:
    return ", ".join(words) or "none"
