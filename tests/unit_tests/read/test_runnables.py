"""What a Runnable is made of, on LangChain's own Runnables: bindings, chains, fallbacks, retries."""

import json

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import (
    ConfigurableField,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_cachemux.read.runnables import (
    altered,
    chat_model,
    inside,
    name_of,
    plain,
    written,
)

PROMPT = ChatPromptTemplate.from_messages([("human", "{question}")])


class City(BaseModel):
    """A city."""

    name: str


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return city


def openai(name="gpt-4o-mini", **fields):
    return ChatOpenAI(api_key="none", model=name, **fields)


def told(model, **bound):
    return written(model, bound, {})


WRAPPED = {
    "itself": lambda model: model,
    "bound": lambda model: model.bind(stop=["."]),
    "configured": lambda model: model.with_config(tags=["a"]),
    "retried": lambda model: model.with_retry(stop_after_attempt=2),
    "with fallbacks": lambda model: model.with_fallbacks([FakeListChatModel(responses=["x"])]),
    "in a chain": lambda model: PROMPT | model | StrOutputParser(),
    "in a chain of chains": lambda model: PROMPT | (model | StrOutputParser()).with_retry(),
    "side by side": lambda model: RunnableParallel(answer=model, asked=RunnablePassthrough()),
    "with tools": lambda model: model.bind_tools([weather]),
    "structured": lambda model: model.with_structured_output(City, include_raw=True),
    "configurable": lambda model: model.configurable_fields(temperature=ConfigurableField(id="t")),
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_the_chat_model_at_the_bottom_is_found_and_named(wrap):
    wrapped = wrap(openai())
    assert isinstance(chat_model(wrapped), ChatOpenAI)
    assert name_of(wrapped) == "gpt-4o-mini"


@pytest.mark.parametrize("none", [RunnableLambda(len), StrOutputParser(), PROMPT, "gpt-4o", None])
def test_where_no_chat_model_is_there_is_no_name(none):
    assert chat_model(none) is None
    assert name_of(none) is None


def test_of_several_models_the_first_counts():
    assert name_of(openai("a").with_fallbacks([openai("b")])) == "a"


def test_nothing_is_inside_a_chat_model_and_the_steps_are_inside_a_chain():
    model = openai()
    assert inside(model) == []
    chain = PROMPT | model | StrOutputParser()
    assert inside(chain) == chain.steps
    parallel = RunnableParallel(answer=model, asked=PROMPT)
    assert inside(parallel) == [model, PROMPT]


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_an_uncached_copy_has_no_cache_at_any_depth_and_the_original_keeps_its_own(wrap):
    model = FakeCached(responses=["x"], cache=InMemoryCache())
    wrapped = wrap(model)
    copy = altered(wrapped, cache=False)
    assert chat_model(copy).cache is False
    assert type(copy) is type(wrapped)
    assert isinstance(chat_model(wrapped).cache, InMemoryCache)


class FakeCached(FakeListChatModel):
    """Binds tools, as a provider's model does."""

    temperature: float = 0.0

    def bind_tools(self, tools, **kwargs):
        return self.bind(tools=[t.name if hasattr(t, "name") else t.__name__ for t in tools])


def test_an_uncached_copy_answers_as_the_original_and_stores_nothing():
    cache = InMemoryCache()
    chain = PROMPT | FakeListChatModel(responses=["x", "y"], cache=cache) | StrOutputParser()
    copy = altered(chain, cache=False)
    assert [copy.invoke({"question": "?"}) for _ in range(2)] == ["x", "y"]
    assert cache._cache == {}


def test_what_is_no_runnable_is_its_own_uncached_copy():
    function = RunnableLambda(len)
    assert altered(function, cache=False) is function
    assert altered(3, cache=False) == 3


def test_a_chat_model_is_written_as_langchains_own_cache_writes_it():
    model = openai(temperature=0.5)
    assert told(model, stop=["."]) == model._get_llm_string(stop=["."])


@pytest.mark.parametrize(
    "other",
    [
        openai("gpt-4o"),
        openai(temperature=0.5),
        openai().bind(stop=["."]),
        openai().bind_tools([weather]),
        openai().with_structured_output(City),
        PROMPT | openai(),
    ],
    ids=["name", "temperature", "stop", "tools", "schema", "prompt"],
)
def test_other_parameters_are_written_otherwise(other):
    assert told(other) != told(openai())


def test_parameters_are_written_alike_whether_bound_or_given():
    assert told(openai().bind(stop=["."])) == told(openai(), stop=["."])
    assert told(openai().bind(stop=["."]).bind(seed=1)) == told(openai(), stop=["."], seed=1)


def test_of_a_parameter_bound_and_given_the_given_one_counts():
    assert told(openai().bind(stop=["."]), stop=["!"]) == told(openai(), stop=["!"])


def test_a_parser_after_the_model_is_not_written_and_a_prompt_before_it_is():
    model = openai()
    assert told(PROMPT | model | StrOutputParser()) == told(PROMPT | model)
    other = ChatPromptTemplate.from_messages([("human", "Be brief. {question}")])
    assert told(PROMPT | model) != told(other | model)
    assert json.loads(told(PROMPT | model))[0] == "RunnableSequence"


def test_the_config_chooses_among_alternatives_before_they_are_written():
    small = openai("small").configurable_alternatives(
        ConfigurableField(id="which"), default_key="small", large=openai("large")
    )
    chosen = {"configurable": {"which": "large"}}
    assert written(small, {}, {}) == told(openai("small"))
    assert written(small, {}, chosen) == told(openai("large"))


def test_a_function_is_known_by_its_code_or_name_and_never_by_its_address():
    def first(text):
        return text

    def second(text):
        return text

    assert told(RunnableLambda(first)) == told(RunnableLambda(first))
    assert told(RunnableLambda(first)) != told(RunnableLambda(second))
    assert " at 0x" not in told(RunnableLambda(first))


def test_a_class_is_written_as_its_schema_and_its_fields_show():
    class Other(BaseModel):
        """A city."""

        name: str
        country: str

    Other.__name__ = "City"
    one, other = plain({"response_format": City}), plain({"response_format": Other})
    assert one["response_format"]["properties"].keys() == {"name"}
    assert other["response_format"]["properties"].keys() == {"name", "country"}
    json.dumps([one, other])


def test_what_only_tells_a_tracer_of_the_schema_is_left_out_and_all_else_stays():
    kwargs = {"stop": ["."], "ls_structured_output_format": {"schema": City}}
    assert plain(kwargs) == {"stop": ["."]}
