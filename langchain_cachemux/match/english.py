"""The closed classes of English: words of which a language has few and makes no new ones.

No noun, verb or adjective is here but those by which one asks and thanks: any other word is compared as
it is spelled, in any language. Phrases are written in the normal form that `words.read` gives them.
"""

from __future__ import annotations

ENDINGS = {"'m": "is", "'re": "is", "'ve": "have", "'ll": "will", "'d": "would", "n't": "not"}
"""What a word may be written together with, and what it says written apart."""
TOGETHER = {
    "cannot": "can not", "can't": "can not", "cant": "can not", "won't": "will not",
    "wont": "will not", "dont": "do not", "doesnt": "do not", "didnt": "did not", "isnt": "is not",
    "whats": "what is", "wheres": "where is", "whos": "who is", "im": "i is", "ive": "i have",
}  # fmt: skip
FORMS = {
    "am": "is", "are": "is", "were": "was", "does": "do", "has": "have", "an": "a", "whom": "who",
    "which": "what", "grey": "gray", "percent": "%", "plus": "+", "ok": "okay",
}  # fmt: skip
"""Forms and spellings of one word."""
SUBJECTS = frozenset("what where who when how why that there here it he she let".split())
"""Words after which 's is a verb; elsewhere it is a possessive, and passed over."""
ARTICLES = frozenset("a an the one".split())
"""Passed over before an open word."""
LIGHT = frozenset("what is do have there of that it".split())
"""Asks or joins: alone it makes no difference that a similarity would not see."""
UNSAID = frozenset("my our".split())
"""May be left out."""
AUXILIARIES = frozenset("can may must should will would did was had".split())
"""May stand before the subject or after it."""
NEGATIONS = frozenset(
    "not no never none nor neither without except nobody nothing nowhere unless unable lack lacks"
    " nicht kein keine keinen keiner nie ohne sin nunca pas sans jamais не нет नहीं मत بدون ليس لا".split()
)
"""In English, and the commonest in some other languages."""
OPPOSITE_PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non", "anti", "de", "mis")
GREETINGS = frozenset(
    "hi hiya hello hey greetings dear morning afternoon evening please pls plz thanks thank thx ty"
    " cheers appreciated sorry excuse question okay hallo hola bonjour danke gracias merci bitte".split()
)
"""What a clause of greeting, thanks or apology holds at least one of."""
COURTESY = GREETINGS | frozenset(
    "there all folks team everyone good day kindly you in advance so much a lot very many for your help"
    " any would be is it to bother me well um hmm btw by the way just quick i have".split()
)
"""What such a clause is made of."""
PHRASES = (
    ("(?:have|need|required|obliged|got) to", "must"),
    ("(?:allowed|permitted) to", "may"),
    ("able to", "can"),
    ("going to", "will"),
    ("what time", "when"),
    ("how come", "why"),
    ("(?:what )?number of", "how many"),
    ("amount of", "how much"),
)
"""Several words that say what one of a closed class says, anywhere."""
OPENINGS = (
    ("(?:so|well|okay|just|hi|hey|hello|please|pls|kindly)", ""),
    (
        "(?:can|could|would|will) you (?:please )?(?:tell|show|explain to|help|advise) me"
        "(?: please)?(?: about| with| to)?(?: know| understand| find out)?(?: if| whether)?",
        "",
    ),
    (
        "i (?:is )?(?:just )?(?:would like|want|wanted|need|must|wondering|was wondering)"
        " (?:to )?(?:know|understand|find out|if|whether)(?: if| whether)?",
        "",
    ),
    ("(?:do you (?:happen to )?know|tell me|let me know|show me|any idea)(?: if| whether)?", ""),
    ("(?:name|list|give me|give|state|identify|explain|define|describe|find)", "what is"),
    ("what is name of|name of", "what is"),
    ("what is (?:any |best )?way to|is there (?:any )?way to", "how to"),
    ("how (?:do|can|could|should|would|might) (?:i|we|one|someone|you)(?: go about)?", "how to"),
    ("i (?:is )?(?:want|would like|wish|trying|looking) to|i must", "how to"),
    ("is it possible (?:for me )?to|is i can", "can i"),
    ("is i may", "may i"),
    ("do i must", "must i"),
    ("do you (?:have|offer)", "is there"),
)
"""How a question begins, and the one way of those that ask the same; "" only begs for an answer."""
OPPOSED = (
    "who|where|when|why|how", "can,could|may,might|must|should,ought|will|would", "is|was|been",
    "do|did", "have|had", "i,me,my,mine,we,us,our|you,your,yours|he,him,his|she,her,hers"
    "|they,them,their|it,its", "to|from", "into|out", "in|out", "on|off", "up|down", "before|after",
    "with|without", "over|under", "above|below", "inside|outside", "for|against", "since|until",
    "and|or", "all,every,each,everyone,everything|some,someone,something|any,anyone,anything|no,none",
    "more|less,fewer", "most|least,fewest", "always|never|sometimes", "many|few|much", "this|that",
    "these|those", "now|then", "here|there", "only|also", "earlier|later",
)  # fmt: skip
"""Sets of which one member in another's place asks something else; a comma joins forms of a member."""
ALIKE = frozenset((frozenset(("can", "could")), frozenset(("may", "might")), frozenset(("a", "the"))))
"""May stand for each other."""
CLOSED = frozenset(
    word for group in OPPOSED for side in group.split("|") for word in side.split(",")
) | frozenset("of at by about as than if but so not between through during mean means".split())
"""An article before one of these is no article: the word itself is spoken of."""
ADJUNCTS = frozenset(
    "in on at for from to with without before after during by if when while since until who where why"
    " how".split()
)
"""Begins a part of a question that may be moved to its front or end."""
PAIRED = frozenset("and or vs versus".split())
"""Stands between two that may change places."""
UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen".split()
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
