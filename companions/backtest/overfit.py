"""Is the best of many only the luckiest? Probability of backtest overfitting, by CSCV.

Bailey, Borwein, Lopez de Prado, Zhu (2015): cut the days into blocks, take every half of them as
"inside", choose the best there, look at its rank outside. If the best inside is below the middle
outside in half of all cases, choosing was worth nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

BLOCKS = 16


class Overfit(NamedTuple):
    """What the combinations say together."""

    probability: float  # that the best inside is below the median outside
    combinations: int
    loss: float  # share of combinations in which the best inside loses money outside


def overfitting(returns: Sequence[Sequence[float]], blocks: int = BLOCKS) -> Overfit | None:
    """Return the probability of overfitting of daily returns by trial; None with too little data.

    One trial that is best in every block cannot be luck, all alike are a coin:
    >>> overfitting([[2, 1] * 20, [1, 0] * 20, [0, -1] * 20, [-1, -2] * 20], blocks=4).probability
    0.0
    """
    import numpy

    days = min(map(len, returns), default=0)
    blocks = min(blocks, days // 2 // 2 * 2)
    if len(returns) < 2 or blocks < 4:
        return None
    table = numpy.array([each[:days] for each in returns], dtype=float).T
    parts = numpy.array_split(table, blocks)
    sums = numpy.array([part.sum(axis=0) for part in parts])
    squares = numpy.array([(part**2).sum(axis=0) for part in parts])
    lengths = numpy.array([len(part) for part in parts], dtype=float)
    chosen = list(itertools.combinations(range(blocks), blocks // 2))
    inside = numpy.zeros((len(chosen), blocks))
    for row, picked in enumerate(chosen):
        inside[row, list(picked)] = 1.0

    def ratio(mask: Any) -> tuple[Any, Any]:
        count = (mask @ lengths)[:, None]
        mean = mask @ sums / count
        spread = numpy.sqrt(numpy.maximum(mask @ squares / count - mean**2, 0.0))
        return numpy.where(spread > 1e-12, mean / numpy.maximum(spread, 1e-12), numpy.sign(mean) * 1e9 * (mean != 0)), mean  # fmt: skip

    within, _ = ratio(inside)
    outside, means = ratio(1 - inside)
    rows = numpy.arange(len(chosen))
    best = within.argmax(axis=1)
    own = outside[rows, best][:, None]
    below = (outside < own).sum(axis=1) + (
        (outside == own).sum(axis=1) + 1
    ) / 2  # mean rank, from 1
    relative = below / (len(returns) + 1)
    probability = float((relative < 0.5).mean() + (relative == 0.5).mean() / 2)
    return Overfit(probability, len(chosen), float((means[rows, best] < 0).mean()))
