"""A text read word by word: words, numbers and signs in one normal form, whatever the language.

Two readings are equal when nothing differs but what never matters: case, a Unicode form, an article, a
contraction, a form of asking, a greeting or thanks around the question. What is left is compared as it
is spelled; combining marks stay with their letters (a Hindi vowel sign, a Thai tone, an Arabic vowel),
and a script that is written without blanks is read letter by letter.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from langchain_cachemux.match import english, figures

CACHED = 2_000
"""Characters of the longest text whose reading is remembered; of a longer one its sentences' are."""

SHORT = 3
"""Words in which capitals are names however many they are; of more, most are in a title."""

ADDRESSED = 3
"""Words of a greeting with whom it is for, at most."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text's reading.

    Attributes:
        words: Those that are compared, as they are shown to a reader.
        stems: The same without plural endings and variants of spelling.
        light: The other words, in alphabetical order.
        clauses: Where in `words` each clause begins.
        names: Words with a capital elsewhere than at the start of a sentence.
        every: All words, with those that were passed over.
        prefixed: Of these, those that begin with a prefix by which opposites are made.
        ones: How often "one", which is passed over as an article, may be a number.
        numbers: Figures and number words by value, ordinals with a # before them.
        signs: What is neither a letter, a number nor punctuation.
        steps: What words of closed classes stand before a stem.
        denies: Whether any of its words denies.
        asks_who: Whether it asks who or what did something (True), or to whom or what it was done
            (False); None where it does not show.
        asks: Whether its last clause asks by beginning with a verb (True), or states something (False);
            None where it does neither.
        to_come: Whether it asks what will be (True), or what was (False); None where it does not show.
    """

    words: tuple[str, ...]
    stems: tuple[str, ...]
    light: tuple[str, ...]
    clauses: tuple[int, ...]
    names: tuple[str, ...]
    every: frozenset[str]
    prefixed: frozenset[str]
    ones: int
    numbers: tuple[str, ...]
    signs: tuple[str, ...]
    steps: dict[str, set[str]]
    denies: bool
    asks_who: bool | None
    asks: bool | None
    to_come: bool | None

    def strange(self, other: Text) -> list[str]:
        """The names that another text has not, nor shortened to their initials, nor as an adjective."""
        missing = [name for name in self.names if name not in other.every]
        if not missing:
            return []
        known, begun = set(other.names), {name[:2] for name in other.names}
        for one, two in pairwise(self.names):
            if one[0] + two[0] in begun:
                known |= {one, two}
        initials = tuple(one[0] + two[0] for one, two in pairwise(other.names))
        return [
            name
            for name in missing
            if not name.startswith(initials) and not any(_alike(name, one) for one in known)
        ]


def read(text: str) -> Text:
    """Read a text; short ones are read once."""
    return _remembered(text) if len(text) <= CACHED else _read(text)


def _written(text: str) -> str:
    """A text in composed form, with quotation marks of one kind."""
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).translate(_QUOTES)


def _read(text: str) -> Text:
    text = _written(text)
    clauses, names = _clauses(text)
    every = {word for clause in clauses for word in clause.words}
    words: list[str] = []
    light: list[str] = list(_address(clauses, names))
    starts: list[int] = []
    asks = None
    for clause in _without_courtesy(clauses, names):
        starts.append(len(words))
        said = clause.words if clause.quoted else _in_one_way(clause.words)
        asks = _asks(clause.words, said)
        if clause.quoted or english.LIGHT.isdisjoint(said):
            words += said
            continue
        for word, after in zip(said, [*said[1:], ""], strict=True):
            passed = word in english.LIGHT and (word != "do" or after)
            (light if passed else words).append(word)
    if not words:
        words, light = light, words
    stems = tuple(map(stem, words))
    steps: dict[str, set[str]] = {}
    for word, after in zip(words, stems[1:], strict=False):
        if word in english.CLOSED:
            steps.setdefault(after, set()).add(word)
    odd = [word for word in words if not word.isalpha()]
    return Text(
        words=tuple(words),
        stems=stems,
        light=tuple(sorted(light)),
        clauses=tuple(starts),
        names=tuple(names) if english.GERMAN.isdisjoint(every) else (),
        every=frozenset(every.union(words)),
        prefixed=frozenset(
            word for word in every.union(words) if word.startswith(english.PREFIXES)
        ),
        ones=sum(_ones(clause.words) for clause in clauses),
        numbers=tuple(word for word in odd if word.lstrip("#")[:1].isdigit()),
        signs=tuple(word for word in odd if len(word) == 1 and not word.isalnum()),
        steps=steps,
        denies=not english.NEGATIONS.isdisjoint(words),
        asks_who=_asks_who(clauses),
        asks=None if asks is False and _ASKED.search(text) else asks,
        to_come=_to_come(clauses),
    )


_remembered = lru_cache(maxsize=4096)(_read)


def without_courtesy(text: str) -> str:
    """Return a text's words without the clauses of greeting and thanks around others."""
    clauses, names = _clauses(_written(text))
    return "\n".join(" ".join(clause.words) for clause in _without_courtesy(clauses, names))


@dataclass(slots=True)
class _Clause:
    """Words up to a mark that ends a clause; quoted: they follow a colon, so they are material."""

    words: list[str]
    quoted: bool


_MARKS = "".join(chr(c) for c in range(0x300, 0x3100) if unicodedata.category(chr(c))[0] == "M")
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Thai, Lao, Burmese, Khmer, kana and Chinese letters."""
_SIMPLE = (
    r"(?P<simple>[A-Za-z]{1,20}(?:'[A-Za-z]{1,9})?"
    rf"(?:[.,;:?!]?(?: +|(?=\n)|\Z)|(?=[^\w'.,;:?!{_MARKS}])))"
)
"""Most words of most texts, each with the mark after it: what it comes to is remembered."""
_ANY = (
    rf"(?P<number>\.?\d+(?:[.,:]\d+)*)"
    rf"|(?P<letter>[{_UNSPACED}][{_MARKS}]*)"
    rf"|(?P<word>(?:(?![{_UNSPACED}])(?:[^\W\d]|[{_MARKS}]))+(?:'[^\W\d{_UNSPACED}]+)*)"
    r"|(?P<blank>[^\S\n]+)|(?P<other>.)"
)
_TOKEN = re.compile(f"{_SIMPLE}|{_ANY}", re.DOTALL)
_QUOTES = str.maketrans("’‘‛`“”„«»‹›「」『』《》", "''''" + '"' * 13)
_STOPS = frozenset(".!?;:,。！？；：，、؟،؛।…")
_SENTENCES = frozenset('.!?:\n"')
_COLONS = frozenset(":：")
_PLAIN = _STOPS | frozenset("\"'()（）¿¡·•")
_SILENT = _PLAIN - frozenset(".!()")
_DASHES = frozenset("-‐‑‒–—―−")


_ENDS = re.compile(r"(?<=[.?])(?=\s(?!\d))")


class _Passage(NamedTuple):
    """Sentences: their clauses and names, how many words are inside them, and of these capitalised."""

    clauses: tuple[_Clause, ...]
    names: tuple[str, ...]
    inside: int
    capitals: int
    quoted: bool
    """Whether what follows is material."""


def _clauses(text: str) -> tuple[list[_Clause], list[str]]:
    """The clauses of a text, and its names; the sentences of a long one are each read once."""
    clauses: list[_Clause] = []
    names: list[str] = []
    quoted, inside, capitals = False, 0, 0
    for sentence in _ENDS.split(text) if len(text) > CACHED else [text]:
        passage = _once(sentence, quoted) if len(sentence) < len(text) else _passage(text, quoted)
        clauses += passage.clauses
        names += passage.names
        inside, capitals = inside + passage.inside, capitals + passage.capitals
        quoted = passage.quoted
    titled = 2 * capitals > inside > SHORT or text.isupper()
    return clauses, [] if titled else names


def _passage(text: str, quoted: bool) -> _Passage:  # noqa: FBT001
    clauses: list[_Clause] = []
    words: list[str] = []
    names: list[str] = []
    first, inside, capitals = True, 0, 0
    for found in _TOKEN.finditer(text):
        piece, kind = found[0], found.lastgroup
        if kind == "blank":
            continue
        mark = after = ""
        if kind in {"simple", "word"}:
            word = _simple(piece) if kind == "simple" else _word(piece)
            words += _as_read(word, piece, words, text[max(found.start() - 2, 0) : found.start()])
            mark = word.mark
            if word.opening if first else word.name:
                names.append(word.name or word.opening)
                capitals += not first
            inside, first = inside + (not first), False
        elif kind in {"letter", "number"}:
            words.append(piece if kind == "letter" else figures.figure(piece))
            first = first and kind == "letter"
        elif _is_sign(text, found.start()):
            words.append("and" if text[found.start() - 1 : found.end() + 1] == " & " else piece)
        else:
            mark, after = piece, text[found.end() : found.end() + 1]
        if mark:
            first = first or mark in _SENTENCES
            dated = mark == "." and figures.is_month(words, text[found.end() : found.end() + 1])
            if words and _stops(mark, after) and not dated:
                clauses.append(_Clause(figures.in_figures(words), quoted))
                quoted = quoted or (mark in _COLONS and not _courteous(words))
                words = []
    if words:
        clauses.append(_Clause(figures.in_figures(words), quoted))
    return _Passage(tuple(clauses), tuple(names), inside, capitals, quoted)


_once = lru_cache(maxsize=4096)(_passage)


class _Word(NamedTuple):
    """What a word as it is written comes to: its name "" where it is none, there or as a first word."""

    parts: list[str]
    name: str
    opening: str
    mark: str = ""


def _word(piece: str, mark: str = "") -> _Word:
    word = piece.lower() if "ß" in piece else piece.casefold()  # Buße is not Busse
    parts = [_ROMAN[piece]] if piece in _ROMAN else _apart(word)
    name, opening = (
        word.removesuffix("'s") if _is_name(piece, first=first) else "" for first in (False, True)
    )
    return _Word(parts, name, opening, mark)


@lru_cache(maxsize=16_384)
def _simple(piece: str) -> _Word:
    """The same of a word with the mark and the blanks after it."""
    word = piece.rstrip(" ")
    return _word(word) if word[-1].isalpha() else _word(word[:-1], word[-1])


_ROMAN = {"II": "2", "III": "3", "IV": "4", "VI": "6", "VII": "7", "VIII": "8", "IX": "9"}


def _is_name(word: str, *, first: bool) -> bool:
    """Whether a word is written as names are: with a capital, but that of a first word."""
    written = word[1:] if first else word
    return written != written.lower() and word.partition("'")[0] != "I" and word not in _ROMAN


def _as_read(word: _Word, piece: str, before: list[str], sign: str) -> list[str]:
    r"""A word's parts, but for the "am" of an hour, and the case of a letter after a sign: \D, or -D."""
    if len(word.parts[0]) == 1 and (sign[-1:] == "\\" or sign.strip() == "-"):
        return [piece[0]]
    hour = word.parts == ["is"] and piece[:2].casefold() == "am"
    return ["am"] if hour and before and before[-1][0].isdigit() else word.parts


def _stops(mark: str, after: str) -> bool:
    return mark == "\n" or (mark in _STOPS and (not mark.isascii() or not after.isalnum()))


def _is_sign(text: str, at: int) -> bool:
    """Whether a character that is no letter or figure tells something: an emoji does, a comma not."""
    sign = text[at]
    if sign in _SILENT:  # but for the derivative f'(x)
        return sign == "'" and text[at + 1 : at + 2] == "(" and text[at - 1 : at].isalnum()
    if sign in _DASHES:
        return _is_minus(text, at)
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if sign == ".":
        return after.isalpha() and not before.isalnum()
    if sign == "!":
        return before.isdigit() or (not before.isalnum() and (after.isalnum() or after == "="))
    if sign in "()":
        start = at - (sign == ")")
        return text[start : start + 2] == "()" and not text[start - 1 : start].isalnum()
    silent = sign in _PLAIN or sign.isspace() or "\ufe00" <= sign <= "\ufe0f"
    kind = unicodedata.category(sign)
    return not (silent or kind == "Cc" or (kind == "Cf" and sign <= "\uffff"))


def _is_minus(text: str, at: int) -> bool:
    """Whether a dash says something: a hyphen between words and a dash between blanks do not."""
    before, after, beyond = (
        text[at - 1 : at],
        text[at + 1 : at + 2],
        text[at - 2 : at - 1] * (at > 1),
    )
    if before.isalpha() and after.isalpha():
        return not (beyond.isalpha() or text[at + 2 : at + 3].isalpha())
    near = before.strip() or beyond, after.strip() or text[at + 2 : at + 3]
    return before.isalnum() or after.isalnum() or any(side.isdigit() for side in near)


def _apart(word: str) -> list[str]:
    """The words that are written together in one."""
    if word in english.TOGETHER:
        return english.TOGETHER[word].split()
    if "'" in word[1:]:
        at = -3 if word.endswith("n't") else word.rindex("'")
        base, ending = word[:at], word[at:]
        if ending == "'s":
            return [_form(base), "is" if base in english.SUBJECTS else english.POSSESSIVE]
        if base and ending in english.ENDINGS:
            return [_form(base), english.ENDINGS[ending]]
    return [_form(word)]


_FORMS = english.FORMS | figures.FORMS


def _form(word: str) -> str:
    return _FORMS.get(word, word)


def _courteous(words: list[str]) -> bool:
    return english.COURTESY.issuperset(words) and not english.GREETINGS.isdisjoint(words)


def _address(clauses: list[_Clause], names: list[str]) -> list[str]:
    """The words in which somebody without a name is greeted before the question: dear support team."""
    words = clauses[0].words if len(clauses) > 1 else [""]
    greeted = words[0] in english.ADDRESSING and len(words) <= ADDRESSED and not _courteous(words)
    plain = english.CLOSED.isdisjoint(words) and all(map(str.isalpha, words))
    return words if greeted and plain and set(words).isdisjoint(names) else []


def _without_courtesy(clauses: list[_Clause], names: list[str]) -> list[_Clause]:
    """Without the clauses of greeting before and of thanks after all others."""
    first, last = int(bool(_address(clauses, names))), len(clauses)
    while first < last - 1 and _courteous(clauses[first].words):
        first += 1
    while last - 1 > first and not clauses[last - 1].quoted and _courteous(clauses[last - 1].words):
        last -= 1
    return clauses[first:last]


def _asks_who(clauses: list[_Clause]) -> bool | None:
    """Who killed him needs no helping verb; whom did he kill has a "did" before its subject.

    Who was killed by him asks for whom, who was he killed by for who did it.
    """
    begun = [(c.words[0] == "by", c.words) for c in clauses if not c.quoted]
    asked = [words for by, words in begun if words[by : by + 1] in (["who"], ["what"])]
    if not asked:
        return None
    words = asked[-1]
    if "by" in (words[0], words[-1]):
        return True
    if "by" in words:
        return None if english.HELPING.isdisjoint(words) else False
    at = next((i for i, word in enumerate(words) if word in english.HELPING), None)
    if at is None:
        return True
    subject = "".join(words[at + 1 : at + 2])
    asks_whom = words[at] in ("do", "did") and subject not in ("", *english.ANYBODY)
    return False if asks_whom and words[at - 1] != "to" else None


def _to_come(clauses: list[_Clause]) -> bool | None:
    """By its first helping verb: will it be, when was it, has it been."""
    for clause in reversed(clauses):
        first = next((word for word in clause.words if word in english.HELPING), None)
        asks = clause.words[0] == first or clause.words[0] in _QUESTIONING
        if first is not None and asks and not clause.quoted:
            return first == "will" if first in english.TENSED else None
    return None


_PHRASES = re.compile("|".join(rf"\b({pattern})\b" for pattern, _ in english.PHRASES))
_QUESTIONING = english.KINDS | {"what", "how", "if", "whether"}
_ASKED = re.compile("[?\u037e\u061f\uff1f]")
_OPENINGS = re.compile("|".join(rf"({pattern}) (?=.)" for pattern, _ in english.OPENINGS))


def _asks(words: list[str], said: list[str]) -> bool | None:
    """`Text.asks` of a clause without its signs, from its words and from how it is read."""
    first, second = [*said, "", ""][:2]
    if first in english.HELPING and not (first == "do" and second in english.NEGATIONS):
        return True
    told = said == _without_articles(words) and _QUESTIONING.isdisjoint(said)
    return False if told and not english.HELPING.isdisjoint(said) else None


def _in_one_way(words: list[str]) -> list[str]:
    """A clause that asks in the one way of those that ask the same, without its articles."""
    line = " ".join(_without_articles(words))
    line = _PHRASES.sub(lambda found: english.PHRASES[found.lastindex - 1][1], line)  # type: ignore[operator]
    for _ in range(4):
        found = _OPENINGS.match(line)
        if found is None or found.lastindex is None:
            break
        _, one = english.OPENINGS[found.lastindex - 1]
        if found[0].rstrip().endswith(" you"):
            line = line.replace(" your ", " my ")
        line = f"{one} {line[found.end() :]}".lstrip()
    words = line.split()
    while len(words) > 1 and words[-1] in english.BEGGING:
        words.pop()
    return words


def _without_articles(words: list[str]) -> list[str]:
    if english.ARTICLES.isdisjoint(words):
        return words
    anybody = english.AUXILIARIES | {"do" if words[0] == "how" else ""}  # before "one": how can one
    return [
        word
        for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False)
        if word not in english.ARTICLES
        or (word == "one" and before in anybody)
        or after in english.CLOSED
        or not after.lstrip("#")[:1].isalnum()
    ]


def _ones(words: list[str]) -> int:
    """How often "one" follows a word of an open class, as in season one: there it may be a number."""
    if "one" not in words:
        return 0
    passing = english.CLOSED | english.LIGHT
    return sum(word == "one" and before not in passing for before, word in pairwise(words))


_SPELLINGS = tuple(
    (re.compile(pattern), one)
    for pattern, one in (
        ("(?<=[^aeiou])ies$", "y"),
        ("(?<=[sxz])es$|(?<=[cs]h)es$|(?<=[^suia])s$|(?<=..[aiu])s$", ""),
        ("(?<=..)our(?=$|[aeif])", "or"),
        ("(?<=[iy])s(?=e$|ing$|ed$|ation$)", "z"),
        ("(?<=[^aeiou])re$", "er"),
        ("nce$", "nse"),
        ("^(?=.{6})(.*[^aeiou])?[ao]e(?=[^aeiou])", r"\1e"),
        ("ph(?=.)", "f"),
        ("(?<=[^s][sxz])e$|(?<=[cs]h)e$", ""),
    )
)


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """A word without its plural's ending, in one of the spellings it may have."""
    if len(word) > 3 and word.isascii() and word.isalpha() and word not in english.CLOSED:  # noqa: PLR2004
        for pattern, one in _SPELLINGS:
            word = pattern.sub(one, word)
    return word


_VOWELS = frozenset("aeiouy")


def abbreviates(short: str, long: str) -> bool:
    """Whether a word is cut within a syllable, as temp(erature), after an o, or to consonants: d(octo)r.

    Cut between syllables it may be a word of its own: car and carpet, pain and painless.
    """
    written = (short + long).isalpha() and (short + long).isascii()
    if len(short) < 2 or not written or short in english.CLOSED:  # noqa: PLR2004
        return False
    if long.startswith(short):
        within = short[-1] not in _VOWELS and long[len(short) :][:1] in _VOWELS
        after_o = short[-1] == "o" and len(short) > 3  # noqa: PLR2004
        return (within or after_o) and 2 < len(short) <= len(long) / 2  # noqa: PLR2004
    letters = iter(long)
    ends = short[0] == long[0] and short[-1] == long[-1] and len(long) - len(short) > 1
    return ends and _VOWELS.isdisjoint(short[1:]) and all(letter in letters for letter in short)


def _alike(name: str, other: str) -> bool:
    """Whether two names begin alike, as Africa and African, Kraków and Krakow, C and Celsius, or St."""
    name, other = _plain(name), _plain(other)
    short, long = sorted((name, other), key=len)
    begun = name.startswith(other[:4]) or other.startswith(name[:4])
    return begun or abbreviates(short, long)


def _plain(name: str) -> str:
    """Without accents."""
    return unicodedata.normalize("NFD", name).encode("ascii", "ignore").decode() or name
