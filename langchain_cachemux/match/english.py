"""The closed classes of English: words of which a language has few and makes no new ones.

No noun, verb or adjective is here but those by which one asks and thanks: any other word is compared as
it is spelled, in any language. Phrases are patterns of the normal form that `words.read` makes.
"""

ENDINGS = {"'m": "is", "'re": "is", "'ve": "have", "'ll": "will", "'d": "would", "n't": "not"}
TOGETHER = {
    "cannot": "can not", "can't": "can not", "cant": "can not", "won't": "will not",
    "wont": "will not", "dont": "do not", "doesnt": "do not", "didnt": "did not", "isnt": "is not",
    "whats": "what is", "wheres": "where is", "whos": "who is", "im": "i is", "ive": "i have",
}  # fmt: skip
"""Written together, and apart; `ENDINGS` are written together with any word."""
FORMS = {
    "am": "is", "are": "is", "were": "was", "does": "do", "has": "have", "an": "a", "whom": "who",
    "which": "what", "could": "can", "might": "may", "every": "all", "grey": "gray", "ok": "okay",
    "children": "child", "men": "man", "women": "woman", "whilst": "while",
}  # fmt: skip
"""Forms and spellings of one word."""
ALIKE = {"while": "when", "using": "with", "via": "with"}  # in its place
SUBJECTS = frozenset("what where who when how why that there here it he she let".split())
"""After these 's is a verb; elsewhere it is a possessive, and passed over."""
ARTICLES = frozenset("a an the one".split())  # passed over before a word that is not `CLOSED`
POSSESSIVE, PLACING = "'s", frozenset("in on for".split())  # Spain's largest city, the one in it
LIGHT = frozenset("what is do have there of that it 's".split())  # a similarity sees as much of it
UNSAID = frozenset("my our".split())  # may be left out
AUXILIARIES = frozenset("can may must should will would did was had".split())  # before it or after
HELPING = AUXILIARIES | frozenset("is do have were been be".split())  # of another verb, or it
TENSED = frozenset("will was did had have".split())  # by the first, what will be, or what was
ANYBODY = frozenset("i you we one people someone".split())  # it is not asked who of them did it
NEGATIONS = frozenset(  # in English, and the commonest in some other languages
    "not no never none nor neither without except nobody nothing nowhere unless unable lack lacks nicht"
    " kein keine keinen keiner nie ohne sin nunca pas sans jamais не нет नहीं मत بدون ليس لا".split()
)
GERMAN = frozenset("ich der das ist und ein eine wie mein".split())
"""Beside one of these a capital makes no name, for German writes every noun with one."""
PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non", "anti", "de", "mis")  # of opposites
BEGGING = "please pls plz thanks thx ty cheers".split()  # may end a question
ADDRESSING = "hi hiya hello hey dear hallo hola bonjour".split()
GREETINGS = frozenset(
    "morning afternoon evening greetings thank appreciated sorry excuse question okay danke gracias"
    " merci bitte well um hmm btw so way curious basically actually".split()
).union(BEGGING, ADDRESSING)
COURTESY = GREETINGS | frozenset(  # make a clause of greeting or thanks, with one of `GREETINGS`
    "there all folks team everyone good day kindly you in advance much a lot very many for your help any"
    " would be is it to bother me by the just quick i have".split()
)
PHRASES = (
    ("(?:have|need|required|obliged|got) to", "must"), ("(?:allowed|permitted) to", "may"),
    ("able to", "can"), ("going to", "will"), ("how come", "why"), ("amount of", "how much"),
    (r"(?:less|fewer) than(?= (?:\W )?\d)", "under"), (r"more than(?= (?:\W )?\d)", "over"),
    ("(?:what )?number of", "how many"), ("(?:(?:in|at|on) )?what (?:time|year|date)", "when"),
)  # fmt: skip
"""Several words for one of a closed class."""
_TELL = "(?:tell|show|help|advise|explain to) me(?: please)?(?: (?:about|with|to))?"
_KNOW, _IF = "(?:know|understand|find out)", "(?: if| whether)?"
_ASK = "(?:name|list|give me|give|state|identify|explain|define|describe|find)"
BEGGED = f"(?:can|will|would) you(?: {_ASK})?|i (?:must|need|want|would like) you to"
OPENINGS = (
    ("(?:so|okay|hi|hey|hello|please|pls|kindly)", ""), ("(?:can|would|will) you please", "can you"),
    (f"(?:can|would|will) you (?:please )?{_TELL}(?: {_KNOW})?{_IF}", ""),
    (f"(?:(?:tell|show) me|let me know|do you (?:happen to )?{_KNOW}|(?:is there )?any idea){_IF}", ""),
    (f"i (?:just )?(?:would like|want|must)(?: to)? {_KNOW}{_IF}|i (?:is|was) wondering{_IF}", ""),
    (_ASK, "what is"), ("(?:what is )?(?:name|definition) of", "what is"),
    ("(?:what is )?(?:(?:best|good|right) )?(?:way|steps) to|is there (?:any )?way to", "how to"),
    ("how (?:do|can|should|would|may)? ?(?:i|we|one|someone|you)(?: can)?(?: go about)?", "how to"),
    ("i (?:is )?(?:want|would like|wish|trying|looking) to|i must", "how to"),
    ("is it (?:(?:possible|okay) (?:for me )?to|may)|is i can|is i may|may i", "can i"),
    ("is it (?:necessary to|must)|do i must", "must i"), ("do you (?:have|offer)", "is there"),
)  # fmt: skip
"""How a question begins, and how those that ask the same do; "" only begs for an answer."""
_PERSONS = "i,me,my,mine,we,us,our|you,your,yours|he,him,his|she,her,hers|they,them,their|it,its"
_ALL = "all,every,each,everyone,everything|some,someone,something|any,anyone,anything|no,none"
OPPOSED = (
    "who|where|when|why|how", "can,may|must|should,ought|will|would", "is|was|been",
    "do|did", "have|had", _PERSONS, "to,into|from", "into|out", "in|out", "on|off", "up|down",
    "before|after", "with|without", "over|under", "above|below", "inside|outside", "for|against",
    "since|until", "and|or", _ALL, "more|less,fewer", "most|least,fewest", "always|never|sometimes",
    "many|few|much", "this|that", "these|those", "now|then", "here|there", "only|also", "next|last",
    "earlier|later",
)  # fmt: skip
"""Sets of which one member in another's place asks something else; a comma joins forms of a member."""
KINDS = frozenset("who where when why".split())  # of answers, asked for by no other
CLOSED = frozenset(" ".join(OPPOSED).replace("|", " ").replace(",", " ").split()) | frozenset(
    "of at by about as than if but so not between through during mean means".split()
)
ADJUNCTS = KINDS | frozenset(
    "in on at for from to with without before after during by if while since until how".split()
)
"""Begins a part of a question that may be moved to its front or end."""
WAYS = frozenset("from into than".split())  # two may not change places around it: a stain from silk
PAIRED = frozenset("and or vs versus".split())  # between two that may change places
