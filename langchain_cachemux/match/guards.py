"""What must not differ: the few words by which two similar texts are different questions.

A guard reads the new and the stored text and says why they differ in meaning, or nothing. These are
written for English; a number, a name or a direction is recognised in other languages too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

Guard: TypeAlias = Callable[[str, str], str | None]
"""Reads the new and the stored text; returns why they differ in meaning, or None."""


def numbers(new: str, stored: str) -> str | None:
    """The numbers, in figures or words, must be the same ones in the same order."""
    left, right = _numbers(new), _numbers(stored)
    return None if left == right else f"the numbers differ: {_show(left)}, stored {_show(right)}"


def negation(new: str, stored: str) -> str | None:
    """Both must deny as often; and neither may hold the opposite of the other's word (un-, dis-)."""
    left, right = _words(new), _words(stored)
    if sum(map(_denies, left)) != sum(map(_denies, right)):
        return "one of them is negated"
    for mine, theirs in ((left, right), (right, left)):
        for word in set(mine) - set(theirs):
            for prefix in _OPPOSITE_PREFIXES:
                base = word.removeprefix(prefix)
                if len(base) > 3 and base != word and base in theirs and base not in mine:  # noqa: PLR2004
                    return f"opposites: {word!r} and {base!r}"
    return None


def names(new: str, stored: str) -> str | None:
    """A name in one must be in the other, and the names they share in the same order."""
    left, right = _names(new), _names(stored)
    mine, theirs = _words(new), _words(stored)
    for found, words in ((left, theirs), (right, mine)):
        for name in found:
            if name not in words:
                return f"a name differs: {name!r} is in one only"
    shared = list(dict.fromkeys(left + right))
    if sorted(shared, key=mine.index) != sorted(shared, key=theirs.index):
        return f"the names are in another order: {_show(shared)}"
    return None


def contrasts(new: str, stored: str) -> str | None:
    """Words of which only one can be meant (first or last, km or miles) must agree, in order too.

    What is asked for must agree even when one side does not say it: an amount or a time is never
    the answer to a question that asks for neither.
    """
    left, right = _in_order(new), _in_order(stored)
    mine, theirs = _asked(left), _asked(right)
    if mine != theirs:
        return f"asked for is {_show(mine)}, stored is {_show(theirs)}"
    if _DIRECTION.findall(left) != _DIRECTION.findall(right):
        return "the direction (from one to the other) differs"
    for group in _CONTRASTS:
        mine, theirs = _members(group, left), _members(group, right)
        if mine and theirs and mine != theirs:
            order = "in this order " if sorted(mine) == sorted(theirs) else ""
            return f"{_show(mine)} {order}is not {_show(theirs)}"
    return None


def subject(new: str, stored: str) -> str | None:
    """Neither may replace the other's subject: words left over on both sides ask something else.

    Left over are the words that have no like on the other side (itself, a form of it, a synonym)
    and do more than ask or connect. One side may name the category of what is asked for (the capital,
    the capital city) and nothing more: raw chicken is not chicken. Where something is ranked, not even
    that.
    """
    left, right = _subjects(new), _subjects(stored)
    mine = [word for word in left if not any(_akin(word, other) for other in right)]
    theirs = [word for word in right if not any(_akin(word, other) for other in left)]
    restricts = _RANK.search(f"{new} {stored}") or not _CATEGORIES.issuperset(mine + theirs)
    if (mine and theirs) or (restricts and (mine or theirs)):
        return f"{_show(mine)} is not {_show(theirs)}"
    return None


def order(new: str, stored: str) -> str | None:
    """The same words in another order are another question."""
    left, right = _words(new), _words(stored)
    if left != right and sorted(left) == sorted(right):
        return "the same words are in another order"
    return None


def symbols(new: str, stored: str) -> str | None:
    """The operators must be the same ones in the same order: == is not !=."""
    left, right = (_SYMBOLS.findall(_HYPHEN.sub(" ", text)) for text in (new, stored))
    return None if left == right else f"the symbols differ: {_show(left)}, stored {_show(right)}"


GUARDS: tuple[Guard, ...] = (numbers, symbols, negation, names, contrasts, subject, order)
"""All of the above."""


_WORD = re.compile(r"\.?\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[+*/÷×=%$€£°<>-](?=\s*\d)")
_SYMBOLS = re.compile(r"[=!<>&|^%~]{2,}|[=<>&|*^~%\\/]|[+−–-](?=\s*[\w(])|(?<=\w)!(?=\s*\w)")
_HYPHEN = re.compile(r"(?<=[^\W\d])[-–/](?=[^\W\d]{2})|(?<=\s)[-–](?=\s)|(?<=\d)\s?%")
_SENTENCE = re.compile(r"[.!?:]\s+|\n+")
_OPPOSITE_PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non", "anti", "de", "mis")
_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
_TEENS = " fifteen sixteen seventeen eighteen nineteen"
_COUNTS: dict[str, float] = {word: n for n, word in enumerate((_UNITS + _TEENS).split())}
_COUNTS |= {
    word: 10 * n
    for n, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
_COUNTS |= {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "dozen": 12}
_COUNTS |= {"once": 1, "twice": 2, "thrice": 3, "double": 2, "triple": 3, "half": 0.5}
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
)
_NEGATIONS = frozenset(
    "not no never none nor neither cannot without except nobody nothing nowhere lacks lack cant dont"
    " wont isnt arent wasnt werent doesnt didnt couldnt wouldnt shouldnt hasnt havent hadnt"
    " unless".split()
)
_POSSESSIVE = re.compile(r"([^\W\d_]+)['’]s\s+([^\W\d_]+)")
_SPELLINGS = tuple(
    (re.compile(pattern), one)
    for pattern, one in (
        (r"\bU\.?S\.?(?:A\.?)?(?!\w)|\b(?i:usa|united states(?: of america)?|america)\b", "usa"),
        (r"\bU\.?K\.?(?!\w)|\b(?i:uk|united kingdom|great britain)\b", "uk"),
        (r"\b(?i:on (?:the )?(?:earth|globe|planet))\b", "in the world"),
        (r"(?<=\d)\s?%", " percent"),
    )
)
_RANK = re.compile(
    r"\b(?i:most|least|first|last|top|only|best|worst|maximum|minimum|\d+(?:st|nd|rd|th)|\w{2,}est)\b"
)


def _words(text: str) -> list[str]:
    """Lower-case words and numbers, one spelling for what has several, without a possessive s."""
    return [_bare(word) for word in _WORD.findall(_spelled(text))]


def _bare(word: str) -> str:
    return word.casefold().replace("’", "'").removesuffix("'s")


def _spelled(text: str) -> str:
    for spelling, one in _SPELLINGS:
        text = spelling.sub(one, text)
    return text


def _in_order(text: str) -> str:
    """The words, padded with blanks, with "your father's mother" turned into "mother of father"."""
    return f" {' '.join(_words(_POSSESSIVE.sub(_turned, text)))} "


def _turned(possessive: re.Match[str]) -> str:
    return f"{possessive[2]} of {possessive[1]}"


def _numbers(text: str) -> list[str]:
    """Numbers as they come, ordinals apart; 1 is passed over, for "a metre" and "one metre" say it."""
    found: list[str] = []
    words = _words(text)
    for word, after in zip(words, [*words, ""][1:], strict=True):
        if word[-1].isdigit():
            ordinal = after in ("st", "nd", "rd", "th")
            found.append("#" * ordinal + re.sub(r",(?=\d{3}\b)", "", word))
        elif word in _COUNTS:
            found.append(str(_COUNTS[word]))
        elif word in _ORDINALS:
            found.append(f"#{_ORDINALS.index(word) + 1}")
    return [number for number in found if number != "1"]


def _denies(word: str) -> bool:
    return word in _NEGATIONS or word.endswith("n't")


def _names(text: str) -> list[str]:
    """Words written with a capital elsewhere than at the start of a sentence."""
    found: list[str] = []
    if text.isupper():
        return found
    for sentence in _SENTENCE.split(_spelled(text)):
        tokens = [t for t in _WORD.findall(sentence) if t[0].isalpha()]
        for place, token in enumerate(tokens):
            inner = any(letter.isupper() for letter in token[1:])
            if inner or (place and token[0].isupper() and token.casefold() not in _EMPTY):
                found.append(_bare(token))
    return found


def _groups(*groups: str) -> tuple[tuple[tuple[str, ...], ...], ...]:
    return tuple(
        tuple(tuple(word.strip() for word in side.split(",")) for side in group.split("|"))
        for group in groups
    )


(_ASKED,) = _groups(
    "when,what year,which year,what date,which date,what day,which day,what time|why,how come"
    "|how many,number of|how far,distance|how old|how tall,how high,height|how long|how often"
)
_DIRECTION = re.compile(r" from (?:the )?(\w+) (?:in)?to (?:the )?(\w+)")
_QUESTION = re.compile(r" (?:what|which|who|whom|whose|where|why|how) ")
_CONTRASTS = _groups(
    "who,whom,whose,which person,what person|where",
    "how many,number of|how much,amount of|how big,how large,size|how fast,speed|how deep,depth"
    "|how heavy,weight|how hot,how cold|how tall,how high,height|how long,length|how old,age",
    "plus,+,add,added,adding,sum|minus,-,subtract,subtracted,difference|times,*,×,x,multiply,multiplied"
    ",product|divided,divide,/,÷,quotient",
    "largest,biggest,greatest,most,maximum,max|smallest,tiniest,least,minimum,min,fewest",
    "large,big,larger,bigger,more,greater|small,little,smaller,less,fewer",
    "highest,tallest|lowest,shortest",
    "longest|shortest",
    "heaviest|lightest",
    "hottest,warmest|coldest,coolest",
    "hot,warm|cold,cool",
    "fastest,quickest|slowest",
    "oldest|youngest,newest,latest",
    "best|worst",
    "nearest,closest|farthest,furthest",
    "deepest|shallowest",
    "strongest|weakest",
    "richest|poorest",
    "top|bottom",
    "first,earliest,initial|last,latest,final",
    "before,prior|after,following",
    "start,begin,starts,begins,started,began|stop,end,finish,stops,ends,ended,finished",
    "open,opens,opened|close,closes,closed|shut",
    "enable,enabled,activate|disable,disabled,deactivate",
    "on|off",
    "increase,raise,grow,increases|decrease,lower,reduce,shrink,decreases",
    "buy,purchase,bought|sell,sold",
    "import|export",
    "upload|download",
    "login,log in,sign in|logout,log out,sign out|sign up,register",
    "send|receive",
    "add|remove,delete",
    "create|delete",
    "allow|forbid,prohibit,ban,block",
    "accept|reject,decline",
    "win,won|lose,lost",
    "love,like,likes|hate,dislike,dislikes",
    "alive,live|dead,die",
    "born|died,die",
    "boil,boils,boiling|freeze,freezes,freezing|melt,melts,melting",
    "north,northern|south,southern|east,eastern|west,western",
    "left|right",
    "up,above,over|down,below,under",
    "inside,indoor|outside,outdoor",
    "male,man,boy,father,husband,brother,son,king,he|female,woman,girl,mother,wife,sister,daughter"
    ",queen,she",
    "take in,takes in,absorb,absorbs,inhale,inhales|give off,gives off,give out,gives out,emit,emits"
    ",release,releases,exhale,exhales",
    "rise,rises,rising,come up,comes up|set,sets,setting,go down,goes down",
    "breakfast|lunch|dinner",
    "today|tomorrow|yesterday",
    "morning|noon|afternoon|evening|night,midnight",
    "sunrise|sunset",
    "spring|summer|autumn,fall|winter",
    "monday|tuesday|wednesday|thursday|friday|saturday|sunday",
    "january|february|march|april|may|june|july|august|september|october|november|december",
    "seconds|minute,minutes|hour,hours|day,days|week,weeks|fortnight|month,months|year,years|decade"
    ",decades|century,centuries",
    "celsius,centigrade|fahrenheit|kelvin",
    "millimetre,millimeter,millimetres,millimeters,mm|centimetre,centimeter,centimetres,centimeters,cm"
    "|metre,meter,metres,meters|kilometre,kilometer,kilometres,kilometers,km|inch,inches|foot,feet"
    "|yard,yards|mile,miles",
    "gram,grams|kilogram,kilograms,kg,kilo,kilos|ounce,ounces|pound,pounds|ton,tons,tonne,tonnes",
    "litre,liter,litres,liters|millilitre,milliliter,ml|gallon,gallons|pint,pints|cup,cups",
    "dollar,dollars,usd|euro,euros,eur|yen|sterling,gbp",
    "red|green|blue|yellow|orange|purple|pink|brown|black|white|grey,gray",
    "even|odd",
    "singular|plural",
    "synonym|antonym,opposite",
    "true|false",
    "all,every,each|some,any",
    "<|>",
)


def _members(group: tuple[tuple[str, ...], ...], padded: str) -> list[str]:
    """The sides of a group that occur in a text, each by its first word, as they come."""
    found = ((min(places), side[0]) for side in group if (places := _places(side, padded)))
    return [word for _, word in sorted(found)]


def _asked(padded: str) -> list[str]:
    """What kind of thing is asked for; "when" is no question beside another question word."""
    if _QUESTION.search(padded):
        padded = padded.replace(" when ", " ")
    return _members(_ASKED, padded)


def _places(side: tuple[str, ...], padded: str) -> list[int]:
    return [place for word in side if (place := padded.find(f" {word} ")) >= 0]


_EMPTY = frozenset(
    # articles, pronouns, prepositions, auxiliaries
    "a an the this that these those there it its it's i i'm i'd i've me my mine you your yours we us our"
    " they them their he him his she her one ones of in on at by to from for with about into as than"
    " and or if then so but be is are am was were been being do does did done can could will would"
    " should shall may might must have has had having let's get gets got go goes up out again"
    # questions and requests
    " what what's whats which who who's whos whom whose when when's where where's why how how's many"
    " much please pls tell give show say name list find know known knows wonder wondering want need"
    " like help explain describe state identify provide answer question call called calls anyone"
    " someone hey hi hello ok okay thanks thank just exactly actually quick quickly really ever"
    " possible kind sort type thing things word term correct right way normally usually typically"
    " generally commonly also some any all each every total altogether number amount count overall"
    " example think able enough form mean means st nd rd th exist exists existing make makes"
    " making made take takes hold holds contain contains"
    " find found look looks see happen happens come comes equal equals result value use used using"
    " world whole currently current now today".split()
)
_CATEGORIES = frozenset(
    "city country nation state planet ocean sea river mountain animal bird fish insect metal gas liquid"
    " element chemical colour color month day year season language currency shape instrument musical"
    " noun verb adjective sentence phrase letter person people writer author painter artist book play"
    " novel film movie company team sport game food fruit vegetable plant appliance tool device compass"
    " direction side part place location paint unit symbol formula pay pays paid write written credited"
    " calculate compute work choose pick speak spoken".split()
)
"""Words that name the kind of what is asked for, or how one comes by it, without restricting it."""
_SUFFIXES = "ations ation ions ings ers ors ion ing ies ian est er or ed es ly al s e y".split()
_SYNONYMS = tuple(
    frozenset(group.split())
    for group in (
        "tall height high",
        "long length duration",
        "old age",
        "far distance away",
        "heavy weigh weighs weight mass",
        "deep depth",
        "fast speed quick rapid velocity",
        "wide width",
        "big large huge great",
        "biggest largest greatest",
        "small little tiny",
        "smallest littlest tiniest",
        "fastest quickest swiftest speediest",
        "highest tallest",
        "hottest warmest",
        "closest nearest",
        "farthest furthest",
        "author wrote write written writer penned",
        "painter painted paint artist",
        "composer composed wrote",
        "begin start starts begins first",
        "end finish stop last",
        "buy purchase",
        "car automobile",
        "kid child children",
        "baby young infant",
        "person people human humans somebody",
        "country nation",
        "city town",
        "ocean sea",
        "colour color colours colors shade",
        "sum add added plus +",
        "times multiply multiplied product * × x",
        "minus subtract subtracted difference -",
        "divide divided / ÷",
        "speak spoken speaks language tongue",
        "cost price",
        "located situated location",
        "opposite antonym reverse contrary",
        "picture photo image",
        "error fault problem issue",
        "fix repair solve",
        "movie film",
        "job occupation profession",
        "money currency cash",
        "hot warm",
        "cold cool",
        "die died death dead",
        "born birth",
        "make produce create made produces",
        "leg legs feet limbs",
        "freeze freezes freezing",
        "boil boils boiling",
        "symbol sign abbreviation",
        "doctor physician",
        "holiday vacation",
        "reset change recover",
        "delete remove erase",
        "fall autumn",
        "earth globe planet world",
        "usa american",
        "uk britain british",
        "father dad daddy",
        "mother mom mum mommy mummy",
        "bicycle bike",
        "telephone phone",
        "temperature temp",
        "sound noise",
        "mix mixed combine combined blend",
        "metre meter metres meters",
        "centimetre centimeter centimetres centimeters cm",
        "kilometre kilometer kilometres kilometers km",
        "litre liter litres liters",
        "grey gray",
    )
)


def _subjects(text: str) -> list[str]:
    """The words left when those that ask, connect, count or deny are taken out."""
    words = dict.fromkeys(_words(text))
    return [w for w in words if not (w in _EMPTY or w in _COUNTS or w[0].isdigit() or _denies(w))]


def _akin(word: str, other: str) -> bool:
    """Forms of one stem (paint, painter, painted), or synonyms."""
    return _stem(word) == _stem(other) or any(
        word in group and other in group for group in _SYNONYMS
    )


def _stem(word: str) -> str:
    suffixes = () if word.endswith("ss") else _SUFFIXES
    bare = next((word.removesuffix(s) for s in suffixes if word.endswith(s)), word)
    return bare if len(bare) > 2 else word  # noqa: PLR2004


def _show(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"
