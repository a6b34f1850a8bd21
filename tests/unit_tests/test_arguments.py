"""What a constructor refuses, and how: by the argument's name, its value, and what to write instead."""

import math
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from langchain_cachemux.arguments import expect, is_made, is_number, is_whole, shown, takes


def one(argument):
    """Takes one argument."""


async def later(argument):
    """Returns a coroutine."""


class Later:
    async def __call__(self, argument):
        """Returns a coroutine."""


class Part:
    def predict(self):
        """Is there."""

    learn = None


def test_what_holds_passes_and_what_does_not_is_named_with_its_value():
    expect(holds=True, name="half_life", what="a positive number", given=3)
    with pytest.raises(ValueError, match=r"^half_life must be a positive number, got '3'$"):
        expect(holds=False, name="half_life", what="a positive number", given="3")


def test_an_object_is_made_when_it_has_every_method_and_is_no_class():
    assert is_made(Part(), "predict")
    assert not is_made(Part(), "predict learn")
    assert not is_made(Part, "predict")
    assert not is_made("predict", "predict")


@pytest.mark.parametrize("given", [one, len, print, [].append, partial(one), lambda *_: None])
def test_a_function_of_one_argument_takes_one(given):
    assert takes(given, 1)


@pytest.mark.parametrize(
    "given",
    [3, "one", None, int, Part, Part(), later, Later(), partial(one, 1), lambda: None, one],
)
def test_what_cannot_be_called_with_two_arguments_does_not_take_two(given):
    assert not takes(given, 2)


@pytest.mark.parametrize("given", [0, -1.5, np.float32(2.0), Fraction(1, 3), math.inf, np.int64(1)])
def test_a_real_number_is_a_number(given):
    assert is_number(given)


@pytest.mark.parametrize("given", [True, math.nan, "1", None, 1j, [1], np.array([1, 2])], ids=repr)
def test_a_truth_value_text_and_nan_are_no_numbers(given):
    assert not is_number(given)


@pytest.mark.parametrize(
    ("given", "whole"), [(3, True), (np.int64(3), True), (True, False), (3.0, False), ("3", False)]
)
def test_a_whole_number_is_an_integer_of_any_make(given, whole):
    assert is_whole(given) == whole
    assert not is_whole(np.array([1, 2]))


def test_a_function_is_shown_by_its_name_and_an_object_by_its_repr():
    assert (shown(one), shown([1])) == ("one", "[1]")
