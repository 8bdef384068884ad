"""``raftkv serve`` with a small log, so that a short run goes through much of its life.

    python -m tests.e2e.member SEGMENT_BYTES TAIL_ENTRIES serve --name ...

SEGMENT_BYTES: size of the log's segments. TAIL_ENTRIES: what of the log a snapshot leaves for followers.
"""

import sys
from typing import Any

from raftkv.cli.main import main
from raftkv.node import log_tail
from raftkv.storage.wal import Wal


def use_small_segments(size: int) -> None:
    """Make ``size`` bytes the default of every log that this process opens or makes."""
    for method in (Wal.create, Wal.open):
        defaults: dict[str, Any] = method.__func__.__kwdefaults__  # type: ignore[attr-defined]
        assert "segment_bytes" in defaults
        defaults["segment_bytes"] = size


if __name__ == "__main__":
    use_small_segments(int(sys.argv.pop(1)))
    log_tail.TAIL_ENTRIES = int(sys.argv.pop(1))
    sys.exit(main())
