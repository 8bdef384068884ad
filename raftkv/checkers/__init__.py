"""Checkers of recorded histories: whether a system behaved as its specification says.

They know nothing of raftkv's servers and hold for any system's histories. In one line::

    verdict = check(operations, MvccKv())

An ``Operation`` has its times, its request and its answer in the shape of the model; ``read_history`` reads
them from files. For transactions, banks, sets and counters there is a function each, ``check_list_append``
and so on; ``MODELS`` has all models by name. Watches, leases, locks and elections have a run each, a check
and files of their own::

    verdict = check_leases(LeaseRun(operations, changes))

whose rules and shapes of operations stand at the top of their modules.
"""

from raftkv.checkers.bank import check_bank
from raftkv.checkers.changes import Change
from raftkv.checkers.counter import check_counter
from raftkv.checkers.election import ElectionRun
from raftkv.checkers.election_checks import check_elections
from raftkv.checkers.formats import Recorded, parse_history, read_history
from raftkv.checkers.history import HistoryError, Operation, Outcome
from raftkv.checkers.json_lines import FORMAT
from raftkv.checkers.json_writer import write_history
from raftkv.checkers.lease import LeaseRun
from raftkv.checkers.lease_checks import check_leases
from raftkv.checkers.linearizability import MAX_STEPS, check
from raftkv.checkers.list_append import check_list_append
from raftkv.checkers.lock import LockRun
from raftkv.checkers.lock_checks import check_locks
from raftkv.checkers.models import REFUSED, CasRegister, KvAppend, Model
from raftkv.checkers.mvcc_kv import Kv, MvccKv
from raftkv.checkers.records import Records, parse_records, write_records
from raftkv.checkers.registry import MODELS, Examined, examine_file
from raftkv.checkers.run_files import (
    read_elections,
    read_leases,
    read_locks,
    write_elections,
    write_leases,
    write_locks,
)
from raftkv.checkers.sets import check_set, count_set
from raftkv.checkers.verdict import Anomaly, Validity, Verdict
from raftkv.checkers.watch import WatchEvent, WatchReply, WatchRun, WatchStream
from raftkv.checkers.watch_checks import check_watches
from raftkv.checkers.watch_lines import read_watches, write_watches

__all__ = [
    "FORMAT",
    "MAX_STEPS",
    "MODELS",
    "REFUSED",
    "Anomaly",
    "CasRegister",
    "Change",
    "ElectionRun",
    "Examined",
    "HistoryError",
    "Kv",
    "KvAppend",
    "LeaseRun",
    "LockRun",
    "Model",
    "MvccKv",
    "Operation",
    "Outcome",
    "Recorded",
    "Records",
    "Validity",
    "Verdict",
    "WatchEvent",
    "WatchReply",
    "WatchRun",
    "WatchStream",
    "check",
    "check_bank",
    "check_counter",
    "check_elections",
    "check_leases",
    "check_list_append",
    "check_locks",
    "check_set",
    "check_watches",
    "count_set",
    "examine_file",
    "parse_history",
    "parse_records",
    "read_elections",
    "read_history",
    "read_leases",
    "read_locks",
    "read_watches",
    "write_elections",
    "write_history",
    "write_leases",
    "write_locks",
    "write_records",
    "write_watches",
]
