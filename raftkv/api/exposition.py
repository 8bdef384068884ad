"""Metrics as text, in the format that Prometheus reads (version 0.0.4).

Written here and not by the Prometheus client library: that one adds ``_total`` to the name of every
counter, and some of etcd's are called otherwise.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from raftkv.node.tally import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Metric(NamedTuple):
    """A metric, with its lines: name and labels to value."""

    name: str
    kind: str
    help: str
    lines: tuple[str, ...]


def gauge(name: str, text: str, value: float, /, **labels: str) -> Metric:
    """Return a gauge with one value."""
    return gauges(name, text, [(labels, value)])


def counter(name: str, text: str, value: float, /, **labels: str) -> Metric:
    """Return a counter with one value."""
    return counters(name, text, [(labels, value)])


def gauges(name: str, text: str, values: Iterable[tuple[Labels, float]]) -> Metric:
    """Return a gauge with a value for each set of labels."""
    return Metric(name, "gauge", text, tuple(_line(name, labels, value) for labels, value in values))


def counters(name: str, text: str, values: Iterable[tuple[Labels, float]]) -> Metric:
    """Return a counter with a value for each set of labels."""
    return Metric(name, "counter", text, tuple(_line(name, labels, value) for labels, value in values))


def histogram(name: str, text: str, found: Histogram, /, **labels: str) -> Metric:
    """Return one histogram."""
    return histograms(name, text, [(labels, found)])


def histograms(name: str, text: str, found: Iterable[tuple[Labels, Histogram]]) -> Metric:
    """Return a histogram for each set of labels."""
    lines: list[str] = []
    for labels, one in found:
        below = 0
        for bound, count in zip((*one.bounds, float("inf")), one.buckets, strict=True):
            below += count
            lines.append(_line(f"{name}_bucket", {**labels, "le": _number(bound)}, below))
        lines.append(_line(f"{name}_sum", labels, one.sum))
        lines.append(_line(f"{name}_count", labels, below))
    return Metric(name, "histogram", text, tuple(lines))


def _line(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {_number(value)}" if inside else f"{name} {_number(value)}"


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "+Inf" if value == float("inf") else f"{value:.12g}"


def render(metrics: Iterable[Metric]) -> bytes:
    """Return the text of all metrics that have a value, by name."""
    lines: list[str] = []
    for metric in sorted(metrics):
        if metric.lines:
            lines += (f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}")
            lines += metric.lines
    # bytes of a header that are no text can't be written; one client must not take the page from all
    return "\n".join([*lines, ""]).encode("utf-8", "replace")
