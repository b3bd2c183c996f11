"""The wire codec: frames in, events out, garbage refused."""

from datetime import datetime

import pytest

import kis_realtime_trading as bot

# H0STCNT0 of 2023-06-12 from the official document, 46 fields
OFFICIAL_TRADE = (
    "0|H0STCNT0|001|005930^093354^71900^5^-100^-0.14^72023.83^72100^72400^71700^71900^71800^1^"
    "3052507^219853241700^5105^6937^1832^84.90^1366314^1159996^1^0.39^20.28^090020^5^-200^090820^5^"
    "-500^092619^2^200^20230612^20^N^65945^216924^1118750^2199206^0.05^2424142^125.92^0^^72100"
)


def test_official_trade_is_read():
    """The document's own frame gives price, volume, totals and the exchange time in KST."""
    [trade] = bot.FrameDecoder().decode(OFFICIAL_TRADE)
    assert trade == bot.Trade(
        "005930", datetime(2023, 6, 12, 9, 33, 54, tzinfo=bot.KST),
        71900, 1, 3052507, 219853241700, 71900, 71800, False,
    )  # fmt: skip


@pytest.mark.parametrize("width", [46, 47, 50])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_record_of_a_frame_is_read_whatever_its_width(width, count):
    """n records in, n out; fields added at the end do no harm."""
    record = [*OFFICIAL_TRADE.split("|", 3)[3].split("^"), "2", "x", "", "9"]
    payload = "^".join("^".join(record[:width]) for _ in range(count))
    assert len(bot.FrameDecoder().decode(f"0|H0STCNT0|{count:03d}|{payload}")) == count


@pytest.mark.parametrize(
    "frame",
    [
        "", "x", "0|H0STCNT0|001", "0|H0STCNT0|000|a^b", "0|H0STCNT0|002|" + OFFICIAL_TRADE[15:],
        OFFICIAL_TRADE.replace("^71900^5", "^-5^5"), OFFICIAL_TRADE.replace("093354", "256199"),
        "0|H0STCNI9|001|a^b^c", "1|H0STCNI9|001|AAAA", "2|H0STCNT0|001|a", "0|XXXXXXXX|001|a",
    ],
)  # fmt: skip
def test_garbage_is_refused(frame):
    """A broken frame is BadData, never a guessed price and never another error."""
    with pytest.raises(bot.BadData):
        bot.FrameDecoder().decode(frame)
