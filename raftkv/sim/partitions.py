"""Kinds of partitions: each gives the links to cut, in steps with times of their own.

The names are Jepsen's and FoundationDB's where they have one.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from raftkv.sim.watch import Link


class Cut(NamedTuple):
    """Links that are cut ``after`` seconds for ``seconds``."""

    after: float
    seconds: float
    links: tuple[Link, ...]


Kind = Callable[[Random, Sequence[int], float], list[Cut]]
"""Makes the cuts of one partition among the members, which lasts some seconds."""


def one_member(random: Random, members: Sequence[int], seconds: float) -> list[Cut]:
    """Cut one member off from all others."""
    alone = random.choice(members)
    return [Cut(0, seconds, between([alone], [other for other in members if other != alone]))]


def halves(random: Random, members: Sequence[int], seconds: float) -> list[Cut]:
    """Split the members in two."""
    shuffled = random.sample(members, len(members))
    size = random.randint(1, len(members) - 1)
    return [Cut(0, seconds, between(shuffled[:size], shuffled[size:]))]


def one_way(random: Random, members: Sequence[int], seconds: float) -> list[Cut]:
    """Let one member be heard, or hear, but not both."""
    one = random.choice(members)
    others = [other for other in members if other != one]
    links = [(one, other) if random.random() < 0.5 else (other, one) for other in others]
    if random.random() < 0.5:  # all in the same direction
        mute = random.random() < 0.5
        links = [(one, other) if mute else (other, one) for other in others]
    return [Cut(0, seconds, tuple(links))]


def bridge(random: Random, members: Sequence[int], seconds: float) -> list[Cut]:
    """Split in two, but for one member that both sides reach."""
    shuffled = random.sample(members, len(members))
    middle = len(members) // 2
    return [Cut(0, seconds, between(shuffled[:middle], shuffled[middle + 1 :]))]


def ring(random: Random, members: Sequence[int], seconds: float) -> list[Cut]:
    """Let each member reach its neighbours in a ring only; of three members, make a chain."""
    order = random.sample(members, len(members))
    size = len(order)
    near = {(order[i], order[(i + 1) % size]) for i in range(size if size > 3 else size - 1)}
    links = [(a, b) for a in order for b in order if a != b and (a, b) not in near and (b, a) not in near]
    return [Cut(0, seconds, tuple(links))]


def flapping(random: Random, members: Sequence[int], seconds: float) -> list[Cut]:
    """Cut one member off again and again, for moments."""
    cuts = []
    links = one_member(random, members, 0)[0].links
    after = 0.0
    while after < seconds:
        length = random.uniform(0.05, 0.6)
        cuts.append(Cut(after, length, links))
        after += length + random.uniform(0.05, 0.6)
    return cuts


def swizzle(random: Random, members: Sequence[int], seconds: float) -> list[Cut]:
    """Cut one link after the other, and mend them in another order."""
    links = [(a, b) for a in members for b in members if a != b]
    chosen = random.sample(links, random.randint(2, len(links)))
    step = seconds / (2 * len(chosen))
    ends = random.sample(range(len(chosen), 2 * len(chosen)), len(chosen))
    return [
        Cut(number * step, (end - number) * step, (link,))
        for number, (link, end) in enumerate(zip(chosen, ends, strict=True))
    ]


KINDS: tuple[Kind, ...] = (one_member, halves, one_way, bridge, ring, flapping, swizzle)


def between(side: Sequence[int], other: Sequence[int]) -> tuple[Link, ...]:
    """Return the links between two groups, both ways."""
    return tuple(link for a in side for b in other for link in ((a, b), (b, a)))
