"""Agents: what `create_agent(middleware=[…])` takes, around the same cache and the same multiplexer.

None of them answers in a model's place. `CacheMiddleware` lends the model a cache, and
`MultiplexerMiddleware` puts a `MultiplexedLLM` there; the agent then binds tools and schemas, and asks,
as it always does. So the key is what the model is really asked, whatever other middleware adds to the
prompt; a stored answer is parsed into its object by the agent; what one face stored another finds.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NotRequired, TypeAlias

from langchain_core.caches import BaseCache
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_cachemux.arguments import expect, is_number, takes
from langchain_cachemux.cache import LECCache
from langchain_cachemux.extras import needs
from langchain_cachemux.meter import at_once, ready
from langchain_cachemux.multiplexer import MultiplexedLLM
from langchain_cachemux.parts import spared
from langchain_cachemux.read import metadata
from langchain_cachemux.read.runnables import altered
from langchain_cachemux.sharing import Sharing

needs("langchain", extra="agents", purpose="Middleware for agents")

from langchain.agents.middleware.types import (  # noqa: E402
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    PrivateStateAttr,
    ToolCallRequest,
    TracePolicy,
    omit_payload,
)
from langgraph.types import Command  # noqa: E402

if TYPE_CHECKING:
    from langchain_core.outputs import Generation
    from langchain_core.runnables import Runnable
    from langchain_core.tools import BaseTool

    from langchain_cachemux.flight import Flights

Namespace: TypeAlias = Callable[[Any], str]
"""Of an agent's runtime: answers are shared only where it says the same."""

_ELSEWHERE = ("previous_response_id", "conversation", "container")
"""Settings that name what a provider remembers of earlier calls."""
_DECLARED = ("function", "parameters", "input_schema", "function_declarations", "toolSpec")
"""What tools that the agent runs are declared with; others the provider runs itself."""

log = logging.getLogger(__name__)


class CacheMiddleware(AgentMiddleware[Any, Any, Any]):
    """Has an agent's model look into a cache before it is asked, and tell the cache what it answered.

    Put it last in the list, behind middleware that chooses the model: the cache is lent to the model
    that the request then has. What other middleware adds to the prompt is part of the key, wherever it
    stands. A turn that calls tools, and one that reads what tools returned, is found only when all is
    equal. No cache is used, the model's own neither, in turns that depend on what the request does not
    hold: tools that the provider runs, and conversations that it remembers.

    Args:
        cache: Shared with any other face, which finds under the same key what agents stored.
        namespace: A function of the runtime, such as `lambda runtime: runtime.context.user`: only those
            of whom it says the same share answers. Where it fails, no cache is used.

    Raises:
        ValueError: An argument is of the wrong kind.
    """

    trace_policy = TracePolicy(process_inputs=omit_payload)

    def __init__(self, cache: LECCache, *, namespace: Namespace | None = None) -> None:
        self.cache = _expected(cache)
        self.namespace = _callable(namespace)
        self._told = False

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Ask the model, to which the cache is lent."""
        lent = self._lent(request)
        response = handler(request.override(model=_with(lent, request.model)))
        self._heed(lent)
        return response

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """As `wrap_model_call`."""
        lent = self._lent(request)
        response = await handler(request.override(model=_with(lent, request.model)))
        self._heed(lent)
        return response

    def _lent(self, request: ModelRequest[Any]) -> _Lent | None:
        """The cache for one call; None when its answer depends on more than the request."""
        if any(map(_is_providers, request.tools)) or any(
            request.model_settings.get(name) for name in _ELSEWHERE
        ):
            return None
        lent = None
        with spared("naming the namespace"):
            lent = _Lent(self.cache, _named(self.namespace, request.runtime))
        return lent  # noqa: RET504 - a fault leaves it None

    def _heed(self, lent: _Lent | None) -> None:
        """Say once that the cache is out of the model's way."""
        if lent is not None and not lent.asked and not self._told:
            self._told = True
            log.warning(
                "CacheMiddleware had no effect: other middleware chose another model, or answered "
                "itself; put CacheMiddleware behind it, last in the list"
            )


class _RouteState(AgentState[Any]):
    """What a multiplexer's middleware remembers of a run."""

    cachemux_route: NotRequired[Annotated[str | None, PrivateStateAttr]]
    """The model that answers in this run."""


class MultiplexerMiddleware(AgentMiddleware[_RouteState, Any, Any]):
    """Has each of an agent's model calls routed by a `MultiplexedLLM`.

    Per call each is routed by itself, though leaving the model of the turn before has its price
    (`stickiness`). Per run the model that answered first goes on to the end, as long as it answers and
    can do what is asked; that is kept in the agent's private state, and so outlives an interrupt.
    Answers are rated with `llm.feedback(message, score)`.

    Args:
        llm: A multiplexer, or the models of one by name, cheap to expensive.
        per: "call" or "run".
        settings: Of the multiplexer, where models are given: `router`, `accept`, `cache` and others.

    Raises:
        ValueError: An argument is of the wrong kind.
    """

    state_schema = _RouteState
    trace_policy = TracePolicy(process_inputs=omit_payload)

    def __init__(
        self,
        llm: MultiplexedLLM | Mapping[str, str | Runnable[Any, Any]],
        *,
        per: Literal["call", "run"] = "call",
        **settings: Any,
    ) -> None:
        given = isinstance(llm, MultiplexedLLM)
        expect(given or isinstance(llm, Mapping), "llm", "a MultiplexedLLM or {name: model}", llm)
        expect(not (given and settings), "settings", "given to the MultiplexedLLM itself", settings)
        expect(per in ("call", "run"), "per", '"call" or "run"', per)
        self.llm = (
            llm if isinstance(llm, MultiplexedLLM) else MultiplexedLLM(models=llm, **settings)
        )
        self.per = per

    def before_agent(self, state: _RouteState, runtime: Any) -> dict[str, Any] | None:
        """Begin a run: no model was chosen."""
        del runtime
        return {"cachemux_route": None} if state.get("cachemux_route") else None

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Ask the multiplexer in place of the agent's model."""
        return self._chosen(handler(request.override(model=self._model(request.state))))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """As `wrap_model_call`."""
        return self._chosen(await handler(request.override(model=self._model(request.state))))

    def _model(self, state: Mapping[str, Any]) -> MultiplexedLLM:
        chosen = state.get("cachemux_route")
        if self.per == "call" or chosen is None:
            return self.llm
        return self.llm.model_copy(update={"pinned": chosen})

    def _chosen(
        self, response: ModelResponse[Any]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """The response, and which model the run stays with; a stored answer decides nothing."""
        if self.per == "call":
            return response
        told = next((metadata.read(m) for m in response.result if isinstance(m, AIMessage)), None)
        if told is None or "route" not in told:
            return response
        return ExtendedModelResponse(response, Command(update={"cachemux_route": told["model"]}))


class ToolCacheMiddleware(AgentMiddleware[Any, Any, Any]):
    """Keeps what tools returned in a cache, and does not run them again for the same arguments.

    Only of the tools that are named, and only what came of them without an error. Their results must
    depend on their arguments alone: a tool that is given the agent's state, its store or its runtime is
    always run. A result is worth to the cache the seconds that it took, as an answer is; where the cache
    counts in another unit, what others cost.

    Args:
        cache: Shared with any other face.
        tools: For each tool how many seconds its results hold; None as long as the cache's answers.
        namespace: As of `CacheMiddleware`.

    Raises:
        ValueError: An argument is of the wrong kind.
    """

    trace_policy = TracePolicy(process_inputs=omit_payload)

    def __init__(
        self,
        cache: LECCache,
        tools: Mapping[str, float | None],
        *,
        namespace: Namespace | None = None,
    ) -> None:
        self.cache = _expected(cache)
        hold = isinstance(tools, Mapping) and all(map(_is_ttl, tools.values()))
        expect(
            hold, "tools", 'seconds > 0, or None, by the name of a tool: {"search": 3600}', tools
        )
        self.seconds = dict(tools)
        self.namespace = _callable(namespace)
        self._told: set[str] = set()

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Return what the cache holds of the tool's results, or run it."""
        asked = self._asked(request)
        if asked is None:
            return handler(request)
        sharing = asked.sharing
        steps = ready(sharing.lookup), ready(handler), ready(sharing.update)
        return at_once(self._returned(request, asked, *steps))

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """As `wrap_tool_call`."""
        asked = self._asked(request)
        if asked is None:
            return await handler(request)
        steps = asked.sharing.alookup, handler, asked.sharing.aupdate
        return await self._returned(request, asked, *steps)

    async def _returned(
        self,
        request: ToolCallRequest,
        asked: _AskedTool,
        lookup: Callable[[str, str], Awaitable[Sequence[Generation] | None]],
        run: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
        update: Callable[[str, str, Sequence[Generation]], Awaitable[None]],
    ) -> ToolMessage | Command[Any]:
        """What the tool returned before or returns now; nothing is waited for but the three steps."""
        found = None
        with spared("looking up what a tool returned"):
            found = _found(await lookup(*asked.key), request)
        if found is not None:
            return found
        with asked.sharing.left_on_error():
            result = await run(request)
        if (kept := _kept(result)) is not None:
            await update(*asked.key, kept)
        asked.sharing.leave()
        return result

    def _asked(self, request: ToolCallRequest) -> _AskedTool | None:
        """What a result is kept under, and for how long; None when the tool is to be run.

        A message that calls a tool is matched exactly or not at all.
        """
        call, tool = request.tool_call, request.tool
        if tool is None or call["name"] not in self.seconds:
            return None
        told = None
        with spared("writing a tool's call down"):
            if injected := _injected(tool):
                self._tell(call["name"], injected)
                return None
            asked = AIMessage("", tool_calls=[{**call, "id": ""}])
            declared = json.dumps({"tool": convert_to_openai_tool(tool)}, sort_keys=True)
            lent = _Lent(self.cache, _named(self.namespace, request.runtime))
            sharing = Sharing(lent, self.cache.flights, ttl=self.seconds[call["name"]])
            told = _AskedTool((dumps([asked]), declared), sharing)
        return told  # noqa: RET504 - a fault leaves it None

    def _tell(self, name: str, injected: set[str]) -> None:
        """Say once of a tool that it is always run."""
        if name not in self._told:
            self._told.add(name)
            log.warning(
                "the tool %r is always run: it is given its %s, and its results may depend on that",
                name,
                " and ".join(sorted(injected)),
            )


class _AskedTool(NamedTuple):
    """What a tool is called with, as a cache knows it."""

    key: tuple[str, str]
    sharing: Sharing


class _Lent(BaseCache):
    """A cache as one model call of an agent has it.

    Args:
        cache: Whose answers these are.
        namespace: Whose answers it finds and keeps; None where all is shared.
    """

    def __init__(self, cache: LECCache, namespace: str | None) -> None:
        self._cache = cache
        self._namespace = namespace
        self.asked = False
        """Whether a model has looked into it."""

    @property
    def flights(self) -> Flights:
        """Equal questions that are being asked just now."""
        return self._cache.flights

    def keeping(self, **given: Any) -> AbstractContextManager[None]:
        """As of the cache."""
        return self._cache.keeping(**given)

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """As of the cache."""
        self.asked = True
        with self._within():
            return self._cache.lookup(prompt, llm_string)

    async def alookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """As of the cache."""
        self.asked = True
        with self._within():
            return await self._cache.alookup(prompt, llm_string)

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """As of the cache."""
        with self._within():
            self._cache.update(prompt, llm_string, return_val)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """As of the cache."""
        with self._within():
            await self._cache.aupdate(prompt, llm_string, return_val)

    def clear(self, **kwargs: Any) -> None:
        """As of the cache, whatever the namespace."""
        self._cache.clear(**kwargs)

    def _within(self) -> AbstractContextManager[None]:
        return self._cache.keeping(namespace=self._namespace)


def _with(lent: _Lent | None, model: Any) -> Any:
    """A copy of a model that has this cache, or none, in place of its own."""
    cache = False if lent is None else lent
    if isinstance(model, BaseChatModel):
        return model.model_copy(update={"cache": cache})
    return altered(model, cache=cache)


def _named(namespace: Namespace | None, runtime: Any) -> str | None:
    """The namespace of a run; None where all is shared.

    Raises:
        ValueError: It has no name.
    """
    if namespace is None:
        return None
    name = namespace(runtime)
    right = isinstance(name, str) and name and "\0" not in name
    expect(right, "namespace", "a function that returns a name", name)
    return name


def _is_providers(tool: Any) -> bool:
    """Whether it is a tool that the provider runs: what it will find is not in the request."""
    if not isinstance(tool, Mapping) or tool.get("type") == "custom":
        return False
    return not any(name in tool for name in _DECLARED)


def _injected(tool: BaseTool) -> set[str]:
    """What a tool is given beside the arguments that the model writes."""
    taken = getattr(tool.get_input_schema(), "model_fields", {})
    return taken.keys() - getattr(tool.tool_call_schema, "model_fields", taken).keys()


def _is_ttl(seconds: Any) -> bool:
    return seconds is None or (is_number(seconds) and seconds > 0)


def _found(
    generations: Sequence[Generation] | None, request: ToolCallRequest
) -> ToolMessage | None:
    """A stored result as an answer to this call."""
    message = getattr(generations[0], "message", None) if generations else None
    if message is None:
        return None
    stored, call = json.loads(message.text), request.tool_call
    return ToolMessage(
        content=stored["content"],
        artifact=stored["artifact"],
        name=call["name"],
        tool_call_id=call["id"],
        response_metadata={metadata.NAME: message.response_metadata[metadata.NAME]},
    )


def _kept(result: Any) -> list[Generation] | None:
    """A tool's result as a cache keeps it; None of what is none, or cannot be written."""
    if not isinstance(result, ToolMessage) or result.status != "success":
        return None
    told = {"content": result.content, "artifact": result.artifact}
    try:
        text = json.dumps(told)
    except (TypeError, ValueError, RecursionError):
        return None
    if json.loads(text) != told:
        return None
    return [ChatGeneration(message=AIMessage(text))]


def _expected(cache: Any) -> LECCache:
    expect(isinstance(cache, LECCache), "cache", "an LECCache, such as LECCache()", cache)
    made: LECCache = cache
    return made


def _callable(namespace: Any) -> Namespace | None:
    what = "a plain function of the runtime that returns a name"
    expect(namespace is None or takes(namespace, 1), "namespace", what, namespace)
    made: Namespace | None = namespace
    return made
