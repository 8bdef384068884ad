"""The order of each list's elements, from what was read of it, and reads that no order explains.

Lists only grow, so the longest read of a list is the order in which its elements came, and each other read
must be a prefix of it. What is found here breaks serializability without any look at other keys.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.transactions import Elements, Read, Transactions, anomaly, listed
from raftkv.checkers.verdict import Anomaly


class Order(NamedTuple):
    """The order of one key's elements.

    ``reads`` are those that are a prefix of it; ``seen`` are all elements that anybody saw, ``sound`` tells
    that none of them was in a list twice.
    """

    key: Hashable
    elements: Elements
    reads: list[Read]
    seen: set[Hashable]
    sound: bool


def orders_of(found: Transactions) -> tuple[list[Order], list[Anomaly]]:
    """Return the order of each key, and each anomaly of reads with its first example for each key."""
    orders: list[Order] = []
    anomalies: list[Anomaly] = []
    for key in found.writers | found.reads:
        order, strays = _order(key, found.reads.get(key, []))
        orders.append(order)
        anomalies += _faults(found, order, strays)
    return orders, anomalies


def _order(key: Hashable, reads: list[Read]) -> tuple[Order, list[Read]]:
    """Return the order of a key, and the reads that are no prefix of it."""
    longest = max(reads, key=lambda read: len(read.elements), default=Read(0, (), 0)).elements
    prefixes: list[Read] = []
    strays: list[Read] = []
    for read in reads:
        elements = read.elements
        (prefixes if longest[: len(elements)] == elements else strays).append(read)
    seen = set(longest).union(*(read.elements for read in strays))
    return Order(key, longest, prefixes, seen, len(set(longest)) == len(longest)), strays


def _faults(found: Transactions, order: Order, strays: list[Read]) -> Iterator[Anomaly]:
    """Yield what is wrong with the reads of one key."""
    key, reads = order.key, found.reads.get(order.key, [])
    if strays:
        yield _incompatible(found, order, strays[0])
    for read in reads if not order.sound else strays:
        if len(set(read.elements)) < len(read.elements):
            text = f"T1 read {_twice(read.elements)} twice in {key}: {listed(read.elements)}"
            yield anomaly("duplicate-elements", [text], [found.operations[read.reader]])
            break
    yield from _writers(found, order, reads)
    yield from _intermediate(found, order, reads)
    if order.sound:
        yield from _own_order(found, order)


def _twice(elements: Elements) -> Hashable:
    """Return an element that is there twice."""
    return next(element for place, element in enumerate(elements) if element in elements[:place])


def _reader_of(order: Order, longest: Sequence[Read]) -> Read:
    """Return the read that the order comes from."""
    return next(read for read in longest if read.elements == order.elements)


def _incompatible(found: Transactions, order: Order, stray: Read) -> Anomaly:
    longest = _reader_of(order, order.reads)
    text = f"T1 read {order.key} as {listed(stray.elements)}, T2 as {listed(order.elements)}: "
    pair = [found.operations[stray.reader], found.operations[longest.reader]]
    return anomaly("incompatible-order", [text + "neither is the beginning of the other"], pair)


def _writers(found: Transactions, order: Order, reads: Sequence[Read]) -> Iterator[Anomaly]:
    """Yield a read of an element that a failed transaction appended (G1a), and of one that nobody did."""
    writers = found.writers.get(order.key, {})
    failed = [one for one in order.seen if one in writers and _has_failed(found, writers[one])]
    garbage = [one for one in order.seen if one not in writers]
    for name, elements in (("G1a", set(failed)), ("garbage-read", set(garbage))):
        if not elements:
            continue
        read = next(read for read in reads if not elements.isdisjoint(read.elements))
        element = next(one for one in read.elements if one in elements)
        reader = found.operations[read.reader]
        if name == "G1a":
            text = f"T2 observed T1's append of {element} to {order.key}, but T1 failed"
            yield anomaly(name, [text], [found.operations[writers[element]], reader])
        else:
            yield anomaly(name, [f"T1 observed {element} in {order.key}, which nobody appended"], [reader])


def _has_failed(found: Transactions, number: int) -> bool:
    return found.operations[number].outcome is Outcome.FAIL


def _intermediate(found: Transactions, order: Order, reads: Sequence[Read]) -> Iterator[Anomaly]:
    """Yield a read that ends inside of what another transaction appended (G1b)."""
    key, writers = order.key, found.writers.get(order.key, {})
    for read in reads:
        others = len(read.elements) - read.own
        last = read.elements[others - 1] if others else None
        writer = writers.get(last) if others else None
        if writer is None or writer == read.reader:
            continue
        appended = found.appends[writer][key]
        if appended[-1] != last:
            text = f"T2 observed T1's append of {last} to {key}, but not its append of {appended[-1]}"
            yield anomaly("G1b", [text], _pair(found, writer, read.reader))
            return


def _pair(found: Transactions, one: int, other: int) -> list[Operation]:
    return [found.operations[one], found.operations[other]]


def _own_order(found: Transactions, order: Order) -> Iterator[Anomaly]:
    """Yield a transaction whose appends to a key came in another order than its own, or came too early."""
    key, places = order.key, {element: place for place, element in enumerate(order.elements)}
    latest: dict[int, int] = {}
    writers = found.writers.get(key, {})
    for element in order.elements:
        writer = writers.get(element)
        if writer is None:
            continue
        count = latest[writer] = latest.get(writer, -1) + 1
        wanted = found.appends[writer][key][count]
        if wanted != element:
            text = f"T1 appended {wanted} to {key} before {element}, but T2 read {listed(order.elements)}"
            reader = _reader_of(order, order.reads).reader
            yield anomaly("incompatible-order", [text], _pair(found, writer, reader))
            return
    for read in order.reads:
        before = len(read.elements) - read.own
        for element in found.appends[read.reader].get(key, ()):
            if places.get(element, before) < before:
                text = f"T1 read its own append of {element} to {key} before it did it"
                yield anomaly("internal", [text], [found.operations[read.reader]])
                return
