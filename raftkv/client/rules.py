"""What a failed attempt means, and whether, where and when a request is sent again: for every client.

The one rule that the others serve: **a write that may have happened is never sent a second time.** It
would undo what others wrote in between, or count twice. Whether it did happen, only the caller can find
out (by reading a key that a txn has guarded, say), so the caller is told with OutcomeUnknown.

Nothing here does input or output: a client tells ``Call`` what became of an attempt and what time it is.
"""

import re
from enum import Enum

from raftkv.client.endpoint import Endpoint, Endpoints
from raftkv.client.outcome import NoAnswer, OutcomeUnknown, Refused, Unreachable, WrongAnswer
from raftkv.errors import RaftKvError

FIRST_WAIT = 0.05
LONGEST_WAIT = 1.0
"""Seconds between two rounds over the endpoints: the first one, doubled up to the second one."""

CONNECT_SECONDS = 2.0
"""How long a connection may take: a machine that is gone does not even refuse."""

_CERTAIN_CODES = frozenset({3, 5, 6, 7, 8, 9, 11, 12, 16})
"""gRPC codes of a request that was looked at and turned down, by the client's own fault mostly.

Not among them: Canceled, Unknown, DeadlineExceeded, Aborted, Internal, Unavailable, DataLoss."""

_PASSING_TEXTS = frozenset(
    {
        "etcdserver: no leader",
        "etcdserver: too many requests",
        "raft proposal dropped",
        "etcdserver: rpc not supported for learner",
    }
)
"""Errors of any code that come before the request is proposed, and that another member may not have."""

_CERTAIN_TEXTS = _PASSING_TEXTS | {
    "etcdserver: not capable",
    "etcdserver: unhealthy cluster",
    "etcdserver: corrupt cluster",
    "etcdserver: re-configuration failed due to not enough started members",
    "etcdserver: requested lease not found",
    "etcdserver: mvcc: database space exceeded",
    "etcdserver: permission denied",
    "election: no leader",
    "election: not leader",
}
"""Errors after which nothing has changed, whatever their code is."""

_INTERRUPTED = re.compile(
    "etcdserver: (request timed out.*|leader changed|server stopped)|.*context (deadline exceeded|canceled)",
    re.S,
)
"""Errors of a member in trouble. Also by text: of its lock and election services every error has code 2."""

_LASTING_TEXTS = frozenset({"etcdserver: not capable", "etcdserver: unhealthy cluster"})
"""Errors with the code Unavailable that asking again does not help against."""

_UNAVAILABLE = 14


class Meaning(Enum):
    """What is known of a request after one attempt that did not succeed."""

    NOT_DONE = "certainly nothing happened"
    IN_DOUBT = "it may have happened, or still happen"


def meaning_of(failure: RaftKvError) -> Meaning:
    """Tell what a failed attempt says about its request."""
    match failure:
        case Unreachable():
            certain = True
        case Refused():
            certain = failure.code in _CERTAIN_CODES or str(failure) in _CERTAIN_TEXTS
        case WrongAnswer(status=status):
            # a 408 is a proxy's that has waited in vain; the other 4xx turn the request away
            certain = 400 <= status < 500 and status != 408
        case _:
            certain = False
    return Meaning.NOT_DONE if certain else Meaning.IN_DOUBT


def is_passing(failure: RaftKvError) -> bool:
    """Tell whether the same request may do better at another member, or later."""
    match failure:
        case Unreachable() | NoAnswer():
            return True
        case Refused(code=code):
            text = str(failure)
            interrupted = _INTERRUPTED.fullmatch(text) is not None
            unavailable = code == _UNAVAILABLE and text not in _LASTING_TEXTS
            return text in _PASSING_TEXTS or interrupted or unavailable
        case WrongAnswer(status=status):
            return status >= 500  # a proxy's, for a member that is not there
    return False


def backoff(failures: int) -> float:
    """Return the seconds to wait after so many waits that did not help."""
    return min(FIRST_WAIT * 2.0 ** min(failures, 10), LONGEST_WAIT)


class Call:
    """One request on its way to an answer: which endpoint is asked, for how long, and what then.

    ``repeatable``: doing it twice is as good as once, as with every read. ``deadline`` is by the clock of
    ``now`` in the methods, in seconds. With ``rounds`` every endpoint is asked at most so often.
    """

    def __init__(
        self, endpoints: Endpoints, deadline: float, *, repeatable: bool, rounds: int | None = None
    ) -> None:
        self._endpoints = endpoints
        self._deadline = deadline
        self._repeatable = repeatable
        self._rounds = rounds
        self._place = endpoints.first
        self._failures: list[RaftKvError] = []

    @property
    def endpoint(self) -> Endpoint:
        """Who is to be asked now."""
        return self._endpoints.all[self._place]

    def begin_anew(self, deadline: float) -> None:
        """Forget the failures: the endpoint has answered, and more is wanted of it."""
        self._failures.clear()
        self._deadline = deadline

    def patience(self, now: float) -> float:
        """Return how many seconds this attempt may take.

        One that can be repeated gets half of what is left, so that a member that is silent does not use up
        the time of the others. A write gets all of it: its second attempt would not be allowed anyway.
        """
        left = max(self._deadline - now, 0.0)
        alone = len(self._endpoints.all) == 1
        return left / 2 if self._repeatable and not alone else left

    def after(self, failure: RaftKvError, now: float) -> float:
        """Take note of a failed attempt; return the seconds to wait before the next one.

        Raises OutcomeUnknown for a write in doubt, and the failure itself when asking again makes no sense
        or the time is over.
        """
        self._endpoints.leave(self._place)
        if meaning_of(failure) is Meaning.IN_DOUBT and not self._repeatable:
            raise OutcomeUnknown(f"{failure}; the write may have happened") from failure
        self._failures.append(failure)
        wait = self._wait()
        if not is_passing(failure) or self._is_last_round() or now + wait >= self._deadline:
            raise self._verdict()
        self._place = (self._place + 1) % len(self._endpoints.all)
        return wait

    def _wait(self) -> float:
        """Nothing while there are endpoints that were not asked in this round."""
        rounds, rest = divmod(len(self._failures), len(self._endpoints.all))
        return 0.0 if rest else backoff(rounds - 1)

    def _is_last_round(self) -> bool:
        return self._rounds is not None and len(self._failures) >= self._rounds * len(self._endpoints.all)

    def _verdict(self) -> RaftKvError:
        """Choose what to tell: the last failure that is more than a connection that could not be made."""
        last = self._failures[-1]
        if not isinstance(last, Unreachable):
            return last
        round_ = self._failures[-len(self._endpoints.all) :]
        if any(not isinstance(failure, Unreachable) for failure in round_):
            return next(failure for failure in reversed(round_) if not isinstance(failure, Unreachable))
        return Unreachable("; ".join(str(failure) for failure in round_))
