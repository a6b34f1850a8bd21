"""Do two answers say the same?

Asked of a small model's answer beside a large one's (audits), of several samples of one model, and of a
fresh answer beside a stored one. Most answers end in something that can be compared exactly: a number,
a letter, a name. So `Agree` looks for what each answer finally states, and only where there is nothing
of the kind does it compare whole texts by their vectors.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from langchain_cachemux.types import Vector

Same: TypeAlias = Callable[[str, str], bool]
"""Whether two answers to one question say the same."""

STATED = r"\banswer(?:\s+is|\s*[:=])|####(?=\s*[-$\d])"
"""What stands before a final answer: an English sentence, and the mark of GSM8K's solutions."""


class Agreement(NamedTuple):
    """Whether two answers say the same, and by what they were compared."""

    same: bool
    reason: str
    cosine: float | None = None
    """Of two texts that nothing but their vectors could tell apart."""


class Agree:
    r"""Whether two answers say the same, by what they finally state.

    In this order, the first that applies:

    1. Texts that differ only in case, punctuation, articles and Markdown or LaTeX are the same.
    2. Two pieces of JSON, such as structured answers and tool calls, are the same when their values are.
    3. Where both state a final answer (`\boxed{}`, "the answer is", the letter of a choice, the result
       of a calculation, or a few words that are the whole answer), these are compared: numbers by value
       (1,000 = 1000.0, 1/2 = 0.5, 50 % = 50 percent), a letter by itself (B = "(B) Paris"), words by
       their words. A few words are also found at the end of a sentence: Paris = "It is Paris."
    4. Otherwise the texts must be near (`similarity`) and have the same numbers and denials. With no
       `embed` they count as different.

    It has not read the question. It does not know that New York is not New York City there, that 5 km
    are 5000 m, that "sixteen" is 16, that "B" stands for Paris, or a denial that is not English. Whether
    a long answer is the better of two it cannot say: it only compares. In doubt it says "different".

    Args:
        embed: Unit vector of a text; by default long texts are not compared.
        similarity: Least cosine of two long texts that say the same, in (0, 1].
        stated: Regular expression of what stands before a final answer, for another language.

    Raises:
        ValueError: `similarity` is out of range, or `stated` is no regular expression.
    """

    def __init__(
        self,
        embed: Callable[[str], Vector] | None = None,
        *,
        similarity: float = 0.9,
        stated: str = STATED,
    ) -> None:
        if not 0 < similarity <= 1:
            msg = f"similarity must be a cosine in (0, 1], got {similarity!r}"
            raise ValueError(msg)
        try:
            self._stated = re.compile(stated, re.IGNORECASE)
        except re.error as error:
            msg = f"stated must be a regular expression, got {stated!r}: {error}"
            raise ValueError(msg) from None
        self.embed = embed
        self.similarity = similarity

    def __call__(self, left: str, right: str) -> bool:
        """Whether they say the same."""
        return self.explain(left, right).same

    def explain(self, left: str, right: str) -> Agreement:
        """Say whether they say the same, and by what that was decided."""
        if left.strip() == right.strip() or plain(left) == plain(right) != "":
            return Agreement(same=True, reason="the words are the same")
        objects = _json(left), _json(right)
        if None not in objects:
            return Agreement(_equal(objects[0][0], objects[1][0]), "compared as JSON")  # type: ignore[index]
        one, other = self.final(left), self.final(right)
        if one is None and other is not None:
            one = _beside(other, left)
        if other is None and one is not None:
            other = _beside(one, right)
        if one is None or other is None:
            return self._near(left, right)
        return Agreement(_alike(one, other), f"finally {one!r} and {other!r}")

    def final(self, text: str) -> str | None:
        """Return what an answer finally states; None when it states nothing of the kind."""
        text = _normal(text)
        if boxed := _BOXED.findall(text):
            return str(boxed[-1]).strip()
        if marks := list(self._stated.finditer(text)):
            stated = text[marks[-1].end() :].strip().partition("\n")[0]
            if re.search(r"\w", stated):
                return _SENTENCE.split(stated)[0].strip()
        if len(text.split()) <= FEW or (_CHOICE.match(text) and "\n" not in text):
            return text
        _, equals, result = text.rpartition("=")
        if not equals or not _NUMBER.match(result.strip()):
            return None
        return [part for part in _SENTENCE.split(result) if _NUMBER.search(part)][-1].strip()

    def _near(self, left: str, right: str) -> Agreement:
        if self.embed is None:
            return Agreement(
                same=False, reason="no final answers, and no embed to compare texts by"
            )
        if sorted(numbers(left)) != sorted(numbers(right)):
            return Agreement(same=False, reason="the texts have other numbers")
        if len(_DENIAL.findall(left)) != len(_DENIAL.findall(right)):
            return Agreement(same=False, reason="one of the texts denies more often")
        cosine = float(np.dot(self.embed(left), self.embed(right)))
        return Agreement(cosine >= self.similarity, f"similarity {cosine:.3f}", cosine)


def plain(text: str) -> str:
    """Return the words alone: no case, punctuation, articles, Markdown or LaTeX around them."""
    text = _normal(text).casefold()
    if wrapped := _WRAPPED.fullmatch(text):
        text = wrapped[1]
    return " ".join(_ARTICLE.sub("", _PUNCTUATION.sub(" ", text)).split())


def numbers(text: str) -> list[Fraction]:
    """Return the numbers written in figures, as they come; a per cent is a hundredth."""
    return [_value(found) for found in _NUMBER.finditer(_normal(text))]


FEW = 6
"""An answer of so many words is itself what it states."""
UNIT = 2
"""What stands beside a number is its unit when it has so many words at most."""
ROUNDED = 2
"""A number with so many decimals may be another one rounded."""
DEEP = 500
"""JSON of more brackets is compared as a text."""
_SUPERSCRIPTS = str.maketrans({sign: f"^{n}" for n, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")})
_MARKUP: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.MULTILINE), plain)
    for pattern, plain in (
        (r"<<[^<>\n]*>>", ""),  # GSM8K's calculator
        (r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", r"\1/\2"),
        (r"\\(?:text|mathrm|mathbf|textbf)\{([^{}]*)\}", r"\1"),
        (r"\\(?:left|right)(?![a-z])|\\[,;! ]|\\[()\[\]]", ""),
        (r"\\times|\\cdot", "×"),
        (r"\{,\}", ","),
        (r"\$\$|(?<!\\)\$(?=[^$\n]{1,200}\$(?!\d))|(?<=[^$\s])\$(?=\W|$)", ""),
        (r"\\([$%#&_{}])", r"\1"),
        (r"^[ \t]*(?:#{1,3} |>|[-*+] )[ \t]*", ""),
        (r"```\w*|\*\*|__|`|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w)", ""),
        ("[‘’]", "'"),
    )
)
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_SENTENCE = re.compile(r"[.!?](?=\s|$)|[。！？]|\n")
_NUMBER = re.compile(
    r"""(?<![\w.])(?P<sign>[-−+]\s?)?(?P<currency>[$€£¥₹])?\s?
    (?P<whole>\d{1,3}(?:,\d{3})+(?!\d)|\d{1,99}(?!\d))(?P<part>[.,]\d{1,99}(?!\d))?(?!\.\d)
    (?:e(?P<ten>[-+]?\d{1,2}(?!\d)))?(?:\s?[/⁄]\s?(?P<under>\d{1,99}))?
    (?P<cent>\s?(?:%|percent\b|per\ cent\b))?""",
    re.VERBOSE | re.IGNORECASE,
)
"""Of no more digits than a number has; 1.2.3 is a version, not a number."""
_CHOICE = re.compile(
    r"^(?:\((?P<round>[A-Z])\)|\[(?P<square>[A-Z])\]|(?P<bare>[A-Z])(?:[.):]|$))\s*"
)
_LAST_LETTER = re.compile(r"(?:^|\s)[(\[]?([A-Z])[)\].:]*$")
_LEAD = re.compile(r"([^.!?,;:]+)(?:[.!?;:]\s+|,\s+(?=[^\W\d_]+\s+\w)(?=(?P<low>\w)))")
_PUNCTUATION = re.compile(
    r"""[.,;:?…。，；：？！](?=\s|$)|(?<!\s\d)(?<!^\d)!(?=\s|$)|["“”„«»]|(?<!\w)'|'(?!\w)"""
)
_WRAPPED = re.compile(r"[(\[]([^()\[\]]+)[)\]][.\s]*")
_ARTICLE = re.compile(r"\b(?:an?|the)\s+(?=\w)")
_DENIAL = re.compile(r"\b(?:not?|never|none|cannot|\w+n't)\b", re.IGNORECASE)


def _normal(text: str) -> str:
    """One form of each character, without what Markdown and LaTeX put around the words."""
    text = unicodedata.normalize("NFKC", text.translate(_SUPERSCRIPTS))
    for pattern, inside in _MARKUP:
        text = pattern.sub(inside, text)
    return text.strip()


def _value(found: re.Match[str]) -> Fraction:
    whole, part = found["whole"].replace(",", ""), (found["part"] or "").replace(",", ".")
    value = Fraction(f"{whole}{part}") * Fraction(10) ** int(found["ten"] or 0)
    if found["under"] and int(found["under"]):
        value /= int(found["under"])
    if found["cent"]:
        value /= 100
    return -value if (found["sign"] or "").strip() in ("-", "−") else value


def _alike(one: str, other: str) -> bool:
    """Whether two final answers are the same."""
    if plain(one) == plain(other) != "":
        return True
    (a, rest), (b, rest_of_other) = _choice(one), _choice(other)
    if a and b and (_CHOICE.match(one) or _CHOICE.match(other)):
        return a == b and (not rest or not rest_of_other or _alike(rest, rest_of_other))
    one, other = _CHOICE.sub("", one, count=1) or one, _CHOICE.sub("", other, count=1) or other
    figures = [list(_NUMBER.finditer(_result(text))) for text in (one, other)]
    if all(figures):
        return _measures(one, other, *figures)
    if any(figures):
        return False
    return any(_ends(*pair) or _leads(*pair) for pair in ((one, other), (other, one)))


def _result(text: str) -> str:
    """What stands behind the last equals sign."""
    after = text.rpartition("=")[2]
    return after if _NUMBER.search(after) else text


def _measures(one: str, other: str, left: list[re.Match[str]], right: list[re.Match[str]]) -> bool:
    """Whether the numbers are the same, and what is said to be counted may be."""
    if len(left) != len(right):
        if min(len(left), len(right)) > 1 or max(len(one.split()), len(other.split())) <= FEW:
            return False
        left, right = left[-1:], right[-1:]  # one number, and a sentence that ends in one
    for a, b in zip(left, right, strict=True):
        if a["currency"] and b["currency"] and a["currency"] != b["currency"]:
            return False
        x, y = _value(a), _value(b)
        if bool(a["cent"]) != bool(b["cent"]) and 100 * min(x, y, key=abs) == max(x, y, key=abs):
            continue
        if not _close(a, b, x, y):
            return False
    units = [set(_NUMBER.sub(" ", plain(text)).split()) for text in (one, other)]
    short = max(map(len, units)) <= UNIT
    return not short or units[0] <= units[1] or units[1] <= units[0]


def _close(a: re.Match[str], b: re.Match[str], x: Fraction, y: Fraction) -> bool:
    """Equal, or one is the other rounded to two decimals or more."""
    decimals = [len(m["part"] or ".") - 1 if not m["under"] else 9 for m in (a, b)]
    places = min(decimals)
    return x == y or (places >= ROUNDED and round(x, places) == round(y, places))


def _choice(text: str) -> tuple[str | None, str]:
    """The letter of a choice that a text begins with or ends in, and the words it stands before."""
    if found := _CHOICE.match(text):
        return str(next(filter(None, found.groups()))), text[found.end() :]
    found = _LAST_LETTER.search(text)
    return (str(found[1]) if found else None), ""


def _ends(short: str, long: str) -> bool:
    """Whether a few words are the last of a sentence that denies nothing they do not."""
    few, many = plain(short).split(), plain(long).split()
    rest = many[: len(many) - len(few)]
    return bool(few) and many[-len(few) :] == few and not _DENIAL.search(" ".join(rest))


def _leads(short: str, long: str) -> bool:
    """Whether a text begins with a few words and goes on to explain: Yes = "Yes, it is."."""
    found = _LEAD.match(long)
    if found is None or plain(found[1]) != plain(short):
        return False
    return found["low"] is None or found["low"].islower()


def _beside(final: str, text: str) -> str | None:
    """What a text that states nothing finally may say all the same, beside a text that does.

    Its one sentence, or the last of several if they end in numbers as the other does.
    """
    sentences = [part for part in _SENTENCE.split(_normal(text)) if part.strip()]
    if len(sentences) == 1 or (_NUMBER.search(final) and _NUMBER.search(sentences[-1])):
        return sentences[-1].strip()
    return None


def _json(text: str) -> tuple[Any] | None:
    """What a text is as JSON, when it is an object or a list."""
    text = _normal(text)
    if not text.startswith(("{", "[")):
        return None
    try:
        return (json.loads(text),) if text.count("[") + text.count("{") <= DEEP else None
    except ValueError:
        return None


def _equal(one: Any, other: Any) -> bool:
    """Whether two values of JSON are the same: numbers by value, texts by their words."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, str) and isinstance(other, str):
        return one == other or (bool(plain(one)) and plain(one) == plain(other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
