"""The indicators of a `.kis.yaml` file: daily bars in, one value a bar out, short formulas.

Knows: lists of whole won and shares, oldest first. A value is None until it is defined.
Sums of prices are exact integers, divided once: equal averages are equal numbers, so a cross is
one. Everything else is floating point, never rounded. Nothing here needs a package; where TA-Lib
is installed a test compares. Candlestick patterns alone are TA-Lib's own.
"""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Line: TypeAlias = "list[float | None]"
Lines: TypeAlias = "dict[str, Line]"  # output name -> line


@dataclass(frozen=True, slots=True)
class Columns:
    """Closed bars of one stock as columns of the same length, oldest first."""

    open: list[int]
    high: list[int]
    low: list[int]
    close: list[int]
    volume: list[int]

    def cut(self, count: int) -> Columns:
        """Return the first `count` bars."""
        return Columns(*(getattr(self, name)[:count] for name in self.__slots__))


# --- windows and averages ---------------------------------------------------------------


def rolling(values: Sequence[Any], n: int, of: Callable[[Sequence[Any]], float | None]) -> Line:
    """Return `of` the last n values at each place, None where one of them is not defined."""
    out: Line = []
    for end in range(1, len(values) + 1):
        window = values[max(0, end - n) : end]
        full = len(window) == n and all(each is not None for each in window)
        out.append(of(window) if full else None)
    return out


def sma(values: Sequence[Any], n: int) -> Line:
    """Return the mean of the last n values; of whole numbers it is exact before the division."""
    return rolling(values, n, lambda window: sum(window) / n)


def smooth(values: Sequence[Any], n: int, weight: float) -> Line:
    """Return the exponential average that starts with the mean of the first n defined values."""
    out: Line = []
    first: list[float] = []
    last: float | None = None
    for value in values:
        if value is None:
            out.append(None)
            continue
        if last is None:
            first.append(value)
            last = sum(first) / n if len(first) == n else None
        else:
            last += weight * (value - last)
        out.append(last)
    return out


def ema(values: Sequence[Any], n: int) -> Line:
    """Return the exponential average with weight 2 / (n + 1)."""
    return smooth(values, n, 2 / (n + 1))


def wilder(values: Sequence[Any], n: int) -> Line:
    """Return the exponential average with weight 1 / n."""
    return smooth(values, n, 1 / n)


def wma(values: Sequence[Any], n: int) -> Line:
    """Return the linearly weighted average; the newest value has weight n."""
    whole = n * (n + 1) / 2
    return rolling(values, n, lambda w: sum(i * each for i, each in enumerate(w, 1)) / whole)


def each(of: Callable[..., float], *lines: Sequence[Any]) -> Line:
    """Return `of` the values of several lines, None where one is not defined."""
    return [
        None if any(value is None for value in values) else of(*values)
        for values in zip(*lines, strict=True)
    ]


def ago(values: Sequence[Any], n: int) -> Line:
    """Return the line moved n bars to the right."""
    return [*[None] * min(n, len(values)), *values[: max(0, len(values) - n)]]


def ratio(top: float, bottom: float, empty: float = 0.0) -> float:
    """Return top / bottom, `empty` where there is nothing to divide by."""
    return top / bottom if bottom else empty


def change_pct(values: Sequence[Any], n: int) -> Line:
    """Return the change over n bars in per cent."""
    return each(lambda new, old: 100 * ratio(new - old, old), values, ago(values, n))


def deviation(window: Sequence[float]) -> float:
    """Return the population standard deviation; of whole numbers exact before the root."""
    n = len(window)
    return math.sqrt(max(0, n * sum(x * x for x in window) - sum(window) ** 2)) / n


def true_range(c: Columns) -> Line:
    """Return the true range; of the first bar high less low."""
    out: Line = []
    for at, (high, low) in enumerate(zip(c.high, c.low, strict=True)):
        before = c.close[at - 1] if at else low
        out.append(max(high, before) - min(low, before) if at else high - low)
    return out


def typical(c: Columns) -> Line:
    """Return the mean of high, low and close."""
    return each(lambda h, low, x: (h + low + x) / 3, c.high, c.low, c.close)


# --- families ---------------------------------------------------------------------------


def dema(x: Sequence[Any], n: int) -> Line:
    """Return 2 EMA - EMA of EMA."""
    first = ema(x, n)
    return each(lambda a, b: 2 * a - b, first, ema(first, n))


def tema(x: Sequence[Any], n: int) -> Line:
    """Return 3 EMA - 3 EMA of EMA + EMA of EMA of EMA."""
    first = ema(x, n)
    second = ema(first, n)
    return each(lambda a, b, d: 3 * a - 3 * b + d, first, second, ema(second, n))


def trix(x: Sequence[Any], n: int) -> Line:
    """Return the one-bar change in per cent of a triple EMA."""
    return change_pct(ema(ema(ema(x, n), n), n), 1)


def hma(x: Sequence[Any], n: int) -> Line:
    """Return Hull's average."""
    raw = each(lambda a, b: 2 * a - b, wma(x, round(n / 2)), wma(x, n))
    return wma(raw, round(math.sqrt(n)))


def changes(x: Sequence[Any]) -> tuple[Line, Line]:
    """Return rises and falls of one bar, both as numbers from 0 up."""
    moves = each(lambda new, old: new - old, x, ago(x, 1))
    return each(lambda m: max(m, 0), moves), each(lambda m: max(-m, 0), moves)


def rsi(x: Sequence[Any], n: int) -> Line:
    """Return Wilder's relative strength, 100 where there was no loss."""
    ups, downs = changes(x)
    return each(
        lambda up, down: 100 * up / (up + down) if down else 100.0, wilder(ups, n), wilder(downs, n)
    )


def cmo(x: Sequence[Any], n: int) -> Line:
    """Return Chande's momentum, smoothed as Wilder does."""
    ups, downs = changes(x)
    return each(
        lambda up, down: 100 * ratio(up - down, up + down), wilder(ups, n), wilder(downs, n)
    )


def oscillator(x: Sequence[Any], fast: int, slow: int, signal: int, percent: bool) -> Lines:
    """Return the distance of two EMAs, its own EMA and what is between them."""
    quick, calm = ema(x, fast), ema(x, slow)
    value = each(lambda a, b: 100 * ratio(a - b, b) if percent else a - b, quick, calm)
    average = ema(value, signal)
    return {
        "value": value,
        "signal": average,
        "histogram": each(lambda a, b: a - b, value, average),
    }


def stochastic(c: Columns, k: int, d: int) -> Lines:
    """Return the place of the close in the range of k bars, 0 in a flat one, and its mean."""
    high, low = rolling(c.high, k, max), rolling(c.low, k, min)
    line = each(lambda x, h, low_: 100 * ratio(x - low_, h - low_), c.close, high, low)
    return {"value": line, "k": line, "d": sma(line, d)}


def cci(c: Columns, n: int) -> Line:
    """Return the distance of the typical price from its mean, in 0.015 mean deviations."""

    def of(window: Sequence[float]) -> float:
        mean = sum(window) / n
        return ratio(window[-1] - mean, 0.015 * sum(abs(x - mean) for x in window) / n)

    return rolling(typical(c), n, of)


def directional(c: Columns, n: int) -> Lines:
    """Return ADX and both DI of Wilder; an equal move up and down counts as up."""
    plus: Line = [None]
    minus: Line = [None]
    for at in range(1, len(c.close)):
        up, down = c.high[at] - c.high[at - 1], c.low[at - 1] - c.low[at]
        plus.append(up if up > 0 and up >= down else 0)
        minus.append(down if down > up and down > 0 else 0)
    size = wilder([None, *true_range(c)[1:]], n)
    plus_di = each(lambda m, t: 100 * ratio(m, t), wilder(plus, n), size)
    minus_di = each(lambda m, t: 100 * ratio(m, t), wilder(minus, n), size)
    dx = each(lambda p, m: 100 * ratio(abs(p - m), p + m, 0.5), plus_di, minus_di)
    return {"value": wilder(dx, n), "plus_di": plus_di, "minus_di": minus_di}


def band(middle: Line, width: Line) -> Lines:
    """Return a middle line and the lines a width above and below it."""
    return {
        "value": middle,
        "middle": middle,
        "upper": each(lambda m, w: m + w, middle, width),
        "lower": each(lambda m, w: m - w, middle, width),
    }


def bollinger(c: Columns, n: int, times: float) -> Lines:
    """Return the mean and lines some population deviations away."""
    return band(sma(c.close, n), each(lambda d: times * d, rolling(c.close, n, deviation)))


def keltner(c: Columns, n: int, times: float) -> Lines:
    """Return the mean of typical prices and lines some mean true ranges away."""
    return band(sma(typical(c), n), each(lambda r: times * r, sma(true_range(c), n)))


def aroon(c: Columns, up: int, down: int) -> Lines:
    """Return how fresh the highest high and the lowest low are; the newest of equals counts."""

    def fresh(pick: Callable[[Sequence[int]], int]) -> Callable[[Sequence[int]], float]:
        return lambda w: 100 * (len(w) - 1 - list(reversed(w)).index(pick(w))) / (len(w) - 1)

    high = rolling(c.high, up + 1, fresh(max))
    low = rolling(c.low, down + 1, fresh(min))
    value = each(lambda a, b: a - b, high, low)
    return {"value": value, "aroon_up": high, "aroon_down": low}


def money_flow(c: Columns) -> Line:
    """Return volume weighted with the place of the close in the bar, -1 to 1."""
    place = each(lambda x, h, low: ratio(2 * x - h - low, h - low), c.close, c.high, c.low)
    return each(lambda p, v: p * v, place, c.volume)


def running(values: Sequence[Any]) -> Line:
    """Return the sum of everything so far."""
    out: Line = []
    total = 0.0
    for value in values:
        total += value or 0
        out.append(total)
    return out


def obv(c: Columns) -> Line:
    """Return the volume so far, counted down on falling closes; begins with the first volume."""
    signs = [1, *(0 if a == b else 1 if a > b else -1 for b, a in pairs(c.close))]
    return running([sign * volume for sign, volume in zip(signs, c.volume, strict=True)])


def pairs(values: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Return each value with the one after it."""
    return list(itertools.pairwise(values))


def mfi(c: Columns, n: int) -> Line:
    """Return the share of rising typical prices in the money of n bars, per cent."""
    price = [h + low + x for h, low, x in zip(c.high, c.low, c.close, strict=True)]
    up: Line = [None]
    down: Line = [None]
    for (before, now), volume in zip(pairs(price), c.volume[1:], strict=True):
        up.append(now * volume if now > before else 0)
        down.append(now * volume if now < before else 0)
    return each(
        lambda u, d: 100 * ratio(u, u + d), rolling(up, n, lambda w: sum(w)), rolling(down, n, sum)
    )


def consecutive(c: Columns, up: bool) -> Line:
    """Return how many closes in a row are above (below) the one before."""
    out: Line = [0.0] if c.close else []
    for before, now in pairs(c.close):
        on = now > before if up else now < before
        out.append((out[-1] or 0.0) + 1 if on else 0.0)
    return out


def supertrend(c: Columns, n: int, times: float) -> Line:
    """Return the band that follows the price, below a rising and above a falling one."""
    out: Line = []
    upper = lower = line = None
    size = wilder([None, *true_range(c)[1:]], n)
    for at, width in enumerate(size):
        if width is None:
            out.append(None)
            continue
        mid, before = (c.high[at] + c.low[at]) / 2, c.close[at - 1]
        high, low = mid + times * width, mid - times * width
        was_upper = line is None or line == upper
        upper = high if upper is None or high < upper or before > upper else upper
        lower = low if lower is None or low > lower or before < lower else lower
        above = c.close[at] > upper if was_upper else c.close[at] >= lower
        line = lower if above else upper
        out.append(line)
    return out


def regression(x: Sequence[Any], n: int) -> Lines:
    """Return end, slope and begin of the straight line through the last n values."""
    mean_at, spread = (n - 1) / 2, n * (n * n - 1) / 12
    slope = rolling(x, n, lambda w: sum((i - mean_at) * y for i, y in enumerate(w)) / spread)
    start = each(lambda m, s: m - s * mean_at, sma(x, n), slope)
    end = each(lambda a, s: a + s * (n - 1), start, slope)
    return {"value": end, "slope": slope, "intercept": each(lambda a, s: a - s, start, slope)}


# --- the table --------------------------------------------------------------------------
# id -> (parameters with their usual values, how many bars one of them needs beyond the longest
# window: 0 for windows, 250 for recursive ones, the formula, output names). A parameter has no
# default in a file; the usual value is named when it is missing. If you add an id, add its outputs.

Params: TypeAlias = Mapping[str, Any]
SETTLES = 250  # bars until a recursive average has forgotten where it began


@dataclass(frozen=True, slots=True)
class Kind:
    """One indicator id."""

    params: dict[str, float | str]
    run: Callable[[Columns, Params], Line | Lines]
    outputs: tuple[str, ...] = ("value",)
    recursive: bool = False
    extra: int = 0  # bars beyond its lengths


def _n(usual: int, run: Callable[[Columns, int], Line], recursive: bool = False) -> Kind:
    return Kind({"period": usual}, lambda c, p: run(c, p["period"]), recursive=recursive)


def _bare(run: Callable[[Columns], Line]) -> Kind:
    return Kind({}, lambda c, p: run(c))


_BAND = ("value", "upper", "middle", "lower")
KINDS: dict[str, Kind] = {
    "sma": _n(20, lambda c, n: sma(c.close, n)),
    "ema": _n(20, lambda c, n: ema(c.close, n), True),
    "dema": _n(20, lambda c, n: dema(c.close, n), True),
    "tema": _n(20, lambda c, n: tema(c.close, n), True),
    "hma": _n(20, lambda c, n: hma(c.close, n)),
    "lwma": _n(20, lambda c, n: wma(c.close, n)),
    "wma": _n(14, lambda c, n: wilder(c.close, n), True),  # the format's wma is Wilder's
    "trima": _n(20, lambda c, n: sma(sma(c.close, (n + 1) // 2), n // 2 + 1)),
    "rsi": _n(14, lambda c, n: rsi(c.close, n), True),
    "cmo": _n(14, lambda c, n: cmo(c.close, n), True),
    "stochastic": Kind(
        {"k_period": 14, "d_period": 3},
        lambda c, p: stochastic(c, p["k_period"], p["d_period"]),
        ("value", "k", "d"),
    ),
    "macd": Kind(
        {"fast": 12, "slow": 26, "signal": 9},
        lambda c, p: oscillator(c.close, p["fast"], p["slow"], p["signal"], False),
        ("value", "signal", "histogram"),
        True,
    ),
    "ppo": Kind(
        {"fast": 12, "slow": 26},
        lambda c, p: oscillator(c.close, p["fast"], p["slow"], 9, True),
        ("value", "signal", "histogram"),
        True,
    ),
    "apo": Kind(
        {"fast": 12, "slow": 26},
        lambda c, p: oscillator(c.close, p["fast"], p["slow"], 9, False)["value"],
        recursive=True,
    ),
    "cci": _n(20, cci),
    "williams_r": _n(
        14,
        lambda c, n: each(
            lambda x, h, low: -100 * ratio(h - x, h - low),
            c.close,
            rolling(c.high, n, max),
            rolling(c.low, n, min),
        ),
    ),
    "momentum": _n(10, lambda c, n: change_pct(c.close, n)),
    "roc": _n(10, lambda c, n: change_pct(c.close, n)),
    "returns": _n(60, lambda c, n: change_pct(c.close, n)),
    "change": _bare(lambda c: change_pct(c.close, 1)),
    "aroon": Kind(
        {"up_period": 25, "down_period": 25},
        lambda c, p: aroon(c, p["up_period"], p["down_period"]),
        ("value", "aroon_up", "aroon_down"),
    ),
    "ao": Kind(
        {"fast": 5, "slow": 34},
        lambda c, p: each(
            lambda a, b: (a - b) / 2,
            sma([h + low for h, low in zip(c.high, c.low, strict=True)], p["fast"]),
            sma([h + low for h, low in zip(c.high, c.low, strict=True)], p["slow"]),
        ),
    ),
    "trix": _n(15, lambda c, n: trix(c.close, n), True),
    "dpo": _n(20, lambda c, n: each(lambda x, m: x - m, ago(c.close, n // 2 + 1), sma(c.close, n))),
    "disparity": _n(20, lambda c, n: each(lambda x, m: 100 * x / m, c.close, sma(c.close, n))),
    "consecutive": Kind({"direction": "up"}, lambda c, p: consecutive(c, p["direction"] == "up")),
    "adx": Kind(
        {"period": 14},
        lambda c, p: directional(c, p["period"]),
        ("value", "plus_di", "minus_di"),
        True,
    ),
    "supertrend": Kind(
        {"period": 10, "multiplier": 3},
        lambda c, p: supertrend(c, p["period"], p["multiplier"]),
        recursive=True,
    ),
    "regression": Kind(
        {"period": 14},
        lambda c, p: regression(c.close, p["period"]),
        ("value", "slope", "intercept"),
    ),
    "atr": _n(14, lambda c, n: sma(true_range(c), n)),  # a plain mean, not Wilder's
    "natr": _n(
        14,
        lambda c, n: each(lambda a, x: 100 * a / x, wilder([None, *true_range(c)[1:]], n), c.close),
        True,
    ),
    "bollinger": Kind(
        {"period": 20, "std": 2}, lambda c, p: bollinger(c, p["period"], p["std"]), _BAND
    ),
    "keltner": Kind(
        {"period": 20, "multiplier": 2},
        lambda c, p: keltner(c, p["period"], p["multiplier"]),
        _BAND,
    ),
    "donchian": Kind(
        {"period": 20},
        lambda c, p: {
            "upper": rolling(c.high, p["period"], max),
            "lower": rolling(c.low, p["period"], min),
            "value": each(
                lambda a, b: (a + b) / 2,
                rolling(c.high, p["period"], max),
                rolling(c.low, p["period"], min),
            ),
        },
        ("value", "upper", "lower"),
    ),
    "std": _n(20, lambda c, n: rolling(c.close, n, deviation)),
    "variance": _n(20, lambda c, n: each(lambda d: d * d, rolling(c.close, n, deviation))),
    "volatility_ind": _n(
        10,
        lambda c, n: rolling(
            [None if x is None else x / 100 for x in change_pct(c.close, 1)],
            n,
            lambda w: deviation(w) * math.sqrt(n / (n - 1)) if n > 1 else 0.0,
        ),
    ),
    "obv": _bare(obv),
    "ad": _bare(lambda c: running(money_flow(c))),
    "adl": _bare(lambda c: running(money_flow(c))),
    "cmf": _n(
        20,
        lambda c, n: each(
            lambda f, v: ratio(f, v), rolling(money_flow(c), n, sum), rolling(c.volume, n, sum)
        ),
    ),
    "mfi": _n(14, mfi),
    "force": _n(
        13,
        lambda c, n: ema(each(lambda a, b, v: (a - b) * v, c.close, ago(c.close, 1), c.volume), n),
        True,
    ),
    "vwma": _n(
        20,
        lambda c, n: each(
            lambda m, v: ratio(m, v),
            rolling([x * v for x, v in zip(c.close, c.volume, strict=True)], n, sum),
            rolling(c.volume, n, sum),
        ),
    ),
    "vwap": _n(
        14,
        lambda c, n: each(
            lambda m, v: ratio(m, 4 * v),
            rolling(
                [
                    (o + h + low + x) * v
                    for o, h, low, x, v in zip(
                        c.open, c.high, c.low, c.close, c.volume, strict=True
                    )
                ],
                n,
                sum,
            ),
            rolling(c.volume, n, sum),
        ),
    ),
    "maximum": _n(20, lambda c, n: rolling(c.close, n, max)),
    "minimum": _n(20, lambda c, n: rolling(c.close, n, min)),
    "max": _n(20, lambda c, n: ago(rolling(c.close, n, max), 1)),  # the bars BEFORE this one
    "min": _n(20, lambda c, n: ago(rolling(c.close, n, min), 1)),
    "midpoint": _n(14, lambda c, n: rolling(c.close, n, lambda w: (max(w) + min(w)) / 2)),
    "midprice": _n(
        14,
        lambda c, n: each(
            lambda a, b: (a + b) / 2, rolling(c.high, n, max), rolling(c.low, n, min)
        ),
    ),
    "logr": _n(1, lambda c, n: each(lambda a, b: math.log(a / b), c.close, ago(c.close, n))),
    "ibs": _bare(
        lambda c: each(lambda x, h, low: ratio(x - low, h - low, 0.5), c.close, c.high, c.low)
    ),
    "bop": _bare(
        lambda c: each(lambda o, h, low, x: ratio(x - o, h - low), c.open, c.high, c.low, c.close)
    ),
}

# Ids of the format that are not built here.
NOT_BUILT = frozenset(["beta", "alpha"])  # they need the days of the index
NO_LENGTHS = frozenset(["scale", "width", "sigma"])  # numbers that are not so many bars


def lines_of(kind_id: str, params: Params, columns: Columns) -> Lines:
    """Return all outputs of an indicator; `shift` leaves out that many of the newest bars."""
    found = KINDS[kind_id].run(columns, params)
    lines = found if isinstance(found, dict) else {"value": found}
    shift = int(params.get("shift", 0))
    return {name: ago(line, shift) if shift else line for name, line in lines.items()}


def bars_needed(kind_id: str, params: Params) -> int:
    """Return how many closed bars a cross of the newest value needs; the same in backtest and live."""
    wanted = KINDS[kind_id].params
    given = [params.get(name) for name in wanted if name not in NO_LENGTHS]
    lengths = [int(each) for each in given if isinstance(each, int | float)]
    more = SETTLES if KINDS[kind_id].recursive else KINDS[kind_id].extra
    if kind_id == "hma":
        more = math.isqrt(lengths[0]) + 1  # an average of averages
    # one more for the day before, which a cross looks at, one for a change over the window
    return max(3, sum(lengths) + int(params.get("shift", 0)) + more + 2)


# --- candlesticks -----------------------------------------------------------------------

PATTERNS: dict[str, str] = {
    name: "CDL" + name.replace("_", "").upper()
    for name in ["doji", "dragonfly_doji", "gravestone_doji", "long_legged_doji", "hammer", "hanging_man", "inverted_hammer", "shooting_star", "marubozu", "closing_marubozu", "spinning_top", "belt_hold", "high_wave", "rickshaw_man", "engulfing", "harami", "harami_cross", "piercing", "dark_cloud_cover", "counterattack", "on_neck", "in_neck", "thrusting", "separating_lines", "kicking", "kicking_by_length", "matching_low", "homing_pigeon", "dojistar", "morning_star", "morning_doji_star", "evening_star", "evening_doji_star", "abandoned_baby", "advance_block", "stalled_pattern", "tasuki_gap", "stick_sandwich", "breakaway", "ladder_bottom", "tristar"]
} | {
    "gap_side_by_side_white": "CDLGAPSIDESIDEWHITE", "three_white_soldiers": "CDL3WHITESOLDIERS",
    "three_black_crows": "CDL3BLACKCROWS", "three_inside": "CDL3INSIDE",
    "three_outside": "CDL3OUTSIDE", "three_stars_in_south": "CDL3STARSINSOUTH",
    "upside_gap_two_crows": "CDLUPSIDEGAP2CROWS", "three_line_strike": "CDL3LINESTRIKE",
    "two_crows": "CDL2CROWS", "unique_three_river": "CDLUNIQUE3RIVER",
    "concealing_baby_swallow": "CDLCONCEALBABYSWALL", "mat_hold": "CDLMATHOLD",
    "rising_three_methods": "CDLRISEFALL3METHODS", "falling_three_methods": "CDLRISEFALL3METHODS",
    "identical_three_crows": "CDLIDENTICAL3CROWS", "up_down_gap_three_methods": "CDLXSIDEGAP3METHODS",
}  # fmt: skip
BUILDER_ONLY = frozenset(
    [
        "opening_marubozu",
        "tweezer_top",
        "tweezer_bottom",
        "meeting_lines",
        "matching_high",
        "deliberation",
        "downside_tasuki_gap",
        "upside_tasuki_gap",
        "side_by_side_white_lines",
    ]
)


def has_talib() -> bool:
    """Tell whether TA-Lib can be imported."""
    try:
        importlib.import_module("talib")
    except ImportError:
        return False
    return True


def pattern(name: str, columns: Columns) -> Line:
    """Return 100, 0 or -100 a bar, as TA-Lib sees the pattern. Raises ImportError without it."""
    talib, numpy = importlib.import_module("talib"), importlib.import_module("numpy")
    prices = (columns.open, columns.high, columns.low, columns.close)
    arrays = [numpy.array(each, dtype=float) for each in prices]
    return [float(each) for each in getattr(talib, PATTERNS[name])(*arrays)]
