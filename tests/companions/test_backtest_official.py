"""The official number restated beside ours: worked examples on a few days, won by won."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

import kis_realtime_trading as bot
from companions import command_line
from companions.backtest import compat, official
from companions.options import build_parser

FILE = """\
version: "1.0"
metadata: {name: t}
strategy:
  id: t
  indicators:
    - {id: sma, alias: line, params: {period: 2}}
  entry:
    conditions:
      - {indicator: close, operator: cross_above, compare_to: line}
  exit:
    conditions:
      - {indicator: close, operator: cross_below, compare_to: line}
risk:
  stop_loss: {enabled: true, percent: 10}
"""


def days_of(*rows):
    """Return columns and days of (open, high, low, close)."""
    days = [date(2026, 10, 12)]
    while len(days) < len(rows):
        days.append(bot.next_trading_day(days[-1]))
    columns = zip(*rows, strict=True)
    return official.Columns(*(list(each) for each in columns), [1_000] * len(rows)), days


def plan(text=FILE):
    """Return the plan of a text."""
    return official.kis_yaml.read_plan(text, "f")


def flat(*closes):
    """Return days that open at the close of the day before."""
    before = (closes[0], *closes)
    return days_of(*((a, max(a, b), min(a, b), b) for a, b in zip(before, closes, strict=False)))


def test_the_first_judged_day_is_a_false_cross_officially():
    """Rising from the start: the official run buys on day 2 because before it all was 0; ours never."""
    columns, days = flat(10_000, 10_100, 10_200, 10_300)
    theirs, ours = (
        run(plan(), columns, days) for run in (official.run_official, official.run_ours)
    )
    assert [(deal.bought, deal.price) for deal in theirs.deals] == [(days[1], 10_100)]
    assert ours.deals == ()
    assert ours.end_krw == official.START_KRW


def test_the_official_fill_is_the_close_and_ours_the_next_open():
    """A cross on day 4 at 10,200; next open 10,500 after a gap; a cross below sells likewise."""
    columns, days = days_of(
        (10_000, 10_000, 10_000, 10_000), (10_000, 10_000, 9_900, 9_900), (9_900, 9_900, 9_800, 9_800),
        (9_800, 10_200, 9_800, 10_200), (10_500, 10_600, 10_400, 10_600),
        (10_600, 10_600, 10_300, 10_300), (10_200, 10_200, 10_200, 10_200),
    )  # fmt: skip
    theirs, ours = (
        run(plan(), columns, days) for run in (official.run_official, official.run_ours)
    )
    assert [(d.bought, d.price, d.sold, d.sale) for d in theirs.deals] == [
        (days[3], 10_200, days[5], 10_300)
    ]
    assert [(d.bought, d.price, d.sold, d.sale) for d in ours.deals] == [
        (days[4], 10_500, days[6], 10_200)
    ]
    shares = int(100_000_000 * 0.9975 / (10_200 * 1.00015))
    spent = shares * 10_200 * 1.00015
    assert theirs.end_krw == pytest.approx(100_000_000 - spent + shares * 10_300 * (1 - 0.00215))
    lines = official.differences(theirs, ours)
    assert len(lines) == 2 and "official 10,200" in lines[1] and "ours 10,500" in lines[1]


def test_a_stop_inside_the_day_is_ours_alone():
    """Low 9,000 under the stop of 9,450, close back at 10,600: ours is out, the official is not."""
    rows = [(10_000, 10_000, 10_000, 10_000), (9_900, 9_900, 9_900, 9_900), (9_800, 9_800, 9_800, 9_800),
            (9_800, 10_200, 9_800, 10_200), (10_500, 10_600, 9_000, 10_600)]  # fmt: skip
    columns, days = days_of(*rows)
    theirs, ours = (
        run(plan(), columns, days) for run in (official.run_official, official.run_ours)
    )
    assert theirs.deals[-1].why == "open"
    assert (ours.deals[-1].why, ours.deals[-1].sale) == ("stop", 9_450)


def test_ours_keeps_the_books_of_the_bot():
    """Fee and tax are those of the ledger, in whole won, by the date of settlement."""
    columns, days = flat(10_000, 9_900, 9_800, 10_200, 10_600, 10_300, 10_200)
    ours = official.run_ours(plan(), columns, days)
    deal = ours.deals[0]
    bought, sold = deal.shares * int(deal.price), deal.shares * int(deal.sale)
    costs = bot.order_fee(bought, bot.STOCK_FEE_PCT) + bot.order_fee(sold, bot.STOCK_FEE_PCT)
    costs += bot.sell_tax(sold, "KOSPI", False, deal.sold)
    assert ours.end_krw == 100_000_000 - bought + sold - costs


def test_the_command_reads_a_file_of_days(tmp_path, capsys):
    """Every shipped file is compared; a row that is no number is named."""
    columns, days = flat(*(10_000 + 100 * ((n * 7) % 13) for n in range(300)))
    rows = [
        ",".join([day.isoformat(), *(str(getattr(columns, name)[n]) for name in columns.__slots__)])
        for n, day in enumerate(days)
    ]
    table = tmp_path / "days.csv"
    head = "date,open,high,low,close,volume\n"
    table.write_text(head + "\n".join(rows))
    for file in sorted((Path(bot.__file__).parent / "strategies").glob("*.kis.yaml")):
        assert official.main([str(file), str(table)]) == 0
        assert "official" in capsys.readouterr().out
    table.write_text(head + "2026-10-12,1,2,x,4,5\n")
    assert official.main([str(file), str(table)]) == 1
    assert "row 2" in capsys.readouterr().out


# --- `compat: official` in a file ---------------------------------------------------------


def minutes_of(columns, days):
    """Return four minutes a day that make these days."""
    bars = []
    for n, day in enumerate(days):
        opened = bot.session_of(day).open
        path = (columns.open[n], columns.high[n], columns.low[n], columns.close[n])
        for m, price in enumerate(path):
            start = opened + timedelta(minutes=m)
            bars.append(bot.Bar("005930", start, start + timedelta(minutes=1), price, price, price, price, 250, 250 * price, 1))  # fmt: skip
    return bars


def test_the_way_from_the_official_number_to_ours_is_told_rule_by_rule():
    """First official, last ours; between them the false cross and the costs, one at a time."""
    columns, days = flat(10_000, 10_100, 10_200, 9_900, 9_800, 10_400, 10_600, 9_700, 9_600, 10_500)
    file = "compat: official\n" + FILE
    found = compat.beside(plan(file), "005930", minutes_of(columns, days))
    theirs, ours = (
        run(plan(), columns, days).gain_pct for run in (official.run_official, official.run_ours)
    )
    assert [key for key, _ in found.steps] == ["official", "cross", "costs", "ours"]
    assert (found.steps[0][1], found.steps[-1][1]) == (theirs, ours)
    assert len({round(gain, 6) for _, gain in found.steps}) == 4
    assert found.rules == ("close", "warm", "stops", "first") and found.refused == ""
    assert f"{theirs:+9.2f} %" in "\n".join(found.said("ko"))
    assert any("only" not in line and "→" in line for line in found.by_deal("en"))


def test_a_file_with_compat_has_the_official_number_in_result_and_page(tmp_path, capsys):
    """`--backtest` of a file that asks for it; orders are ours all the same, and that is said."""
    root = Path(bot.__file__).parent
    file = tmp_path / "mine.kis.yaml"
    shipped = (root / "strategies" / "up_day.kis.yaml").read_text("utf-8")
    file.write_text("compat: official\n" + shipped, "utf-8")
    words = ["--backtest", "--days", "4", "--strategy", str(file), "--state", str(tmp_path)]
    assert command_line.run_command(build_parser().parse_args(words)) == 0
    assert "공식 규칙 그대로" in capsys.readouterr().out
    [page], [plain] = tmp_path.glob("*/report.html"), tmp_path.glob("*/result.json")
    kept = json.loads(plain.read_text("utf-8"))["official"]
    assert len(kept) == 3 and set(kept[0]["gain_pct"]) == {"official", "cross", "costs", "ours"}
    assert "공식은 신호가 난 바로 그 종가에 체결합니다" in page.read_text("utf-8")
    warned = official.kis_yaml.read_plan(file.read_text("utf-8"), "f").warnings
    assert any("there and live" in each for each in warned)


def test_what_the_official_one_refuses_is_said():
    """Its registry has no `max`; another word for compat is no such thing."""
    text = FILE.replace("id: sma", "id: max")
    assert compat.refused_of(plan(text)) == "id max"
    with pytest.raises(bot.SettingsError) as caught:
        plan("compat: offical\n" + FILE)
    assert "f:1 compat" in str(caught.value.faults[0])
