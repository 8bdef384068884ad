"""A cluster of member processes on this machine, without a supervisor.

Each member is a detached ``raftkv serve`` process that outlives the shell. What is known about the
cluster lies in one folder, so any later command finds it again::

    .raftkv/
        raftkv-cluster.json     marker: names, ports, token; only a folder that holds it is ever touched
        lock                    held by the command that changes something
        n1/process.json         the process of n1: pid, start time, command line
        n1/log                  what n1 wrote to stdout and stderr
        n1/data/                n1's --data-dir

A pid from a file is only ever signalled after the process was found to be the one that was started.
"""

from raftkv.local.cluster import LocalCluster, MemberProcess
from raftkv.local.errors import (
    ClusterRunning,
    LocalError,
    MemberDied,
    NoCluster,
    NotHealthy,
    NotOurs,
    PortsInUse,
    UnknownMember,
    WrongArguments,
)
from raftkv.local.health import ClusterView, MemberView
from raftkv.local.layout import DEFAULT_FOLDER, Layout, MemberPlace, default_root
from raftkv.local.ports import free_ports

__all__ = [
    "DEFAULT_FOLDER",
    "ClusterRunning",
    "ClusterView",
    "Layout",
    "LocalCluster",
    "LocalError",
    "MemberDied",
    "MemberPlace",
    "MemberProcess",
    "MemberView",
    "NoCluster",
    "NotHealthy",
    "NotOurs",
    "PortsInUse",
    "UnknownMember",
    "WrongArguments",
    "default_root",
    "free_ports",
]
