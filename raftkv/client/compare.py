"""The guards of a txn: ``compare.version("k").equals(3)``, ``compare.exists("k")``.

A key that is not there has zero as its version, revisions and lease; its value compares with nothing.
"""

from raftkv.client.keys import Text, as_bytes
from raftkv.schema.kv import Compare, CompareResult, CompareTarget

_FIELDS = {
    CompareTarget.VERSION: "version",
    CompareTarget.CREATE: "create_revision",
    CompareTarget.MOD: "mod_revision",
    CompareTarget.VALUE: "value",
    CompareTarget.LEASE: "lease",
}


class Operand:
    """One property of a key, to be compared with a number, or with a value."""

    def __init__(self, key: Text, target: CompareTarget) -> None:
        self._key = as_bytes(key)
        self._target = target

    def equals(self, other: Text | int) -> Compare:
        """Hold when they are equal."""
        return self._compare(CompareResult.EQUAL, other)

    def differs_from(self, other: Text | int) -> Compare:
        """Hold when they are not equal."""
        return self._compare(CompareResult.NOT_EQUAL, other)

    def greater_than(self, other: Text | int) -> Compare:
        """Hold when the key's property is greater; values compare byte by byte."""
        return self._compare(CompareResult.GREATER, other)

    def less_than(self, other: Text | int) -> Compare:
        """Hold when the key's property is less; values compare byte by byte."""
        return self._compare(CompareResult.LESS, other)

    def _compare(self, result: CompareResult, other: Text | int) -> Compare:
        is_number = isinstance(other, int)
        if is_number is (self._target is CompareTarget.VALUE):
            wanted = "bytes or str" if is_number else "a number"
            raise TypeError(f"{_FIELDS[self._target]} is compared with {wanted}")
        compare = Compare(result=result, target=self._target, key=self._key)
        setattr(compare, _FIELDS[self._target], other if isinstance(other, int) else as_bytes(other))
        return compare


def version(key: Text) -> Operand:
    """Take the number of puts since the key came to life."""
    return Operand(key, CompareTarget.VERSION)


def create_revision(key: Text) -> Operand:
    """Take the revision at which the key came to life."""
    return Operand(key, CompareTarget.CREATE)


def mod_revision(key: Text) -> Operand:
    """Take the revision of the key's last put."""
    return Operand(key, CompareTarget.MOD)


def value(key: Text) -> Operand:
    """Take the key's value."""
    return Operand(key, CompareTarget.VALUE)


def lease(key: Text) -> Operand:
    """Take the id of the key's lease."""
    return Operand(key, CompareTarget.LEASE)


def exists(key: Text) -> Compare:
    """Hold when the key is there."""
    return create_revision(key).greater_than(0)


def missing(key: Text) -> Compare:
    """Hold when the key is not there."""
    return create_revision(key).equals(0)
