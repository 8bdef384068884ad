"""``raftkv wal dump`` and ``raftkv wal verify``: a member's log, read only."""

import argparse
import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raftkv.cli.entry_text import describe_entry
from raftkv.cli.exits import Exit
from raftkv.cli.output import print_json
from raftkv.errors import ConfigError, StorageCorrupt
from raftkv.raft.types import Entry
from raftkv.storage.disk import FileDisk, holder
from raftkv.storage.inspection import BatchFound, Inspection, inspect
from raftkv.storage.records import Boot, Checkpoint, Record, Snapshots, Truncate
from raftkv.storage.segments import parse_segment_name, segment_name
from raftkv.storage.snapshot_format import SnapshotRef
from raftkv.storage.wal import LOCK_NAME


def run(verb: str, arguments: argparse.Namespace) -> int:
    """Run one of the verbs of this module."""
    folder = find_log(Path(arguments.folder))
    pid = holder(str(folder / LOCK_NAME))
    found = asyncio.run(_inspect(folder, records=verb == "dump", written=pid is not None))
    if verb == "dump" and arguments.limit is not None:
        _keep_last(found, arguments.limit)
    report = {"folder": str(folder), "in_use_by": pid, **_summary(found)}
    if verb == "dump":
        report["batches"] = [_batch(batch) for batch in found.batches]
    if arguments.json:
        print_json(report)
    else:
        for line in _lines(report):
            print(line)
    return Exit.OK if found.is_sound else Exit.FAILED


def find_log(folder: Path) -> Path:
    """Return the folder of the log in or below a data folder. Raises ConfigError."""
    for candidate in (folder / "member" / "wal", folder / "wal", folder):
        if candidate.is_dir() and any(parse_segment_name(path.name) for path in candidate.iterdir()):
            return candidate
    raise ConfigError(f"{folder}: there is no log: give a member's data folder, or its member/wal")


async def _inspect(folder: Path, *, records: bool, written: bool) -> Inspection:
    disk = FileDisk(writable=False)
    try:
        return await inspect(disk, str(folder), str(folder.parent / "snap"), records=records, written=written)
    finally:
        await disk.close()


def _keep_last(found: Inspection, limit: int) -> None:
    """Leave out all but the last ``limit`` records, and the batches that are empty then."""
    kept: list[BatchFound] = []
    for batch in reversed(found.batches):
        if limit <= 0:
            break
        batch.records = batch.records[-limit:]
        limit -= max(len(batch.records), 1)
        kept.append(batch)
    found.batches = kept[::-1]


def _summary(found: Inspection) -> dict[str, Any]:
    log = found.log
    replay, (term, vote, commit) = log.replay, log.replay.hard_state
    return {
        "member": {
            "id": f"{log.metadata.member_id:x}",
            "name": log.metadata.name,
            "cluster": f"{log.metadata.cluster_id:x}",
        },
        "sound": found.is_sound,
        "starts": replay.boot,
        "term": term,
        "vote": f"{vote:x}",
        "commit": commit,
        "entries": {"first": replay.base_index + 1, "last": replay.last_index},
        "segments": [
            {"name": segment_name(segment.sequence), "bytes": segment.size, "used": segment.offset}
            for segment in log.segments
        ],
        "prepared": [segment_name(segment.sequence) for segment in log.unused],
        "snapshots": [
            {**_snapshot(ref), "damage": _damage(found.bad_snapshots.get(ref))} for ref in replay.snapshots
        ],
        "torn": _torn(found),
        "damage": _damage(found.damage),
    }


def _damage(error: StorageCorrupt | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"path": error.path, "offset": error.offset, "reason": error.reason, "advice": error.advice}


def _torn(found: Inspection) -> dict[str, Any] | None:
    if (tear := found.torn) is None:
        return None
    length = tear.end - tear.start
    return {
        "segment": segment_name(tear.segment.sequence),
        "offset": tear.start,
        "bytes": length,
        "reason": tear.reason,
    }


def _batch(batch: BatchFound) -> dict[str, Any]:
    number, _, _, (term, vote, commit) = batch.header
    return {
        "segment": segment_name(batch.segment),
        "offset": batch.offset,
        "number": number,
        "term": term,
        "vote": f"{vote:x}",
        "commit": commit,
        "records": [_record(record) for record in batch.records],
    }


def _record(record: Record) -> dict[str, Any]:
    match record:
        case Entry():
            kind, text = describe_entry(record)
            size = len(record.data)
            place = {"index": record.index, "term": record.term}
            return {"type": "entry", **place, "kind": kind, "bytes": size, "text": text}
        case Truncate():
            return {"type": "truncate", "text": f"the log is cut from {record.from_index} on"}
        case Boot():
            return {"type": "boot", "text": f"start {record.number}"}
        case Snapshots():
            text = "the log begins anew after the snapshot" if record.reset else "snapshots that count"
            return {"type": "snapshots", "text": text, "snapshots": [_snapshot(ref) for ref in record.refs]}
        case Checkpoint():
            text = f"start {record.boot}, log to {record.last_index}"
            return {"type": "checkpoint", "text": text, "snapshots": [_snapshot(r) for r in record.refs]}


def _snapshot(ref: SnapshotRef) -> dict[str, Any]:
    index, term, configuration = ref.snapshot
    members = {name: [f"{m:x}" for m in group] for name, group in configuration._asdict().items()}
    return {"index": index, "term": term, **members, "bytes": ref.size, "checksum": ref.checksum.hex()}


def _lines(report: dict[str, Any]) -> Iterator[str]:
    """Yield a report as text: the batches, if there are some, then what holds for the whole."""
    member, pid = report["member"], report["in_use_by"]
    yield f"log of {member['name']} ({member['id']}) in cluster {member['cluster']}: {report['folder']}"
    if pid is not None:
        yield f"process {pid} has this log open; this is a look at it in passing"
    shown = None
    for batch in report.get("batches", ()):
        if batch["segment"] != shown:
            yield (shown := batch["segment"])
        state = f"term {batch['term']}, vote {batch['vote']}, commit {batch['commit']}"
        yield f"{batch['offset']:>10}  batch {batch['number']}: {state}"
        for record in batch["records"]:
            yield f"            {_record_line(record)}"
    yield from _whole_lines(report)


def _whole_lines(report: dict[str, Any]) -> Iterator[str]:
    entries, segments = report["entries"], report["segments"]
    used = sum(segment["used"] for segment in segments)
    yield f"{len(segments)} segments, {used} bytes; entries {entries['first']} to {entries['last']}"
    yield "term {term}, vote {vote}, commit {commit}; {starts} starts".format(**report)
    for snapshot in report["snapshots"]:
        yield f"{_snapshot_line(snapshot)}: {_damage_line(snapshot['damage']) or 'sound'}"
    if (torn := report["torn"]) is not None:
        yield "{segment}: an unfinished save of {bytes} bytes at offset {offset}".format(**torn)
        yield "  it was never acknowledged; the next start cuts it"
    sound = "sound" if report["sound"] else "the log is sound, a snapshot is not"
    yield _damage_line(report["damage"]) or sound


def _damage_line(damage: dict[str, Any] | None) -> str:
    return "" if damage is None else "{path}: damaged at offset {offset}: {reason}. {advice}".format(**damage)


def _record_line(record: dict[str, Any]) -> str:
    if record["type"] == "entry":
        return f"{record['index']} (term {record['term']}) {record['kind']}: {record['text']}"
    snapshots = "; ".join(_snapshot_line(snapshot) for snapshot in record.get("snapshots", ()))
    return f"{record['type']}: {record['text']}" + (f": {snapshots}" if snapshots else "")


def _snapshot_line(snapshot: dict[str, Any]) -> str:
    return (
        f"snapshot at {snapshot['index']} (term {snapshot['term']}), {snapshot['bytes']} bytes, "
        f"sha256 {snapshot['checksum'][:12]}"
    )
