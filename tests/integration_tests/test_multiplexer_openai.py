"""`MultiplexedLLM` over `ChatOpenAI`, which talks to a small server of its protocol in this process."""

import asyncio
import json
import math
import threading
import time
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypedDict
from uuid import UUID, uuid4

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_cachemux import Estimate, LECCache, MultiplexedLLM, Router, cached, dollars

openai = pytest.importorskip("openai", reason="its client comes with the extra `demo`")
ChatOpenAI = pytest.importorskip(
    "langchain_openai", reason="it comes with the extra `demo`"
).ChatOpenAI

MINI, FULL = "gpt-4o-mini", "gpt-4o"
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
# List prices per million tokens: gpt-4o-mini 0.15 in and 0.60 out, gpt-4o 2.50 and 10.00.
COST = {
    MINI: (1000 * 0.15 + 100 * 0.60) / 1e6,
    FULL: (1000 * 2.50 + 100 * 10.00) / 1e6,
}
ADA = '{"name": "Ada", "age": 36}'
QUESTION = "What is the capital of France?"


class Server:
    """Answers chat completions with what `says` has for the model, and remembers the requests."""

    def __init__(self):
        self.says = {MINI: "Paris it is", FULL: "Paris, surely"}
        self.finish_reason = "stop"
        self.logprob = -0.1
        self.requests = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append(json.loads(body))
                status, kind, answer = outer.answer(outer.requests[-1])
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    @property
    def models(self):
        return [request["model"] for request in self.requests]

    def answer(self, request):
        said = self.says[request["model"]]
        if isinstance(said, int):
            return said, "application/json", json.dumps({"error": {"message": "out of order"}})
        if request.get("stream"):
            return 200, "text/event-stream", self._streamed(request, said)
        choice = {
            "index": 0,
            "finish_reason": self.finish_reason,
            "message": _message(request, said),
        }
        if request.get("logprobs"):
            choice["logprobs"] = self._logprobs(said.split())
        return (
            200,
            "application/json",
            json.dumps({**_head(request, "chat.completion"), "choices": [choice], "usage": USAGE}),
        )

    def _streamed(self, request, said):
        words = [said] if request.get("tools") else [f"{word} " for word in said.split()]
        choices = []
        for place, word in enumerate(words):
            delta = _message(request, word)
            for number, call in enumerate(delta.get("tool_calls", [])):
                call["index"] = number
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            if request.get("logprobs"):
                choice["logprobs"] = self._logprobs([word])
            choices.append([choice])
            if place == len(words) - 1:
                end = {"index": 0, "delta": {}, "finish_reason": self.finish_reason}
                choices.append([end])
        head = _head(request, "chat.completion.chunk")
        events = [{**head, "choices": choice, "usage": None} for choice in choices]
        if request.get("stream_options", {}).get("include_usage"):
            events.append({**head, "choices": [], "usage": USAGE})
        return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"

    def _logprobs(self, words):
        tokens = [
            {"token": word, "logprob": self.logprob, "bytes": None, "top_logprobs": []}
            for word in words
        ]
        return {"content": tokens, "refusal": None}


def _head(request, kind):
    # Providers answer with the dated name of the model that was asked for.
    return {"id": "1", "object": kind, "created": 0, "model": f"{request['model']}-2024-08-06"}


def _message(request, said):
    message = {"role": "assistant", "content": said}
    if request.get("tools"):
        function = {"name": request["tools"][0]["function"]["name"], "arguments": said}
        call = {"id": "call_1", "type": "function", "function": function}
        message |= {"content": None, "tool_calls": [call]}
    return message


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


class Fixed:
    """Always estimates the same, and remembers what it should have learned."""

    def __init__(self, mean):
        self.mean = mean
        self.learned = []

    def predict(self, x):
        return Estimate(self.mean, 0.0)

    def learn(self, x, cost):
        self.learned.append(cost)


@pytest.fixture
def multiplexed(server):
    def build(accept=None, **parameters):
        models = [
            ChatOpenAI(
                model=name,
                base_url=server.url,
                api_key="none",
                max_retries=0,
                stream_usage=True,
                **parameters,
            )
            for name in (MINI, FULL)
        ]
        return MultiplexedLLM(
            *models,
            accept=accept,
            router=Router({MINI: Fixed(0.0), FULL: Fixed(1.0)}),
            cache=LECCache(embeddings=DeterministicFakeEmbedding(size=16)),
            price=dollars,
        )

    return build


def learned(mux):
    return {name: estimator.learned for name, estimator in mux.router.estimators.items()}


def told(answer):
    return answer.response_metadata["cachemux"]


def whole(chunks):
    first, *rest = chunks
    return sum(rest, first)


async def _astreamed(model, question):
    return [chunk async for chunk in model.astream(question)]


WAYS = {
    "invoke": lambda model, question: model.invoke(question),
    "ainvoke": lambda model, question: asyncio.run(model.ainvoke(question)),
    "stream": lambda model, question: whole(list(model.stream(question))),
    "astream": lambda model, question: whole(asyncio.run(_astreamed(model, question))),
}
every_way = pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)


@every_way
def test_a_question_costs_its_tokens_at_list_prices_and_its_repetition_nothing(
    ask, multiplexed, server
):
    mux = multiplexed()
    usage = UsageMetadataCallbackHandler()

    first = ask(mux.with_config(callbacks=[usage]), QUESTION)
    second = ask(mux, QUESTION)

    assert first.content.strip() == second.content.strip() == "Paris it is"
    assert first.usage_metadata["total_tokens"] == second.usage_metadata["total_tokens"] == 1100
    assert [used["total_tokens"] for used in usage.usage_metadata.values()] == [1100]
    assert told(first)["cost"] == pytest.approx(COST[MINI])
    assert (told(second)["cost"], told(second)["hit"]) == (0.0, "exact")
    assert learned(mux) == {MINI: [pytest.approx(COST[MINI])], FULL: []}
    assert server.models == [MINI]


def test_a_stream_shows_the_words_as_the_provider_sends_them(multiplexed, server):
    chunks = [chunk.text for chunk in multiplexed().stream(QUESTION) if chunk.text]

    assert chunks == ["Paris ", "it ", "is "]
    assert server.requests[0]["stream_options"] == {"include_usage": True}


@every_way
def test_an_unsure_answer_is_told_by_its_logprobs_and_asked_again(ask, multiplexed, server):
    def sure(_messages, answer):
        tokens = answer.response_metadata["logprobs"]["content"]
        return math.exp(sum(token["logprob"] for token in tokens) / len(tokens)) > 0.5

    mux = multiplexed(accept=sure, logprobs=True)
    server.logprob = -0.1
    assert told(ask(mux, "An easy question"))["model"] == MINI
    server.logprob = -2.0
    assert told(ask(mux, "A hard question"))["model"] == FULL

    assert server.models == [MINI, MINI, FULL]
    assert learned(mux) == {
        MINI: pytest.approx([COST[MINI], COST[MINI] + COST[FULL]]),
        FULL: pytest.approx([COST[FULL]]),
    }


@every_way
def test_logprobs_of_a_streamed_answer_are_those_of_all_its_tokens(ask, multiplexed):
    answer = ask(multiplexed(logprobs=True), QUESTION)

    tokens = answer.response_metadata["logprobs"]["content"]
    assert [token["token"].strip() for token in tokens] == ["Paris", "it", "is"]


@tool
def population(city: str) -> int:
    """People in a city."""
    raise NotImplementedError


@every_way
def test_a_tool_call_comes_back_from_the_model_and_from_the_cache(ask, multiplexed, server):
    server.says[MINI] = '{"city": "Paris"}'
    bound = multiplexed().bind_tools([population], tool_choice="any")

    first, second = ask(bound, "How many?"), ask(bound, "How many?")

    for answer in (first, second):
        (call,) = answer.tool_calls
        assert (call["name"], call["args"]) == ("population", {"city": "Paris"})
    assert told(second)["hit"] == "exact"
    (request,) = server.requests
    assert request["tools"][0]["function"]["name"] == "population"
    assert request["tool_choice"] == "required"


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


class PersonDict(TypedDict):
    """Somebody."""

    name: str
    age: int


every_method = pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
every_schema = pytest.mark.parametrize(
    "schema",
    [
        (Person, Person(name="Ada", age=36)),
        (PersonDict, {"name": "Ada", "age": 36}),
        (Person.model_json_schema(), {"name": "Ada", "age": 36}),
    ],
    ids=["pydantic", "TypedDict", "JSON schema"],
)


@every_way
@every_method
@every_schema
def test_an_object_comes_back_from_the_model_and_from_the_cache(
    ask, method, schema, multiplexed, server
):
    structure, ada = schema
    server.says[MINI] = ADA
    mux = multiplexed()
    structured = mux.with_structured_output(structure, method=method)

    assert [ask(structured, "Who, in JSON?") for _ in range(2)] == [ada, ada]

    assert server.models == [MINI]
    assert mux.cache.stats().admitted == 1
    assert mux.cache.stats().errors == 0


@every_way
@every_method
@pytest.mark.parametrize("wrong", ["nonsense", '{"name": "Ada", "age": "old"}'])
def test_an_answer_that_does_not_parse_is_asked_again(ask, method, wrong, multiplexed, server):
    server.says = {MINI: wrong, FULL: ADA}
    mux = multiplexed()

    answer = ask(mux.with_structured_output(Person, method=method), "Who, in JSON?")

    assert answer == Person(name="Ada", age=36)
    assert server.models == [MINI, FULL]
    assert learned(mux)[FULL] == pytest.approx([COST[FULL]])
    assert learned(mux)[MINI][0] > COST[FULL]


@pytest.mark.parametrize("include_raw", [False, True])
@every_method
@every_way
def test_when_none_parses_the_outcome_is_that_of_the_large_model_alone(
    ask, method, include_raw, multiplexed, server
):
    server.says = {MINI: "nonsense", FULL: "nonsense"}
    mux = multiplexed()

    def outcome(ask, model):
        model = model.with_structured_output(Person, method=method, include_raw=include_raw)
        try:
            answer = ask(model, "Who, in JSON?")
        except ValueError as error:
            return type(error)
        return answer and (answer["parsed"], type(answer["parsing_error"]))

    alone = ChatOpenAI(model=FULL, base_url=server.url, api_key="none")
    assert outcome(ask, mux) == outcome(WAYS["invoke"], alone)
    assert server.models == [MINI, FULL, FULL]
    assert mux.cache.stats().entries == 0


class Being(BaseModel):
    """Of the same fields as a person, and another."""

    name: str
    age: int
    wings: int = 0


def test_words_and_objects_of_each_schema_and_method_are_kept_apart(multiplexed, server):
    server.says[MINI] = ADA
    mux = multiplexed()
    variants = [
        mux,
        mux.with_structured_output(Person),
        mux.with_structured_output(Being),
        mux.with_structured_output(Person, method="json_mode"),
        mux.with_structured_output(Being, method="json_mode"),
        mux.with_structured_output(Person, method="function_calling"),
        mux.with_structured_output(Person, method="function_calling", strict=True),
    ]

    for _ in range(2):
        answers = [variant.invoke("Who, in JSON?") for variant in variants]

    assert [type(answer) for answer in answers[1:5]] == [Person, Being] * 2
    assert len(server.requests) == len(variants)


@every_way
def test_when_one_model_is_out_of_order_the_other_answers(ask, multiplexed, server):
    server.says[MINI] = 500
    mux = multiplexed()

    for n in range(3):
        assert ask(mux, f"{QUESTION} {n}").text.strip() == "Paris, surely"

    assert server.models == [MINI, FULL, FULL, FULL]
    assert mux.stats().errors == {MINI: 1}


@every_way
def test_when_both_are_out_of_order_the_providers_error_reaches_the_caller(
    ask, multiplexed, server
):
    server.says |= {MINI: 500, FULL: 500}
    mux = multiplexed()

    with pytest.raises(openai.InternalServerError, match="out of order"):
        ask(mux, QUESTION)

    assert learned(mux) == {MINI: [], FULL: []}
    assert mux.cache.stats().entries == 0


def test_a_providers_error_can_be_retried_and_fallen_back_from(multiplexed, server):
    server.says |= {MINI: 500, FULL: 500, "spare": "Paris, at last"}
    mux = multiplexed()
    spare = ChatOpenAI(model="spare", base_url=server.url, api_key="none", max_retries=0)

    robust = mux.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)

    assert robust.with_fallbacks([spare]).invoke(QUESTION).content == "Paris, at last"
    assert server.models == [MINI, FULL, MINI, FULL, "spare"]


def test_an_answer_cut_short_is_not_stored(multiplexed, server):
    server.finish_reason = "length"
    mux = multiplexed()

    assert [mux.invoke(QUESTION).content for _ in range(2)] == ["Paris it is"] * 2
    assert server.models == [MINI, MINI]


def test_many_questions_at_once_are_each_asked_once(multiplexed, server):
    mux = multiplexed()

    answers = mux.batch([f"question {n}" for n in range(20)])

    assert {answer.content for answer in answers} == {"Paris it is"}
    assert server.models == [MINI] * 20
    assert learned(mux)[MINI] == pytest.approx([COST[MINI]] * 20)
    assert mux.cache.check() == []


# At once, and what comes of what is parsed


@pytest.fixture
def chat(server):
    def build(**parameters):
        cache = LECCache(embeddings=DeterministicFakeEmbedding(size=16))
        return ChatOpenAI(
            model=MINI,
            base_url=server.url,
            api_key="none",
            max_retries=0,
            cache=cache,
            **parameters,
        )

    return build


@pytest.fixture
def slow(server, monkeypatch):
    answer = server.answer
    monkeypatch.setattr(server, "answer", lambda request: time.sleep(0.5) or answer(request))
    return server


async def _gathered(model):
    return await asyncio.gather(*(model.ainvoke(QUESTION) for _ in range(20)))


@pytest.mark.parametrize("face", ["a model with a cache", "a multiplexer"])
@pytest.mark.parametrize("way", ["batch", "tasks"])
def test_twenty_equal_questions_at_once_are_one_request(slow, chat, multiplexed, face, way):
    model = chat() if face == "a model with a cache" else multiplexed()
    if way == "batch":
        answers = model.batch([QUESTION] * 20, {"max_concurrency": 20})
    else:
        answers = asyncio.run(_gathered(model))
    assert [answer.text for answer in answers] == ["Paris it is"] * 20
    assert len(slow.requests) == 1


class Bill(BaseModel):
    """What is to be paid."""

    number: UUID
    day: date
    total: Decimal


def test_an_object_with_dates_decimals_and_ids_is_asked_for_once(server, chat):
    bill = {"number": str(uuid4()), "day": "2026-02-03", "total": "2.50"}
    server.says[MINI] = json.dumps(bill)
    asked = chat().with_structured_output(Bill)
    assert [asked.invoke(QUESTION) for _ in range(2)] == [Bill(**bill)] * 2
    assert len(server.requests) == 1


def test_a_retry_asks_again_for_what_could_not_be_parsed(server, chat):
    server.says[MINI] = "forty-two"

    def number(message):
        server.says[MINI] = "42"
        return int(message.text)

    chain = (chat() | number).with_retry(stop_after_attempt=5, wait_exponential_jitter=False)
    assert [chain.invoke(QUESTION) for _ in range(2)] == [42, 42]
    assert len(server.requests) == 2


def test_an_answer_of_an_unknown_end_is_not_stored(server, chat):
    server.finish_reason = "model_context_window_exceeded"
    model = chat()
    for _ in range(2):
        model.invoke(QUESTION)
    assert len(server.requests) == 2


@every_way
def test_a_single_model_before_a_cache_is_asked_once_however_it_is_asked(ask, server):
    model = ChatOpenAI(model=MINI, base_url=server.url, api_key="none", stream_usage=True)
    llm = cached(model, LECCache(embeddings=DeterministicFakeEmbedding(size=16)))

    first, second = ask(llm, QUESTION), ask(llm, QUESTION)

    assert first.content.strip() == second.content.strip() == "Paris it is"
    assert second.usage_metadata == {**first.usage_metadata, "total_cost": 0}
    assert server.models == [MINI]


def test_an_agent_that_remembers_streams_each_turn_once_and_pays_for_equal_ones_once(
    multiplexed, server
):
    agents = pytest.importorskip("langchain.agents", reason="it comes with the extra `langchain`")
    memory = pytest.importorskip("langgraph.checkpoint.memory", reason="it comes with langchain")
    saver = memory.InMemorySaver()
    agent = agents.create_agent(multiplexed(), checkpointer=saver)

    for thread in ("1", "2"):
        config = {"configurable": {"thread_id": thread}}
        for turn, question in enumerate(("Hello", "Goodbye")):
            asked = {"messages": [("human", question)]}
            shown = [chunk for chunk, _ in agent.stream(asked, config, stream_mode="messages")]
            assert "".join(chunk.text for chunk in shown).strip() == "Paris it is"
            messages = agent.get_state(config).values["messages"]
            assert len({message.id for message in messages}) == len(messages) == 2 * (turn + 1)

    assert server.models == [MINI, MINI]
