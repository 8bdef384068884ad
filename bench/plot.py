"""Draws what growth.py measured at each number of keys.

    python bench/plot.py FIGURES.json PICTURE.png

Needs matplotlib, which nothing else here does: pip install matplotlib.
"""

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

COLOURS = {"raftkv": "#1f5fa8", "etcd": "#b0641c"}


def draw(result: dict[str, Any], picture: Path) -> None:
    """Draw throughput, and p99 and worst latency, against the number of keys."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, figsize=(7, 7), sharex=True, layout="constrained")
    for system, rows in result["sizes"].items():
        keys, style = [row["keys"] for row in rows], {"color": COLOURS[system], "marker": "o"}
        above.plot(keys, [median(row["puts_per_second"]) for row in rows], label=system, **style)
        below.plot(keys, [median(row["p99_ms"]) for row in rows], label=f"{system}, p99", **style)
        worst = [max(row["worst_ms"]) for row in rows]
        below.plot(keys, worst, label=f"{system}, worst", linestyle=":", **style)
    above.set(ylabel="puts a second, 64 connections", title="Three members, 256-byte values")
    rate = f"{result['rate']:,.0f}"
    below.set(ylabel=f"milliseconds at {rate} puts a second", xlabel="keys", xscale="log")
    for axes in (above, below):
        axes.set_ylim(0, 1.1 * axes.dataLim.y1)
        axes.legend()
        axes.grid(alpha=0.3)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
