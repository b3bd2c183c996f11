"""The rest of the indicators of the `.kis.yaml` format: adaptive averages, oscillators, trend, bands.

Imported by kis_plan for its effect: it adds to kis_indicators.KINDS. Same rules: whole won in, None
until a value is defined, short formulas, TA-Lib only to compare. Where the official backtester's own
value is broken the usual definition is taken: kst (Pring), pivot (a swing, known when its right side
is over). `beta` and `alpha` need the index's days and are refused by name.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from kis_indicators import (
    KINDS,
    Columns,
    Kind,
    Line,
    Lines,
    ago,
    change_pct,
    cmo,
    directional,
    each,
    ema,
    money_flow,
    ratio,
    rolling,
    rsi,
    running,
    sma,
    true_range,
    wma,
)  # fmt: skip

# --- averages that adapt -----------------------------------------------------------------


def follow(values: Sequence[Any], weights: Line, first: int) -> Line:
    """Return a line that goes from the value at `first` a share of each distance, as weights say."""
    out: Line = [None] * min(first, len(values))
    last: float | None = None
    for value, weight in zip(values[first:], weights[first:], strict=True):
        if last is None or weight is None:
            last = value if last is None else last
        else:
            last += weight * (value - last)
        out.append(last)
    return out


def kama(x: Sequence[int], n: int) -> Line:
    """Return Kaufman's average: quick (2) where the way is straight, slow (30) where it is not."""
    steps = rolling([None, *(abs(b - a) for a, b in itertools.pairwise(x))], n, sum)
    way = each(lambda a, b: abs(a - b), x, ago(x, n))
    fast, slow = 2 / 3, 2 / 31
    weights = each(lambda w, s: ((w / s if s else 1.0) * (fast - slow) + slow) ** 2, way, steps)
    return [None] * min(n, len(x)) + follow(x, weights, max(0, n - 1))[n:]


def alma(x: Sequence[int], n: int, sigma: float, offset: float) -> Line:
    """Return the average weighted by a bell near the newest bar (Arnaud Legoux)."""
    middle, wide = math.floor(offset * (n - 1)), n / int(sigma)
    weights = [math.exp(-((i - middle) ** 2) / (2 * wide * wide)) for i in range(n)]
    whole = sum(weights)
    return rolling(x, n, lambda w: sum(a * b for a, b in zip(weights, w, strict=True)) / whole)


def t3(x: Sequence[int], n: int, factor: float) -> Line:
    """Return Tillson's average: three times (1 + v) EMA - v EMA of EMA."""
    line: Sequence[Any] = x
    for _ in range(3):
        first = ema(line, n)
        line = each(lambda a, b: (1 + factor) * a - factor * b, first, ema(first, n))
    return list(line)


def zlema(x: Sequence[int], n: int) -> Line:
    """Return the EMA of the values moved on by half its lag."""
    return ema(each(lambda a, b: 2 * a - b, x, ago(x, round((n - 1) / 2))), n)


def frama(c: Columns, n: int) -> Line:
    """Return Ehlers' fractal average of the middle of each bar."""
    half = n // 2

    def spread(length: int) -> Line:
        high, low = rolling(c.high, length, max), rolling(c.low, length, min)
        return each(lambda a, b: (a - b) / length, high, low)

    def weight(new: float, old: float, whole: float) -> float:
        if new + old <= 0 or whole <= 0:
            return 1.0
        size = math.log2((new + old) / whole)
        return min(1.0, max(0.01, math.exp(math.log(2 / 199) * (size - 1))))

    newer = spread(half)
    weights = each(weight, newer, ago(newer, half), spread(2 * half))
    price = [(h + low) / 2 for h, low in zip(c.high, c.low, strict=True)]
    return follow(price, weights, 2 * half - 1)


def vidya(x: Sequence[int], n: int) -> Line:
    """Return Chande's average: the weight of an EMA times the strength of the momentum."""
    weights = each(lambda m: 2 / (n + 1) * abs(m) / 100, cmo(x, n))
    return follow(x, weights, n - 1)


# --- oscillators -------------------------------------------------------------------------


def place(x: Sequence[Any], n: int, flat: float) -> Line:
    """Return where a value stands between the lowest and highest of n, per cent."""
    low, high = rolling(x, n, min), rolling(x, n, max)
    return each(lambda v, a, b: 100 * (v - a) / (b - a) if b > a else flat, x, low, high)


def stochrsi(x: Sequence[int], p: Any) -> Lines:
    """Return the smoothed place of RSI in its own range, and its mean."""
    k = sma(place(rsi(x, p["rsi_period"]), p["stoch_period"], 100.0), p["k_period"])
    return {"value": k, "k": k, "d": sma(k, p["d_period"])}


def cho(c: Columns, fast: int, slow: int) -> Line:
    """Return Chaikin's oscillator: the distance of two EMAs of accumulation/distribution."""
    flow = running(money_flow(c))
    return each(lambda a, b: a - b, ema(flow, fast), ema(flow, slow))


def ultosc(c: Columns, lengths: tuple[int, int, int]) -> Line:
    """Return the ultimate oscillator: buying pressure over true range, three lengths, 4 2 1."""
    before = ago(c.close, 1)
    pressure = each(lambda x, low, b: x - min(low, b), c.close, c.low, before)
    span: Line = [None, *true_range(c)[1:]]
    parts = [each(ratio, rolling(pressure, n, sum), rolling(span, n, sum)) for n in sorted(lengths)]
    return each(lambda a, b, d: 100 * (4 * a + 2 * b + d) / 7, *parts)


def tsi(x: Sequence[int], long: int, short: int, signal: int) -> Lines:
    """Return the true strength index and its signal."""
    step: Line = [None, *(b - a for a, b in itertools.pairwise(x))]
    moved = ema(ema(step, long), short)
    size = ema(ema(each(abs, step), long), short)
    value = each(lambda a, b: 100 * ratio(a, b), moved, size)
    return {"value": value, "signal": ema(value, signal)}


def rvi(c: Columns, n: int) -> Line:
    """Return the relative vigour: close less open over high less low, both weighted 1 2 2 1."""

    def calm(values: Sequence[int]) -> Line:
        return rolling(values, 4, lambda w: (w[0] + 2 * w[1] + 2 * w[2] + w[3]) / 6)

    body = calm([x - o for x, o in zip(c.close, c.open, strict=True)])
    size = calm([h - low for h, low in zip(c.high, c.low, strict=True)])
    return each(ratio, sma(body, n), sma(size, n))


def kvo(c: Columns, fast: int, slow: int, signal: int) -> Lines:
    """Return Klinger's oscillator of the volume's force, and its signal."""
    force: Line = [None]
    trend, moved = 0, 0.0
    for at in range(1, len(c.close)):
        now = c.high[at] + c.low[at] + c.close[at]
        before = c.high[at - 1] + c.low[at - 1] + c.close[at - 1]
        way = 1 if now > before else -1
        size, last = c.high[at] - c.low[at], c.high[at - 1] - c.low[at - 1]
        moved = moved + size if way == trend else last + size
        trend = way
        force.append(c.volume[at] * abs(2 * (ratio(size, moved) - 1)) * way * 100)
    value = each(lambda a, b: a - b, ema(force, fast), ema(force, slow))
    return {"value": value, "signal": ema(value, signal)}


def coppock(x: Sequence[int], short: int, long: int, n: int) -> Line:
    """Return the weighted mean of two rates of change together."""
    return wma(each(lambda a, b: a + b, change_pct(x, short), change_pct(x, long)), n)


def kst(x: Sequence[int], lengths: Sequence[int]) -> Lines:
    """Return Pring's know sure thing: four smoothed rates of change, weighted 1 2 3 4."""
    parts = [sma(change_pct(x, n), m) for n, m in zip(lengths, (10, 10, 10, 15), strict=True)]
    value = each(lambda a, b, d, e: a + 2 * b + 3 * d + 4 * e, *parts)
    return {"value": value, "signal": sma(value, 9)}


def schaff(x: Sequence[int], cycle: int, fast: int, slow: int) -> Line:
    """Return the trend cycle: MACD, twice its place in its own range, each smoothed by EMA 3."""
    line: Line = each(lambda a, b: a - b, ema(x, fast), ema(x, slow))
    for _ in range(2):
        line = ema(place(line, cycle, 0.0), 3)
    return line


def fisher(c: Columns, n: int) -> Line:
    """Return the Fisher transform of where the middle of the bar stands in its range."""
    middle = [(h + low) / 2 for h, low in zip(c.high, c.low, strict=True)]
    out: Line = []
    x = y = 0.0
    for at in place(middle, n, 50.0):
        if at is None:
            out.append(None)
            continue
        x = min(0.999, max(-0.999, 0.33 * 2 * (at / 100 - 0.5) + 0.67 * x))
        y = 0.5 * math.log((1 + x) / (1 - x)) + 0.5 * y
        out.append(y)
    return out


def augen(x: Sequence[int], n: int) -> Line:
    """Return the change of a day in standard deviations of the n days before it (price spike)."""
    logs = each(lambda a, b: math.log(a / b), x, ago(x, 1))

    def spread(window: Sequence[float]) -> float:
        mean = sum(window) / n
        return math.sqrt(sum((v - mean) ** 2 for v in window) / n)

    usual = ago(rolling(logs, n, spread), 1)
    return each(lambda a, b, s: ratio(a - b, s * b), x, ago(x, 1), usual)


# --- trend and bands ---------------------------------------------------------------------


def adxr(c: Columns, n: int) -> Line:
    """Return the mean of ADX now and n - 1 bars ago."""
    adx = directional(c, n)["value"]
    return each(lambda a, b: (a + b) / 2, adx, ago(adx, n - 1))


def middle_of(c: Columns, n: int) -> Line:
    """Return the middle of the range of n bars."""
    return each(lambda a, b: (a + b) / 2, rolling(c.high, n, max), rolling(c.low, n, min))


def ichimoku(c: Columns, tenkan: int, kijun: int, senkou_b: int) -> Lines:
    """Return the five lines; the spans are those that stand under today, not those drawn ahead."""
    first, second = middle_of(c, tenkan), middle_of(c, kijun)
    return {
        "value": second,  # unconfirmed: a condition without an output
        "tenkan": first,
        "kijun": second,
        "senkou_a": ago(each(lambda a, b: (a + b) / 2, first, second), kijun),
        "senkou_b": ago(middle_of(c, senkou_b), kijun),
        "chikou": ago(c.close, kijun),
    }


def sar(c: Columns, start: float, step: float, most: float) -> Line:
    """Return Wilder's parabolic stop and reverse, begun as TA-Lib does."""
    if len(c.close) < 2:
        return [None] * len(c.close)
    fall, rise = c.low[0] - c.low[1], c.high[1] - c.high[0]
    up = not (fall > 0 and fall > rise)
    stop = float(c.low[0] if up else c.high[0])
    top, speed = float(c.high[1] if up else c.low[1]), start
    out: Line = [None]
    for at in range(1, len(c.close)):
        high, low = c.high[at], c.low[at]
        old = range(max(0, at - 1), at + 1)
        highs, lows = [c.high[i] for i in old], [c.low[i] for i in old]
        if (low <= stop) if up else (high >= stop):
            up = not up
            stop = min(top, *lows) if up else max(top, *highs)
            out.append(stop)
            speed, top = start, float(high if up else low)
        else:
            out.append(stop)
            if (high > top) if up else (low < top):
                top, speed = float(high if up else low), min(most, speed + step)
        stop += speed * (top - stop)
        stop = min(stop, *lows) if up else max(stop, *highs)
    return out


def vortex(c: Columns, n: int) -> Lines:
    """Return how far highs and lows swing over the bars before, in true ranges."""
    size = rolling([None, *true_range(c)[1:]], n, sum)
    up = rolling(each(lambda a, b: abs(a - b), c.high, ago(c.low, 1)), n, sum)
    down = rolling(each(lambda a, b: abs(a - b), c.low, ago(c.high, 1)), n, sum)
    plus, minus = each(ratio, up, size), each(ratio, down, size)
    return {
        "value": each(lambda a, b: (a + b) / 2, plus, minus),
        "plus_vi": plus,
        "minus_vi": minus,
    }


def chop(c: Columns, n: int) -> Line:
    """Return how much of the way led nowhere: 100 when all of it, per cent of a logarithm."""
    way, high, low = rolling(true_range(c), n, sum), rolling(c.high, n, max), rolling(c.low, n, min)
    return each(
        lambda w, h, x: 100 * math.log10(w / (h - x)) / math.log10(n) if h > x and w and n > 1 else 0.0,
        way, high, low,
    )  # fmt: skip


def mass_index(c: Columns, n: int, length: int) -> Line:
    """Return the sum of range averages over their own average."""
    one = ema([h - low for h, low in zip(c.high, c.low, strict=True)], n)
    return rolling(each(ratio, one, ema(one, n)), length, sum)


def pivot(c: Columns, left: int, right: int) -> Lines:
    """Return the last confirmed swing high and low; a swing is known `right` bars after it."""

    def last(values: Sequence[int], beats: Callable[[int, int], bool]) -> Line:
        out: Line = []
        found: float | None = None
        for at in range(len(values)):
            middle = at - right
            if middle >= left:
                around = [*values[middle - left : middle], *values[middle + 1 : at + 1]]
                if all(beats(values[middle], other) for other in around):
                    found = values[middle]
            out.append(found)
        return out

    high, low = last(c.high, lambda a, b: a > b), last(c.low, lambda a, b: a < b)
    return {"value": each(lambda a, b: (a + b) / 2, high, low), "high": high, "low": low}


def accbands(c: Columns, n: int, width: float) -> Lines:
    """Return acceleration bands: the mean of prices stretched by the size of their bars."""
    size = each(lambda h, low: width * ratio(h - low, h + low), c.high, c.low)
    middle = sma(c.close, n)
    return {
        "value": middle, "middle": middle,
        "upper": sma(each(lambda h, s: h * (1 + s), c.high, size), n),
        "lower": sma(each(lambda low, s: low * (1 - s), c.low, size), n),
    }  # fmt: skip


def eom(c: Columns, n: int, scale: float) -> Line:
    """Return how easily the middle of the bar moves for its volume; 0 on flat or empty bars."""
    middle = each(lambda h, low: (h + low) / 2, c.high, c.low)
    moved = each(lambda a, b: a - b, middle, ago(middle, 1))
    return sma(
        each(lambda m, v, h, low: ratio(m * (h - low) * scale, v), moved, c.volume, c.high, c.low),
        n,
    )


def _n(usual: int, run: Callable[[Columns, int], Line], recursive: bool = False) -> Kind:
    return Kind({"period": usual}, lambda c, p: run(c, p["period"]), recursive=recursive)


KINDS.update({
    "kama": _n(10, lambda c, n: kama(c.close, n), True),
    "alma": Kind({"period": 9, "sigma": 6, "offset": 0.85},
                 lambda c, p: alma(c.close, p["period"], p["sigma"], p["offset"])),
    "t3": Kind({"period": 10, "volume_factor": 0.7},
               lambda c, p: t3(c.close, p["period"], p["volume_factor"]), recursive=True),
    "zlema": _n(20, lambda c, n: zlema(c.close, n), True),
    "frama": _n(16, frama, True),
    "vidya": _n(14, lambda c, n: vidya(c.close, n), True),
    "stochrsi": Kind({"rsi_period": 14, "stoch_period": 14, "k_period": 3, "d_period": 3},
                     lambda c, p: stochrsi(c.close, p), ("value", "k", "d"), True),
    "cho": Kind({"fast": 3, "slow": 10}, lambda c, p: cho(c, p["fast"], p["slow"]), recursive=True),
    "ultosc": Kind({"period1": 7, "period2": 14, "period3": 28},
                   lambda c, p: ultosc(c, (p["period1"], p["period2"], p["period3"]))),
    "tsi": Kind({"long_period": 25, "short_period": 13, "signal_period": 7},
                lambda c, p: tsi(c.close, p["long_period"], p["short_period"], p["signal_period"]),
                ("value", "signal"), True),
    "rvi": Kind({"period": 10}, lambda c, p: rvi(c, p["period"]), extra=4),
    "kvo": Kind({"fast": 34, "slow": 55, "signal": 13},
                lambda c, p: kvo(c, p["fast"], p["slow"], p["signal"]), ("value", "signal"), True),
    "coppock": Kind({"short_roc": 11, "long_roc": 14, "wma": 10},
                    lambda c, p: coppock(c.close, p["short_roc"], p["long_roc"], p["wma"])),
    "kst": Kind({"roc1": 10, "roc2": 15, "roc3": 20, "roc4": 30},
                lambda c, p: kst(c.close, [p[f"roc{n}"] for n in (1, 2, 3, 4)]),
                ("value", "signal"), extra=24),
    "schaff": Kind({"cycle": 10, "fast": 23, "slow": 50},
                   lambda c, p: schaff(c.close, p["cycle"], p["fast"], p["slow"]), recursive=True),
    "fisher": _n(10, fisher, True),
    "augen": Kind({"period": 3}, lambda c, p: augen(c.close, p["period"]), extra=2),
    "adxr": _n(14, adxr, True),
    "ichimoku": Kind({"tenkan": 9, "kijun": 26, "senkou_b": 52},
                     lambda c, p: ichimoku(c, p["tenkan"], p["kijun"], p["senkou_b"]),
                     ("value", "tenkan", "kijun", "senkou_a", "senkou_b", "chikou")),
    "sar": Kind({"af_start": 0.02, "af_step": 0.02, "af_max": 0.2},
                lambda c, p: sar(c, p["af_start"], p["af_step"], p["af_max"]), recursive=True),
    "vortex": Kind({"period": 14}, lambda c, p: vortex(c, p["period"]),
                   ("value", "plus_vi", "minus_vi")),
    "chop": _n(14, chop),
    "mass_index": Kind({"ema_period": 9, "sum_period": 25},
                       lambda c, p: mass_index(c, p["ema_period"], p["sum_period"]), recursive=True),
    "pivot": Kind({"left_bars": 5, "right_bars": 5},
                  lambda c, p: pivot(c, p["left_bars"], p["right_bars"]),
                  ("value", "high", "low"), True),
    "accbands": Kind({"period": 20, "width": 4}, lambda c, p: accbands(c, p["period"], p["width"]),
                     ("value", "upper", "middle", "lower")),
    "eom": Kind({"period": 14, "scale": 10_000}, lambda c, p: eom(c, p["period"], p["scale"])),
})  # fmt: skip
