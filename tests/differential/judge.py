"""Runs cases against two members of etcd: what differs there is no question to ask raftkv.

python -m tests.differential.judge [MODULE ...]
"""

import sys
import tempfile
import time
from http.client import HTTPException
from pathlib import Path

from tests.differential import sections
from tests.differential.report import differences
from tests.differential.steps import SHARED, Case
from tests.differential.systems import Pair, pair, transcripts
from tests.e2e.members import ETCD


def judged(where: Pair, one: Case) -> bool:
    begin = time.monotonic()
    try:
        text = differences(one._replace(differs="", ours=()), *transcripts(where, one))
    except (OSError, AssertionError, ValueError, HTTPException) as error:
        text = f"{one.lines}: {error!r}"
    if text:
        print(text)  # noqa: T201
    elif (took := time.monotonic() - begin) > 1:
        print(f"{one.lines}: {took:.1f} s")  # noqa: T201
    return not text


def main(names: list[str]) -> int:
    cases = [one for name, one in sections.named(names or list(sections.ALL))]
    same = 0
    with tempfile.TemporaryDirectory() as folder, pair(Path(folder) / "shared", (ETCD, ETCD)) as shared:
        for number, one in enumerate(cases):
            if one.where == SHARED:
                same += judged(shared, one)
            else:
                with pair(Path(folder) / str(number), (ETCD, ETCD), one.flags) as fresh:
                    same += judged(fresh, one)
    print(f"same {same} of {len(cases)}")  # noqa: T201
    return int(same < len(cases))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
