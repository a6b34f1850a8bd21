"""The plain data that passes between the floors: what was asked, what is kept, what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, NotRequired, TypeAlias

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    Vector: TypeAlias = NDArray[np.float32]


LARGEST_COST = 1e36
"""A cost from here on counts as infinite: float32 must hold it, and float64 sums of its square."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one model call consumed; a `Price` turns it into a cost."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Of the input tokens, those the provider read from its own prompt cache."""
    seconds: float = 0.0
    model: str = ""
    provider: str = ""
    """Who answered, as LangChain calls it: one model has several prices at several providers."""
    tier: str = ""
    """The provider's service tier (`priority`, `flex`), where it names one."""
    cache_write_tokens: int = 0
    """Of the input tokens, those that the provider wrote to its prompt cache."""
    cache_write_1h_tokens: int = 0
    """Of those, the ones that it keeps for an hour rather than five minutes."""
    reasoning_tokens: int = 0
    """Of the output tokens, those that the caller does not see."""
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One question, as the estimators, the router and the cache see it.

    A tabular estimator reads `key`, a linear or learned one `vector`, a transformer `text`.
    """

    key: str
    """Hash of everything that must be equal for an exact hit."""
    scope: str = ""
    """Hash of the model's parameters: stop words, tools, schema, and the model unless it is shared."""
    context: str = ""
    """Hash of the system prompt and the earlier turns: equal, or it is another question. Where a judge
    may be asked, after a "+" and the same hash without the greetings and thanks in those turns."""
    text: str = field(default="", repr=False)
    """The last human words; empty when nothing but an exact match will do."""
    vector: Vector | None = field(default=None, repr=False)
    """Unit vector of `text`, shape (d,), once it was embedded."""
    namespace: str = ""
    """Whose question it is, hashed, each after a "/" within the one before; empty where all share."""

    @property
    def partition(self) -> str:
        """What two queries must share before their words are compared at all, or the `kin` of it."""
        return f"{self.scope}:{self.context}"


def kin(partition: str) -> str:
    """Return what of a partition must be equal where a judge decides: all but from a "+" to an "@"."""
    head, _, rest = partition.partition("+")
    _, mark, place = rest.partition("@")
    return f"{head}{mark}{place}"


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A stored answer. What a policy thinks of it is its `Standing`."""

    key: str
    cost: float = 1.0
    """Lower confidence bound of what a miss would cost, in the user's unit; positive."""
    size: int = 1
    """Share of the capacity: 1 when that is counted in entries, else bytes."""
    partition: str = ""
    text: str = field(default="", repr=False)
    vector: Vector | None = field(default=None, repr=False)
    answer: str = field(default="", repr=False)
    """The generations as JSON."""
    slot: int = -1
    """Its row in the index; the ledger's to give."""
    made: float = 0.0
    """When it was answered, in seconds since the epoch."""
    expires: float = math.inf
    """When it ceases to be an answer, in seconds since the epoch."""
    labels: tuple[str, ...] = ()
    """What it can be invalidated by, each "kind:value": "model:...", "tag:...", "namespace:..."."""


@dataclass(frozen=True, slots=True, eq=False)
class Wording:
    """One way to ask what an entry answers: its own words, or an alias found to ask the same.

    Each has a row in the index; the answer is stored once, with the entry.
    """

    key: str
    """Of its own exact prompt."""
    of: str
    """Key of the entry whose answer it shares: its own, where the words are the entry's."""
    text: str = field(default="", repr=False)
    vector: Vector | None = field(default=None, repr=False)
    size: int = 0
    """What an alias adds to its entry's size: nothing when that is counted in entries, else bytes."""
    slot: int = -1
    """Its row in the index; the ledger's to give."""
    entry: Entry | None = field(default=None, repr=False)
    """What answers it; the ledger's to give."""

    @property
    def partition(self) -> str:
        """As its entry's."""
        return "" if self.entry is None else self.entry.partition


class Answer(NamedTuple):
    """An entry, and in what other words it may be asked for."""

    entry: Entry
    aliases: tuple[Wording, ...] = ()


@dataclass(slots=True, eq=False)
class Standing:
    """How an entry stands with a policy: all that the policy may read, and what it said."""

    key: str
    cost: float = 1.0
    """As the entry's."""
    size: int = 1
    """As the entry's."""
    count: float = 0.0
    """Requests as of `last`, aged by the policy's half-life, remembered through eviction."""
    uses: float = 0.0
    """Requests since the policy last admitted it, that one included."""
    last: int = 0
    """The ledger's request counter when it was last requested."""
    worth: float = 0.0
    """What the policy said at `last`; frozen until the next request."""

    def requested(self, now: int, half_life: float, *, credit: float = 1.0) -> None:
        """Count a request at time `now`: F ← F·2^(−Δt/H) + credit.

        This is forward decay (Cormode et al., ICDE 2009): entries keep their order while they wait.

        Args:
            now: The ledger's request counter.
            half_life: H, in requests.
            credit: How much of a request it was: less when another entry would have served it too.
        """
        self.count = self.count * 2.0 ** ((self.last - now) / half_life) + credit
        self.uses += credit
        self.last = now


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """A stored entry near a query; `similarity` is the cosine of their vectors."""

    entry: Entry
    similarity: float
    text: str = field(default="", repr=False)
    """The words that are near: those of the entry, unless an alias of it is nearer."""
    key: str = ""
    """Of those words: the entry's or the alias'."""
    elsewhere: bool = False
    """Whether it was asked after other turns, which differ in greetings or thanks alone."""

    def __post_init__(self) -> None:
        """Take the entry's own words where no others are given."""
        if not self.text:
            object.__setattr__(self, "text", self.entry.text)
        if not self.key:
            object.__setattr__(self, "key", self.entry.key)


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A stored wording beside a new one, and what is thought of the two."""

    match: Match
    kind: Literal["same", "reworded", "unsure", "another"]
    """What the surface says: nothing differs, all is said otherwise, one difference in one frame, or one
    that makes another question, which only a judge may overrule."""
    p: float
    """The chance that both ask the same."""
    risk: float
    """Upper bound of the chance that they do not."""
    seen: NDArray[np.float64]
    """What that rests on, shape (d,)."""
    difference: str = field(default="", repr=False)
    """What may differ, in words."""


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """The query is answered from the cache."""

    query: Query
    entry: Entry
    kind: Literal["exact", "semantic"]
    similarity: float = 1.0
    credit: float = 1.0
    """Share of a miss's cost that would have been paid without this entry, in [0, 1]."""
    p: float | None = None
    """The chance that both ask the same; None where the matcher claims nothing."""
    risk: float | None = None
    """Upper bound of the chance that they do not; None where the matcher claims nothing."""
    judged: bool = False
    """Whether a judge was asked before it was served."""
    compared: Compared | None = None
    """What the claim is about."""


@dataclass(frozen=True, slots=True, eq=False)
class Miss:
    """The query goes to a model; `reason` says why, in words a user can act on."""

    query: Query
    reason: str
    nearest: Match | None = None
    compared: tuple[Compared, ...] = ()
    """What was near and may ask the same, one of each entry, the most promising first."""
    judged: tuple[tuple[str, bool], ...] = ()
    """What a judge that was asked first called the same, by the key of the entry."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of a new answer or alias: its slot, or None when it is not kept."""

    slot: int | None
    evicted: tuple[str, ...] = ()
    """Keys of the entries that left for it."""
    vacated: tuple[int, ...] = ()
    """Other slots that became free; their rows in the index now lead to nothing."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the next answer will cost: a mean and the width of its confidence interval.

    Caching uses `lower` (pessimism: a rarely seen query looks worthless and goes on being
    observed), routing uses `optimistic` (an untried model looks cheap, so it is tried). Of a classifier
    it is the chance that the answer will not do, a cost in [0, 1].
    """

    mean: float
    width: float
    floor: float = 0.0
    """B1 of the paper: no cost is ever below it."""
    ceiling: float = math.inf
    """B2 of the paper: no cost is ever above it; of a chance it is 1."""
    above: float | None = None
    """Width above the mean, where it differs from the width below."""

    @property
    def lower(self) -> float:
        """max(B1, mean - width), the LCB of arXiv 2306.02003 §3."""
        return max(self.floor, self.optimistic)

    @property
    def optimistic(self) -> float:
        """Mean - width, not clipped, so that untried models stay apart from cheap ones."""
        return self.mean - self.width

    @property
    def upper(self) -> float:
        """min(B2, mean + the width above it)."""
        return min(self.ceiling, self.mean + (self.width if self.above is None else self.above))


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request needs of a model; `<=` when it needs no more than another."""

    tokens: int = 0
    """About how many it has to read."""
    kinds: frozenset[str] = frozenset()
    """Of input and output, beyond plain words: "image", "tools", "structured output", …"""

    def __le__(self, other: Needs) -> bool:
        """Whether whoever can do `other` can do this; a partial order."""
        return self.tokens <= other.tokens and self.kinds <= other.kinds


@dataclass(frozen=True, slots=True)
class Route:
    """Which model is asked and why, with every estimate that was weighed."""

    model: str
    reason: str
    estimates: Mapping[str, Estimate]
    """By model: what starting with it will cost in all."""
    chances: Mapping[str, Estimate] = field(default_factory=dict)
    """By model: the chance that its answer will not do, where that is learned apart from the price."""
    strategy: Literal["route", "cascade"] = "route"
    """Give the model's answer as it is, or judge it first and ask the next when it will not do."""
    ladder: tuple[str, ...] = ()
    """Whom to ask in turn, `model` first: the next when an answer will not do, or none came."""


class Observation(TypedDict):
    """What was learned of one answer, as it is kept in a file: a line of JSON each."""

    time: float
    """Seconds since 1970."""
    key: str
    """Of the question (`Query.key`): equal questions share it."""
    text: str
    """What was asked, as the router reads it."""
    model: str
    cost: float | None
    """Of the call, in the user's unit; None where it was written on a line before."""
    failed: float | None
    """1 when the answer did not do, 0 when it did, or between; None when nobody knows."""
    source: Literal["cost", "judge", "audit", "feedback"]
    """Who said so; "cost" when nobody did."""
    reason: NotRequired[str]
    """In words, where a judge gave one."""


@dataclass(slots=True)
class Request:
    """One line of a trace: what was asked, and what each way to answer it costs.

    Not frozen like the rest: a trace has millions, and this is made in a third of the time.
    """

    key: str
    cost: float = 1.0
    """Of a miss when there is but one model, in the user's unit."""
    size: int = 1
    """Share of the capacity: 1 when that is counted in entries, else bytes."""
    time: float | None = None
    """Seconds, as the trace gives them."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """Of a miss by model, in the trace's order: cheap to expensive is its author's business."""
    ok: Mapping[str, bool] = field(default_factory=dict)
    """Would that model's answer do?"""
