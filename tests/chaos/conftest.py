"""Running systems, for what only they can show."""

from tests.client.conftest import name, urls

__all__ = ["name", "urls"]
