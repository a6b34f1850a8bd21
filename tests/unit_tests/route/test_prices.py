"""What an answer cost: list prices, the user's own table, and counted operations."""

import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from genai_prices import Usage as Tokens
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_cachemux.cache import LECCache
from langchain_cachemux.route.prices import (
    Decoder,
    TokenPrice,
    billed,
    cost_of,
    dollars,
    flops,
    joules,
    per_million_tokens,
    seconds,
    weighted,
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
    # arXiv 2306.02003, appendix: l·(8·n·h² + 4·n·h·f) + 4·l·n²·h, in exact integers.
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


# Claude Sonnet 4.5, dollars a million: 3 in, 15 out, .30 from the prompt cache, 3.75 to keep a token
# there for five minutes, 6 for an hour.
SONNET = "claude-sonnet-4-5-20250929"
TABLES = [dollars, per_million_tokens({"claude-sonnet-4-5": (3.0, 15.0)})]


@pytest.mark.parametrize("price", TABLES)
@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(10_000, 100), 0.03 + 0.0015),
        (Usage(10_000, 100, cached_tokens=9_000), 0.003 + 0.0027 + 0.0015),
        (Usage(10_000, 100, cache_write_tokens=9_000), 0.003 + 0.03375 + 0.0015),
        (
            Usage(10_000, 100, cache_write_tokens=9_000, cache_write_1h_tokens=9_000),
            0.003 + 0.054 + 0.0015,
        ),
        (
            Usage(
                10_000,
                100,
                cached_tokens=2_000,
                cache_write_tokens=7_000,
                cache_write_1h_tokens=4_000,
            ),
            0.003 + 0.0006 + 3 * 0.00375 + 4 * 0.006 + 0.0015,
        ),
    ],
)
def test_a_prompt_cache_read_and_written_for_minutes_or_an_hour_worked_by_hand(price, usage, cost):
    assert price(replace(usage, model=SONNET)) == pytest.approx(cost)


def test_a_table_may_give_every_sort_of_token_its_price():
    price = per_million_tokens(
        {
            "m": TokenPrice(
                input=1,
                output=2,
                cache_read=3,
                cache_write=4,
                cache_write_1h=5,
                reasoning=6,
                audio_input=7,
                audio_output=8,
            )
        }
    )
    usage = Usage(
        1000,
        100,
        cached_tokens=100,
        cache_write_tokens=300,
        cache_write_1h_tokens=200,
        reasoning_tokens=50,
        audio_input_tokens=10,
        audio_output_tokens=20,
        model="m",
    )
    expected = 590 * 1 + 30 * 2 + 100 * 3 + 100 * 4 + 200 * 5 + 50 * 6 + 10 * 7 + 20 * 8
    assert price(usage) == pytest.approx(expected / 1e6)


few = st.integers(0, 1000)


@given(
    st.builds(
        Usage,
        few,
        few,
        few,
        model=st.just("m"),
        cache_write_tokens=few,
        cache_write_1h_tokens=few,
        reasoning_tokens=few,
        audio_input_tokens=few,
        audio_output_tokens=few,
    )
)
def test_no_token_is_charged_twice_or_left_out_however_the_parts_are_reported(usage):
    one = dict.fromkeys(("cache_read", "cache_write", "cache_write_1h", "audio_input"), 1e6)
    price = per_million_tokens({"m": TokenPrice(input=1e6, output=1e3, **one)})
    assert price(usage) == pytest.approx(usage.input_tokens + usage.output_tokens / 1e3)
    for model in ("gpt-4o", SONNET, "gemini-2.5-flash", "gpt-4o-audio-preview"):
        assert 0 <= dollars(replace(usage, model=model)) < 1


def test_dollars_charge_audio_and_reasoning_where_they_have_prices_of_their_own():
    spoken = Usage(1000, 100, audio_input_tokens=400, model="gemini-2.5-flash", provider="google")
    assert dollars(spoken) > dollars(replace(spoken, audio_input_tokens=0))
    plain = Usage(1000, 1000, model="o3-mini")
    assert dollars(replace(plain, reasoning_tokens=900)) == dollars(plain)


def test_dollars_know_the_service_tier():
    usage = Usage(10**6, 10**5, model="gpt-5", provider="openai")
    flex, standard, priority = (dollars(replace(usage, tier=t)) for t in ("flex", "", "priority"))
    assert flex < standard < priority
    assert dollars(replace(usage, tier="default")) == standard


@pytest.mark.parametrize(
    ("model", "provider", "into", "out"),
    [
        ("openai/gpt-4o", "", 2.5, 10),
        ("openai/gpt-4o", "openai", 2.5, 10),
        ("openai/gpt-4o", "openrouter", 2.5, 10),
        ("openai:gpt-4o", "", 2.5, 10),
        ("gpt-4o", "azure_openai", 2.5, 10),
        ("gpt-4o", "a-proxy-of-ours", 2.5, 10),
        ("anthropic/claude-sonnet-4-5", "", 3, 15),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "", 3, 15),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "bedrock_converse", 3, 15),
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", "amazon_bedrock", 3, 15),
        ("llama-3.3-70b-versatile", "groq", 0.59, 0.79),
        ("groq/llama-3.3-70b-versatile", "", 0.59, 0.79),
        ("groq:llama-3.3-70b-versatile", "", 0.59, 0.79),
        ("models/gemini-2.5-flash", "google_genai", 0.3, 2.5),
        ("gemini-2.5-flash", "google_vertexai", 0.3, 2.5),
    ],
)
def test_dollars_find_a_model_at_its_provider(model, provider, into, out):
    # list prices of a million tokens, from the providers' own pages
    one = dollars(Usage(100_000, 10_000, model=model, provider=provider))
    assert one == pytest.approx((into + out / 10) / 10, rel=0.11)  # Bedrock's regions add a tenth


def test_a_model_that_no_provider_lists_is_an_error_that_names_both():
    with pytest.raises(ValueError, match=r"'smollm2' of provider 'ollama'; use per_million_tokens"):
        dollars(Usage(1, 1, model="smollm2", provider="ollama"))
    with pytest.raises(ValueError, match=r"no price is known for model 'llama-3.3-70b-versatile'"):
        dollars(Usage(1, 1, model="llama-3.3-70b-versatile"))


def test_a_table_of_ones_own_goes_before_the_list_prices_and_falls_back_on_them():
    price = per_million_tokens({"mine": (1.0, 2.0), "gpt-4o": (0.0, 0.0)}, otherwise=dollars)
    assert price(Usage(10**6, 10**6, model="mine")) == 3.0
    assert price(Usage(10**6, 10**6, model="gpt-4o-2024-08-06")) == 0.0
    mini = Usage(10**6, model="gpt-4o-mini")
    assert price(mini) == dollars(mini) > 0
    with pytest.raises(ValueError, match="no price is known for model 'other'"):
        price(Usage(1, model="other"))


@pytest.mark.parametrize("cost", [-1.0, float("nan"), float("inf"), "1"])
def test_a_cost_that_is_none_is_refused_by_its_name(cost):
    with pytest.raises(ValueError, match="cache_read must be a cost >= 0"):
        TokenPrice(input=1, output=1, cache_read=cost)
    with pytest.raises(ValueError, match=r"prices\['m'\] must be two costs >= 0"):
        per_million_tokens({"m": (1.0, cost)})
    with pytest.raises(ValueError, match=r"watts\['m'\] must be a power >= 0"):
        joules({"m": cost})
    with pytest.raises(ValueError, match="a part must be"):
        weighted((cost, seconds))


@pytest.mark.parametrize("told", [None, "1", "none", float("nan"), -1.0, 1e36, [1.0]])
def test_what_a_price_returns_that_is_no_cost_is_refused_by_value(told):
    with pytest.raises(ValueError, match=r"price must return a number >= 0 .*, got .* for Usage"):
        cost_of(Usage(1), lambda usage: told)


@pytest.mark.parametrize("told", [np.float32(2.0), np.int64(2), Decimal(2), Fraction(2), 2])
def test_a_price_may_return_any_kind_of_number(told):
    cost = cost_of(Usage(1), lambda usage: told)
    assert (cost, type(cost)) == (2.0, float)


@pytest.mark.parametrize("make", [joules, flops, per_million_tokens, weighted])
@pytest.mark.parametrize("given", [None, 5, "dollars"])
def test_what_is_no_table_of_prices_is_refused_by_name_and_value(make, given):
    with pytest.raises(ValueError, match=rf"(watts|decoders|prices|a part) must be .*{given!r}"):
        make(given)


def test_joules_are_watts_times_seconds():
    price = joules({"m": 250.0})
    assert price(Usage(seconds=2.0, model="m")) == 500.0
    with pytest.raises(ValueError, match="known are"):
        price(Usage(seconds=2.0, model="other"))


def test_weighted_prices_add_up():
    tokens = per_million_tokens({"m": (1e6, 0.0)})
    price = weighted((2.0, tokens), (0.5, seconds))
    assert price(Usage(3, seconds=4.0, model="m")) == 2 * 3 + 0.5 * 4
    with pytest.raises(ValueError, match="at least one"):
        weighted()
    with pytest.raises(ValueError, match="a part must be"):
        weighted((1.0, "dollars"))


def test_without_genai_prices_dollars_say_what_to_install():
    code = """
import sys
sys.modules["genai_prices"] = None
from langchain_cachemux.route.prices import dollars, per_million_tokens
from langchain_cachemux.types import Usage
assert per_million_tokens({"m": (1, 1)}, otherwise=dollars)(Usage(10**6, model="m")) == 1
try:
    dollars(Usage(1, model="gpt-4o"))
except ImportError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'langchain-cachemux[prices]'" in told.stdout


OWN = {"cheap": "gpt-4o-mini", "expensive": "gpt-4o"}
LABELS = per_million_tokens({"cheap": (1.0, 1.0), "expensive": (10.0, 10.0)})


@pytest.mark.parametrize(
    ("answered", "price", "expected"),
    [
        ("gpt-4o-mini-2024-07-18", LABELS, "cheap"),
        ("gpt-4o-2024-08-06", LABELS, "expensive"),
        ("gpt-4o", dollars, "gpt-4o"),
        ("claude-sonnet-4-5", dollars, "claude-sonnet-4-5"),
        ("claude-sonnet-4-5", LABELS, "cheap"),
        ("", LABELS, "cheap"),
    ],
)
def test_the_model_that_answered_is_billed_by_the_name_the_price_knows(answered, price, expected):
    usage = Usage(10, 10, model=answered)
    assert billed(usage, price, asked="cheap", own=OWN) == replace(usage, model=expected)


def test_of_two_ways_to_ask_one_model_the_one_that_was_asked_is_billed():
    own = {"short": "smollm2", "long": "smollm2"}
    price = per_million_tokens({"short": (1.0, 1.0), "long": (2.0, 2.0)})
    for asked in own:
        assert billed(Usage(model="smollm2"), price, asked=asked, own=own).model == asked


def test_a_cache_in_dollars_says_at_once_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    told = r"price=dollars needs genai-prices: pip install 'langchain-cachemux\[prices\]'"
    with pytest.raises(ImportError, match=told):
        LECCache(price=dollars, embeddings=DeterministicFakeEmbedding(size=4))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: per_million_tokens({}), "prices must be a table"),
        (lambda: joules({}), "watts must be a table"),
        (lambda: joules(250.0), "watts must be a table"),
        (lambda: joules({"m": "250"}), r"watts\['m'\] must be a power"),  # type: ignore[dict-item]
        (lambda: flops({"m": 135_000_000}), r"decoders must be a table \{model: Decoder"),  # type: ignore[dict-item]
        (lambda: flops({}), "decoders must be a table"),
        (lambda: weighted(seconds), "a part must be"),
        (lambda: weighted(("1", seconds)), "a part must be"),
        (lambda: TokenPrice(input="1", output=1), "input must be a cost"),
        (lambda: TokenPrice(input=1, output=None), "output must be a cost"),
        (lambda: seconds(5), "usage must be a Usage; as a price write `seconds` itself"),
        (lambda: dollars("gpt-4o"), "usage must be a Usage; as a price write `dollars` itself"),
    ],
)
def test_what_makes_no_price_is_refused_when_it_is_made(make, told):
    with pytest.raises(ValueError, match=told):
        make()


@pytest.mark.parametrize("told", [None, "2", -1.0, float("nan")])
def test_a_price_that_returns_no_cost_is_named_with_what_it_returned(told):
    with pytest.raises(ValueError, match=f"price must return a number >= 0 .*, got {told!r}"):
        cost_of(Usage(), lambda usage: told)
