"""What a disk may do to what was durable: bits flip, sectors read as zeros, files end early or are gone.

One kind of damage no store can tell from a crash: that of the last save of a log, which looks like the save
that the crash interrupted, never acknowledged (see "Known limits" in docs/architecture.md). All else leaves
something that tells of it, so a member has to find it or do without it:

- ``flip`` and ``zero`` stay before the last save that is whole: that save says what was durable before it.
  So does ``rot``.
- ``cut`` may take the last save too: a segment says how long it is. It leaves less than eight zeros at the
  end: more of them, directly behind a save, say that the segment has only lost space that was not used. And
  nothing is left rather than zeros alone, as an unused segment has them.
- ``gone`` takes any segment but the one with the highest number: that one shows the gap.

Damage follows on damage, and each of these leaves what the ones before are told by. A snapshot is named in
the log by size and checksum, so every byte of it may be damaged.
"""

from collections.abc import Sequence
from random import Random

from raftkv.errors import ConfigError, FormatTooNew
from raftkv.sim.disk import SECTOR, Inode, SimDisk
from raftkv.sim.members import LOG, SNAPSHOTS
from raftkv.storage.records import MARKER_BYTES, BadFrame, decode_batch, decode_segment_header

WAYS = ("flip", "zero", "cut", "gone")

MOST_SECTORS = 8
"""Zeros take the place of at most so many sectors in a row."""

MIN_ROTTEN_BYTES = 4096
"""A shorter segment is left alone by ``rot``, which stays in the older half of the newest one."""


def rot(disk: SimDisk, where: str, random: Random) -> str:
    """Flip one bit: in the log well before its end, or in the newest snapshot. Return what was hit."""
    names = _files(disk, where)
    used = {name: _used(disk, name) for name in names}
    if where == "wal":
        # A save that a crash tore may be longer than all before it: half of what is there can be too far.
        ends = _ends_of_log(disk, names, "flip")
        used = {
            name: min(size // 2, ends.get(name, 0)) for name, size in used.items() if size >= MIN_ROTTEN_BYTES
        }
    name, size = next(reversed(used.items()), ("", 0))
    if not size:
        return ""
    place = random.randrange(size)
    disk.content(name)[place] ^= 1 << random.randrange(8)
    disk.settle()
    return f"{name} {place}"


def damage(disk: SimDisk, where: str, way: str, random: Random, only: str = "") -> str:
    """Damage a file of the log or a snapshot. Return what was hit, "" = there is nothing to damage.

    ``only``: the snapshot to damage ("" = any). Raises ConfigError for a way that does not exist.
    """
    if way not in WAYS:
        raise ConfigError(f"there is no damage {way!r}; there are {', '.join(WAYS)}")
    names = _files(disk, where)
    if where == "wal":
        ends = _ends_of_log(disk, names, way)
    else:
        ends = {name: len(disk.content(name)) for name in names if only in ("", name)}
    hit = [name for name, end in ends.items() if end >= (SECTOR if way == "zero" else 1)]
    if not hit:
        return ""
    name = random.choice(hit)
    if way == "gone":
        disk.lose(name)
        return f"gone {name}"
    return f"{way} {name} {_change(disk.names[name], way, ends[name], random)}"


def _change(inode: Inode, way: str, end: int, random: Random) -> str:
    """Damage a file before ``end``; return where."""
    content = inode.live
    if way == "flip":
        place = random.randrange(end)
        content[place] ^= 1 << random.randrange(8)
    elif way == "zero":
        last = random.randrange(end // SECTOR) + 1
        place = max(0, last - random.randint(1, MOST_SECTORS)) * SECTOR
        content[place : last * SECTOR] = bytes(last * SECTOR - place)
    else:
        kept = content[: random.randrange(end)]
        place = len(kept)
        if any(content):
            used = len(kept.rstrip(b"\0"))
            place = min(place, used + MARKER_BYTES - 1) if used else 0
        del content[place:]
    inode.settle()
    return str(place)


def _ends_of_log(disk: SimDisk, segments: Sequence[str], way: str) -> dict[str, int]:
    """Return up to where each segment may be damaged in this way."""
    if way == "gone":
        return dict.fromkeys(segments[:-1], 1)
    if way == "cut":
        return {name: _used(disk, name) or len(disk.content(name)) for name in segments}
    last, start = last_save(disk, segments)
    return {name: _used(disk, name) for name in segments[:last]} | {
        name: start for name in segments[last : last + 1]
    }


def last_save(disk: SimDisk, segments: Sequence[str]) -> tuple[int, int]:
    """Return which segment has the last save that is whole, and where that begins; (0, 0) if none has."""
    for number in reversed(range(len(segments))):
        content = bytes(disk.content(segments[number]))
        try:
            header, begin = decode_segment_header(content)
        except (BadFrame, FormatTooNew):
            continue
        found = content.rfind(header.marker)
        while found >= begin:
            try:
                decode_batch(content, found, header.marker)
            except BadFrame:
                found = content.rfind(header.marker, 0, found + MARKER_BYTES - 1)
            else:  # the first one is written together with the header
                return number, found if found > begin else 0
    return 0, 0


def _files(disk: SimDisk, where: str) -> list[str]:
    """Return the segments of the log, or the snapshots, in order."""
    folder, suffix = {"wal": (LOG, ".wal"), "snapshot": (SNAPSHOTS, ".snap")}.get(where, ("", ""))
    if not folder:
        raise ConfigError(f"{where!r} can't be damaged: use wal or snapshot")
    return sorted(name for name in disk.names if name.startswith(folder) and name.endswith(suffix))


def _used(disk: SimDisk, name: str) -> int:
    return len(bytes(disk.content(name)).rstrip(b"\0"))
