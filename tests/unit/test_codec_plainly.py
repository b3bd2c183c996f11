"""The codec against a second reading, written as plainly as the document: long sequences, one decoder."""

import random
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from test_codec import (
    ACCOUNT,
    DAY,
    IV,
    KEY,
    RECORD,
    encrypted,
    notice_decoder,
    notice_text,
    quote_frame,
)

import kis_realtime_trading as bot

DAYS = (DAY, DAY + timedelta(days=3), DAY)
CODES, TIMES = ("005930", "000660", "069500", "Q500001"), ("090000", "093354", "093355", "152959")
PRICES, SHARES = ("71900", "71800", "4990", "0"), ("1", "30", "400", "0")
ODD = (
    "",
    "x",
    "-1",
    "+5",
    " 7",
    "1_0",
    "٣",
    "1.0",
    "9" * 19,
    "00",
    "0",
    "256199",
    "9335",
    "20261340",
)
LEAST = {"H0STCNT0": 46, "H0STASP0": 59, "H0STCNI0": 23, "H0STMKO0": 10}


class Bad(Exception):
    """The frame says nothing."""


def number(text):
    """Read digits."""
    if not re.fullmatch("[0-9]{1,18}", text):
        raise Bad
    return int(text)


def moment(day, clock):
    """Read a day and a time of it."""
    if not (re.fullmatch("[0-9]{8}", day) and re.fullmatch("[0-9]{6}", clock)):
        raise Bad
    try:
        return datetime.strptime(day + clock, "%Y%m%d%H%M%S").replace(tzinfo=bot.KST)
    except ValueError:
        raise Bad from None


def plain_trade(f, day):
    """Read a trade: fields 0 1 2 12 13 14 33 34 35; its totals must hold it, the mean be near.

    A block or a basket (second digit of field 34) is no price of the market.
    """
    if f[34][1:2] in ("2", "3"):
        return None
    at = moment(f[33], f[1])
    price, shares, total, value = (number(f[n]) for n in (2, 12, 13, 14))
    if not (0 < shares <= total and price):
        raise Bad
    if not Fraction(1, 10) <= Fraction(value, price * total) <= 10:
        raise Bad
    return bot.Trade(f[0], at, price, shares, total, value, f[35] == "Y")


def plain_quote(f, day):
    """Read a book: fields 0 1 2, best prices and sizes 3 13 23 33, expected price 47."""
    ask, bid, asks, bids = (number(f[n]) for n in (3, 13, 23, 33))
    expected = number(f[47]) if f[47] else 0
    return bot.Quote(f[0], moment(f"{day:%Y%m%d}", f[1]), ask, bid, asks, bids, expected, f[2])


def order_no(text):
    """Read an order number: ten digits, "" for none."""
    digits = text.strip().lstrip("0")
    if digits and not re.fullmatch("[0-9]{1,10}", digits):
        raise Bad
    return f"{int(digits):010d}" if digits else ""


def plain_notice(f, day):
    """Read a notice: refused, filled, rest cancelled, confirmed, or received, in this order."""
    if f[1].strip() != ACCOUNT:
        return None
    kinds = bot.NoticeKind
    kind = (
        kinds.REFUSED if f[12] in ("1", "Y") else kinds.FILL if f[13] == "2"
        else kinds.REST_CANCELLED if f[14] == "3" else kinds.CONFIRMED if f[14] == "2"
        else kinds.RECEIVED
    )  # fmt: skip
    shares, price = number(f[9] or "0"), number(f[10] or "0")
    if f[4] not in ("01", "02") or (kind is kinds.FILL and not shares * price):
        raise Bad
    code = f[8].strip().upper()
    code = code[1:] if len(code) == 7 and code[0] == "A" else code
    side = bot.Side.SELL if f[4] == "01" else bot.Side.BUY
    return bot.Notice(kind, f[5], order_no(f[2]), order_no(f[3]), code, side, shares, price, f[11])


def plain_status(f, day):
    """Read a state: halt 1, interruption 8, phase 3."""
    return bot.MarketStatus(f[0], f[1] == "Y", f[8] == "Y", f[3])


READ = {"H0STCNT0": plain_trade, "H0STASP0": plain_quote, "H0STCNI0": plain_notice,
        "H0STMKO0": plain_status}  # fmt: skip


def plainly(tr_id, records, count, day):
    """Return what a frame of these records means, "bad" when it cannot be believed."""
    fields = "^".join("^".join(each) for each in records).split("^")
    width, rest = divmod(len(fields), count) if count else (0, 1)
    if rest or width < LEAST[tr_id]:
        return "bad"
    try:
        read = [READ[tr_id](fields[at : at + width], day) for at in range(0, len(fields), width)]
    except Bad:
        return "bad"
    return [each for each in read if each is not None]


def draw_record(chance, tr_id, day, total):
    """Draw the fields of a record; one in six has an odd one where it is read."""
    if tr_id == "H0STCNT0":
        f, read = [*RECORD, "a", "b"], (1, 2, 12, 13, 14, 33, 34, 35)
        price, shares = chance.choice(PRICES), chance.choice(SHARES)
        mean = chance.choice((1, 1, 1, 1, 10, 11, Fraction(1, 10), Fraction(1, 11)))
        value = int(int(price) * total * mean) + chance.choice((0, 0, 0, 1, -1)) * (mean != 1)
        f[0], f[1], f[2], f[12] = chance.choice(CODES), chance.choice(TIMES), price, shares
        f[13], f[14], f[33] = str(total), str(max(0, value)), f"{day:%Y%m%d}"
        f[34], f[35] = chance.choice(("20", "20", "20", "30")), chance.choice("NNNNY")
        if chance.random() < 0.05:
            f[33] = f"{day - timedelta(days=1):%Y%m%d}"
        if chance.random() < 0.1:
            f[13] = str(int(shares) + chance.choice((-1, 0, 1)) if int(shares) else 0)
            f[14] = str(int(price) * int(f[13]) if f[13].isdigit() else 0)
    elif tr_id == "H0STASP0":
        f, read = quote_frame().split("|", 3)[3].split("^"), (1, 3, 13, 23, 33, 47)
        f[0], f[1], f[2] = chance.choice(CODES), chance.choice(TIMES), chance.choice("0ABCD")
        for place in (3, 13, 23, 33):
            f[place] = chance.choice(PRICES)
        f[47] = chance.choice(("", "0", "71900"))
    elif tr_id == "H0STCNI0":
        f, read = notice_text().split("^"), (2, 3, 4, 8, 9, 10)
        f[1] = chance.choice((ACCOUNT, ACCOUNT, f" {ACCOUNT} ", "9876543201"))
        f[2], f[3] = chance.choice(("0000002891", "762", " 5 ")), chance.choice(("", "0", "41"))
        f[4], f[5], f[8] = chance.choice(("01", "02")), chance.choice("012"), chance.choice(("005930", "A005930", "q500001 "))  # fmt: skip
        f[9], f[10] = chance.choice(("0000000003", "", "0")), chance.choice(("000071900", "", "0"))
        f[12], f[13], f[14] = chance.choice("00001NY"), chance.choice("12"), chance.choice("123")
    else:
        f, read = ["005930", "N", "x", "112", "311", "", "", "55", "N", "N", "x"], (1, 8)
        f[0], f[1], f[3], f[8] = chance.choice(CODES), chance.choice("NY"), chance.choice(("", "174")), chance.choice("NY")  # fmt: skip
    if chance.random() < 1 / 6:
        f[chance.choice(read)] = chance.choice(ODD)
    return f


@pytest.mark.parametrize("seed", range(6))
def test_a_long_row_of_frames_of_chance_means_what_the_document_says(seed):
    """900 frames through one decoder: widths and counts change, odd fields come, days begin."""
    chance, decoder, judged = random.Random(seed), notice_decoder(), {"bad": 0, "good": 0}
    day, total = DAYS[0], 1_000
    for n in range(900):
        if n in (300, 600):
            day = DAYS[n // 300]
            decoder.set_day(day)
        total += chance.choice((1, 30, 400))
        tr_id = chance.choice(("H0STCNT0",) * 6 + ("H0STASP0",) * 3 + ("H0STCNI0", "H0STMKO0"))
        count = chance.choice((1, 1, 1, 1, 2, 3, 10, 11))
        most = {"H0STCNT0": 48, "H0STASP0": 63, "H0STCNI0": 26, "H0STMKO0": 11}[tr_id]
        cut = chance.choice((0, 0, 0, 0, 1, most - LEAST[tr_id], most - LEAST[tr_id] + 1))
        records = [draw_record(chance, tr_id, day, total)[: most - cut] for _ in range(count)]
        told = count if chance.random() > 0.02 else chance.choice((0, 1, 2, 3))
        wanted = plainly(tr_id, records, told, day)
        payload = "^".join("^".join(each) for each in records)
        frame = (
            encrypted(payload, count=f"{told:03d}") if tr_id == "H0STCNI0"
            else f"0|{tr_id}|{told:03d}|{payload}"
        )  # fmt: skip
        try:
            found = list(decoder.decode(frame))
        except bot.BadData:
            found = "bad"
        assert found == wanted, frame
        judged["bad" if found == "bad" else "good"] += 1
    assert min(judged.values()) > 150


# --- what a frame leaves in the decoder ---


def test_texts_are_remembered_up_to_a_bound():
    """A flood of ever new prices fills no memory; what comes after is read as before."""
    decoder, record = bot.FrameDecoder(ACCOUNT, DAY), list(RECORD)
    decoder._numbers.update((f"{n:09d}", n) for n in range(1, 100_002))
    record[33], record[2] = f"{DAY:%Y%m%d}", "71900"
    for _ in range(3):
        [trade] = decoder.decode("0|H0STCNT0|001|" + "^".join(record))
        assert trade.price == 71_900 and len(decoder._numbers) < 10


def test_the_short_way_is_learnt_anew_when_a_layout_grows():
    """The first frame of another width goes the long way, the second the short one, both ways round."""
    decoder, record = bot.FrameDecoder(ACCOUNT, DAY), [*RECORD, "a", "b"]
    record[33], record[34], record[35] = f"{DAY:%Y%m%d}", "20", "N"
    for width in (46, 48, 46):
        frame = "0|H0STCNT0|001|" + "^".join(record[:width])
        before, _ = decoder._one_usual(frame), decoder.decode(frame)
        assert (before, bool(decoder._one_usual(frame))) == (None, True)


def test_the_day_without_one_is_that_of_the_first_trade_and_stays():
    """A later trade of another day keeps its own date and moves no book."""
    decoder = bot.FrameDecoder(ACCOUNT)
    days = []
    for text in ("20261120", "20261119", "20261123"):
        record = list(RECORD)
        record[33] = text
        [trade] = decoder.decode("0|H0STCNT0|001|" + "^".join(record))
        [book] = decoder.decode(quote_frame())
        days.append((f"{trade.ts_exchange:%d}", f"{book.ts_exchange:%d}"))
    assert days == [("20", "20"), ("19", "20"), ("23", "20")]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 1, 0, 2, 2)])
def test_notices_are_decrypted_in_any_order_each_by_itself(order):
    """Each begins with the iv: neither the one before it nor a broken one between matters."""
    decoder = notice_decoder()
    texts = [notice_text(f2=f"{n + 1:010d}") for n in range(3)]
    for n in order:
        [notice] = decoder.decode(encrypted(texts[n]))
        assert notice.order_no == f"{n + 1:010d}"
        with pytest.raises(bot.BadData):
            decoder.decode(encrypted(texts[n])[:-5] + "AAAA=")
    decoder.set_key("H0STCNI0", KEY[::-1], IV)
    with pytest.raises(bot.BadData):
        decoder.decode(encrypted(texts[0]))
    assert len(decoder.decode(encrypted(texts[0], key=KEY[::-1]))) == 1


@pytest.mark.parametrize("more", range(17))
def test_a_notice_of_any_length_is_read_to_its_last_letter(more):
    """The padding is one to sixteen bytes, of whole blocks: none is taken for text, nor text for it."""
    text = notice_text(f9="0000000003") + "^" + "x" * more
    decoder = notice_decoder()
    _, _, payload = decoder.open_frame(encrypted(text))
    assert payload == text


# --- bodies ---


def minute(n, close, day=DAY, **more):
    """Return a bar of a minute of a day."""
    start = datetime(day.year, day.month, day.day, 9, 0, tzinfo=bot.KST) + timedelta(minutes=n)
    made = bot.Bar(
        "005930", start, start + timedelta(minutes=1), close, close, close, close, 1, close, 0
    )
    return bot.replace(made, **more)


def test_minutes_are_sound_by_the_middle_of_their_own_day():
    """Each day by its own closes, at 1.9 times exactly they still are; of two of a minute the later."""
    before = DAY - timedelta(days=1)
    bars = [
        *(minute(n, 10_000, before) for n in range(5)), *(minute(n, 1_000) for n in range(5)),
        minute(5, 1_000, high=1_900), minute(6, 1_000, high=1_901), minute(7, 1_000, low=527),
        minute(8, 1_000, low=526), minute(9, 1_000, low=1_001), minute(10, 1_000, high=999),
        minute(11, 1_000, open=1_100), minute(12, 0), minute(0, 1_010),
    ]  # fmt: skip
    sound = bot.sound_minutes(bars)
    assert [(bar.start.day, bar.start.minute, bar.close) for bar in sound] == [
        *((19, n, 10_000) for n in range(5)), (20, 0, 1_010), *((20, n, 1_000) for n in range(1, 5)),
        (20, 5, 1_000), (20, 7, 1_000),
    ]  # fmt: skip


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_lines_of_one_stock_add_up_whatever_their_order(order):
    """Shares, sellable shares, and the average of all; sold-out lines and other stocks stand apart."""
    lines = [
        {"pdno": "005930", "hldg_qty": "10", "ord_psbl_qty": "4", "pchs_avg_pric": "70000"},
        {"pdno": "A005930", "hldg_qty": "30", "ord_psbl_qty": "30", "pchs_avg_pric": "60000.5"},
        {"pdno": " 005930", "hldg_qty": "0", "ord_psbl_qty": "0", "pchs_avg_pric": "1"},
    ]  # fmt: skip
    sold = {"pdno": "069500", "hldg_qty": "0", "ord_psbl_qty": "0", "pchs_avg_pric": "9"}
    other = {"pdno": "000660", "hldg_qty": "1", "ord_psbl_qty": "0", "pchs_avg_pric": ""}
    summary = {"prvs_rcdl_excc_amt": "-5", "thdt_tlex_amt": "7", "tot_evlu_amt": "9"}
    balance = bot.parse_balance([*(lines[n] for n in order), sold, other], summary)
    assert (balance.settled_cash_krw, balance.fees_today_krw, balance.total_value_krw) == (-5, 7, 9)
    average = (Decimal(700_000) + 30 * Decimal("60000.5")) / 40
    found = [(h.symbol, h.quantity, h.sellable, h.average_price) for h in balance.holdings]
    assert found == [("005930", 40, 34, average), ("000660", 1, 0, 0)]


@pytest.mark.parametrize("matters", [True, False])
def test_a_row_that_cannot_be_read_counts_when_it_is_ours(matters):
    """Of another's stock it is left out; of ours, or without a name, there is no list at all."""
    good = {"pdno": "000660", "hldg_qty": "1", "ord_psbl_qty": "1", "pchs_avg_pric": "5"}
    summary = {"prvs_rcdl_excc_amt": "1", "thdt_tlex_amt": "1", "tot_evlu_amt": "1"}
    for bad in ({"pdno": "005930", "hldg_qty": ""}, {"PDNO": "005930"}, {"hldg_qty": "3"}):
        ours = matters or not any(bad.get(key) for key in ("pdno", "PDNO"))
        try:
            found = [
                h.symbol
                for h in bot.parse_balance(
                    [bad, good], summary, lambda code: code == "000660" or matters
                ).holdings
            ]
        except bot.BadData:
            found = "none"
        assert found == ("none" if ours else ["000660"])


def test_a_stock_that_is_written_with_a_q_or_without_is_the_one_of_ours():
    """By the spelling that the settings know; without one the text stands as it is."""
    ours = {"Q500001", "500002", "005930"}
    texts = (
        "500001",
        "Q500001",
        "Q500002",
        "500002",
        " a005930",
        "A500001",
        "Q900000",
        "900000",
        "Q005930",
    )
    found = [bot.stock_code(text, ours.__contains__) for text in texts]
    assert found == [
        "Q500001", "Q500001", "500002", "500002", "005930", "Q500001", "Q900000", "900000", "005930",
    ]  # fmt: skip
    assert [bot.stock_code(text) for text in ("500001", "Q500001", "A12345", "AAAAAAA")] == [
        "500001", "Q500001", "A12345", "AAAAAA",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "market"),
    [("KOSPI200", "KOSPI"), ("KSQ150", "KOSDAQ"), ("KOSDAQ", "KOSDAQ"), ("kosdaq", "KOSDAQ"),
     ("KONEX", "KONEX"), ("코넥스", "KONEX"), ("", "KOSPI"), ("ETF", "KOSPI")],
)  # fmt: skip
def test_a_market_is_known_by_its_name_and_kospi_when_it_is_not(name, market):
    """The tax depends on it; blank limits of the day are not known: 0, never 1."""
    record = {"rprs_mrkt_kor_name": name, "stck_prpr": "70000", "aspr_unit": "100", "stck_mxpr": " ",
              "stck_llam": "", "stck_sdpr": "70000"}  # fmt: skip
    thing = bot.parse_price("005930", {"output": record})
    assert (thing.market, thing.upper_limit, thing.lower_limit) == (market, 0, 0)


@pytest.mark.parametrize("letter", ["\ud800", "\udbff", "\udc00", "\udfff"])
def test_half_a_letter_is_no_text_and_its_neighbours_are(letter):
    """Neither a file nor a screen takes it, anywhere in a text; the letters beside its range are fine."""
    with pytest.raises(bot.BadData):
        bot.text_of({"a": f"x{letter}y"}, "a")
    assert bot.text_of({"a": "\ud7ff\ue000 값"}, "a") == "\ud7ff\ue000 값"


def test_a_decoder_that_knows_no_account_hears_all_notices():
    """One that knows its own hears those alone."""
    for account, heard in (("", 1), (ACCOUNT, 1), ("9876543201", 0)):
        assert len(notice_decoder(account).decode(encrypted(notice_text()))) == heard


# --- the market's rules, a second time ---


@pytest.mark.parametrize(
    ("close", "base", "before", "shown", "kind"),
    [(1_000_000, 1_002_000, 400, 401, "unexplained"), (1_002_000, 1_000_000, 400, 399, "unexplained"),
     (1_000_000, 1_002_000, 400, 399, "reverse split"), (1_002_000, 1_000_000, 400, 401, "split"),
     (70_000, 14_000, 100, 510, "split"), (70_000, 14_000, 100, 511, "unexplained"),
     (70_000, 14_000, 100, 490, "split"), (70_000, 14_000, 100, 489, "unexplained"),
     (70_000, 14_000, 1, 6, "split"), (70_000, 14_000, 1, 7, "unexplained"),
     (70_000, 69_900, 10, 20, "nothing"), (70_000, 69_800, 10, 20, "unexplained"),
     (70_000, 70_100, 10, 20, "nothing"), (70_000, 0, 10, 20, "nothing"), (0, 70_000, 10, 20, "nothing"),
     (70_000, 14_000, 0, 20, "nothing"), (14_000, 70_000, 10, 10, "unexplained")],
)  # fmt: skip
def test_what_a_new_base_price_and_share_count_say_at_their_borders(
    close, base, before, shown, kind
):
    """A share or two in a hundred of what the price tells, and in its direction; a tick is nothing."""
    assert bot.classify_action(close, base, before, shown) == kind


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-11-19", "10:00 16:30"), ("2026-11-20", "09:00 15:30"), ("2027-11-18", "10:00 16:30"),
     ("2026-01-02", "10:00 15:30"), ("2027-01-04", "10:00 15:30"), ("2025-01-02", "10:00 15:30"),
     ("2026-01-05", "09:00 15:30"), ("2026-02-02", "09:00 15:30"), ("2027-01-05", "09:00 15:30"),
     ("2026-01-01", ""), ("2026-11-21", ""), ("2026-12-31", ""), ("2026-02-17", "")],
)  # fmt: skip
def test_the_hours_of_odd_days(day, hours):
    """The first trading day of a year opens at ten, an exam day is an hour late, closed ones have none."""
    session = bot.session_of(date.fromisoformat(day))
    assert hours == (f"{session.open:%H:%M} {session.close:%H:%M}" if session else "")


def test_the_year_of_settlement_is_that_of_two_trading_days_later():
    """For each day of the table but its last, by counting."""
    day = date(2023, 1, 1)
    while day < date(2027, 12, 20):
        if bot.is_trading_day(day):
            assert bot.settlement_year(day) == bot.next_trading_day(day, 2).year, day
        day += timedelta(days=1)
    assert [bot.settlement_year(date(2027, 12, n)) for n in (28, 29, 30)] == [2027, 2028, 2028]


PHASES = bot.Phase
MOMENTS = (
    ("08:29:59.999999", PHASES.CLOSED), ("08:30:00", PHASES.OPENING_AUCTION),
    ("08:59:59.999999", PHASES.OPENING_AUCTION), ("09:00:00", PHASES.CONTINUOUS),
    ("15:19:59.999999", PHASES.CONTINUOUS), ("15:20:00", PHASES.CLOSING_AUCTION),
    ("15:29:59.999999", PHASES.CLOSING_AUCTION), ("15:30:00", PHASES.AFTER), ("23:59:59", PHASES.AFTER),
)  # fmt: skip


def test_the_phases_of_a_day_to_the_microsecond():
    """The auctions begin 30 minutes before the open and ten before the close."""
    session = bot.session_of(DAY)
    found = [session.phase(datetime.fromisoformat(f"{DAY} {at}+09:00")) for at, _ in MOMENTS]
    assert found == [phase for _, phase in MOMENTS]
    assert f"{session.auction_start:%H:%M:%S}" == "15:20:00"


def test_the_session_ahead_is_todays_until_its_last_moment():
    """At the close itself it is the next trading day's; on a closed day too."""
    moments = ("20 00:00:00", "20 15:29:59.999999", "20 15:30:00", "21 12:00:00", "23 09:00:00")
    found = [
        bot.session_ahead(datetime.fromisoformat(f"2026-11-{at}+09:00")).day.day for at in moments
    ]
    assert found == [20, 20, 23, 23, 23]
