"""`CachemuxDecisionModel`: a multiplexer's router where LangChain takes a decision model."""

from __future__ import annotations

import math
from typing import Any
from uuid import uuid4

try:
    from langchain_core.decisions import BaseDecisionModel, ChoiceAnswer, ClassifierResponse
except ImportError as error:
    needed = "CachemuxDecisionModel needs langchain-core>=1.8: pip install -U langchain-core"
    raise ImportError(needed) from error

from langchain_core.messages import BaseMessage

from langchain_cachemux.arguments import expect
from langchain_cachemux.call import Call
from langchain_cachemux.experience import Asked
from langchain_cachemux.multiplexer import MultiplexedLLM


class CachemuxDecisionModel(BaseDecisionModel):  # type: ignore[misc] # core 1.8 and above has it
    """Chooses among models as a multiplexer's router does, for LangChain's `ModelRouterMiddleware`.

    The labels of a `Choice` are the multiplexer's models; what is said about each is not read, as the
    router has learned it. Nobody judges what the chosen model answers, so a cheaper one is a bet under
    the multiplexer's error budget. The confidence is the chance that its answer will do, by the measure
    of the most expensive model; the probability of a label, that it is the cheapest model whose answer
    will do, were failures independent.

    LangChain's middleware never says what came of a choice. The router goes on to learn from the calls
    of the multiplexer itself, and from `llm.feedback(response.request_id, score)`.

    Args:
        llm: A multiplexer. Its `accept` is not asked; it needs a `max_error`, as by default without a
            judge, or an `error_price`.

    Raises:
        ValueError: It is none, or what an error costs is not said.
    """

    model: str = "cachemux"
    llm: MultiplexedLLM

    def __init__(self, llm: MultiplexedLLM, **fields: Any) -> None:
        expect(isinstance(llm, MultiplexedLLM), "llm", "a MultiplexedLLM", llm)
        bound = llm.accept is None or llm.budget is not None or llm.error_price > 0
        what = "given max_error= or error_price=: nobody judges what the chosen model answers"
        expect(bound, "llm", what, llm)
        super().__init__(llm=llm, **fields)

    @property
    def _provider(self) -> str:
        return "cachemux"

    def _classify(self, state: Any, questions: dict[str, Any]) -> ClassifierResponse:
        """Choose a model for each question.

        Raises:
            ValueError: A question is no `Choice` among the multiplexer's models, or the state no prompt.
        """
        models = list(self.llm.models)
        for name, question in questions.items():
            fits = question.type == "choice" and set(question.criteria) == set(models)
            expect(fits, name, f"a Choice whose labels are the models {models}", question)
        unjudged = self.llm.model_copy(update={"accept": None})
        call = Call(unjudged, [state] if isinstance(state, BaseMessage) else state, {}, {})
        chosen, query, name = str(call.next()), call.read(), uuid4().hex
        chances = unjudged.router.choose(query, **unjudged.terms).chances
        fails = [_share(chances[model].mean) if model in chances else 0.0 for model in models[:-1]]
        self.llm.experience.remember(name, Asked(query, chosen, ""))
        does = dict(zip(models, [1 - share for share in fails], strict=False))
        answer = ChoiceAnswer(
            type="choice",
            choice=chosen,
            probabilities=dict(zip(models, _first_to_do(fails), strict=True)),
            confidence=does.get(chosen, 1.0),
        )
        return ClassifierResponse(
            model=self.model, answers=dict.fromkeys(questions, answer), request_id=name
        )


def _first_to_do(fails: list[float]) -> list[float]:
    """The probability of each to be the first that does, given chances to fail; a last one does."""
    shares, left = [], 1.0
    for share in fails:
        shares.append(left * (1 - share))
        left *= share
    return [*shares, left]


def _share(chance: float) -> float:
    """A chance as a probability; of what is not known the worst."""
    return min(max(chance, 0.0), 1.0) if math.isfinite(chance) else 1.0
