"""The faulty disk over a simulated one, in virtual time."""

import asyncio

import pytest

from raftkv.errors import NoSpace, StorageError
from raftkv.faults.disk import DiskEffects, FaultyDisk
from raftkv.faults.orders import DiskFault
from raftkv.sim.disk import Outcome, SimDisk
from tests.faults.conftest import Run


def now() -> float:
    return asyncio.get_running_loop().time()


def test_without_a_fault_it_is_the_disk_behind_it(run: Run) -> None:
    async def story() -> None:
        disk = FaultyDisk(SimDisk())
        await disk.make_directories("d")
        lock = await disk.lock("d/lock")
        file = await disk.create("d/a")
        await file.preallocate(10)
        await file.write(0, b"hello", sync=True)
        await file.write(20, b"there", sync=False)
        await file.sync()
        assert (await file.size(), await file.read(0, 5), file.syncs) == (25, b"hello", 2)
        await file.close()
        await disk.rename("d/a", "d/b")
        await disk.sync_directory("d")
        assert "b" in await disk.list("d")
        assert await (await disk.open("d/b")).read(20, 9) == b"there"
        await disk.remove("d/b")
        assert "b" not in await disk.list("d")
        assert len(await disk.nonce()) == 8
        await lock.release()
        await disk.close()
        assert (now(), disk.effects) == (0.0, DiskEffects())

    run(story())


def test_a_slow_sync_takes_longer_and_holds_up_what_comes_behind_it(run: Run) -> None:
    async def story() -> None:
        disk = FaultyDisk(SimDisk())
        await disk.make_directories("d")
        one, two = await disk.create("d/1"), await disk.create("d/2")
        disk.set(DiskFault(slow_fsync_ms=250))
        order: list[str] = []

        async def told(name: str, call: object) -> None:
            await call  # type: ignore[misc]
            order.append(f"{name} at {now():.3f}")

        await asyncio.gather(
            told("write with sync", one.write(0, b"x", sync=True)),
            told("write", two.write(0, b"y", sync=False)),
            told("sync", two.sync()),
            told("folder", disk.sync_directory("d")),
        )
        assert order == ["write with sync at 0.250", "write at 0.250", "sync at 0.500", "folder at 0.750"]
        assert disk.effects == DiskEffects(fsyncs_delayed=3, delayed_ms=pytest.approx(750))
        assert (one.syncs, two.syncs) == (1, 1)

    run(story())


def test_a_slow_sync_is_over_when_the_fault_is(run: Run) -> None:
    async def story() -> None:
        disk = FaultyDisk(SimDisk())
        file = await disk.create("a")
        disk.set(DiskFault(slow_fsync_ms=60_000))
        writing = asyncio.create_task(file.write(0, b"x", sync=True))
        await asyncio.sleep(1)
        assert not writing.done()
        disk.set(DiskFault())
        await writing
        await file.sync()
        assert now() == 1
        assert disk.effects == DiskEffects(fsyncs_delayed=1, delayed_ms=1000)

    run(story())


def test_a_call_that_is_given_up_while_a_sync_is_slow_lets_the_next_one_through(run: Run) -> None:
    async def story() -> None:
        disk = FaultyDisk(SimDisk())
        file = await disk.create("a")
        disk.set(DiskFault(slow_fsync_ms=1000))
        writing = asyncio.create_task(file.write(0, b"x", sync=True))
        await asyncio.sleep(0.5)
        writing.cancel()
        await asyncio.wait({writing})
        disk.set(DiskFault())
        assert await file.read(0, 1) == b"x"
        assert disk.effects.delayed_ms == 500

    run(story())


def test_as_many_syncs_fail_as_were_ordered_and_each_file_stays_failed(run: Run) -> None:
    async def story() -> None:
        behind = SimDisk()
        disk = FaultyDisk(behind)
        await disk.make_directories("d")
        one, two, three = [await disk.create(f"d/{name}") for name in "123"]
        disk.set(DiskFault(fail_fsyncs=3))
        await one.write(0, b"fine", sync=False)
        with pytest.raises(StorageError, match="d/1: sync failed: Input/output error") as caught:
            await one.write(0, b"lost", sync=True)
        assert not isinstance(caught.value, NoSpace)
        with pytest.raises(StorageError, match="d/2: sync failed"):
            await two.sync()
        with pytest.raises(StorageError, match="d: sync failed"):
            await disk.sync_directory("d")
        await three.write(0, b"x", sync=True)
        await disk.sync_directory("d")
        for call in (
            one.size(),
            one.read(0, 1),
            one.write(0, b"y", sync=False),
            one.sync(),
            one.preallocate(9),
        ):
            with pytest.raises(StorageError, match="an earlier sync of this file failed"):
                await call
        await one.close()
        assert (one.syncs, two.syncs, three.syncs) == (0, 0, 1)
        assert disk.effects == DiskEffects(fsyncs_failed=3)
        assert disk.fault == DiskFault()
        # what the failed sync was for may be there, and may be lost: both have to be possible
        assert bytes(behind.content("d/1")) == b"lost"
        assert bytes(behind.power_loss(Outcome.NOTHING).content("d/1")) == b""

    run(story())


def test_a_full_disk_refuses_what_makes_a_file_longer_and_nothing_else(run: Run) -> None:
    async def story() -> None:
        disk = FaultyDisk(SimDisk())
        file = await disk.create("a")
        await file.preallocate(100)
        disk.set(DiskFault(full=True))
        await file.write(90, bytes(10), sync=True)
        await file.preallocate(100)
        with pytest.raises(NoSpace, match="a: write failed: No space left on device"):
            await file.write(91, bytes(10), sync=True)
        with pytest.raises(NoSpace, match="a: preallocate failed: No space left on device"):
            await file.preallocate(101)
        other = await disk.create("b")
        with pytest.raises(NoSpace):
            await other.write(0, b"x", sync=False)
        await disk.remove("b")
        assert (await file.size(), await file.read(99, 5)) == (100, b"\0")
        disk.set(DiskFault())
        await file.write(95, bytes(10), sync=True)
        assert (await file.size(), disk.effects) == (105, DiskEffects(refused=3))

    run(story())
