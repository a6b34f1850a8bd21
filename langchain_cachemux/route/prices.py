"""What an answer cost: `Usage` → `Price` → float, in whatever unit the user wants to save."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, SupportsFloat, TypeAlias, TypeVar

from langchain_cachemux.arguments import expect, is_number, shown, takes
from langchain_cachemux.types import LARGEST_COST, Usage

T = TypeVar("T")
_DATE = re.compile(r"[-@:](\d{4}-?\d\d-?\d\d|\d{4}|\d\d-\d\d)$")
_BEDROCK = re.compile(r"arn:aws|(?:[a-z-]+\.)?[a-z][a-z0-9]*\.[a-z]")
_RENAMED = {"azure_openai": "azure", "azure_ai": "azure", "amazon_bedrock": "aws"}

Price: TypeAlias = Callable[[Usage], float]
"""Cost of one model call; raises `ValueError` for a model it has no price for."""


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """A price that says how it was made."""

    how: str
    price: Price

    def __call__(self, usage: Usage) -> float:
        return self.price(usage)

    def __repr__(self) -> str:
        return self.how


def price_of(price: Price | str) -> Price:
    """Return a price itself, or of a name the built-in price: `"seconds"`, `"dollars"`.

    Raises:
        ValueError: It is no price: another name, a coroutine, a maker of prices that was not called.
        ImportError: It is `dollars`, and `genai-prices` is not installed.
    """
    found: Any = _BUILT_IN.get(price) if isinstance(price, str) else price
    right = takes(found, 1) and not any(found is maker for maker in _MAKERS)
    names = ", ".join(map(repr, _BUILT_IN))
    what = f"{names}, or a function of a Usage, such as per_million_tokens({{...}}) returns"
    expect(right, "price", what, price)
    if found is dollars:
        _needs_table()
    priced: Price = found
    return priced


def seconds(usage: Usage) -> float:
    """Wall-clock seconds: the default, because every call has them.

    Raises:
        ValueError: It was called with something else than a `Usage`.
    """
    expect(isinstance(usage, Usage), "usage", "a Usage; as a price write `seconds` itself", usage)
    return usage.seconds


def dollars(usage: Usage) -> float:
    """US dollars at list prices, from the `genai-prices` tables that ship with that package.

    Read and written prompt caches, reasoning, audio, service tiers and long contexts are charged at
    their own prices where the tables have them. A model is looked for at the provider that answered,
    then at the one its name begins with (`openai/gpt-4o`), then at its maker.

    Raises:
        ValueError: The model has no list price; give your own with `per_million_tokens`. Or it was
            called with something else than a `Usage`.
        ImportError: genai-prices is not installed.
    """
    expect(isinstance(usage, Usage), "usage", "a Usage; as a price write `dollars` itself", usage)
    _needs_table()
    from genai_prices import Usage as Counts
    from genai_prices import calc_price

    counts = Counts(**_counted(usage))
    tier = {"service_tier": usage.tier} if usage.tier else None
    for model, provider in _references(usage):
        try:
            found = calc_price(counts, model, provider_id=provider, price_context=tier)
        except LookupError:
            continue
        return float(found.total_price)
    raise _unknown(usage, "use per_million_tokens({name: (input, output)}, otherwise=dollars)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrice:
    """Cost of a million tokens of each sort, in any one unit.

    What is left out follows from `input` and `output`, at the ratios that most providers charge:

    Args:
        input: Of tokens read afresh.
        output: Of tokens written.
        cache_read: Of tokens read from the provider's prompt cache; by default a tenth of `input`.
        cache_write: Of tokens kept there for five minutes; by default 1.25 times `input`.
        cache_write_1h: Of tokens kept there for an hour; by default 2 times `input`.
        reasoning: Of tokens the caller does not see; by default as `output`.
        audio_input: By default as `input`.
        audio_output: By default as `output`.

    Raises:
        ValueError: A cost is negative or no number.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    reasoning: float | None = None
    audio_input: float | None = None
    audio_output: float | None = None

    def __post_init__(self) -> None:
        """Refuse a negative cost by its name."""
        for name, cost in ((f.name, getattr(self, f.name)) for f in fields(self)):
            left_out = cost is None and name not in ("input", "output")
            right = left_out or _is_amount(cost)
            expect(right, name, "a cost >= 0 of a million tokens", cost)

    def cost(self, usage: Usage) -> float:
        """Each sort of token at its price."""
        sorts, into, out = _sorted(usage), self.input, self.output
        total = (
            sorts.fresh * into
            + sorts.cache_read * _given(self.cache_read, 0.1 * into)
            + sorts.cache_write * _given(self.cache_write, 1.25 * into)
            + sorts.cache_write_1h * _given(self.cache_write_1h, 2.0 * into)
            + sorts.audio_input * _given(self.audio_input, into)
            + sorts.written * out
            + sorts.reasoning * _given(self.reasoning, out)
            + sorts.audio_output * _given(self.audio_output, out)
        )
        return total / 1e6


def per_million_tokens(
    prices: Mapping[str, tuple[float, float] | TokenPrice], *, otherwise: Price | None = None
) -> Price:
    """Build a price from a table `{model: (input, output)}`, per million tokens.

    Args:
        prices: Cost of a million input and a million output tokens, by model name; a `TokenPrice` where
            cached or hidden tokens have prices of their own.
        otherwise: The price of every other model: `dollars`, say.

    Raises:
        ValueError: A price is not two costs >= 0; at a call, a model is not in the table.
    """
    what = "a table {model: (input, output)}, each per million tokens"
    known = isinstance(prices, Mapping) and (prices or otherwise is not None)
    expect(known, "prices", what, prices)
    what = "a function of a Usage, such as dollars"
    expect(otherwise is None or takes(otherwise, 1), "otherwise", what, otherwise)
    table: dict[str, TokenPrice] = {}
    for model, given in prices.items():
        if isinstance(given, TokenPrice):
            table[model] = given
            continue
        pair = isinstance(given, Sequence) and len(given) == 2  # noqa: PLR2004
        right = pair and all(map(_is_amount, given))
        expect(right, f"prices[{model!r}]", "two costs >= 0 (input, output)", given)
        table[model] = TokenPrice(input=given[0], output=given[1])

    def price(usage: Usage) -> float:
        if otherwise is not None and _name_in(table, usage.model) is None:
            return otherwise(usage)
        return _listed(table, usage).cost(usage)

    beside = "" if otherwise is None else f", otherwise={shown(otherwise)}"
    return _Told(f"per_million_tokens({dict(prices)!r}{beside})", price)


def joules(watts: Mapping[str, float]) -> Price:
    """Build a price in joules: what a machine draws while it answers, times how long it does.

    Args:
        watts: Power of the machine that each model runs on while it answers, by model name.

    Raises:
        ValueError: A power is negative or no number; at a call, a model is not in the table.
    """
    expect(isinstance(watts, Mapping) and watts, "watts", "a table {model: watts}", watts)
    for model, power in watts.items():
        expect(_is_amount(power), f"watts[{model!r}]", "a power >= 0", power)

    def price(usage: Usage) -> float:
        return _listed(watts, usage) * usage.seconds

    return _Told(f"joules({dict(watts)!r})", price)


def weighted(*parts: tuple[float, Price]) -> Price:
    """Build the sum of several prices, each times what one of its units is worth.

    By `weighted((1, dollars), (0.01, seconds))` a second counts as much as a cent.

    Args:
        parts: Weights >= 0 with their prices.

    Raises:
        ValueError: There is none, a weight is negative or no number, or a price cannot be called.
    """
    for part in parts:
        pair = isinstance(part, Sequence) and len(part) == 2  # noqa: PLR2004
        right = pair and _is_amount(part[0]) and takes(part[1], 1)
        expect(right, "a part", "(weight >= 0, price), such as (1, dollars)", part)
    if not parts:
        msg = "parts must be at least one (weight, price), got none"
        raise ValueError(msg)

    def price(usage: Usage) -> float:
        return math.fsum(weight * part(usage) for weight, part in parts)

    told = ", ".join(f"({weight!r}, {shown(part)})" for weight, part in parts)
    return _Told(f"weighted({told})", price)


@dataclass(frozen=True, slots=True)
class Decoder:
    """The shape of a decoder-only transformer, to count its forward-pass FLOPs."""

    layers: int
    width: int
    feed_forward: int

    def flops(self, tokens: int) -> float:
        """l·(8·n·h² + 4·n·h·f) + 4·l·n²·h for n tokens (arXiv 2306.02003, appendix)."""
        n, h, f = tokens, self.width, self.feed_forward
        return self.layers * (8.0 * n * h * h + 4.0 * n * h * f + 4.0 * n * n * h)


def flops(decoders: Mapping[str, Decoder]) -> Price:
    """Build a price in FLOPs of the forward passes actually made.

    Tokens that the provider read from its own prompt cache are not computed again, so not charged.

    Args:
        decoders: Shape of each model, by name.

    Raises:
        ValueError: It is no table of shapes; at a call, a model is not in it.
    """
    shapes = isinstance(decoders, Mapping) and decoders
    right = shapes and all(isinstance(decoder, Decoder) for decoder in decoders.values())
    expect(right, "decoders", "a table {model: Decoder(layers, width, feed_forward)}", decoders)

    def price(usage: Usage) -> float:
        decoder = _listed(decoders, usage)
        total = usage.input_tokens + usage.output_tokens
        return decoder.flops(total) - decoder.flops(min(usage.cached_tokens, total))

    return _Told(f"flops({dict(decoders)!r})", price)


_BUILT_IN: Mapping[str, Price] = {"seconds": seconds, "dollars": dollars}
_MAKERS = (per_million_tokens, joules, weighted, flops)


def cost_of(usage: Usage, price: Price) -> float:
    """Return what a call cost.

    Raises:
        ValueError: The price is no number >= 0, or too large.
    """
    given: Any = price(usage)
    cost = float(given) if isinstance(given, SupportsFloat) else math.nan
    if not 0 <= cost < LARGEST_COST:
        most = f"{LARGEST_COST:g}"
        msg = f"price must return a number >= 0 and below {most}, got {given!r} for {usage}"
        raise ValueError(msg)
    return cost


def billed(usage: Usage, price: Price, *, asked: str, own: Mapping[str, str]) -> Usage:
    """Return a usage under the name by which `price` knows the model that answered.

    That is not always the model that was asked: a model with fallbacks is answered for by another,
    whose name is in the message. When `price` knows neither that name nor a model of the caller's that
    goes by it, the call is billed as the model that was asked.

    Args:
        usage: Of the answer, with the name that its message carries.
        price: The price.
        asked: The name under which `price` knows the model that was asked.
        own: The name that each model's provider calls it by, for each name that `price` knows.
    """
    answered = usage.model
    if not answered or _undated(answered) == _undated(own.get(asked, asked)):
        return replace(usage, model=asked)
    others = [name for name, called in own.items() if _undated(called) == _undated(answered)]
    for name in (*others, answered):
        candidate = replace(usage, model=name)
        try:
            price(candidate)
        except (ValueError, LookupError):
            continue
        return candidate
    return replace(usage, model=asked)


class _Sorts(NamedTuple):
    """The tokens of a call by what is charged for them; each token is counted once."""

    fresh: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    audio_input: int
    written: int
    reasoning: int
    audio_output: int


def _sorted(usage: Usage) -> _Sorts:
    """Take the tokens apart; a part larger than the whole, as some providers report, is cut to it."""
    fresh, written = max(usage.input_tokens, 0), max(usage.output_tokens, 0)
    read = min(usage.cached_tokens, fresh)
    hour = min(usage.cache_write_1h_tokens, fresh - read)
    minutes = min(max(usage.cache_write_tokens - hour, 0), fresh - read - hour)
    audio = min(usage.audio_input_tokens, fresh - read - hour - minutes)
    reasoning = min(usage.reasoning_tokens, written)
    spoken = min(usage.audio_output_tokens, written - reasoning)
    fresh -= read + hour + minutes + audio
    return _Sorts(
        fresh, read, minutes, hour, audio, written - reasoning - spoken, reasoning, spoken
    )


def _counted(usage: Usage) -> dict[str, int]:
    """The tokens as `genai-prices` counts them: totals, their parts, and no overlap of parts."""
    sorts = _sorted(usage)
    counts = {
        "input_tokens": max(usage.input_tokens, 0),
        "output_tokens": max(usage.output_tokens, 0),
        "cache_read_tokens": sorts.cache_read,
        "cache_write_tokens": sorts.cache_write + sorts.cache_write_1h,
        "cache_write_1h_tokens": sorts.cache_write_1h,
        "input_audio_tokens": sorts.audio_input,
        "output_reasoning_tokens": sorts.reasoning,
        "output_audio_tokens": sorts.audio_output,
    }
    overlaps = (
        "cache_audio_read_tokens",
        "cache_audio_write_tokens",
        "output_audio_reasoning_tokens",
    )
    return counts | dict.fromkeys(overlaps, 0)


def _references(usage: Usage) -> Iterator[tuple[str, str | None]]:
    """Where to look a model up: (model, provider) pairs, the likeliest first."""
    model, provider = usage.model, usage.provider.casefold()
    if not model:
        return
    if provider:
        yield model, _RENAMED.get(provider, provider)
    for mark in "/:":
        before, found, after = model.partition(mark)
        if found and re.fullmatch(r"[\w-]+", before):
            yield after, _RENAMED.get(before, before)
    if _BEDROCK.match(model):
        yield model, "aws"
    yield model, None
    if "/" in model:
        yield model.rpartition("/")[2], None


def _is_amount(given: Any) -> bool:
    return is_number(given) and 0 <= given < math.inf


def _given(cost: float | None, default: float) -> float:
    return default if cost is None else cost


def _undated(model: str) -> str:
    return _DATE.sub("", model)


def _name_in(table: Mapping[str, Any], model: str) -> str | None:
    """The name a model has in a table; a date behind it is passed over (gpt-4o-2024-08-06)."""
    return next((name for name in (model, _undated(model)) if name in table), None)


def _listed(table: Mapping[str, T], usage: Usage) -> T:
    """Look a model up by name."""
    name = _name_in(table, usage.model)
    if name is None:
        raise _unknown(usage, f"known are {sorted(table)}")
    return table[name]


def _needs_table() -> None:
    from langchain_cachemux.extras import needs

    needs("genai_prices", extra="prices", purpose="price=dollars")


def _unknown(usage: Usage, hint: str) -> ValueError:
    where = f" of provider {usage.provider!r}" if usage.provider else ""
    return ValueError(f"price: no price is known for model {usage.model!r}{where}; {hint}")
