"""What model calls consumed, as each provider tells it, and how a user's function is asked."""

from dataclasses import replace

import pytest
from langchain_core.messages import AIMessage

from langchain_cachemux.meter import usage_of
from langchain_cachemux.types import Usage


def test_usage_of_an_openai_message_has_its_tokens_cache_and_model():
    message = AIMessage(
        "Paris",
        usage_metadata={
            "input_tokens": 1200,
            "output_tokens": 30,
            "total_tokens": 1230,
            "input_token_details": {"audio": 0, "cache_read": 1024},
            "output_token_details": {"reasoning": 10},
        },
        response_metadata={"model_name": "gpt-4o-2024-08-06", "finish_reason": "stop"},
    )
    assert usage_of(message, seconds=0.5, model="ignored") == Usage(
        1200, 30, cached_tokens=1024, seconds=0.5, model="gpt-4o-2024-08-06", reasoning_tokens=10
    )


def test_usage_of_a_message_that_tells_nothing_is_the_callers_stopwatch_and_name():
    assert usage_of(AIMessage("hi"), seconds=2.0, model="mine") == Usage(seconds=2.0, model="mine")
    assert usage_of(object(), model="mine") == Usage(model="mine")


def test_usage_of_believes_the_providers_own_seconds_and_other_name_for_the_model():
    message = AIMessage("hi", response_metadata={"seconds": 0.25, "model": "llama3"})
    assert usage_of(message, seconds=2.0) == Usage(seconds=0.25, model="llama3")


@pytest.mark.parametrize("said", [None, "fast", float("nan"), -1.0, {}])
def test_seconds_and_loading_that_are_no_amounts_are_passed_over(said):
    message = AIMessage("hi", response_metadata={"seconds": said, "load_duration": said})
    assert usage_of(message, seconds=2.0) == Usage(seconds=2.0)


@pytest.mark.parametrize("details", [{}, {"cache_read": None}, None])
def test_usage_of_a_message_without_cached_tokens_has_none(details):
    class Message:
        usage_metadata = {"input_tokens": 5, "output_tokens": 1, "input_token_details": details}  # noqa: RUF012
        response_metadata = None

    assert usage_of(Message()) == Usage(5, 1)


def message(tokens, **told):
    return AIMessage("hi", usage_metadata=tokens, response_metadata=told)


def tokens(into, out, total=None, given=None, hidden=None):
    return {
        "input_tokens": into,
        "output_tokens": out,
        "total_tokens": into + out if total is None else total,
        "input_token_details": given or {},
        "output_token_details": hidden or {},
    }


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        pytest.param(
            message(
                tokens(1200, 30, given={"cache_read": 1000, "audio": 5}, hidden={"audio": 7}),
                model_name="gpt-4o-2024-08-06",
                model_provider="openai",
                service_tier="default",
            ),
            Usage(
                1200,
                30,
                1000,
                model="gpt-4o-2024-08-06",
                provider="openai",
                tier="default",
                audio_input_tokens=5,
                audio_output_tokens=7,
            ),
            id="OpenAI",
        ),
        pytest.param(
            message(
                tokens(
                    1200,
                    30,
                    given={"flex_cache_read": 1000, "flex": 200},
                    hidden={"flex_reasoning": 10, "flex": 20},
                ),
                model_name="gpt-5",
                model_provider="openai",
                service_tier="flex",
            ),
            Usage(
                1200,
                30,
                1000,
                model="gpt-5",
                provider="openai",
                tier="flex",
                reasoning_tokens=10,
            ),
            id="OpenAI's flex tier",
        ),
        pytest.param(
            message(
                tokens(
                    1000,
                    30,
                    given={
                        "cache_read": 300,
                        "cache_creation": 0,
                        "ephemeral_5m_input_tokens": 200,
                        "ephemeral_1h_input_tokens": 400,
                    },
                ),
                model="claude-sonnet-4-5",
                model_name="claude-sonnet-4-5",
                model_provider="anthropic",
            ),
            Usage(
                1000,
                30,
                300,
                model="claude-sonnet-4-5",
                provider="anthropic",
                cache_write_tokens=600,
                cache_write_1h_tokens=400,
            ),
            id="Anthropic",
        ),
        pytest.param(
            message(
                tokens(1000, 30, given={"cache_read": 300, "cache_creation": 200}),
                model_name="claude-sonnet-4-5",
            ),
            Usage(1000, 30, 300, model="claude-sonnet-4-5", cache_write_tokens=200),
            id="Anthropic, the sum alone",
        ),
        pytest.param(
            message(
                tokens(100, 30, total=730, given={"cache_read": 400, "cache_creation": 200}),
                model_name="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                model_provider="bedrock_converse",
            ),
            Usage(
                700,
                30,
                400,
                model="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                provider="bedrock_converse",
                cache_write_tokens=200,
            ),
            id="Bedrock, cached tokens left out",
        ),
        pytest.param(
            message(
                tokens(100, 30, given={"cache_read": 0, "cache_creation": 0}),
                model_name="amazon.nova-lite-v1:0",
                model_provider="bedrock_converse",
            ),
            Usage(100, 30, model="amazon.nova-lite-v1:0", provider="bedrock_converse"),
            id="Bedrock",
        ),
        pytest.param(
            message(
                tokens(100, 30, total=330, hidden={"reasoning": 200}),
                model_name="gemini-2.5-flash",
                model_provider="google_genai",
            ),
            Usage(
                100, 230, model="gemini-2.5-flash", provider="google_genai", reasoning_tokens=200
            ),
            id="Google, reasoning left out",
        ),
        pytest.param(
            message(
                tokens(100, 230, given={"cache_read": 50}, hidden={"reasoning": 200}),
                model_name="gemini-2.5-flash",
                model_provider="google_genai",
            ),
            Usage(
                100,
                230,
                50,
                model="gemini-2.5-flash",
                provider="google_genai",
                reasoning_tokens=200,
            ),
            id="Google",
        ),
        pytest.param(
            message(
                tokens(38, 12),
                model_name="llama-3.3-70b-versatile",
                model_provider="groq",
                token_usage={"total_time": 0.02},
                service_tier="on_demand",
            ),
            Usage(
                38,
                12,
                model="llama-3.3-70b-versatile",
                provider="groq",
                tier="on_demand",
                seconds=2,
            ),
            id="Groq",
        ),
        pytest.param(
            message(
                tokens(26, 9),
                model="llama3",
                model_name="llama3",
                model_provider="ollama",
                total_duration=1_900_000_000,
                load_duration=1_500_000_000,
            ),
            Usage(26, 9, model="llama3", provider="ollama", seconds=0.5),
            id="Ollama, the loading of the model left out",
        ),
        pytest.param(
            message(tokens(37, 8, given={"cache_read": 36}), model_name="smollm2-135m-instruct"),
            Usage(37, 8, 36, model="smollm2-135m-instruct", seconds=2),
            id="llama.cpp",
        ),
    ],
)
def test_usage_of_a_message_of_each_provider(answer, usage):
    found = usage_of(answer, seconds=2.0)
    assert found == replace(usage, seconds=usage.seconds or 2.0)
