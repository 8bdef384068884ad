"""An event loop on a virtual clock: time passes only when nobody has anything to do.

Everything that runs belongs to an *incarnation* (one start of one member) or to the world around the
members. Which one is kept in a context variable, which tasks and callbacks inherit. So the loop knows for
each callback whose it is, and a member can be ended at any instant as a power loss would: nothing of it
runs again, not even its ``finally`` blocks. It can also be paused, and it has a clock of its own.

The order of callbacks is that of asyncio (first in, first out), hence the same in every run. Threads,
sockets, signals and subprocesses do not exist here: to ask for one is an error.
"""

# What is used of the insides of ``BaseEventLoop`` is ``_ready`` and ``_stopping``; of a task, the flag that
# ``bury`` sets.
# ruff: noqa: SLF001
# mypy: disable-error-code="attr-defined"

import asyncio
import heapq
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(Exception):
    """Somebody waits for what can't happen any more: no callback is ready and no timer is set."""


class Livelock(Exception):
    """Callbacks keep each other busy without letting time pass."""


class Incarnation:
    """One start of one member, as the loop sees it.

    Its clock shows ``drift * now + offset``, in seconds. ``tasks`` keeps what it started from being
    collected (and so from running ``finally`` blocks) after its end.
    """

    def __init__(self, name: str, *, drift: float = 1.0, offset: float = 0.0) -> None:
        self.name = name
        self.drift = drift
        self.offset = offset
        self.alive = True
        self.paused = False
        self.parked: list[Handle] = []
        self.tasks: dict[asyncio.Task[Any], None] = {}

    def local(self, now: float) -> float:
        """Return what its clock shows at ``now``."""
        return now * self.drift + self.offset

    def true(self, when: float) -> float:
        """Return the time at which its clock shows ``when``."""
        return (when - self.offset) / self.drift

    def set_drift(self, drift: float, now: float) -> None:
        """Let its clock run ``drift`` times as fast from ``now`` on, without a jump."""
        self.offset += now * (self.drift - drift)
        self.drift = drift


OWNER: ContextVar[Incarnation | None] = ContextVar("OWNER", default=None)
"""Whose callback is running; None: the world's."""

MAX_CLOSINGS = 100

MAX_CALLBACKS_AN_INSTANT = 200_000


class Handle:
    """A callback that is due, or a timer: what the loop hands out in place of ``asyncio.Handle``."""

    __slots__ = ("args", "callback", "context", "dropped", "moment")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context, moment: float
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.moment = moment
        self.dropped = False

    def cancel(self) -> None:
        """Let it not run."""
        self.dropped = True
        self.callback, self.args = _nothing, ()  # what they hold may be gone

    def cancelled(self) -> bool:
        """Whether it will not run."""
        return self.dropped

    def when(self) -> float:
        """Return for when the timer is set, in the loop's true time."""
        return self.moment


def _nothing() -> None:
    """Do what a cancelled callback does."""


class SimLoop(asyncio.BaseEventLoop):
    """Runs callbacks in order; when none is ready, moves the clock to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.steps = 0
        self._same_instant = 0
        self._timers: list[tuple[float, int, Handle]] = []
        self._timers_set = 0
        self.world = copy_context()
        assert OWNER.get() is None, "a loop belongs to the world"
        self.failures: list[tuple[Incarnation | None, dict[str, Any]]] = []
        self.set_exception_handler(_keep_failure)

    def time(self) -> float:
        """Return the time on the clock of whoever asks."""
        owner = OWNER.get()
        return self.now if owner is None else self.now * owner.drift + owner.offset

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """Call back when all that is due already has run."""
        handle = Handle(callback, args, copy_context() if context is None else context, self.now)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """Call back soon: there are no threads, but a generator that is left alone is closed this way."""
        return self.call_soon(callback, *args, context=context)

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """Close a generator that is left alone, unless the loop has stopped for good."""
        if self.is_running():
            super()._asyncgen_finalizer_hook(agen)  # type: ignore[misc]

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """Call back when the clock of whoever asks shows ``when``."""
        owner = OWNER.get()
        if owner is not None:
            when = owner.true(when)
        context = copy_context() if context is None else context
        return self._set_timer(when, Handle(callback, args, context, when))

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """Call back after ``delay`` seconds on the clock of whoever asks."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_world_at(self, when: float, callback: Callable[..., object], *args: Any) -> None:
        """Call back at ``when`` in the world's name, whoever asks: the asker may be gone by then."""
        self._set_timer(when, Handle(callback, args, self.world, when))

    def _set_timer(self, when: float, handle: Handle) -> Handle:
        # A timer that is due would run before what is ready already: asyncio rounds so too.
        self._timers_set += 1
        heapq.heappush(self._timers, (max(when, self.now), self._timers_set, handle))
        return handle

    def spawn(self, owner: Incarnation, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Start ``work`` as a task of ``owner``."""
        context = copy_context()
        context.run(OWNER.set, owner)
        return self.create_task(work, name=name, context=context)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> "asyncio.Task[T]":
        """Start a task, and remember whose it is: it is never collected before ``bury``."""
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is not None:
            owner.tasks[task] = None
        return task

    def end(self, owner: Incarnation) -> None:
        """Let nothing of ``owner`` run again."""
        owner.alive = False
        owner.parked.clear()

    def pause(self, owner: Incarnation) -> None:
        """Let nothing of ``owner`` run until ``resume``."""
        owner.paused = True

    def resume(self, owner: Incarnation) -> None:
        """Let ``owner`` go on with what came meanwhile, timers included."""
        owner.paused = False
        self._ready.extend(owner.parked)
        owner.parked.clear()

    def _run_once(self) -> None:
        ready = self._ready
        if not ready:
            self._pass_time()
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle.dropped:
                continue
            owner = handle.context.get(OWNER)
            if owner is None or (owner.alive and not owner.paused):
                self.steps += 1
                try:
                    handle.context.run(handle.callback, *handle.args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - somebody's callback; kept for the checks
                    self.failures.append((owner, {"message": "a callback failed", "exception": error}))
            elif owner.alive:
                owner.parked.append(handle)
        self._same_instant += 1
        if self._same_instant > MAX_CALLBACKS_AN_INSTANT:
            raise Livelock(f"{self._same_instant} rounds of callbacks at {self.now:.6f} s")

    def _pass_time(self) -> None:
        """Move to the next instant for which a timer is set, and make its timers ready."""
        timers = self._timers
        while timers and (timers[0][2].dropped or _is_of_the_dead(timers[0][2])):
            heapq.heappop(timers)
        if not timers:
            if self._stopping:
                return
            raise Deadlock(f"nothing will ever happen after {self.now:.6f} s")
        if timers[0][0] > self.now:
            self.now = timers[0][0]
            self._same_instant = 0
        while timers and timers[0][0] <= self.now:
            self._ready.append(heapq.heappop(timers)[2])

    def close(self) -> None:
        """Forget all callbacks."""
        self._timers.clear()
        super().close()

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""

    def _process_events(self, event_list: object) -> None:
        raise AssertionError("there are no sockets here")

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> Any:  # type: ignore[override]
        """Refuse: there are no threads here."""
        raise AssertionError(f"{func} was to run in a thread")


def bury(owner: Incarnation) -> None:
    """Let the tasks of an incarnation that has ended be collected, after the loop has stopped for good.

    To collect a coroutine runs its ``finally`` blocks; whatever they want, its disk and network are gone.
    What they raise is told nobody: a generator can't be closed while what it awaits is being closed.
    """
    told, sys.unraisablehook = sys.unraisablehook, _nothing_of
    try:
        _close_all(owner)
    finally:
        sys.unraisablehook = told


def _nothing_of(_told: object) -> None:
    """Do nothing about an error that could be raised nowhere."""


def _close_all(owner: Incarnation) -> None:
    for task in owner.tasks:
        task._log_destroy_pending = False
        coroutine = task.get_coro()
        for _ in range(MAX_CLOSINGS):
            try:
                coroutine.close()
            except RuntimeError:
                continue  # it awaits something in a finally block; the next one, then
            except BaseException:  # noqa: BLE001 - a dead member's last words
                break
            break
    owner.tasks.clear()


def _is_of_the_dead(handle: Handle) -> bool:
    owner = handle.context.get(OWNER)
    return owner is not None and not owner.alive


def _keep_failure(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    assert isinstance(loop, SimLoop)
    loop.failures.append((OWNER.get(), context))
