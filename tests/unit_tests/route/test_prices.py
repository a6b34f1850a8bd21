"""What an answer cost: list prices, the user's own table, and counted operations."""

import pytest
from genai_prices import Usage as Tokens
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langchain_cachemux.route.prices import (
    Decoder,
    dollars,
    flops,
    per_million_tokens,
    seconds,
    usage_of,
)
from langchain_cachemux.types import Usage

counts = st.integers(0, 10**6)


def test_seconds_is_the_time_the_call_took():
    assert seconds(Usage(seconds=1.25, input_tokens=7)) == 1.25


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-4o-mini", "gpt-4o-2024-08-06", "claude-sonnet-4-5"]
)
def test_dollars_are_the_list_price_and_cached_tokens_are_cheaper(model):
    usage = Usage(2000, 300, cached_tokens=1500, model=model)
    tokens = Tokens(input_tokens=2000, cache_read_tokens=1500, output_tokens=300)
    assert dollars(usage) == float(calc_price(tokens, model).total_price)
    assert 0 < dollars(usage) < dollars(Usage(2000, 300, model=model))


def test_dollars_of_gpt_4o_worked_by_hand():
    # $2.50 a million in, half that when cached, $10 a million out.
    usage = Usage(1_000_000, 100_000, cached_tokens=400_000, model="gpt-4o-2024-08-06")
    assert dollars(usage) == pytest.approx(0.6 * 2.5 + 0.4 * 1.25 + 0.1 * 10)


@pytest.mark.parametrize("model", ["my-own-model", ""])
def test_dollars_of_a_model_with_no_list_price_is_an_error_that_says_what_to_do(model):
    with pytest.raises(ValueError, match=f"model {model!r}; use per_million_tokens"):
        dollars(Usage(1, 1, model=model))


@given(counts, counts, st.floats(0, 1e3), st.floats(0, 1e3))
def test_per_million_tokens_is_linear_in_both_counts(into, out, price_in, price_out):
    price = per_million_tokens({"m": (price_in, price_out)})
    expected = into * price_in / 1e6 + out * price_out / 1e6
    assert price(Usage(into, out, model="m")) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("dated", "name"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("gpt-4-0613", "gpt-4"),
        ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet"),
        ("claude-opus-4-1-20250805", "claude-opus-4-1"),
        ("claude-3-opus@20240229", "claude-3-opus"),
        ("gemini-2.5-pro-preview-05-06", "gemini-2.5-pro-preview"),
        ("mistral-large-2407", "mistral-large"),
    ],
)
def test_a_date_behind_a_name_is_passed_over_and_nothing_else(dated, name):
    price = per_million_tokens({name: (1.0, 2.0)})
    assert price(Usage(10**6, 10**6, model=dated)) == 3.0


def test_a_dated_name_in_the_table_goes_before_the_undated():
    price = per_million_tokens({"m": (1.0, 0.0), "m-2024-08-06": (7.0, 0.0)})
    assert price(Usage(10**6, model="m-2024-08-06")) == 7.0
    assert price(Usage(10**6, model="m-2024-11-20")) == 1.0


@pytest.mark.parametrize("model", ["other", "m-turbo", "m-8", ""])
@pytest.mark.parametrize(
    "make", [lambda: per_million_tokens({"m": (1, 2)}), lambda: flops({"m": Decoder(1, 1, 1)})]
)
def test_a_model_not_in_the_table_is_an_error_that_names_it_and_the_known(make, model):
    with pytest.raises(ValueError, match=rf"model {model!r}; known are \['m'\]"):
        make()(Usage(1, 1, model=model))


@pytest.mark.parametrize("pair", [(-1.0, 2.0), (1.0, -2.0), (1.0,), (1.0, 2.0, 3.0)])
def test_a_wrong_price_is_refused_by_name_and_value(pair):
    with pytest.raises(ValueError, match=r"prices\['m'\] must be .* got \("):
        per_million_tokens({"m": pair})


@given(st.integers(1, 96), st.integers(1, 10**4), st.integers(1, 10**5), counts, counts)
def test_flops_are_the_formula_of_the_paper(layers, width, feed_forward, into, out):
    # theory.md §3: l·(8·n·h² + 4·n·h·f) + 4·l·n²·h, in exact integers.
    n = into + out
    exact = layers * (8 * n * width**2 + 4 * n * width * feed_forward) + 4 * layers * n**2 * width
    price = flops({"m": Decoder(layers, width, feed_forward)})
    assert price(Usage(into, out, model="m")) == pytest.approx(exact)


def test_flops_of_opt_13b_worked_by_hand():
    # l = 40, h = 5120, f = 20480, one token: 40·(8·5120² + 4·5120·20480) + 4·40·5120.
    opt = Decoder(layers=40, width=5120, feed_forward=20480)
    assert opt.flops(1) == 40 * (209_715_200 + 419_430_400) + 819_200
    assert opt.flops(0) == 0


def test_flops_of_cached_tokens_were_not_spent():
    decoder = Decoder(2, 8, 32)
    price = flops({"m": decoder})
    whole, prefix = price(Usage(100, 20, model="m")), price(Usage(60, model="m"))
    assert price(Usage(100, 20, cached_tokens=60, model="m")) == whole - prefix
    assert price(Usage(100, 20, cached_tokens=10**6, model="m")) == 0


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


@pytest.mark.parametrize("details", [{}, {"cache_read": None}, None])
def test_usage_of_a_message_without_cached_tokens_has_none(details):
    class Message:
        usage_metadata = {"input_tokens": 5, "output_tokens": 1, "input_token_details": details}  # noqa: RUF012
        response_metadata = None

    assert usage_of(Message()) == Usage(5, 1)
