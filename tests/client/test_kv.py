"""Keys and transactions, against real systems."""

import pytest

from raftkv.client import Client, Compacted, FutureRevision, KeyNotFound, LeaseNotFound, Refused, compare, ops
from raftkv.client.results import Committed, Deleted, Found, Written
from raftkv.schema.kv import Compare, SortOrder, SortTarget


async def test_a_key_that_was_written_is_read_until_it_is_deleted(client: Client, name: str) -> None:
    assert await client.get(name) is None
    first = await client.put(name, "one")
    second = await client.put(name, b"\xff\x00", prev_kv=True)
    assert (second.revision, second.prev_kv and second.prev_kv.value) == (first.revision + 1, b"one")

    pair = await client.get(name)
    assert pair is not None
    assert (pair.key, pair.value, pair.version) == (name.encode(), b"\xff\x00", 2)
    assert (pair.create_revision, pair.mod_revision) == (first.revision, second.revision)
    old = await client.get(name, revision=first.revision)
    assert old is not None
    assert old.value == b"one"

    gone = await client.delete(name, prev_kv=True)
    assert (gone.deleted, [kv.value for kv in gone.prev_kvs]) == (1, [b"\xff\x00"])
    assert await client.get(name, serializable=True) is None
    assert (await client.delete(name)).deleted == 0


async def test_ranges_and_prefixes(client: Client, name: str) -> None:
    for key in ("a", "b", "b/1", "b/2", "c"):
        await client.put(name + key, key)

    async def keys(found: Found) -> list[str]:
        return [kv.key.decode().removeprefix(name) for kv in found.kvs]

    assert await keys(await client.get_prefix(name)) == ["a", "b", "b/1", "b/2", "c"]
    assert await keys(await client.get_range(name + "b", name + "c")) == ["b", "b/1", "b/2"]
    assert name + "c" in [kv.key.decode() for kv in (await client.get_range(name + "c")).kvs]
    limited = await client.get_prefix(name + "b", limit=2)
    assert (await keys(limited), limited.count, limited.more) == (["b", "b/1"], 3, True)
    newest = await client.get_prefix(name, sort_order=SortOrder.DESCEND, sort_target=SortTarget.MOD, limit=1)
    assert await keys(newest) == ["c"]
    counted = await client.get_prefix(name, count_only=True)
    assert (counted.kvs, counted.count) == ([], 5)
    assert [kv.value for kv in (await client.get_prefix(name + "b/", keys_only=True)).kvs] == [b"", b""]

    assert (await client.delete_range(name + "a", name + "b")).deleted == 1
    assert (await client.delete_prefix(name + "b/")).deleted == 2
    assert await keys(await client.get_prefix(name)) == ["b", "c"]


async def test_a_prefix_that_ends_with_the_greatest_byte(client: Client, name: str) -> None:
    prefix = name.encode() + b"\xff\xff"
    await client.put(prefix + b"in")
    await client.put(name.encode() + b"\xffout")
    assert [kv.key for kv in (await client.get_prefix(prefix)).kvs] == [prefix + b"in"]


async def test_everything_is_a_prefix_of_nothing(client: Client, name: str) -> None:
    await client.put(name)
    found = await client.get_prefix("")
    assert name.encode() in [kv.key for kv in found.kvs]
    assert found.count == (await client.get_range("")).count


async def test_a_txn_does_one_thing_or_the_other(client: Client, name: str) -> None:
    async def create(value: str) -> Committed:
        txn = client.txn().when(compare.missing(name)).then(ops.put(name, value)).otherwise(ops.get(name))
        return await txn.commit()

    made, seen = await create("first"), await create("second")
    assert (made.succeeded, seen.succeeded) == (True, False)
    assert made.results == [Written(made.revision, None)]
    [read] = seen.results
    assert isinstance(read, Found)
    assert [kv.value for kv in read.kvs] == [b"first"]


async def test_a_txn_in_a_txn_and_every_kind_of_result(client: Client, name: str) -> None:
    inner = client.txn().then(ops.put(name + "c", "3"), ops.get_prefix(name))
    outer = client.txn().then(
        ops.put(name + "a", "1"), ops.delete(name + "none"), ops.get_range(name, name + "b"), inner.as_op()
    )
    done = await outer.commit()
    put, gone, read, nested = done.results
    assert isinstance(put, Written)
    assert isinstance(gone, Deleted)
    assert isinstance(read, Found)
    assert isinstance(nested, Committed)
    assert (gone.deleted, read.count, nested.succeeded, len(nested.results)) == (0, 1, True, 2)
    removed = await client.txn().then(ops.delete_prefix(name + "a"), ops.delete_range(name)).commit()
    first = removed.results[0]
    assert isinstance(first, Deleted)
    assert first.deleted == 1


async def test_every_comparison(client: Client, name: str) -> None:
    async with client.lease(60) as lease:
        one = (await client.put(name, "m", lease=lease.id)).revision
        two = (await client.put(name, "m", lease=lease.id)).revision
        true = [
            compare.version(name).equals(2),
            compare.version(name).greater_than(1),
            compare.create_revision(name).equals(one),
            compare.mod_revision(name).equals(two),
            compare.mod_revision(name).less_than(two + 1),
            compare.value(name).equals("m"),
            compare.value(name).greater_than(b"a"),
            compare.value(name).less_than("z"),
            compare.value(name).differs_from(""),
            compare.lease(name).equals(lease.id),
            compare.exists(name),
            compare.missing(name + "none"),
        ]
        false = [
            compare.version(name).differs_from(2),
            compare.value(name).equals(""),
            compare.value(name + "none").differs_from("x"),
            compare.lease(name).equals(0),
            compare.missing(name),
        ]

        async def holds(guard: Compare) -> bool:
            return (await client.txn().when(guard).commit()).succeeded

        assert [await holds(guard) for guard in true] == [True] * len(true)
        assert [await holds(guard) for guard in false] == [False] * len(false)
        assert (await client.txn().when(*true).commit()).succeeded
        assert not (await client.txn().when(*true, false[0]).commit()).succeeded


async def test_errors_of_the_server_have_its_code_and_text(client: Client, name: str) -> None:
    revision = (await client.put(name, "1")).revision
    with pytest.raises(FutureRevision, match="future revision"):
        await client.get(name, revision=revision + 1000)
    with pytest.raises(KeyNotFound, match="etcdserver: key not found"):
        await client.put(name + "none", ignore_value=True)
    with pytest.raises(LeaseNotFound) as raised:
        await client.put(name, "2", lease=123456789)
    assert (raised.value.status, raised.value.code) == (404, 5)
    with pytest.raises(Refused, match="key is not provided"):
        await client.put("", "1")
    assert (await client.get_prefix(name)).revision == revision


async def test_history_that_was_compacted_is_gone(client: Client, name: str) -> None:
    old = (await client.put(name, "1")).revision
    new = (await client.put(name, "2")).revision
    assert await client.compact(new, physical=True) == new
    with pytest.raises(Compacted):
        await client.get(name, revision=old)
    with pytest.raises(Compacted):
        await client.compact(old)


@pytest.mark.parametrize("wrong", [1, None, ["a"], bytearray(b"a")])
async def test_a_key_is_bytes_or_text(wrong: object) -> None:
    async with Client(["http://127.0.0.1:1"]) as client:
        with pytest.raises(TypeError):
            await client.put(wrong, "1")  # type: ignore[arg-type]


def test_what_can_t_be_compared_is_refused() -> None:
    with pytest.raises(TypeError, match="version is compared with a number"):
        compare.version("k").equals("1")
    with pytest.raises(TypeError, match="value is compared with bytes or str"):
        compare.value("k").equals(1)


async def test_the_members_and_their_state(client: Client, urls: list[str]) -> None:
    members = await client.cluster.members()
    assert sorted(url for member in members for url in member.clientURLs) == sorted(urls)
    states = [await client.cluster.status(url) for url in urls]
    assert {state.leader for state in states} <= {member.ID for member in members}
    with pytest.raises(Refused, match="member not found"):
        await client.cluster.remove(12345)


async def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Client(["http://127.0.0.1:1"]).get("k")
