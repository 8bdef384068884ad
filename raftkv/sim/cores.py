"""Cores by name, so that another process can find the same one."""

import functools
import importlib
import importlib.util
from pathlib import Path
from typing import cast

from raftkv.errors import ConfigError
from raftkv.raft import make_core
from raftkv.sim.members import CoreFactory


@functools.cache
def core_named(name: str) -> CoreFactory:
    """Return the core ``FILE.py:CLASS`` or ``package.module:CLASS``; "" is raftkv's own.

    Raises ConfigError, and whatever the file raises when it is run.
    """
    if not name:
        return make_core
    place, _, wanted = name.rpartition(":")
    if not place or not wanted:
        raise ConfigError(f"--core {name}: use FILE.py:CLASS")
    if place.endswith(".py"):
        if not Path(place).is_file():
            raise ConfigError(f"--core {name}: there is no file {place}")
        spec = importlib.util.spec_from_file_location(Path(place).stem, place)
        assert spec is not None and spec.loader is not None, "a file of Python has a loader"
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        try:
            module = importlib.import_module(place)
        except ImportError as error:
            raise ConfigError(f"--core {name}: {error}") from error
    if not callable(core := getattr(module, wanted, None)):
        raise ConfigError(f"--core {name}: there is no class {wanted} in {place}")
    return cast("CoreFactory", core)
