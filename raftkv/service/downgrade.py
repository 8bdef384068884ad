"""What can be said of a downgrade: raftkv has one version of what it stores, so there is none to go back to.

The checks and their order are etcd 3.5.1's, so that who only asks gets its answers.
"""

import re
from collections.abc import Awaitable, Callable

from raftkv.errors import (
    DowngradeImpossible,
    InvalidDowngradeTarget,
    NoDowngrade,
    UnknownAction,
    WrongVersionFormat,
)
from raftkv.schema.maintenance import DowngradeAction, DowngradeRequest

CLUSTER_VERSION = "3.5.0"
"""The lowest API version of all members, as etcd tells it."""

TARGET = (3, 4)
"""The version before it, in which etcd's clusters can go back to."""

_NUMBER = r"([0-9]{1,19})"
_WORDS = r"(?:[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
_SEMANTIC = re.compile(rf"{_NUMBER}\.{_NUMBER}(?:\.{_NUMBER}(?:-{_WORDS})?(?:\+{_WORDS})?)?")
_LARGEST = 2**63 - 1


async def check_downgrade(request: DowngradeRequest, barrier: Callable[[], Awaitable[None]]) -> None:
    """Return if the cluster could be downgraded to the version asked about.

    Raises WrongVersionFormat, InvalidDowngradeTarget, NoDowngrade (nothing to give up), UnknownAction,
    DowngradeImpossible (to begin one), and what ``barrier`` raises.
    """
    match request.action:
        case DowngradeAction.VALIDATE | DowngradeAction.ENABLE:
            target = _parse(request.version)
            await barrier()
            if target != TARGET:
                raise InvalidDowngradeTarget
            if request.action == DowngradeAction.ENABLE:
                raise DowngradeImpossible
        case DowngradeAction.CANCEL:
            await barrier()
            raise NoDowngrade
        case _:
            raise UnknownAction


def _parse(text: str) -> tuple[int, int]:
    match = _SEMANTIC.fullmatch(text)
    if match is None or any(int(number) > _LARGEST for number in match.groups(default="0")):
        raise WrongVersionFormat
    return int(match[1]), int(match[2])
