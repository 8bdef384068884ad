"""What an error says of the request that it answers."""

from raftkv import errors
from raftkv.client import outcome
from raftkv.client.rules import Meaning, meaning_of
from raftkv.errors import RaftKvError


class NotSent(RaftKvError):
    """No connection could be made, so the request certainly had no effect."""


class WrongAnswer(Exception):
    """A response is not one to its request at all."""


def is_definite(error: RaftKvError) -> bool:
    """Whether the error says that the request certainly had no effect: one of a member, or of a client."""
    own = NotSent | errors.RequestError | errors.ProposalDropped | errors.NoSpace
    return isinstance(error, own) or meaning_of(error) is Meaning.NOT_DONE


def left_nothing(error: RaftKvError) -> bool:
    """Whether a request that waits for others has certainly left no key behind that waits on.

    Other errors may come after the key was put, also those that say of other requests that nothing was done.
    """
    return isinstance(error, NotSent | outcome.Unreachable) or no_lease(error)


def no_lease(error: RaftKvError) -> bool:
    """Whether the lease named is not there (any more)."""
    return isinstance(error, errors.LeaseNotFound | errors.SessionExpired | outcome.LeaseNotFound)
