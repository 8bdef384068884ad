"""Entries of the log in short: what ``raftkv wal dump`` shows of them."""

import pytest

from raftkv.cli.entry_text import describe_entry
from raftkv.mvcc.commands import CheckpointLeases, CommandRequest, ExpireLease, RequestId, encode_command
from raftkv.raft.types import Entry, EntryKind
from raftkv.schema.kv import CompactionRequest, PutRequest
from raftkv.schema.lease import LeaseGrantRequest, LeaseRevokeRequest
from raftkv.schema.maintenance import AlarmAction, AlarmRequest, AlarmType


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (PutRequest(b"k", b"four"), "put 'k', 4 bytes"),
        (CompactionRequest(7), "compact to revision 7"),
        (AlarmRequest(AlarmAction.ACTIVATE, 255, AlarmType.NOSPACE), "activate alarm nospace of member ff"),
        (LeaseGrantRequest(60, -1), "grant lease ffffffffffffffff for 60 s"),
        (LeaseRevokeRequest(0x1234), "revoke lease 0000000000001234"),
        (ExpireLease(5, 7, 3), "lease 0000000000000007 is over by the clock of term 5"),
        (CheckpointLeases(5, [], 3), "what 0 leases have left by the clock of term 5"),
        (AlarmRequest(AlarmAction.DEACTIVATE, 0, 9), "deactivate alarm 9 of member 0"),
    ],
)
def test_a_command_is_told_in_a_line(request_: CommandRequest, text: str) -> None:
    entry = Entry(1, 2, EntryKind.COMMAND, encode_command(RequestId(1, 1, 1), request_))
    assert describe_entry(entry) == ("command", text)
