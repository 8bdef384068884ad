"""Whether a bank's reads of all accounts at once are snapshots: transfers move money and make none."""

from collections.abc import Iterator, Sequence
from typing import Any

from raftkv.checkers.history import Operation, Outcome
from raftkv.checkers.verdict import Anomaly, Validity, Verdict, one_of_each


def check_bank(
    history: Sequence[Operation],
    *,
    total: int | None = None,
    accounts: Sequence[str] | None = None,
    negative_balances: bool = False,
) -> Verdict:
    """Hold each answered read (shape: ``records``) against the total, and each balance against zero.

    ``total`` and ``accounts`` are what the first read saw unless given. The verdict is ``UNKNOWN`` when no
    read was answered. Steps are balances.
    """
    reads = [one for one in history if one.input[0] == "read" and one.outcome is Outcome.OK]
    if not reads:
        return Verdict(Validity.UNKNOWN, 0, "no read was answered")
    first = _balances(reads[0])
    total = sum(balance or 0 for balance in first.values()) if total is None else total
    names = set(first if accounts is None else accounts)
    anomalies: list[Anomaly] = []
    for read in reads:
        balances = _balances(read)
        anomalies += _other_accounts(read, balances, names)
        if not negative_balances:
            anomalies += _below_zero(read, balances)
        found = sum(balance or 0 for balance in balances.values())
        if found != total:
            text = f"{_read(read)} saw {found} in all accounts together, which is not {total}"
            anomalies.append(Anomaly("wrong-total", text, (read,)))
    return one_of_each(anomalies, sum(len(_balances(read)) for read in reads))


def _balances(read: Operation) -> dict[str, int | None]:
    output: Any = read.output
    return dict(output)


def _read(read: Operation) -> str:
    return f"the read of process {read.process}, called at {read.call} and answered at {read.returned},"


def _other_accounts(read: Operation, balances: dict[str, int | None], names: set[str]) -> Iterator[Anomaly]:
    for account in balances:
        if account not in names:
            text = f"{_read(read)} saw account {account}, which there is not"
            yield Anomaly("unexpected-key", text, (read,))
    for account in sorted(names):
        if balances.get(account) is None:
            yield Anomaly("nil-balance", f"{_read(read)} saw no balance of account {account}", (read,))


def _below_zero(read: Operation, balances: dict[str, int | None]) -> Iterator[Anomaly]:
    for account, balance in balances.items():
        if balance is not None and balance < 0:
            yield Anomaly("negative-value", f"{_read(read)} saw {balance} in account {account}", (read,))
