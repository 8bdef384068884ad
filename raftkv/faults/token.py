"""The token without which nobody can order faults: where it comes from, and how it is compared."""

import hmac
import os
import stat
from hashlib import sha256
from typing import Final

from raftkv.errors import ConfigError

SHORTEST: Final = 16
LONGEST: Final = 256
READ_BYTES: Final = 4096
VARIABLE: Final = "RAFTKV_CHAOS_TOKEN"


class Token:
    """A token; only a digest of it is kept, and the ``source`` it comes from."""

    def __init__(self, text: str, source: str) -> None:
        """Take a token from ``source``. Raises ConfigError, whose text does not have the token."""
        fits = SHORTEST <= len(text) <= LONGEST and text.isascii() and text.isprintable() and " " not in text
        if not fits:
            raise ConfigError(
                f"{source}: a token has {SHORTEST} to {LONGEST} printable characters without spaces; "
                f"make one with: python -c 'import secrets; print(secrets.token_hex(16))'"
            )
        self.source = source
        self._digest = sha256(text.encode()).digest()

    def fits(self, header: str) -> bool:
        """Whether an Authorization header has this token; how long that takes says nothing of it."""
        scheme, _, given = header.partition(" ")
        digest = sha256(given.encode("utf-8", "surrogateescape")).digest()
        return hmac.compare_digest(digest, self._digest) and scheme.lower() == "bearer"


def read_token(path: str, given: str) -> Token:
    """Return the token in the file at ``path``, or the environment's (``given``). Raises ConfigError."""
    if path and given:
        raise ConfigError(f"--chaos-token-file is given and {VARIABLE} is set; use one of them")
    if path:
        return Token(_read(path), f"--chaos-token-file {path}")
    if given:
        return Token(given, VARIABLE)
    raise ConfigError(f"--chaos needs a token: give --chaos-token-file FILE, or set {VARIABLE}")


def _read(path: str) -> str:
    """Return what is in a file that its owner alone may read, and that is this user's."""
    flag = f"--chaos-token-file {path}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                raise ConfigError(f"{flag}: it is not a regular file")
            if state.st_uid != os.geteuid():
                raise ConfigError(f"{flag}: it belongs to another user; make it your own")
            if state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigError(f"{flag}: others may read or write it; do: chmod 600 {path}")
            content = os.read(descriptor, READ_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigError(f"{flag}: {error.strerror or error}") from error
    return content.decode("utf-8", "replace").strip()
