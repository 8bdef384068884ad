"""Seeds on a cluster of machines, by Dask; needs the extra ``dask``."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from raftkv.errors import ConfigError

CONNECT_SECONDS = 10


@contextmanager
def cluster_executor(address: str) -> Iterator[tuple[Executor, int]]:
    """Give the executor of the scheduler at ``address``, and how many seeds to have under way there.

    The workers need raftkv in the same version, and the file of ``--core`` at the same place.
    Raises ConfigError when Dask is not installed or nobody answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError("--dask needs Dask: pip install 'raftkv[dask]'") from error
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ConfigError(f"--dask {address}: {error}") from error
    with client:
        threads = sum(client.nthreads().values())  # type: ignore[no-untyped-call]
        if not threads:
            raise ConfigError(f"--dask {address}: the scheduler has no workers")
        with client.get_executor(pure=False) as executor:  # type: ignore[no-untyped-call]
            yield executor, 2 * threads
