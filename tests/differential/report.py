"""What two systems answered, side by side, and how many cases were the same."""

from collections.abc import Sequence

from tests.differential.steps import Case, Step
from tests.differential.systems import Seen

SHOWN = 500
AROUND = 60
"""Characters of a long request or reply that are shown, and of what was the same before."""


class Tally:
    """How many cases ran, and how many of them were answered alike."""

    def __init__(self) -> None:
        self.cases = 0
        self.same = 0
        self.known = 0


TALLY = Tally()


def differences(case: Case, etcd: Sequence[Seen | None], raftkv: Sequence[Seen | None]) -> str:
    """Return the first step that was not answered as it has to be, in words; empty if there is none."""
    wanted = dict(case.ours)
    for number, (step, theirs, ours) in enumerate(zip(case.steps, etcd, raftkv, strict=True)):
        if number in wanted:
            told = f"{ours.status} {ours.body}" if ours else ""
            if wanted[number] not in told:
                return _told(case, step, number, wanted[number], told)
            if theirs == ours:
                return f"{case.lines}, step {number}: no longer differs, take the mark off"
        elif theirs != ours:
            return _told(case, step, number, theirs, ours)
    return ""


def first_difference(one: str, other: str) -> int:
    """Return how many characters are the same from the start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _told(case: Case, step: Step, number: int, wanted: object, got: object) -> str:
    told, theirs, ours = str(step), str(wanted), str(got)
    same = first_difference(theirs, ours)
    start = max(0, same - AROUND)
    return "\n".join(
        [
            f"{case.lines}, step {number}, different from character {same} on:",
            f"  asked  {told[:SHOWN]}{'...' * (len(told) > SHOWN)}",
            f"  wanted {theirs[:AROUND]} ... {theirs[start : same + SHOWN]}",
            f"  got    {ours[:AROUND]} ... {ours[start : same + SHOWN]}",
        ]
    )
