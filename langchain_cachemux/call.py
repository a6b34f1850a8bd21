"""`Call`: one question on its way: cache, route, answer, judge, the next model, the learning.

A call names the model to ask and takes its answer, but it waits for no model: so the same steps serve
`invoke`, `ainvoke`, `stream` and `astream`. A fault in what it can do without (the cache, the embedder,
the judge) is logged and spared the caller. A model's own fault is learned, and another model is asked;
the caller sees it when nobody is left.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    message_chunk_to_message,
)
from langchain_core.outputs import ChatGeneration
from langchain_core.runnables.config import run_in_executor

from langchain_cachemux.audits import Audits, Given
from langchain_cachemux.candidates import FORBIDDEN, Candidates
from langchain_cachemux.discreet import loggable
from langchain_cachemux.experience import Asked, Attempt
from langchain_cachemux.meter import at_once, ready
from langchain_cachemux.parts import spared
from langchain_cachemux.read import metadata
from langchain_cachemux.read.answers import NoMessageError
from langchain_cachemux.read.needs import bound
from langchain_cachemux.read.prompts import conversation, messages_of
from langchain_cachemux.read.replay import Replay, chunk_of, ending, free, untold
from langchain_cachemux.read.runnables import altered
from langchain_cachemux.read.runs import asked_by
from langchain_cachemux.read.structure import UNPARSED, empty
from langchain_cachemux.read.twins import twins_of
from langchain_cachemux.read.written import dumped
from langchain_cachemux.route.costs import Costs
from langchain_cachemux.route.judges import Verdict, verdict_of
from langchain_cachemux.sharing import Sharing
from langchain_cachemux.silence import counted, shown
from langchain_cachemux.types import Query, Route

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_cachemux.budget import Bet
    from langchain_cachemux.parts import Parts
    from langchain_cachemux.read.metadata import HitMetadata, RouteMetadata
    from langchain_cachemux.route.judges import Judge

log = logging.getLogger(__name__)


class Call:
    """The steps of one call, and what it knows so far.

    Ask `hit`. If there is none, ask the `model` within `answering`, and `judge` each answer, until
    `next` names no more; then `settle` and `store`. An answer of which nobody was told yet, `untold`, is
    replayed. What the caller gets is the `result`, or of a stream what was `shown` and the `rest`.

    Args:
        parts: Whose models, router, judge and cache these are.
        question: What the caller asks.
        config: The caller's.
        kwargs: Parameters of this call, which each model is given; `cache`, which tells whether this
            call uses the cache, and `ttl`, how long its answer holds, are taken out.

    Raises:
        ValueError: The question is no prompt, or `cache` or `ttl` is not what `Sharing` knows.
    """

    def __init__(
        self,
        parts: Parts,
        question: LanguageModelInput,
        config: RunnableConfig,
        kwargs: dict[str, Any],
    ) -> None:
        self.parts = parts
        self.messages = messages_of(question)
        self.answer: Any = None
        """Of the model asked last, as it came; for a stream, as much as has come."""
        self._config = config
        use, ttl = kwargs.pop("cache", None), kwargs.pop("ttl", None)
        flights = parts.experience.flights
        self._kwargs = kwargs
        self._key = "", ""
        sharing = Sharing(parts.cached_in, flights, use, ttl=ttl)
        self._cache = Sharing(None, flights)
        with spared("writing the call down"):
            self._key = dumped(self.messages), parts.written(config, kwargs)
            self._cache = sharing
        self._name = uuid4().hex
        self._query = Query(key="")
        self._way: list[Attempt] = []
        self._judging = False
        self._will_do = False
        self._audits = Audits(parts, self.messages, config, kwargs)
        self._bet: Bet | None = None
        self._unserved: Given | None = None
        """The answer that a bet under a closed budget was about."""
        self._seconds = 0.0
        self._shown: float | None = None
        """Seconds the caller took over the chunks of this answer; None before it was shown one."""
        self._message: Any = None
        self._parsed: Any = None
        self._error: BaseException | None = None

    def hit(self) -> bool:
        """Ask the cache."""
        with self._asking():
            self._found(self._cache.lookup(*self._key))
        return self._free()

    async def ahit(self) -> bool:
        """As `hit`."""
        with self._asking():
            self._found(await self._cache.alookup(*self._key))
        return self._free()

    def next(self) -> str | None:
        """Name the model to ask now, or None when the answer that there is will be given.

        First the routed one; after an answer that will not do, or an error, the next of its ladder; and
        when none has answered, whoever is left.
        """
        if not self._way:
            name = self._start()
        elif self._will_do:
            return None
        elif later := self._later():
            name = later[0]
        elif self._message is None and (left := self._left()):
            name = left[-1]
        else:
            return None
        self._way.append(Attempt(name))
        self._way[-1].draft = not self.final
        return name

    async def anext(self) -> str | None:
        """As `next`; the router is asked in a thread, as it may have to wait for what is learned."""
        if self._way or self.parts.alone:
            return self.next()
        return await run_in_executor(self._config, self.next)

    @property
    def final(self) -> bool:
        """True when the answer of the model asked now is given, whatever it is."""
        checks = self._judging or self.parts.structure is not None
        return not checks or not self._later()

    @property
    def live(self) -> bool:
        """True when the answer of the model asked now may be shown as it comes."""
        return self.final and self.parts.structure is None

    @property
    def model(self) -> Any:
        """The model asked now; a draft is not streamed."""
        draft = self._way[-1].draft
        return altered(self._asked, disable_streaming=True) if draft else self._asked

    @property
    def config(self) -> RunnableConfig:
        """The caller's, for the model asked now; of a draft only those hear who count."""
        return counted(self._config) if self._way[-1].draft else self._config

    @property
    def untold(self) -> RunnableConfig | None:
        """The caller's config for a replay of the answer; None when it was told as it came."""
        if not self._way:
            return self._config
        return shown(self._config) if self._given.draft else None

    @property
    def conversation(self) -> list[BaseMessage]:
        """The messages, as the model asked now may be shown them."""
        return self.parts.shown(self.messages, self._way[-1].model)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Wait for an answer, take the time and what it cost; or learn that the model raised.

        An error is raised to the caller when nobody is left to ask, or when a part of the answer was
        shown already; what was paid for before is learned all the same. When a cheaper model's answer is
        so far from the schema that its own client raises, it is an empty answer.
        """
        self.answer, self._shown, self._will_do = None, None, False
        started = time.perf_counter()
        with self._cache.left_on_error(), self._paid_in_part(started):
            try:
                yield
            except NoMessageError:
                raise
            except Exception as error:
                unparsed = self.parts.structure is not None and isinstance(error, UNPARSED)
                if unparsed and not self.final:
                    self.answer = empty(error)
                else:
                    if not unparsed:
                        self._raised(error)
                    if unparsed or self._shown is not None or not (self._message or self._left()):
                        self._learn()
                        raise
                    return
        with self._cache.left_on_error():
            self._answered(time.perf_counter() - started - (self._shown or 0.0))

    @contextmanager
    def _paid_in_part(self, started: float) -> Iterator[None]:
        """Pay for what was shown of an answer that breaks off: by its model, or by the caller."""
        try:
            yield
        except BaseException as error:
            if self._shown is not None:
                elapsed = time.perf_counter() - started - self._shown
                self.parts.cut_off(self._way[-1].model, self.answer, self.messages, elapsed)
            if not isinstance(error, Exception):  # closed or cancelled, through no model's fault
                self._way.pop()
                self._learn()
            raise

    def shown(self, chunk: Any) -> Iterator[AIMessageChunk]:
        """Yield a chunk for the caller to see; the time it takes over it is not the model's.

        An answer that may not be shown as it comes is taken whole, and nothing is yielded.
        """
        if not self.live:
            self.answer = chunk
            return
        chunk = chunk_of(chunk)
        self.answer = chunk if self.answer is None else self.answer + chunk
        self._shown, started = self._shown or 0.0, time.perf_counter()
        yield chunk
        self._shown += time.perf_counter() - started

    def judge(self) -> None:
        """Ask the judge, if an answer came that it has to see."""
        at_once(self._judge(lambda judge: ready(judge.judge)))

    async def ajudge(self) -> None:
        """As `judge`."""
        await self._judge(lambda judge: judge.ajudge)

    async def _judge(self, asking: Callable[[Judge], Callable[..., Awaitable[Verdict]]]) -> None:
        """Wait for nothing but the judge, who is asked in a loop or without one."""
        judge = self.parts.accept
        if judge is not None and self._judging and self._will_do and not self.final:
            verdict, ask = Verdict(ok=False, judged=False), asking(judge)
            try:
                with self._cache.left_on_error(), spared("accept"):
                    verdict = verdict_of(await ask(self.messages, self._message, model=self._asked))
            except BaseException:  # the caller left
                self._learn()
                raise
            self._ruled(verdict)

    def settle(self) -> None:
        """Learn, have answers compared where that is due, say how it was routed."""
        parts, given = self.parts, self._given
        if self.parts.alone:
            self._estimate()
        cost = self._learn()
        self._message = metadata.write(self._message, self._described(cost))
        parts.experience.count("answers", given.model)
        judged = "judged" if given.failed == 0 and self._judging else ""
        parts.experience.remember(self._name, Asked(self._query, given.model, judged))
        with spared("an audit"):
            self._audit(Given(given.model, self._message))

    def store(self) -> None:
        """Tell the cache, unless the answer is one that will not do."""
        if self._to_store:
            with spared("update"):
                self._cache.update(*self._key, self._generations())
        self._cache.leave()

    async def astore(self) -> None:
        """As `store`."""
        if self._to_store:
            with spared("update"):
                await self._cache.aupdate(*self._key, self._generations())
        self._cache.leave()

    def result(self) -> Any:
        """Return the message, or the object it was asked to be, as LangChain does."""
        structure = self.parts.structure
        if structure is None:
            return self._message
        if structure.include_raw:
            return {"raw": self._message, "parsed": self._parsed, "parsing_error": self._error}
        if self._error is not None:
            raise self._error
        return self._parsed

    def rest(self) -> Any:
        """Return what a stream has still to show: everything, or only how it was routed."""
        message = self.result()
        if self.parts.structure is not None:
            return message
        if self._shown is None:
            return chunk_of(message)
        return ending(message, usage=self.untold is not None)

    @property
    def replay(self) -> Runnable[Any, AIMessage]:
        """What tells of the answer as its model would, asked with the same parameters."""
        asked = {**bound(next(iter(self.parts.models.values()))), **self._kwargs}
        return Replay(message=self._message).bind(**asked)

    def replayed(self, told: AIMessage) -> list[AIMessageChunk]:
        """Take what a replay tells: the answer goes by its id. Return what of it a stream shows."""
        self._message.id, self._shown = told.id, self._shown or 0.0
        return [] if self.parts.structure is not None else [untold(chunk_of(told))]

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Ask the cache on behalf of the models; take note of those that it cannot tell apart."""
        with spared("lookup"), asked_by(self.parts.bottoms):
            if self._cache.plain is not None:
                twins_of(self._cache.plain).notice(self._key[1], self._key[1])
            yield

    def _free(self) -> bool:
        """Mark a stored answer as one that cost nothing; whether there is one."""
        if self._message is None:
            return False
        self._message.usage_metadata = free(self._message.usage_metadata)
        return True

    def _found(self, generations: Sequence[Any] | None) -> None:
        """Take what the cache found, as a copy: a cache may hand out what it holds."""
        message = getattr(generations[0], "message", None) if generations else None
        if not isinstance(message, AIMessage):
            return
        message = message.model_copy(deep=True, update={"id": None})
        told = metadata.read(message)
        hit: HitMetadata
        if told is not None and told.get("hit"):
            hit = cast("HitMetadata", told)
        else:
            model, saved = (told["model"], told["cost"]) if told else (None, 0.0)
            hit = {"hit": "cache", "model": model, "cost": 0.0, "saved": saved}
        if self.parts.structure is not None:
            with self._cache.doubting(hit.get("key")):
                self._parsed = self.parts.structure.unfold(message)
        if hit["hit"] == "semantic" and not self._bet_on(message, hit):
            return
        hit["id"] = self._name
        self._message = metadata.write(message, hit)
        self.parts.experience.count("hits")
        semantic, said = hit["hit"] == "semantic", "\n".join(conversation(self.messages))
        question = replace(self.parts.reader.read(*self._key), text=said)
        asked = Asked(question, None if semantic else hit["model"], "cache" if semantic else "")
        self.parts.experience.remember(self._name, asked)

    def _bet_on(self, stored: AIMessage, hit: HitMetadata) -> bool:
        """Bet that a stored answer says what the standard would, at the risk that the cache tells."""
        budget = self.parts.budget
        if budget is None:
            return True
        kind = "judge" if hit.get("judged") else "cache"
        risk = hit.get("risk", self.parts.experience.risk("cache"))
        bet = budget.bet(kind, risk, saves=hit["saved"])
        if bet is None:
            return False
        given = Given("cache", stored, hit.get("key"))
        if not bet.served:
            self._bet, self._unserved = bet, given
        elif bet.audit:
            self._audits.ask(self.parts.standard, given, None, bet)
        return bet.served

    def explain(self) -> str:
        """Say which model would be asked and why, as a table of all; nothing is asked or learned."""
        self._read()
        return Candidates(self.parts, self.messages, self._kwargs).explain(self._query)

    def read(self) -> Query:
        """Return the question as the router reads it."""
        self._read()
        return self._query

    def _start(self) -> str:
        """Route the question; which model, and whether its answer is judged, is settled here."""
        self._candidates = Candidates(self.parts, self.messages, self._kwargs)
        only = self._candidates.standard
        self._route = Route(only, "no other model can", {}, ladder=(only,))
        if not self.parts.alone:
            self._read()
            self._choose()
        if self._candidates.excluded:
            reason = "; ".join([self._route.reason, *self._candidates.excluded])
            self._route = replace(self._route, reason=reason)
        log.debug("%s is asked: %s", self._route.model, self._route.reason)
        return self._route.model

    def _choose(self) -> None:
        """Choose between several models."""
        standard, terms = self._candidates.standard, self._candidates.terms
        route = Route(standard, "the router failed", {}, ladder=(standard,))
        with spared("routing"):
            route = self._candidates.route(self._query, terms)
        # an estimator of a whole cost takes for granted that all is judged
        judged = route.model not in route.chances or route.strategy == "cascade"
        self._judging = judged and terms["judged"]
        if not self._judging and not self._may_answer(route):
            reason = f"{FORBIDDEN.format(route.model)}; {route.reason}"
            route = replace(route, model=standard, ladder=(standard,), reason=reason)
        self._route = route

    def _estimate(self) -> None:
        """Estimate what the only model was to cost, before it is learned what it did."""
        self._read()
        with spared("routing"):
            terms = self._candidates.terms
            estimates = self.parts.router.choose(self._query, **terms).estimates
            self._route = replace(self._route, estimates=estimates)

    def _may_answer(self, route: Route) -> bool:
        """Whether the routed model's answer may be given unjudged: a bet, unless it is the standard."""
        budget, risk = self.parts.budget, self._candidates.risk(route)
        if budget is None or risk is None:
            return True
        if self._bet is not None:
            return False
        self._bet = budget.bet(route.model, risk)
        return self._bet is not None and self._bet.served

    def _read(self) -> None:
        """Read the question for the router; when its words cannot be embedded, its key is known."""
        with spared("reading the question"):
            self._query = self.parts.reader.read(*self._key)
            if not self.parts.alone:
                turns = conversation(self.messages)
                self._query = self.parts.reader.routed(self._query, *turns)

    @property
    def _given(self) -> Attempt:
        """The last that answered."""
        return next(attempt for attempt in reversed(self._way) if not attempt.raised)

    def _later(self) -> list[str]:
        """Whom to ask when the answer of the model asked now will not do, in turn."""
        ladder, now = self._route.ladder, self._way[-1].model
        return self._unasked(ladder[ladder.index(now) + 1 :]) if now in ladder else []

    def _left(self) -> list[str]:
        """Whom to ask when nobody has answered, the last first."""
        return self._unasked(self._candidates.able) or self._unasked(self._candidates.doubtful)

    def _unasked(self, names: Sequence[str]) -> list[str]:
        asked = {attempt.model for attempt in self._way}
        return [name for name in names if name not in asked]

    def _raised(self, error: Exception) -> None:
        self._way[-1].raised = True
        self.parts.experience.count("errors", self._way[-1].model)
        log.warning("model %r raised %s", self._way[-1].model, loggable(error))

    def _learn(self) -> float:
        """Learn what each model asked has come to, and return what it all cost.

        When all of them raised, that tells of the request, and not of the models.
        """
        parts, answered = self.parts, [attempt for attempt in self._way if not attempt.raised]
        for attempt in self._way:
            if attempt.raised and (answered or self._shown is not None):
                parts.raised(attempt.model, self._candidates.needs)
        for place, attempt in enumerate(answered):
            alone = isinstance(parts.router.estimators[attempt.model], Costs)
            parts.learn(
                self._query,
                attempt.model,
                cost=attempt.cost if alone else sum(a.paid for a in answered[place:]),
                failed=attempt.failed,
                source="cost" if attempt.failed is None else "judge",
                reason=attempt.reason,
            )
        cost = sum(attempt.paid for attempt in answered)
        if answered and parts.budget is not None:
            parts.budget.missed(cost)
        if answered and parts.spending is not None:
            parts.spending.pay(cost)
        return cost

    def _answered(self, elapsed: float) -> None:
        """Take the answer of the model asked last."""
        attempt, structure, parts = self._way[-1], self.parts.structure, self.parts
        if structure is not None and isinstance(self.answer, Mapping):
            self._parsed, self._error = self.answer["parsed"], self.answer["parsing_error"]
        message = parts.message_in(self.answer)
        attempt.cost, seconds = parts.paid(attempt.model, message, self.messages, elapsed)
        self._seconds += seconds
        self._message = message_chunk_to_message(message)
        attempt.unparsed = self._unparsed
        self._will_do = not attempt.unparsed
        if structure is not None and parts.budget is None:
            attempt.failed = float(attempt.unparsed)
        parts.answered(attempt.model, self._candidates.needs)
        parts.experience.count("calls", attempt.model, cost=attempt.cost)

    @property
    def _asked(self) -> Any:
        return self.parts.models[self._way[-1].model]

    def _ruled(self, verdict: Verdict) -> None:
        """Take what the judge said; one that fails is paid, but accepts and teaches nothing."""
        attempt, parts = self._way[-1], self.parts
        self._will_do = verdict.ok
        for usage in verdict.usages:
            with spared("pricing what the judge asked"):
                attempt.judging += parts.cost(attempt.model, usage)
        parts.experience.count("judging", attempt.model, cost=attempt.judging)
        if not verdict.judged:
            return
        attempt.failed, attempt.reason = float(not verdict.ok), verdict.reason
        if not verdict.ok:
            parts.experience.count("turned down", attempt.model)
        elif parts.budget is not None:
            risk, self._will_do = parts.experience.risk("judged"), False
            if self._bet is None and (bet := parts.budget.bet("judged", risk)):
                self._bet, self._will_do = bet, bet.served
                if not bet.served:
                    self._unserved = Given(attempt.model, self._message)

    def _audit(self, given: Given) -> None:
        """Compare the answer with another, if this is to be an audit."""
        standard, bet = self._candidates.standard, self._bet
        if self._unparsed or standard != self.parts.standard:
            return
        if given.by != standard:
            drawn = bet is not None and bet.audit and bet.served
            unheard = bet is None and not self._judging and standard not in self._candidates.missed
            if drawn or (unheard and self._audited(given.by, standard)):
                self._audits.ask(standard, given, self._query, bet)
        elif self._unserved is not None:
            self._audits.compare(self._unserved, given, self._query, bet)
        elif bet is not None and bet.served:
            bet.settle(0.0)  # the model bet on raised, or gave no object, and the standard answered
            if bet.audit and any(a.unparsed for a in self._way if a.model == bet.kind):
                self.parts.learn(self._query, bet.kind, failed=1.0, source="audit")
        elif bet is not None:
            self._audits.ask(bet.kind, given, self._query, bet)
        else:
            cheaper = self._candidates.cheaper(self._route)
            if cheaper is not None and self._audited(cheaper, cheaper):
                self._audits.ask(cheaper, given, self._query)

    def _audited(self, cheap: str, name: str) -> bool:
        """Draw whether another model is to answer too, where that may pay for itself."""
        pays = self._audits.pay(self._route, self._query, cheap, name)
        return pays and self._audits.due()

    @property
    def _unparsed(self) -> bool:
        return self.parts.structure is not None and self._parsed is None

    @property
    def _to_store(self) -> bool:
        """Whether the answer will do, or is the last word of the last model."""
        turned_down = not self._will_do and self._way[-1].raised
        return not self._unparsed and not turned_down and not self._makeshift

    @property
    def _makeshift(self) -> bool:
        """Whether a more expensive model would have been asked, and only this one could be had."""
        given, bet, names = self._given, self._bet, list(self.parts.models)
        if given.failed == 0 or (bet is not None and bet.served and bet.kind == given.model):
            return False
        raised = {attempt.model for attempt in self._way if attempt.raised}
        missed = self._candidates.missed | raised
        return any(name in missed for name in names[names.index(given.model) + 1 :])

    def _generations(self) -> list[ChatGeneration]:
        return [ChatGeneration(message=self._message.model_copy(deep=True))]

    def _described(self, cost: float) -> RouteMetadata:
        route, given = self._route, self._given
        return {
            "id": self._name,
            "model": given.model,
            "route": route.model,
            "reason": route.reason,
            "escalated": len(self._way) > 1,
            "accepted": None if given.failed is None else not given.failed,
            "estimates": metadata.estimates(route.estimates),
            "cost": cost,
            "seconds": self._seconds,
        }
