"""What the package offers, and what it takes to import it."""

import subprocess
import sys

import pytest

import raftkv.client


def test_everything_that_is_offered_is_there() -> None:
    assert [name for name in raftkv.client.__all__ if not hasattr(raftkv.client, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = raftkv.client.nothing


def test_aiohttp_is_imported_only_with_what_needs_it() -> None:
    """The command line would start 200 ms later with it."""
    program = (
        "import sys, raftkv.client\n"
        "from raftkv.client import SyncClient, OutcomeUnknown, compare, ops\n"
        "assert 'aiohttp' not in sys.modules\n"
        "from raftkv.client import Client\n"
        "assert 'aiohttp' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
