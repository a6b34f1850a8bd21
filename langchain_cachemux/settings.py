"""What a multiplexer is given: checked by name, value and remedy, and completed by defaults."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from langchain_core.caches import BaseCache
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import Runnable

from langchain_cachemux.arguments import expect, is_made, is_number, is_whole, takes
from langchain_cachemux.background import Background
from langchain_cachemux.budget import ErrorBudget, Spending
from langchain_cachemux.extras import needs
from langchain_cachemux.keep.shared.notes import Notes
from langchain_cachemux.read.encoder import SentenceEncoder
from langchain_cachemux.read.prompts import Reader
from langchain_cachemux.read.runnables import name_of, provider_of
from langchain_cachemux.route.costs import Costs, Strategy
from langchain_cachemux.route.observations import Observations
from langchain_cachemux.route.prices import Price, cost_of
from langchain_cachemux.route.router import Router
from langchain_cachemux.saved import Saved
from langchain_cachemux.types import Usage

MAX_ERROR = 0.05
"""The error budget, where neither a judge nor the user says what an error is."""


def _is_amount(value: Any) -> bool:
    return is_number(value) and 0 <= value < math.inf


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "models": (lambda m: isinstance(m, Mapping), "models by name, {name: model}"),
    "router": (lambda r: isinstance(r, Router), "a Router of the models, Router({name: Costs()})"),
    "cache": (
        lambda c: isinstance(c, BaseCache) or c is False,
        "one of LangChain's caches, such as LECCache(), or False for none",
    ),
    "embeddings": (lambda e: is_made(e, "embed_query"), "any LangChain embeddings, made"),
    "error_price": (_is_amount, "a finite number >= 0, in the unit of the price"),
    "safe": (lambda s: isinstance(s, bool), "True or False"),
    "audit": (lambda a: _is_amount(a) and a <= 1, "a share in [0, 1], such as 0.3"),
    "same": (lambda s: takes(s, 2), "a plain function (answer, answer) -> bool, such as Agree()"),
    "stickiness": (_is_amount, "a finite number >= 0, such as 1.0"),
    "path": (
        lambda p: isinstance(p, str | os.PathLike) and bool(str(p).strip()),
        "a folder, as text or a Path",
    ),
    "reader": (lambda r: isinstance(r, Reader), "a Reader, which an LECCache has of its own"),
    "observations": (
        lambda o: isinstance(o, str | os.PathLike | Observations),
        "a file to append to",
    ),
    "seed": (is_whole, "a whole number"),
}
"""What each argument must be: a test, and the words for it."""

T = TypeVar("T")


def right(name: str, given: T) -> T:
    """Return an argument, or refuse it by name, value and remedy when it could not work."""
    holds, what = _RULES[name]
    expect(given is None or holds(given), name, what, given)
    return given


def named_models(
    small: str | Runnable[Any, Any] | None,
    large: str | Runnable[Any, Any] | None,
    models: Mapping[str, str | Runnable[Any, Any]] | None,
) -> dict[str, Runnable[Any, Any]]:
    """Return the models by name, cheap to expensive: the user's names, or the models' own."""
    if models is not None:
        if small is not None or large is not None:
            msg = "models was given, so small and large must not be"
            raise ValueError(msg)
        if not models:
            msg = f"models must name at least one model, got {models!r}"
            raise ValueError(msg)
        return {name: named_model(model, name) for name, model in models.items()}
    if small is None or large is None:
        msg = f"{'small' if small is None else 'large'} is missing; give small and large, or models"
        raise ValueError(msg)
    pair = {"small": named_model(small, "small"), "large": named_model(large, "large")}
    names = [name_of(model) or role for role, model in pair.items()]
    if names[0] == names[1]:
        msg = f"small and large are both named {names[0]!r}; name them yourself with models={{...}}"
        raise ValueError(msg)
    return dict(zip(names, pair.values(), strict=True))


def own(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is set of a multiplexer's models rather than of itself; their own caches are off."""
    names = ("rate_limiter", "disable_streaming", "output_version")
    given = {name: fields[name] for name in names if fields.get(name)}
    return {**given, "cache": False}


def router_of(router: Router | None, strategy: Strategy | None, names: Sequence[str]) -> Router:
    """The user's router, which must know the models; by default one that knows their `Costs`."""
    if router is None:
        return Router(
            {name: Costs() for name in names}, strategy="auto" if strategy is None else strategy
        )
    if strategy is not None:
        msg = f"strategy was given as {strategy!r}, but the router has one of its own"
        raise ValueError(msg)
    if set(getattr(router, "estimators", names)) != set(names):
        msg = f"router knows {sorted(router.estimators)}, the models are {sorted(names)}"
        raise ValueError(msg)
    return router


def limit_of(
    budget: float | ErrorBudget | Spending | None,
) -> ErrorBudget | Spending | None:
    """A number is what may be spent in a day."""
    given: Any = budget
    if is_number(given):
        right = 0 < given < math.inf
        expect(right, "budget", "a finite positive number, such as 5.0 a day", given)
        return Spending(given)
    return given  # type: ignore[no-any-return]


class Unread(Embeddings):
    """In place of embeddings where nothing is routed: a single model's questions are not read."""

    def embed_query(self, text: str) -> list[float]:
        """Refuse."""
        raise NotImplementedError(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Refuse."""
        raise NotImplementedError(texts)


def reader_of(
    cache: BaseCache | Literal[False] | None,
    embeddings: Embeddings | None,
    *,
    routes: bool,
    given: Reader | None = None,
) -> Reader:
    """The one that a copy has already; the cache's, so that a question is embedded once; or its own."""
    if given is not None:
        return right("reader", given)
    right("embeddings", embeddings)
    reader: Reader | None = getattr(cache, "reader", None)
    if reader is not None and embeddings is not None:
        msg = f"embeddings was given as {embeddings!r}, but the cache has embeddings of its own"
        raise ValueError(msg)
    return reader or Reader(embeddings or (SentenceEncoder() if routes else Unread()))


def file_of(observations: str | os.PathLike[str] | Observations | None) -> Observations | None:
    """A file by its name, or as it was made."""
    if isinstance(observations, str | os.PathLike):
        return Observations(observations)
    return observations


def errors_of(
    max_error: float | None,
    quality: float | None,
    budget: float | ErrorBudget | Spending | None,
    error_price: float | None,
    *,
    alone: bool,
    learns: bool,
    seed: int | None,
) -> ErrorBudget | None:
    """The budget the user gave or described; where nobody judges and nothing was said, `MAX_ERROR`."""
    if budget is not None and not isinstance(budget, ErrorBudget | Spending):
        msg = f"budget must be 5.0, at most 5 a day, a Spending or an ErrorBudget, got {budget!r}"
        raise ValueError(msg)
    described = max_error is not None or quality is not None
    if described and isinstance(budget, ErrorBudget):
        msg = f"max_error or quality was given, and budget has one of its own: {budget!r}"
        raise ValueError(msg)
    if (described or isinstance(budget, ErrorBudget)) and not learns:
        msg = "max_error needs a router that knows the chance of failing: Router({name: Costs(), ...})"
        raise ValueError(msg)
    if (described or isinstance(budget, ErrorBudget)) and error_price:
        msg = f"error_price is in place of a share of errors, got {error_price!r} beside one"
        raise ValueError(msg)
    if isinstance(budget, ErrorBudget):
        return budget
    if described:
        return ErrorBudget(max_error, quality=quality, seed=seed)
    return ErrorBudget(MAX_ERROR, seed=seed) if alone else None


def shared(
    fields: Mapping[str, Any],
    folder: str | os.PathLike[str] | Notes | None,
    *,
    router: Router,
    budget: ErrorBudget | None,
    names: Sequence[str],
) -> dict[str, Any]:
    """Return fields with what all copies share: work in the background, and a file of what is learned.

    The file is one of its own for these models: several multiplexers may share a folder.
    """
    made = {"background": Background(), **fields}
    if made.get("saved") is None and folder is not None:
        file = f"multiplexer-{hashlib.sha256(json.dumps(names).encode()).hexdigest()[:8]}.zip"
        learned = {"router": router, "budget": budget, "spending": made["spending"]}
        learned["experience"] = made["experience"]
        kept = {name: one for name, one in learned.items() if one is not None}
        place = (folder if isinstance(folder, Notes) else Path(folder)) / file
        made["saved"] = Saved(place, kept, background=made["background"])
    return made


def named_model(model: Any, argument: str = "model") -> Runnable[Any, Any]:
    """A Runnable as it is, or the model that goes by a name."""
    if isinstance(model, str) and model.strip():
        needs("langchain", extra="langchain", purpose=f"{argument}={model!r}")
        return made_by_name(model, argument)
    if isinstance(model, Runnable):
        return model
    msg = f"{argument} must be a model, a Runnable or 'provider:model', got {model!r}"
    raise ValueError(msg)


def made_by_name(name: str, argument: str, **parameters: Any) -> Runnable[Any, Any]:
    """The model that LangChain knows by a name, with its extra installed.

    Raises:
        ImportError: The provider's package is not installed.
        ValueError: There is none, or it cannot be asked, as without a key.
    """
    from langchain.chat_models import init_chat_model

    try:
        model: Runnable[Any, Any] = init_chat_model(name, **parameters)
    except ImportError:
        raise
    except Exception as error:
        why = str(error).partition("\n")[0]
        msg = f"{argument} must name a model, 'provider:model', that can be asked, got {name!r}: {why}"
        raise ValueError(msg) from error
    return model


def billed_as(price: Price, name: str, model: Any) -> str:
    """The name under which `price` knows a model: the one the user gave it, or its own."""
    errors = []
    for candidate in (name, name_of(model) or name):
        try:
            call = Usage(1, 1, seconds=1.0, model=candidate, provider=provider_of(model))
            cost_of(call, price)
        except (ValueError, LookupError) as error:
            errors.append(error)
        else:
            return candidate
    raise errors[0]
