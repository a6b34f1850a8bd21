"""What a constructor was given: refused by name, value and remedy when it cannot work.

A class in place of an object, a name in place of what it names, a coroutine in place of a function: such
mistakes would show at run time only, where a cache raises nothing, so it would be dead and nobody told.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from inspect import iscoroutinefunction, signature
from numbers import Real
from operator import index
from typing import Any, TypeVar

N = TypeVar("N", bound=float)


def expect(holds: object, name: str, what: str, given: object) -> None:
    """Refuse an argument unless something holds of it.

    Args:
        holds: Whether it can work.
        name: The argument's.
        what: What it must be, with an example of what to write.
        given: The argument.

    Raises:
        ValueError: It does not hold.
    """
    if not holds:
        msg = f"{name} must be {what}, got {given!r}"
        raise ValueError(msg)


def is_made(given: object, methods: str) -> bool:
    """Whether it is an object, not its class, with all these methods."""
    made = not isinstance(given, type)
    return made and all(callable(getattr(given, method, None)) for method in methods.split())


def takes(given: object, arguments: int) -> bool:
    """Whether it is a plain function that can be called with so many arguments."""
    if not is_made(given, "__call__") or not callable(given):
        return False
    if iscoroutinefunction(given) or iscoroutinefunction(type(given).__call__):
        return False
    return accepts(given, arguments)


def accepts(function: Callable[..., Any], arguments: int) -> bool:
    """Whether a function, plain or async, can be called with so many arguments."""
    try:
        signature(function).bind(*[None] * arguments)
    except TypeError:
        return False
    except ValueError:  # written in C, and does not tell
        return True
    return True


def is_number(given: Any) -> bool:
    """Whether it is a real number; a truth value is none, and NaN is none."""
    real = not isinstance(given, bool) and isinstance(given, Real)
    return real and not math.isnan(given)


def is_whole(given: Any) -> bool:
    """Whether it is a whole number; a truth value is none."""
    try:
        index(given)
    except TypeError:
        return False
    return not isinstance(given, bool)


def number_of(number: N) -> N:
    """A number as one of Python's own: what is stored, or waited for, may be no other.

    Args:
        number: A real number of any make, as of numpy; a whole one stays whole.
    """
    own: Any = index(number) if is_whole(number) else float(number)  # type: ignore[arg-type]
    return own  # type: ignore[no-any-return]


def shown(given: object) -> str:
    """An argument in a repr: a function by its name."""
    return getattr(given, "__name__", None) or repr(given)


def as_call(part: object, names: str) -> str:
    """How an object was made: its class, and the attributes that its arguments became."""
    told = ", ".join(f"{name}={shown(getattr(part, name))}" for name in names.split())
    return f"{type(part).__name__}({told})"
