"""Numbers, dates, times and measures in one way of writing them.

A figure is written in ASCII digits, a number word as a figure, an ordinal with a # before it. A day of a
month is a plain number, an hour by a clock of twelve is one of twenty-four, and an abbreviated unit or
month beside its number is written out.
"""

from __future__ import annotations

import re
import unicodedata

_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")


def figure(token: str) -> str:
    """A figure in ASCII digits, without separators of thousands or leading zeros."""
    token = _THOUSANDS.sub("", token)
    if not token.isascii():
        token = "".join(str(unicodedata.digit(c, c)) for c in token)
    if token.isdigit():
        return token.lstrip("0") or "0"
    return f"0{token}" if token[0] == "." else token


_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
_TEENS = "fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_FIRST = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_VALUES = {word: n for n, word in enumerate(f"{_ONES} {_TEENS}".split())}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_ORDINALS = {word: n for n, word in enumerate(_FIRST.split(), 1)}
_ORDINALS |= {f"{word}th": n for word, n in _VALUES.items() if n > len(_ORDINALS)}
_VALUES |= {word: 10 * n for n, word in enumerate(_TENS.split(), 2)}
_ORDINALS |= {f"{word[:-1]}ieth": 10 * n for n, word in enumerate(_TENS.split(), 2)}


_ENDINGS = frozenset("st nd rd th".split())
_COUNTING = _ENDINGS.union(_VALUES, _SCALES, _ORDINALS)


def in_figures(words: list[str]) -> list[str]:
    """A clause with its numbers, dates, times and measures in one way.

    Twenty one is 21, five million 5000000, a lone "one" is left; twenty first is #21, but twenty second
    may be a time; December 24th is 24 as 24 December is, 8 pm is 20:00, 5 km are 5 kilometres, Python v3
    is Python 3.
    """
    if not _COUNTING.isdisjoint(words):
        words = _counted(_without_endings(words))
    return _measured(words) if any(word[0].isdigit() for word in words) else words


def _counted(words: list[str]) -> list[str]:
    found: list[str] = []
    for word, after in zip(words, [*words[1:], ""], strict=True):
        last = int(found[-1]) if found and found[-1].isdecimal() and len(found[-1]) < 13 else None  # noqa: PLR2004
        value, ordinal = _VALUES.get(word), _ORDINALS.get(word)
        if word in _SCALES and (last is not None or found[-1:] == ["a"]):
            found[-1] = str((last or 1) * _SCALES[word])
        elif value is not None and last is not None and _completes(last, value):
            found[-1] = str(last + value)
        elif value is not None and (word != "one" or after in _SCALES):
            found.append(str(value))
        elif word in _ENDINGS and last is not None:
            found[-1] = f"#{last}"
        elif ordinal and last is not None and word != "second" and _completes(last, ordinal):
            found[-1] = f"#{last + ordinal}"
        else:
            found.append(word if ordinal is None else f"#{ordinal}")
    return found


def _completes(last: int, value: int) -> bool:
    """Whether a number word adds to the one before it: twenty + one, two hundred + five."""
    if last >= 100:  # noqa: PLR2004
        return last % 100 == 0 and value < 100  # noqa: PLR2004
    return last >= 20 and last % 10 == 0 and 0 < value < 10  # noqa: PLR2004


FORMS = {
    "half": "0.5", "percent": "%", "plus": "+", "degree": "°", "degrees": "°", "dollars": "$",
    "euros": "€",
}  # fmt: skip
"""Words for a figure or a sign."""
_MONTHS = "january february march april may june july august september october november december"
_MONTH = {word: month for month in _MONTHS.split() for word in (month, month[:3])}
_MONTH["sept"] = "september"
_UNITS = {
    short + unit: full + name
    for units, prefixes in (
        ("g:gram m:metre l:litre", "k:kilo c:centi m:milli"),
        ("b:byte", "k:kilo m:mega g:giga t:tera"),
    )
    for unit, name in (each.split(":") for each in units.split())
    for short, full in (each.split(":") for each in prefixes.split())
} | dict(
    each.split(":")
    for each in (
        "g:gram l:litre h:hour hr:hour hrs:hour min:minute mins:minute sec:second secs:second"
        " lb:pound lbs:pound oz:ounce ft:feet usd:$ eur:€ gbp:£"
    ).split()
)
_UNITS |= {f"{unit}s": unit for unit in _UNITS.values()}
"""Units after a figure; m is left, for it is a metre, a mile, a minute and a million."""
_DEGREES = {"c": "celsius", "f": "fahrenheit"}
_OF = frozenset("in per many".split())
"""After these a unit of two letters needs no figure, where one stands elsewhere: 6 feet in cm."""
_HALVES = {"morning": "am", "afternoon": "pm", "evening": "pm"}
_CLOCK = re.compile(r"(0?[1-9]|1[0-2])(?:[.:]([0-5]\d))?")


def is_month(words: list[str], after: str) -> bool:
    """Whether the last word is an abbreviated month before a figure, as in Jan. 3."""
    return after.isdigit() and _MONTH.get(words[-1] if words else "", "may") != "may"


def _without_endings(words: list[str]) -> list[str]:
    """Without the ending of a day beside its month: 24 th december, december 24 th."""
    found: list[str] = []
    for at, word in enumerate(words):
        if word in _ENDINGS and found and found[-1].isdecimal():
            after = [other for other in words[at + 1 : at + 3] if other != "of"]
            before = [other for other in found[-3:-1] if other != "the"]
            if not _MONTH.keys().isdisjoint((*after[:1], *before[-1:])):
                continue
        found.append(word)
    return found


def _measured(words: list[str]) -> list[str]:
    """What stands beside a figure written out, and hours by the clock of twenty-four."""
    found: list[str] = []
    for word in words:
        first, earlier, before = ["", "", "", *found][-3:]
        hour = ""
        if word in ("am", "pm"):
            hour, size = _hour(before, word), 1
        elif word == "m" and before in ("a", "p"):
            hour, size = _hour(earlier, before), 2
        elif word in _HALVES and (earlier, before) == ("in", "the"):
            hour, size = _hour(first, _HALVES[word]), 3
        if hour:
            found[-size:] = [hour]
        elif word[0].isdigit():
            if before == "v" and earlier and not earlier[0].isdigit():
                found.pop()
            elif before in _MONTH:
                found[-1] = _MONTH[before]
            found.append(word)
        elif before[:1].isdigit() or (before in _OF and len(word) > 1):
            found.append(_UNITS.get(word) or _MONTH.get(word, word))
        else:
            found.append(_DEGREES.get(word, word) if before == "°" else word)
    return found


def _hour(figure: str, half: str) -> str:
    """A figure of a clock of twelve by that of twenty-four, or nothing: 8 pm is 20:00."""
    found = _CLOCK.fullmatch(figure)
    if found is None:
        return ""
    return f"{int(found[1]) % 12 + 12 * half.startswith('p')}:{found[2] or '00'}"
