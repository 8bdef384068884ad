"""What can become of a request, as errors.

::

    Unreachable         no connection could be made: nothing was sent
    NoAnswer            it was sent and no answer came, which for a read only means: ask again
    OutcomeUnknown      the same for a write: it may have happened, or may still happen
    WrongAnswer         what answers at this address does not speak the API
    Refused             the server's own error; nothing was changed
    ├── Compacted, FutureRevision, LeaseNotFound, KeyNotFound, NoSpace
    WatchCanceled       the server ended a watch, and would end it again
    LeaseLost           a lease was not renewed in time, or someone revoked it

What follows from them (ask again? where? when?) is decided in ``raftkv.client.rules`` alone.
"""

from raftkv.errors import RaftKvError


class Unreachable(RaftKvError):
    """No connection could be made, so nothing was sent."""


class NoAnswer(RaftKvError):
    """A request was sent, and its answer did not come, or not whole."""


class OutcomeUnknown(RaftKvError):
    """The request was sent and no answer says what became of it."""


class WrongAnswer(RaftKvError):
    """What answers at this address does not speak the API; ``status`` is HTTP's, 0 = there is none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Refused(RaftKvError):
    """The server answered with an error: ``status`` (HTTP), ``code`` (gRPC) and its text."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Compacted(Refused):
    """The revision wanted is gone; ``revision`` is the oldest that is left, 0 = the server did not say."""

    def __init__(self, status: int, code: int, message: str, revision: int = 0) -> None:
        super().__init__(status, code, message)
        self.revision = revision


class FutureRevision(Refused):
    """The revision wanted is above the current one."""


class LeaseNotFound(Refused):
    """There is no such lease (any more)."""


class KeyNotFound(Refused):
    """``ignore_value`` or ``ignore_lease`` on a missing key."""


class NoSpace(Refused):
    """The quota is used up: only reads, deletions and compactions are taken."""


class WatchCanceled(RaftKvError):
    """The server ended the watch for a reason that stays; the text says which."""


class LeaseLost(RaftKvError):
    """The lease was not renewed in time, or is gone: what it protected may belong to others now."""


_BY_TEXT: dict[str, type[Refused]] = {
    "etcdserver: mvcc: required revision has been compacted": Compacted,
    "etcdserver: mvcc: required revision is a future revision": FutureRevision,
    "etcdserver: requested lease not found": LeaseNotFound,
    "etcdserver: key not found": KeyNotFound,
    "etcdserver: mvcc: database space exceeded": NoSpace,
}
"""By text, not by code: the lock and election services give every error the code 2."""


def refused(status: int, code: int, message: str) -> Refused:
    """Return the error of a refused request, of its own class where callers may want to tell it apart."""
    return _BY_TEXT.get(message, Refused)(status, code, message)
