"""All mutants, by id: those of the catalogue of bugs, and those written without looking at the checks."""

from raftkv.errors import ConfigError
from raftkv.sim.mutants import (
    blind_core,
    blind_node,
    content,
    disks,
    elections,
    leases,
    links,
    members,
    reads,
    replication,
    review,
    streams,
)
from raftkv.sim.mutants.mutant import Mutant

CATALOGUE: tuple[Mutant, ...] = (
    *elections.MUTANTS,
    *replication.MUTANTS,
    *disks.MUTANTS,
    *content.MUTANTS,
    *reads.MUTANTS,
    *members.MUTANTS,
    *streams.MUTANTS,
    *leases.MUTANTS,
    *links.MUTANTS,
)

BLIND: tuple[Mutant, ...] = (*blind_core.MUTANTS, *blind_node.MUTANTS)

REVIEW: tuple[Mutant, ...] = review.MUTANTS

BY_ID: dict[str, Mutant] = {mutant.id: mutant for mutant in (*CATALOGUE, *BLIND, *REVIEW)}


def mutant_named(name: str) -> Mutant:
    """Return a mutant; raises ConfigError."""
    if name not in BY_ID:
        raise ConfigError(f"there is no mutant {name!r}; there are {', '.join(BY_ID)}")
    return BY_ID[name]
