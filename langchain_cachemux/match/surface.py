"""What two texts tell by their surface: the same question, another, unsure, or a rewording.

The closer the surface, the more each differing word matters. In one frame, where most words are shared,
a word in another's place makes another question or leaves it unsure; where the surface differs it says
little, and the similarity decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from langchain_cachemux.match.alignment import align
from langchain_cachemux.match.guards import VETOES, frame

Verdict: TypeAlias = Literal["same", "unsure", "another", "reworded"]


@dataclass(frozen=True, slots=True)
class Surface:
    """What the surfaces of two texts tell.

    Attributes:
        verdict: "same": nothing differs that matters, so it may be served at any similarity; "another":
            something differs that makes another question, so it is never served; "unsure": in one frame,
            a word differs whose meaning must be known; "reworded": the similarity decides.
        reason: The verdict in words.
        shared: Share of the words aligned in order, in [0, 1]: twice their number over that of both.
        in_frame: Whether most words are shared, so that each that differs matters.
        differing: The words on either side of each difference, new and stored; "" where one has none.
    """

    verdict: Verdict
    reason: str
    shared: float
    in_frame: bool
    differing: tuple[tuple[str, str], ...]


def compare(new: str, stored: str) -> Surface:
    """Compare two texts by their surface."""
    if new == stored:
        return Surface("same", "the same text", shared=1.0, in_frame=True, differing=())
    pair = align(new, stored)
    differing = tuple((found.new, found.stored) for found in pair.differences)
    verdict, reason = _verdict(new, stored)
    return Surface(verdict, reason, pair.shared, pair.in_frame, differing)


def _verdict(new: str, stored: str) -> tuple[Verdict, str]:
    veto = next(filter(None, (guard(new, stored) for guard in VETOES)), None)
    if veto is not None:
        return "another", veto
    doubt = frame(new, stored)
    if doubt is not None:
        return "unsure", doubt
    pair = align(new, stored)
    if (
        not (pair.differences or pair.moved)
        and pair.new.light == pair.stored.light
        and pair.literal()
    ):
        return "same", "nothing differs that matters"
    return "reworded", "it is worded differently"
