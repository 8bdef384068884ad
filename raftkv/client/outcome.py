"""What a client may conclude when a request fails: the rules, for every client."""

from raftkv.errors import RaftKvError


class OutcomeUnknown(RaftKvError):
    """The request was sent and no answer says what became of it."""
