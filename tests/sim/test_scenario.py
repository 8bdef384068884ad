"""Scenarios as text: what is written is read back, and what makes no sense is refused with its line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.errors import ConfigError
from raftkv.sim.network import Conditions
from raftkv.sim.scenario import (
    FORMAT,
    OTHERS,
    DiskSpeed,
    Fault,
    Heal,
    Operation,
    Scenario,
    format_scenario,
    parse_scenario,
)

MEMBERS = st.integers(1, 9).map(lambda number: f"n{number}")
TIMES = st.integers(0, 60_000).map(lambda milliseconds: milliseconds / 1000)
DELAYS = st.integers(0, 1_000_000).map(lambda microseconds: round(microseconds / 1e6, 6))
CHANCES = st.integers(0, 1000).map(lambda tenths: round(tenths / 1000, 9))
NAMES = st.from_regex(r"[a-z][a-z0-9.-]{0,8}", fullmatch=True).filter(lambda name: name not in ("for", "via"))
FAULTS = st.builds(
    Fault,
    TIMES,
    NAMES.filter(lambda name: name[0] != "c"),
    st.lists(NAMES, max_size=3).map(tuple),
    st.one_of(st.just(0.0), TIMES),
)
OPERATIONS = st.builds(
    Operation,
    TIMES,
    st.integers(1, 99).map(lambda number: f"c{number}"),
    MEMBERS,
    st.lists(NAMES, min_size=1, max_size=4).map(tuple),
)
SCENARIOS = st.builds(
    Scenario,
    nodes=st.integers(1, 7),
    seed=st.integers(0, 2**63),
    options=st.dictionaries(NAMES, NAMES, max_size=3),
    network=st.builds(Conditions, DELAYS, DELAYS, CHANCES, CHANCES, st.booleans()),
    disk=st.builds(DiskSpeed, DELAYS, DELAYS),
    faults=st.lists(FAULTS, max_size=5).map(lambda found: tuple(sorted(found, key=lambda one: one.at))),
    operations=st.lists(OPERATIONS, max_size=5).map(
        lambda found: tuple(sorted(found, key=lambda one: one.at))
    ),
    heal=st.one_of(
        st.none(), st.builds(Heal, TIMES, st.lists(MEMBERS, min_size=1).map(tuple), st.sampled_from(OTHERS))
    ),
    beyond_repair=st.booleans(),
)


@given(SCENARIOS)
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_back(scenario: Scenario) -> None:
    assert parse_scenario(format_scenario(scenario)) == scenario


def test_the_example_says_what_it_says() -> None:
    text = f"""{FORMAT}
        nodes 5
        seed 42   # a comment
        option lease-reads true

        network 1ms..30ms loss 2% duplicate 1% reorder
        disk 0.5ms..4ms
        beyond repair
        at 3.2 crash n1 sectors
        at 5 cut n1>n2 n2>n1 for 2.5
        at 5.25 c1 via n2 put k1 v17
        heal at 24 with n1 n2 n3 others deaf
    """
    assert parse_scenario(text) == Scenario(
        5,
        42,
        {"lease-reads": "true"},
        Conditions(0.001, 0.03, 0.02, 0.01, reordering=True),
        DiskSpeed(0.0005, 0.004),
        (Fault(3.2, "crash", ("n1", "sectors")), Fault(5.0, "cut", ("n1>n2", "n2>n1"), 2.5)),
        (Operation(5.25, "c1", "n2", ("put", "k1", "v17")),),
        Heal(24.0, ("n1", "n2", "n3"), "deaf"),
        beyond_repair=True,
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nodes many", "invalid literal"),
        ("node 3", "no such line"),
        ("network fast", "use 1ms..30ms"),
        ("network 1ms..2ms loss 2", "use a percentage"),
        ("network 1ms..2ms rain", "'rain' says nothing"),
        ("disk 1..2", "use 1ms..30ms"),
        ("at noon crash n1", "could not convert"),
        ("at 1 c1 via m2 get k1", "'m2' is no member"),
        ("at 1 cut n1>n2 for long", "could not convert"),
        ("heal at 3", "no such line"),
        ("heal at 3 with n1 n2 others blind", "others are off, cut, deaf, mute"),
        ("beyond hope", "no such line"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(line: str, says: str) -> None:
    with pytest.raises(ConfigError, match=r"line 3: '.*': ") as caught:
        parse_scenario(f"{FORMAT}\nnodes 3\n{line}\n")
    assert says in str(caught.value) and line in str(caught.value)


@pytest.mark.parametrize("text", ["", "nodes 3\n", "# raftkv scenario 2\n"])
def test_what_is_no_scenario_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a scenario"):
        parse_scenario(text)
