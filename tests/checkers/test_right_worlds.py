"""No false alarm: what clients of a right store are told is valid, with lost answers and late effects."""

from typing import Any

import pytest

from raftkv.checkers import (
    ElectionRun,
    LeaseRun,
    LockRun,
    Validity,
    check_elections,
    check_leases,
    check_locks,
)
from tests.checkers.right_world import Steps, World

SEEDS = range(40)


# -------------------------------------------------------------------- leases


def lease_server(world: World) -> Steps:
    """Let leases run out, late as a busy leader does; now and then a new leader gives all time again."""
    while True:
        yield 0.1
        for lease, (_, ends) in list(world.leases.items()):
            if ends <= world.now and world.random.random() < 0.5:
                world.end(lease)
        if world.now < 20 and world.random.random() < 0.01:
            world.leases = {one: (ttl, world.now + ttl) for one, (ttl, _) in world.leases.items()}


def refreshed(world: World, lease: int) -> tuple[int, int]:
    ttl, ends = world.leases.get(lease, (0, 0.0))
    if ends <= world.now:
        world.end(lease)
        return world.revision, 0
    world.leases[lease] = (ttl, world.now + ttl)
    return world.revision, ttl


def time_to_live(world: World, lease: int) -> tuple[int, int, int]:
    if lease not in world.leases:
        return world.revision, -1, 0
    ttl, ends = world.leases[lease]
    return world.revision, max(int(ends - world.now), 0), ttl


def lease_client(world: World, number: int) -> Steps:
    for turn in range(100):
        lease, ttl = number * 100 + turn + 1, world.random.randint(1, 3)

        def grant(lease: int = lease, ttl: int = ttl) -> tuple[int, int]:
            world.leases[lease] = (ttl, world.now + ttl)
            return world.revision, ttl

        yield from world.ask(("grant", lease, ttl), grant)
        for _ in range(world.random.randint(1, 8)):
            yield from lease_step(world, lease)
            yield world.random.choice((0.01, 0.5, 2.0))


def lease_step(world: World, lease: int) -> Steps:
    key = b"k%d/%d" % (lease, world.random.randint(1, 3))
    value = world.value()

    def attach() -> tuple[int]:
        return (world.write({key: value}, lease) if lease in world.leases else 0,)

    def get() -> tuple[int, Any]:
        kv = world.keys.get(key)
        return world.revision, None if kv is None else (kv.value, kv.revision, kv.lease)

    def delete() -> tuple[int, int]:
        there = key in world.keys
        return world.write({key: None}), int(there)

    def revoke() -> tuple[int]:
        return (world.end(lease) if lease in world.leases else 0,)

    choices = [
        (("put", key, value, lease), attach),
        (("put", key, value, lease), attach),
        (("get", key), get),
        (("get", key), get),
        (("keepalive", lease), lambda: refreshed(world, lease)),
        (("keepalive", lease), lambda: refreshed(world, lease)),
        (("timetolive", lease), lambda: time_to_live(world, lease)),
        (("delete", key), delete),
        (("revoke", lease), revoke),
    ]
    words, effect = world.random.choice(choices)
    yield from world.ask(words, effect)


@pytest.mark.parametrize("seed", SEEDS)
def test_leases(seed: int) -> None:
    world = World(seed)
    world.spawn(lease_server(world))
    for number in range(4):
        world.spawn(lease_client(world, number))
    world.run(40)
    run = LeaseRun(world.operations, world.changes, quiet_from=20.0, grace=3.0)
    assert len(run.operations) > 100
    assert check_leases(run).anomalies == ()
    assert check_leases(run._replace(changes=None)).anomalies == ()


# -------------------------------------------------------------------- those who wait in line


def wait_in_line(world: World, prefix: bytes, key: bytes, value: bytes) -> Steps:
    """Stand in line; return the token once at the front, None when the key is gone before."""
    world.write({key: value})
    token = world.keys[key].create_revision
    while True:
        kv, first = world.keys.get(key), world.first(prefix)
        if kv is None or kv.create_revision != token:
            return None
        if first is kv:
            return token
        yield 0.05


def reaper(world: World, prefix: bytes) -> Steps:
    """Let the keys of some who wait or hold go, as when their leases run out."""
    while True:
        yield world.random.uniform(0.2, 2)
        there = sorted(key for key in world.keys if key.startswith(prefix))
        if there:
            world.write({world.random.choice(there): None})


def lock_client(world: World, number: int) -> Steps:
    for turn in range(100):
        key = b"l/%d.%d" % (number, turn)
        begun = world.now
        token = yield from wait_in_line(world, b"l/", key, b"")
        revision = world.revision
        yield world.short()
        if token is None:
            continue
        world.note(begun, ("acquire", b"l"), (revision, key, token))
        for _ in range(world.random.randint(0, 3)):
            yield from guarded(world, key, token)
            yield world.random.choice((0.0, 1.5))
        yield from world.ask(("release", b"l", token), lambda key=key: (world.write({key: None}),))


def guarded(world: World, key: bytes, token: int) -> Steps:
    kv = world.keys.get(b"c")
    seen = 0 if kv is None else kv.revision
    value = world.value()
    yield world.short()

    def update() -> tuple[int, bool]:
        held = world.keys.get(key)
        if held is None or held.create_revision != token:
            return world.revision, False
        return world.write({b"c": value}), True

    yield from world.ask(("update", b"l", token, b"c", seen, value), update)


@pytest.mark.parametrize("seed", SEEDS)
def test_locks(seed: int) -> None:
    world = World(seed)
    world.spawn(reaper(world, b"l/"))
    for number in range(4):
        world.spawn(lock_client(world, number))
    world.run(60)
    assert len(world.operations) > 40
    for changes in (world.changes, None):
        assert check_locks(LockRun(world.operations, fenced=True, changes=changes)).anomalies == ()


def candidate(world: World, number: int) -> Steps:
    for turn in range(100):
        key, value = b"e/%d.%d" % (number, turn), world.value()
        begun = world.now
        token = yield from wait_in_line(world, b"e/", key, value)
        yield world.short()
        if token is None:
            continue
        world.note(begun, ("campaign", b"e", value), (key, token))
        for _ in range(world.random.randint(0, 3)):
            yield from proclaim(world, key, token)
        yield from world.ask(("resign", b"e", token), lambda key=key: (world.write({key: None}),))


def proclaim(world: World, key: bytes, token: int) -> Steps:
    value = world.value()

    def effect() -> tuple[int, bool]:
        held = world.keys.get(key)
        if held is None or held.create_revision != token:
            return 0, False
        return world.write({key: value}), True

    yield from world.ask(("proclaim", b"e", token, value), effect)
    yield world.random.choice((0.0, 1.5))


def voter(world: World) -> Steps:
    def look() -> tuple[int, Any]:
        kv = world.first(b"e/")
        found = None if kv is None else (kv.key, kv.create_revision, kv.revision, kv.value)
        return (world.revision if found or world.random.random() < 0.5 else 0), found

    while True:
        yield from world.ask(("leader", b"e"), look)


def observer(world: World) -> Steps:
    begun, seen = world.now, []
    for _ in range(30):
        kv = world.first(b"e/")
        if kv is not None:
            seen.append((kv.key, kv.create_revision, kv.revision, kv.value))
        yield world.short()
    world.note(begun, ("observe", b"e"), tuple(seen))
    world.spawn(observer(world))


@pytest.mark.parametrize("seed", SEEDS)
def test_elections(seed: int) -> None:
    world = World(seed)
    world.spawn(reaper(world, b"e/"))
    for steps in (voter(world), voter(world), observer(world), *(candidate(world, one) for one in range(3))):
        world.spawn(steps)
    world.run(30)
    assert len(world.operations) > 40
    for changes in (world.changes, None):
        verdict = check_elections(ElectionRun(world.operations, changes))
        assert verdict.validity is Validity.VALID, verdict.anomalies
