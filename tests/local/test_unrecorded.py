"""A member that runs without being written down must not lose its data to ``clean``."""

from pathlib import Path

import pytest

from raftkv.local import LocalCluster, free_ports
from raftkv.local.errors import ClusterRunning


def test_clean_refuses_while_a_member_that_was_not_written_down_runs(tmp_path: Path) -> None:
    cluster = LocalCluster.open_or_create(tmp_path / "cluster", 1, free_ports(2))
    cluster.up()
    (member,) = cluster.layout.members
    record = cluster.layout.process_file(member)
    text = record.read_text(encoding="utf-8")
    record.unlink()
    try:
        with pytest.raises(ClusterRunning):
            cluster.clean()
        assert cluster.layout.data(member).exists()
    finally:
        record.write_text(text, encoding="utf-8")
        cluster.down()
    cluster.clean()
    assert not cluster.layout.root.exists()
