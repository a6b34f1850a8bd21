"""What a text shows before anything is known about it: some forty numbers, and its words, hashed.

The numbers say how long a text is, what it is made of (numbers, operators, LaTeX, code, options to
choose from) and how it asks (negations, comparisons, conditions). None is made for one benchmark or one
task; those that count words know the commonest of English, and negations and question words of German,
French, Spanish and Portuguese too; all others read any script. Nothing is learned here and nothing
kept, so the same text always has the same features, in every process.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

READ = 4000
"""Characters read at either end of a text; what lies between only counts towards its length."""
BUCKETS = 1 << 15
"""Words are told apart as far as this many hash values go."""
LONG = 9
"""Letters from which a word is long."""

_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff]"  # scripts without spaces: each character is a word
    r"|[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,]\d+)*|\\[a-zA-Z]+|_{2,}|[=!<]=|[=-]>|[^\w\s]|\n"
)
_OPTION = re.compile(
    r"^[ \t]*[(\[]?(?:[A-Za-z]|\d{1,2}|[ivx]{1,4})[).:\]][ \t]+(\S.*)$", re.MULTILINE
)

_WORDS = {
    "negation": "not no never none nor neither without except false incorrect cannot can't don't"
    " doesn't didn't isn't aren't wasn't weren't won't nicht kein keine nie ne pas jamais sin nunca não",
    "question": "what which who whom whose when where why how was welche wer wann wo warum wie que"
    " quel quelle qui quand où pourquoi comment qué cuál quién cuándo dónde cómo",
    "quantifier": "all both every each always only any must some most best many",
    "condition": "if then therefore because since suppose assume given let unless whether implies"
    " hence so",
    "order": "first second third fourth fifth last next previous before after while until during"
    " finally initially ago later",
    "part": "half thirds quarter quarters rest remaining remainder fraction percent percentage ratio"
    " twice double triple times total sum average difference",
    "comparison": "than as more less fewer greater larger smaller longer older younger higher lower"
    " equal same least",
    "numeral": "one two three four five six seven eight nine ten eleven twelve dozen hundred thousand"
    " million",
    "conjunction": "and or but also",
    "pronoun": "he she they his her their i you we my your our him them me us it its",
    "function": "the a an of to in for on with at by from is are were be been that this these those",
    "operator": "+ - * / = ^ < > × ÷ ± √ ∑ ∫ ≤ ≥ ≠ ∞ · → % == != <= => ->",
    "bracket": "( ) [ ]",
    "code": "{ } ; ` # | ~ @ & \\",
    "currency": "$ € £ ¥",
    "end": ". ! : 。 ！ ।",
    "asked": "? ？ ؟",
    "comma": ", 、 ， ،",
    "quote": '" “ ” « »',
}
_KINDS = (*_WORDS, "number", "latex", "blank", "line", "other")
_KIND = {word: kind for kind, words in enumerate(_WORDS.values()) for word in words.split()}
_AT = {name: kind for kind, name in enumerate(_KINDS)}
_NUMBER, _OTHER = _AT["number"], _AT["other"]
_UNHASHED = frozenset(_AT[kind] for kind in "end asked comma quote blank line".split())

NUMBERS = {
    "characters": (5.0, 1.1),
    "words": (3.3, 1.1),
    "stem": (4.9, 1.0),
    "distinct_numbers": (0.66, 0.92),
    "digits": (0.43, 0.81),
    "longest_number": (0.53, 0.7),
    "decimals": (0.15, 0.53),
    "capitals": (0.11, 0.38),
    "ends": (1.3, 0.96),
    "options": (0.4, 0.88),
    "longest_option": (0.61, 1.4),
    "option_spread": (0.43, 1.2),
    "negation": (0.2, 0.47),
    "question": (0.65, 0.58),
    "quantifier": (0.33, 0.56),
    "condition": (0.24, 0.47),
    "order": (0.2, 0.46),
    "part": (0.12, 0.33),
    "comparison": (0.23, 0.51),
    "numeral": (0.21, 0.51),
    "conjunction": (0.5, 0.72),
    "number": (0.74, 1.1),
    "operator": (0.51, 0.89),
    "bracket": (0.29, 0.75),
    "latex": (0.12, 0.45),
    "code": (0.18, 0.62),
    "currency": (0.2, 0.63),
    "comma": (0.66, 0.94),
    "asked": (0.42, 0.37),
    "quote": (0.11, 0.47),
    "blank": (0.006, 0.079),
    "line": (0.51, 0.96),
    "letters_a_word": (4.3, 0.82),
    "long_words": (0.076, 0.081),
    "distinct_words": (0.7, 0.21),
    "words_a_sentence": (0.4, 0.23),
    "numbers_a_token": (0.034, 0.058),
    "operators_a_token": (0.019, 0.045),
    "pronouns": (0.054, 0.074),
    "function_words": (0.25, 0.11),
    "capitalised": (0.16, 0.14),
    "numeric_options": (0.059, 0.23),
    "other_scripts": (0.071, 0.26),
    "opens_with_question": (0.25, 0.43),
}
"""Each number's mean and spread over 2,000 questions of many kinds, read without any outcome."""
_COUNTED = [_AT[name] for name in NUMBERS if name in _AT]
"""Kinds of tokens that are simply counted."""
_CENTRE, _SCALE = np.array(list(NUMBERS.values())).T


class Features(NamedTuple):
    """What a text shows."""

    numbers: NDArray[np.float64]
    """Shape (len(NUMBERS),), with a mean of about 0 and a spread of about 1 over all kinds of texts."""
    buckets: NDArray[np.int32]
    """Hash values of its distinct words, below BUCKETS."""
    weights: NDArray[np.float32]
    """Of each bucket: ±(1 + log count), of unit length altogether."""


def features(text: str) -> Features:
    """Return the features of a text; it is read once while it is among the last few hundred."""
    if len(text) > 2 * READ:
        return _features(f"{text[:READ]}\n{text[-READ:]}", len(text))
    return _features(text, len(text))


@lru_cache(maxsize=512)
def _features(text: str, characters: int) -> Features:
    tokens = _TOKEN.findall(text)
    counts = [0] * len(_KINDS)
    buckets: dict[int, int] = {}
    words = letters = long = capitals = capitalised = 0
    distinct_numbers = digits = longest_number = decimals = 0
    for token, n in Counter(tokens).items():
        kind, size, bucket, capital, all_capitals = _looked_up(token)
        counts[kind] += n
        if bucket is not None:
            buckets[bucket] = buckets.get(bucket, 0) + n
        if size:
            words += n
            letters += n * size
            if size >= LONG:
                long += n
            if capital:
                capitalised += n
                capitals += n * all_capitals
        elif kind == _NUMBER:
            distinct_numbers += 1
            digits += n * (len(token) == 1)
            longest_number = max(longest_number, len(token))
            decimals += n * ("." in token)
    options = _OPTION.findall(text)
    lengths = [len(option) for option in options] or [0]
    ends = counts[_AT["end"]] + counts[_AT["asked"]]
    several, one = len(tokens) or 1, words or 1
    counted = [
        characters,
        words,
        max(characters - sum(lengths), 0),
        distinct_numbers,
        digits,
        longest_number,
        decimals,
        capitals,
        ends,
        len(options),
        max(lengths),
        max(lengths) - min(lengths),
        *(counts[kind] for kind in _COUNTED),
    ]
    shares = (
        letters / one,
        long / one,
        len(buckets) / several,
        words / (ends + 1) / 20,
        counts[_NUMBER] / several,
        counts[_AT["operator"]] / several,
        counts[_AT["pronoun"]] / one,
        counts[_AT["function"]] / one,
        capitalised / one,
        sum(option[0] in "0123456789-$.(" for option in options) / (len(options) or 1),
        float(not text.isascii()),
        float(bool(tokens) and _looked_up(tokens[0])[0] == _AT["question"]),
    )
    numbers = (np.concatenate([np.log1p(counted), shares]) - _CENTRE) / _SCALE
    return _with_words(numbers, buckets)


def _with_words(numbers: NDArray[np.float64], counts: Mapping[int, int]) -> Features:
    """Features that nobody can write to; a word weighs 1 + log of its count, signed by its hash."""
    hashes = np.fromiter(counts, np.int64, len(counts))
    weights = 1.0 + np.log(np.fromiter(counts.values(), np.float64, len(counts)))
    weights *= np.where(hashes & BUCKETS, 1.0, -1.0)
    weights /= math.sqrt(float(weights @ weights)) or 1.0
    found = Features(numbers, (hashes & (BUCKETS - 1)).astype(np.int32), weights.astype(np.float32))
    for array in found:
        array.flags.writeable = False
    return found


@lru_cache(maxsize=50_000)
def _looked_up(token: str) -> tuple[int, int, int | None, bool, bool]:
    """Kind of a token, its letters when it is a word, its hash when it means something alone, capitals.

    These are two: whether it begins with one, and whether it is of several and of nothing else.
    """
    low = token.lower()
    kind = _KIND.get(low, _OTHER)
    if low == "\n":
        kind = _AT["line"]
    elif low[0].isdigit():
        kind = _NUMBER
    elif low[0] == "\\" and len(low) > 1:
        kind = _AT["latex"]
    elif low[0] == "_":
        kind = _AT["blank"]
    hashed = None if kind in _UNHASHED else zlib.crc32(low.encode())
    size = len(token) if low[0].isalpha() else 0
    capital = token[0].isupper()
    return kind, size, hashed, capital, capital and size > 1 and token.isupper()
