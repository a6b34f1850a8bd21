"""What an answer cost: `Usage` → `Price` → float, in whatever unit the user wants to save."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from langchain_cachemux.types import Usage

T = TypeVar("T")
_DATE = re.compile(r"[-@:](\d{4}-?\d\d-?\d\d|\d{4}|\d\d-\d\d)$")

Price: TypeAlias = Callable[[Usage], float]
"""Cost of one model call; raises `ValueError` for a model it has no price for."""


def seconds(usage: Usage) -> float:
    """Wall-clock seconds: the default, because every call has them."""
    return usage.seconds


def dollars(usage: Usage) -> float:
    """US dollars at list prices, from the `genai-prices` tables that ship with that package.

    Raises:
        ValueError: The model has no list price; give your own with `per_million_tokens`.
    """
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    tokens = Tokens(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cached_tokens,
        output_tokens=usage.output_tokens,
    )
    try:
        return float(calc_price(tokens, usage.model).total_price)
    except LookupError:
        raise _unknown(usage.model, "use per_million_tokens({name: (input, output)})") from None


def per_million_tokens(prices: Mapping[str, tuple[float, float]]) -> Price:
    """Build a price from a table `{model: (input, output)}`, per million tokens.

    Args:
        prices: Cost of a million input and a million output tokens, by model name.
    """
    for model, pair in prices.items():
        if len(pair) != 2 or min(pair) < 0:  # noqa: PLR2004
            msg = f"prices[{model!r}] must be two costs >= 0 (input, output), got {pair!r}"
            raise ValueError(msg)

    def price(usage: Usage) -> float:
        into, out = _listed(prices, usage.model)
        return (usage.input_tokens * into + usage.output_tokens * out) / 1e6

    return price


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
    """

    def price(usage: Usage) -> float:
        decoder = _listed(decoders, usage.model)
        total = usage.input_tokens + usage.output_tokens
        return decoder.flops(total) - decoder.flops(min(usage.cached_tokens, total))

    return price


def usage_of(message: Any, *, seconds: float = 0.0, model: str = "") -> Usage:
    """Read the usage of an `AIMessage`: its tokens, and the model that wrote it.

    Args:
        message: Anything with `usage_metadata` and `response_metadata`, as LangChain's messages have.
        seconds: What the caller's stopwatch said; a provider's own `response_metadata["seconds"]`
            is believed before it.
        model: Name to use when the message carries none.
    """
    tokens = getattr(message, "usage_metadata", None) or {}
    told = getattr(message, "response_metadata", None) or {}
    return Usage(
        input_tokens=int(tokens.get("input_tokens", 0)),
        output_tokens=int(tokens.get("output_tokens", 0)),
        cached_tokens=int((tokens.get("input_token_details") or {}).get("cache_read", 0) or 0),
        seconds=float(told.get("seconds", seconds)),
        model=str(told.get("model_name") or told.get("model") or model),
    )


def _listed(table: Mapping[str, T], model: str) -> T:
    """Look a model up by name; a date behind the name is passed over (gpt-4o-2024-08-06)."""
    name = model if model in table else _DATE.sub("", model)
    if name not in table:
        raise _unknown(model, f"known are {sorted(table)}")
    return table[name]


def _unknown(model: str, hint: str) -> ValueError:
    return ValueError(f"price: no price is known for model {model!r}; {hint}")
