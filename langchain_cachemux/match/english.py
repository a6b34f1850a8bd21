"""The closed classes of English: words of which a language has a few and never makes new ones.

No nouns, verbs or adjectives: a word that is not here is compared as it is spelled, in any language.
"""

from __future__ import annotations

CONTRACTIONS = {
    "'m": "is", "'re": "is", "'ve": "have", "'ll": "will", "'d": "would", "n't": "not",
    "cannot": "can not", "cant": "can not", "dont": "do not", "doesnt": "do not", "didnt": "did not",
    "isnt": "is not", "arent": "is not", "wont": "will not", "can't": "can not", "won't": "will not",
    "shan't": "shall not", "whats": "what is", "wheres": "where is", "whos": "who is",
    "hows": "how is", "im": "i is", "ive": "i have", "id": "id",
}  # fmt: skip
"""Written together, and written apart; a leading apostrophe or n't is an ending."""
FORMS = {
    "am": "is", "are": "is", "were": "was", "does": "do", "has": "have", "an": "a", "whom": "who",
    "grey": "gray", "percent": "%", "ok": "okay",
}  # fmt: skip
"""Forms and spellings of one word."""
IS_AFTER = frozenset("what where who when how why that there here it he she let which".split())
"""Words after which 's is a verb; elsewhere it is the possessive, which is passed over."""
ARTICLES = frozenset("a an the one".split())
"""Passed over before a noun."""
NEGATIONS = frozenset(
    "not no never none nor neither without except nobody nothing nowhere unless unable lack lacks"
    " nicht kein keine keinen keiner nie ohne sin nunca pas sans jamais не нет नहीं मत بدون ليس لا"
    .split()
)  # fmt: skip
"""English, and the commonest of a few other languages."""
OPPOSITE_PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non", "anti", "de", "mis")
CHATTER = frozenset(
    "hi hiya hello hey greetings dear there all folks team everyone good morning afternoon evening day"
    " please pls plz kindly thanks thank thx ty cheers you in advance so much a lot very many for your"
    " help any would be is appreciated it sorry to bother excuse me okay well um hmm btw by the way just"
    " quick question i have hallo hola bonjour danke gracias merci bitte".split()
)
"""What a clause of greeting, thanks or apology is made of."""
GREETINGS = frozenset(
    "hi hiya hello hey greetings dear morning afternoon evening please pls plz thanks thank thx ty"
    " cheers appreciated sorry excuse question okay hallo hola bonjour danke gracias merci bitte".split()
)
"""One of which such a clause must hold."""
POLITE = (
    r"(?:so |well |okay |just |hi |hey |hello |please |pls |kindly )+",
    r"(?:can|could|would|will) you (?:please |kindly )?(?:tell|show|explain to|help|advise) me"
    r"(?: please)?(?: about| with| to)?(?: know| understand| find out)? ",
    r"(?:i (?:is )?(?:just )?(?:would like|want|wanted|need|wondering|was wondering|trying|like)"
    r" (?:to )?(?:know|understand|find out|if you can tell me) )",
    r"(?:do you (?:happen to )?know|tell me|let me know|show me|explain to me|any idea) ",
)  # fmt: skip
"""Beginnings that only ask for an answer, as patterns of normalised words."""
FRAMES = (
    (r"^what time ", "when "),
    (r"^how come ", "why "),
    (r"^(?:what|which) (?:is|are) way to ", "how to "),
    (r"^(?:is there|what is) (?:any )?way to ", "how to "),
    (r"^how (?:do|can|could|should|would|shall|might) (?:i|we|one|someone|you)(?: go about)? ", "how to "),
    (r"^i (?:is )?(?:want|wanting|need|would like|wish|trying|looking) to ", "how to "),
    (r"^is it possible (?:for me )?to ", "can i "),
    (r"^is i able to ", "can i "),
    (r"^is i allowed to ", "may i "),
    (r"^do i (?:have|need) to ", "must i "),
    (r"^do you (?:have|offer) ", "is there "),
)
"""Ways of asking that ask the same, as patterns of normalised words and the one way they become."""
EQUAL = {"could": "can", "might": "may", "which": "what", "whom": "who", "shall": "should"}
"""Read alike where one stands in the other's place."""
OPPOSED = (
    "who|what|where|when|why|how",
    "can|may|must|should|ought|will|would|need",
    "is|was|been", "do|did", "have|had",
    "i,me,my,mine,we,us,our|you,your,yours|he,him,his|she,her,hers|they,them,their|it,its",
    "to|from", "into|out", "in|out", "on|off", "up|down", "before|after", "with|without",
    "over|under", "above|below", "inside|outside", "for|against", "since|until",
    "and|or", "all,every,each,everyone,everything|some,someone,something|any,anyone,anything|no,none",
    "more|less,fewer", "most|least,fewest", "first|last", "always|never|sometimes", "many|few",
    "this|that", "these|those", "now|then", "here|there", "only|also",
)  # fmt: skip
"""Classes of which one word in another's place asks something else; a comma joins what may stay unsaid."""
CLOSED = (
    frozenset(word for group in OPPOSED for side in group.split("|") for word in side.split(","))
    | frozenset("of at by about as than if but so not between through during".split())
    | frozenset("mean means".split())
)
"""After an article these are no noun: the article itself is spoken of."""
UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen".split()
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
