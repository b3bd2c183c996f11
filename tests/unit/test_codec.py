"""The wire codec: frames and REST bodies in, typed values out, garbage refused."""

import base64
import contextlib
import json
from datetime import date, datetime
from decimal import Decimal

import pytest
from Crypto.Cipher import AES
from Crypto.Util.Padding import pad
from hypothesis import given
from hypothesis import strategies as st

import kis_realtime_trading as bot
from companions import market_data

DAY = date(2026, 11, 20)
KEY, IV = "abcdefghijklmnopabcdefghijklmnop", "0123456789abcdef"
ACCOUNT = "1234567801"
ODD = '0123456789|^-+._ \t\n\x00Ay=/{}[]",:٣²가\ud800\U0001f600'  # what mutations are made of

# H0STCNT0 of 2023-06-12 from the official document, 46 fields
OFFICIAL_TRADE = (
    "0|H0STCNT0|001|005930^093354^71900^5^-100^-0.14^72023.83^72100^72400^71700^71900^71800^1^"
    "3052507^219853241700^5105^6937^1832^84.90^1366314^1159996^1^0.39^20.28^090020^5^-200^090820^5^"
    "-500^092619^2^200^20230612^20^N^65945^216924^1118750^2199206^0.05^2424142^125.92^0^^72100"
)
RECORD = OFFICIAL_TRADE.split("|", 3)[3].split("^")
OFFICIAL_STATUS = "0|H0STMKO0|001|396300^N^(null)^^311^^^55^N^N"
# Decrypted notices of the official document (23 fields, names replaced): received, then filled
RECEIVED = (
    "HTSID^1234567801^0000002891^^02^0^01^0^136480^0000000001^000000000^094941^0^1^1^06010^"
    "000000001^NAME^STOCK^10^^STOCK^"
)
FILLED = (
    "HTSID^1234567801^0000002891^^02^0^00^0^136480^0000000001^000003190^094941^0^2^2^06010^"
    "000000001^NAME^STOCK^10^^STOCK^000000000"
)


def trade_frame(**changes):
    """Return the official trade with fields replaced, written as f2='71900'."""
    record = list(RECORD)
    for name, text in changes.items():
        record[int(name[1:])] = text
    return "0|H0STCNT0|001|" + "^".join(record)


def encrypted(plain, tr_id="H0STCNI0", count="001", key=KEY, iv=IV):
    """Return the frame that the server would send for a plain notice."""
    raw = AES.new(key.encode(), AES.MODE_CBC, iv.encode()).encrypt(pad(plain.encode(), 16))
    return f"1|{tr_id}|{count}|{base64.b64encode(raw).decode()}"


def notice_decoder(account=ACCOUNT):
    """Return a decoder that knows the keys of both notice TRs."""
    decoder = bot.FrameDecoder(account, DAY)
    for tr_id in ("H0STCNI0", "H0STCNI9"):
        decoder.set_key(tr_id, KEY, IV)
    return decoder


def notice_text(width=26, **changes):
    """Return a notice of a fill with fields replaced, written as f13='1'."""
    fields = [*FILLED.split("^")[:18], "", "1", "Y", "", "10", "", "STOCK", "000003190"]
    for name, text in changes.items():
        fields[int(name[1:])] = text
    return "^".join(fields[:width])


def quote_frame(width=63, **changes):
    """Return an order book: asks 71900.., bids 71800.., sizes 1..10 and 101..110."""
    fields = ["005930", "093354", "0"]
    fields += [str(71_900 + 100 * n) for n in range(10)] + [
        str(71_800 - 100 * n) for n in range(10)
    ]
    fields += [str(1 + n) for n in range(10)] + [str(101 + n) for n in range(10)]
    fields += ["55", "1055", "0", "0", "0", "0", "0", "-72100", "5", "-100.00", "3052507"]
    fields += ["0", "0", "0", "0", "", "71850", "10", "1", "2"]
    for name, text in changes.items():
        fields[int(name[1:])] = text
    return "0|H0STASP0|001|" + "^".join(fields[:width])


def test_the_newest_frame_of_each_book_is_kept_unread():
    """Who looks at a book reads its levels then; a flood of foreign codes and a new day leave none."""
    decoder = bot.FrameDecoder(day=date(2026, 11, 20))
    for best in (71_900, 71_950, 72_000):  # the first teaches the short way
        decoder.decode(frame := quote_frame(f3=str(best)))
    assert decoder.books == {"005930": frame}
    for code in range(300):
        decoder.decode(quote_frame(f0=f"{code:06}"))
    assert len(decoder.books) == 200
    decoder.decode(quote_frame(f3="72050"))
    assert "^72050^" in decoder.books["005930"]
    decoder.set_day(date(2026, 11, 23))
    assert decoder.books == {}


# --- trades -----------------------------------------------------------------------------


def test_official_trade_is_read():
    """The document's own frame gives price, volume, totals and the exchange time in KST."""
    expected = bot.Trade(
        "005930", datetime(2023, 6, 12, 9, 33, 54, tzinfo=bot.KST),
        71900, 1, 3052507, 219853241700, False,
    )  # fmt: skip
    assert [expected] == list(bot.FrameDecoder().decode(OFFICIAL_TRADE))


@pytest.mark.parametrize("width", [46, 47, 50])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_record_of_a_frame_is_read_whatever_its_width(width, count):
    """n records in, n out; fields added at the end do no harm."""
    record = [*RECORD, "2", "x", "", "9"]
    payload = "^".join("^".join(record[:width]) for _ in range(count))
    assert count == len(bot.FrameDecoder().decode(f"0|H0STCNT0|{count:03d}|{payload}"))


@given(
    st.lists(st.tuples(st.integers(1, 999_999), st.integers(1, 10**6)), min_size=1, max_size=4),
    st.lists(st.text("0A. ", max_size=2), max_size=3),
)
def test_records_keep_their_order_and_their_values(trades, added):
    """Each record of a frame is read by its own fields, oldest first, at any width."""
    records = []
    for price, volume in trades:
        record = [*RECORD, *added]
        record[2], record[12], record[13], record[14] = map(
            str, (price, volume, volume, price * volume)
        )
        records.append("^".join(record))
    frame = f"0|H0STCNT0|{len(trades):03d}|" + "^".join(records)
    decoded = bot.FrameDecoder().decode(frame)
    assert trades == [(trade.price, trade.volume) for trade in decoded]


USUAL = {
    "H0STCNT0": [*RECORD[:33], "20261120", *RECORD[34:]],
    "H0STASP0": quote_frame(59).split("|", 3)[3].split("^"),
}


@given(
    st.sampled_from(sorted(USUAL)),
    st.integers(1, 12),  # up to ten have a short way
    st.integers(0, 4),
    st.lists(
        st.tuples(st.integers(0, 4_000), st.integers(0, 3), st.text(ODD, max_size=2)), max_size=2
    ),
)
def test_the_short_way_agrees_with_the_long_way(tr_id, count, added, mutations):
    """A decoder that has read such frames and one that reads its first give the same, or refuse."""
    record = "^".join(USUAL[tr_id] + ["2"] * added)
    usual = f"0|{tr_id}|{count:03d}|" + "^".join([record] * count)
    frame = usual
    for at, length, text in mutations:
        at %= len(frame) + 1
        frame = frame[:at] + text + frame[at + length :]
    learned = bot.FrameDecoder(day=DAY)
    assert list(learned.decode(usual)) == list(learned.decode(usual))
    for text in (frame, usual):
        answers = []
        for decoder in (learned, bot.FrameDecoder(day=DAY)):
            try:
                answers.append([(event, type(event)) for event in decoder.decode(text)])
            except bot.BadData as error:
                answers.append(str(error))
        assert answers[0] == answers[1]


@pytest.mark.parametrize("tr_id", sorted(USUAL))
@pytest.mark.parametrize("at", [5, 29])
def test_the_short_way_takes_no_bar_inside_a_record(tr_id, at):
    """A `|` among the fields may begin a second frame: refused by either way."""
    fields = list(USUAL[tr_id])
    decoder = bot.FrameDecoder(day=DAY)
    usual = f"0|{tr_id}|001|" + "^".join(fields)
    assert list(decoder.decode(usual)) == list(decoder.decode(usual))
    fields[at] += "|"
    with pytest.raises(bot.BadData, match="not of the form"):
        decoder.decode(f"0|{tr_id}|001|" + "^".join(fields))


def test_a_new_day_forgets_the_short_way():
    """After set_day() a late trade of the day before keeps its own date."""
    decoder = bot.FrameDecoder(day=DAY)
    old, today = trade_frame(f33="20261120"), trade_frame(f33="20261123")
    decoder.decode(old)
    decoder.set_day(date(2026, 11, 23))
    with pytest.raises(bot.BadData):  # its first record teaches the texts, its second is broken
        decoder.decode(f"0|H0STCNT0|002|{today[15:]}^{today[15:].replace('^71900', '^x')}")
    [trade] = decoder.decode(old)
    assert trade.ts_exchange.date() == DAY


@pytest.mark.parametrize("count", ["1", "01", "001", "0001"])
def test_the_short_way_reads_what_the_long_way_reads(count):
    """A frame of one record means the same however its count is written."""
    frame = OFFICIAL_TRADE.replace("|001|", f"|{count}|")
    assert list(bot.FrameDecoder().decode(OFFICIAL_TRADE)) == list(bot.FrameDecoder().decode(frame))


def test_the_business_date_of_a_trade_decides_its_day():
    """BSOP_DATE of each record counts: a frame of yesterday keeps yesterday's date."""
    decoder = bot.FrameDecoder(day=DAY)
    dates = [
        decoder.decode(trade_frame(f33=text))[0].ts_exchange.date()
        for text in ("20261120", "20261119", "20261120")
    ]
    assert [DAY, date(2026, 11, 19), DAY] == dates


def test_a_trade_of_another_day_does_not_move_the_order_books():
    """They carry no date: they keep the day that was set, or that of the first trade."""
    for decoder in (bot.FrameDecoder(day=DAY), bot.FrameDecoder()):
        days = []
        for text in ("20261120", "20261119", "20991231"):
            decoder.decode(trade_frame(f33=text))
            days.append(decoder.decode(quote_frame())[0].ts_exchange.date())
        assert days == [DAY] * 3


def test_the_halt_mark_is_kept():
    """TRHT_YN becomes `halted`."""
    [trade] = bot.FrameDecoder().decode(trade_frame(f35="Y"))
    assert trade.halted is True


@pytest.mark.parametrize(
    ("changes", "volume"),
    [
        ({"f1": "083012", "f7": "0", "f8": "0", "f9": "0", "f12": "24", "f13": "24",
          "f14": "1725600", "f21": "3", "f24": "000000", "f34": "10"}, 24),
        ({"f1": "090018", "f12": "1000", "f13": "1024", "f14": "73625600", "f18": "0.00",
          "f21": "", "f40": "0.00", "f41": "0"}, 1000),
        ({"f1": "155001", "f12": "7", "f34": "31"}, 7),
        ({"f1": "161500", "f12": "3", "f34": "40", "f43": "D"}, 3),
        ({"f2": "71850", "f12": "2"}, 2),
    ],
    ids=["before the open", "opening auction", "closing price", "after hours", "mid price"],
)  # fmt: skip
def test_trades_of_odd_hours_are_read(changes, volume):
    """As in captured frames: no side in an auction, other market codes, prices between the ticks."""
    for frame in (trade_frame(**changes), trade_frame(**changes).replace("|001|", "|1|") + "^3"):
        [trade] = bot.FrameDecoder(day=DAY).decode(frame)
        assert (trade.volume, f"{trade.ts_exchange:%H%M%S}") == (
            volume,
            changes.get("f1", "093354"),
        )


@pytest.mark.parametrize("code", ["22", "23", "12", "33"])
def test_a_block_is_no_trade_of_the_market(code):
    """Its price was agreed beside the book: it would fire stops far from it. The others of its frame are read."""
    assert bot.FrameDecoder(day=DAY).decode(trade_frame(f34=code, f2="64600")) == []
    pair = trade_frame(f34=code).replace("|001|", "|002|") + "^" + OFFICIAL_TRADE[15:]
    assert len(bot.FrameDecoder(day=DAY).decode(pair)) == 1


def test_a_frame_of_eleven_records_is_read():
    """As many were seen in one frame of a busy second."""
    frame = "0|H0STCNT0|011|" + "^".join([OFFICIAL_TRADE[15:]] * 11)
    assert len(bot.FrameDecoder().decode(frame)) == 11


@pytest.mark.parametrize(
    "frame",
    [
        "", "x", "0", "0|", "|||", "0|H0STCNT0|001", "0|H0STCNT0|000|a^b", "0|H0STCNT0|-01|a",
        "0|H0STCNT0|٣|a", "0|H0STCNT0|00001|a", "0|H0STCNT0||a",
        "0|H0STCNT0|002|" + OFFICIAL_TRADE[15:], OFFICIAL_TRADE[:-40], "2|H0STCNT0|001|a",
        "0|XXXXXXXX|001|a", "0|H0UNCNT0|001|" + OFFICIAL_TRADE[15:],
        trade_frame(f2="-5"), trade_frame(f2="0"), trade_frame(f2=""), trade_frame(f2="71900.5"),
        trade_frame(f2="7_1900"), trade_frame(f2="٧١٩٠٠"), trade_frame(f2="nan"),
        trade_frame(f2="9" * 5000), trade_frame(f12="0"), trade_frame(f12="-1"),
        trade_frame(f12=""), trade_frame(f12="1_0"), trade_frame(f13="x"), trade_frame(f14=""),
        trade_frame(f1="256199"),
        trade_frame(f1="9335"), trade_frame(f1="0933-4"), trade_frame(f33="20261301"),
        trade_frame(f33="2026112"), trade_frame(f33=""),
    ],
)  # fmt: skip
def test_garbage_is_refused(frame):
    """A broken frame is BadData, never a guessed price and never another error."""
    with pytest.raises(bot.BadData):
        bot.FrameDecoder(day=DAY).decode(frame)


@pytest.mark.parametrize(
    "frame",
    [
        trade_frame(f13="-3052507"), trade_frame(f14="-1"), trade_frame(f13="0"),
        trade_frame(f13="9" * 15), trade_frame(f13="300"), trade_frame(f2="730000"),
        trade_frame(f2="719"), trade_frame(f14="0"), trade_frame(f14="9" * 18),
        trade_frame(f13="٣٠٥٢٥٠٧"),
    ],
    ids=["negative total", "negative value", "total below the trade", "wild total", "small total",
         "price x 10.1", "price / 100", "no value", "wild value", "Arabic total"],
)  # fmt: skip
def test_totals_that_cannot_be_are_refused(frame):
    """ACML_VOL holds this trade's shares; the day's mean price is within 10 times of its price."""
    for same in (frame, frame.replace("|001|", "|0001|")):
        with pytest.raises(bot.BadData):
            bot.FrameDecoder().decode(same)


@pytest.mark.parametrize("mean", [71_900 // 7, 71_900, 71_900 * 7])
def test_a_first_day_of_a_listing_is_plausible(mean):
    """On that day prices may run from 60 to 400 per cent of the issue price: nearly 7 times."""
    [trade] = bot.FrameDecoder().decode(trade_frame(f14=str(mean * 3_052_507)))
    assert trade.cum_value_krw == mean * 3_052_507


@pytest.mark.parametrize(
    "sample",
    [
        "0|H0UPCNT0|001|0001^091240^2624.54^2^32.68^63952^1650684^439^10335^1.26^2615.72^2624.82^"
        "2610.00^23.86^2^32.96^2^18.14^2^0.92^1.27^0.70^0^670^72^177^0^0^0^19",
        "0|H0STPGM0|001|005930^092237^1413444^109159646900^1189408^91931710200^-224036^"
        "-17227936700^65033^15475^-49558",
        "0|H0STOAC0|001|005930^164128^77700^2^100^0.13^78209.85^77600^77800^77600^77800^77700^82^82",
    ],
    ids=["index", "program trading", "after-hours"],
)
def test_samples_of_other_services_are_refused(sample):
    """Only the TRs that the bot registers are read; a stranger's layout is never guessed."""
    with pytest.raises(bot.BadData):
        bot.FrameDecoder(day=DAY).decode(sample)


# --- quotes and market state ------------------------------------------------------------


@pytest.mark.parametrize("width", [59, 62, 63, 66])
def test_order_books_of_every_known_width_give_best_prices_and_sizes(width):
    """Fields 0..58 agree in all layouts; the expected price is 0 outside auctions."""
    frame = quote_frame() + "^x^y^z"
    fields = frame.split("^")[:width]
    expected = bot.Quote(
        "005930", datetime(2026, 11, 20, 9, 33, 54, tzinfo=bot.KST), 71_900, 71_800, 1, 101, 0, "0"
    )
    assert [expected] == list(bot.FrameDecoder(day=DAY).decode("^".join(fields)))


def test_expected_price_of_an_auction_is_read():
    """During an auction field 47 holds the expected price, and the session code tells which."""
    [quote] = bot.FrameDecoder(day=DAY).decode(quote_frame(f2="C", f47="71850", f48="120"))
    assert (quote.expected_price, quote.session_code) == (71_850, "C")


@pytest.mark.parametrize(
    "frame",
    [
        quote_frame(58), quote_frame(f1="999999"), quote_frame(f3=""), quote_frame(f13="x"),
        quote_frame(f23="1.5"), quote_frame(f33=""), quote_frame(f47="x"),
        quote_frame().replace("|001|", "|002|"),
    ],
)  # fmt: skip
def test_broken_order_books_are_refused(frame):
    """A best price or size that is no number is BadData."""
    with pytest.raises(bot.BadData):
        bot.FrameDecoder(day=DAY).decode(frame)


@pytest.mark.parametrize(
    "frame",
    [
        quote_frame(f3="-71900"), quote_frame(f13="-71800"), quote_frame(f23="-1"),
        quote_frame(f3="7_1900"), quote_frame(f13="٧١٨٠٠"), quote_frame(f47="-1", f48="5"),
    ],
)  # fmt: skip
def test_order_book_prices_are_plain_digits(frame):
    """A negative or oddly written price is BadData: an exit is priced from the best bid."""
    with pytest.raises(bot.BadData):
        bot.FrameDecoder(day=DAY).decode(frame)


def test_a_quote_without_a_known_day_is_refused():
    """Order books carry a time only; without the day the codec does not guess one."""
    with pytest.raises(bot.BadData):
        bot.FrameDecoder().decode(quote_frame())


def test_official_market_state_is_read():
    """The document's frame with 10 fields (exchange missing) is read; 11 fields as well."""
    expected = [bot.MarketStatus("396300", False, False, "")]
    for frame in (OFFICIAL_STATUS, OFFICIAL_STATUS + "^1"):
        assert expected == list(bot.FrameDecoder(day=DAY).decode(frame))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("Y^reason^174^^^^58^N^N", (True, False, "174")),
        ("N^(null)^112^^^^00^Y^N", (False, True, "112")),
    ],
)
def test_halts_and_volatility_interruptions_are_told_apart(fields, expected):
    """Field 1 is the halt, field 8 the volatility interruption, field 3 the phase."""
    [status] = bot.FrameDecoder(day=DAY).decode(f"0|H0STMKO0|001|005930^{fields}")
    assert expected == (status.halted, status.vi_active, status.phase)


@given(
    st.sampled_from(
        [
            OFFICIAL_TRADE, OFFICIAL_TRADE.replace("|001|", "|0001|"), quote_frame(),
            OFFICIAL_STATUS, encrypted(RECEIVED), encrypted(f"{RECEIVED}^{FILLED}", count="002"),
        ]
    ),
    st.integers(0, 300), st.integers(0, 40), st.text(ODD, max_size=12),
)  # fmt: skip
def test_mutated_frames_raise_nothing_but_bad_data(frame, at, length, text):
    """Whatever is done to a frame, it is read or it is BadData."""
    at %= len(frame)
    try:
        events = notice_decoder().decode(frame[:at] + text + frame[at + length :])
    except bot.BadData:
        return
    assert all(isinstance(event, tuple) for event in events)


@given(
    st.sampled_from(["", "0|H0STCNT0|001|", "1|H0STCNI0|002|", "0|H0STASP0|001|", '{"header":']),
    st.text(ODD, max_size=60),
)
def test_random_text_raises_nothing_but_bad_data(start, text):
    """No text at all can make the decoder or the control reader fail in another way."""
    for read in (notice_decoder().decode, bot.parse_control):
        with contextlib.suppress(bot.BadData):
            read(start + text)


# --- order notices ----------------------------------------------------------------------


def test_official_notices_in_the_23_field_form_are_read():
    """The document's decrypted notices: received with the order's shares, then filled at 3,190."""
    decoder = notice_decoder()
    rest = ("0", "0000002891", "", "136480", bot.Side.BUY, 1)
    expected = [
        bot.Notice(bot.NoticeKind.RECEIVED, *rest, 0, "094941"),
        bot.Notice(bot.NoticeKind.FILL, *rest, 3190, "094941"),
    ]
    found = [decoder.decode(encrypted(text, "H0STCNI9"))[0] for text in (RECEIVED, FILLED)]
    assert expected == found


@pytest.mark.parametrize("width", [23, 26])
@pytest.mark.parametrize("tr_id", ["H0STCNI0", "H0STCNI9"])
def test_both_widths_are_read_on_both_hosts(width, tr_id):
    """Fields 0..17 agree, so the paper host may change its width any day."""
    frame = encrypted("^".join([notice_text(width)] * 3), tr_id, "003")
    notices = notice_decoder().decode(frame)
    assert [(n.kind, n.quantity, n.price) for n in notices] == [(bot.NoticeKind.FILL, 1, 3190)] * 3


def test_one_cipher_reads_many_frames():
    """Every frame begins with the same iv: the frames before it do not matter."""
    decoder = notice_decoder()
    frames = [encrypted(notice_text(f9=f"{n:010d}")) for n in (1, 7, 3)]
    assert [decoder.decode(each)[0].quantity for each in [*frames, frames[0]]] == [1, 7, 3, 1]


def test_a_new_session_brings_new_keys():
    """After a reconnection only the key of the new acknowledgement counts."""
    decoder, new_key = notice_decoder(), KEY[::-1]
    decoder.set_key("H0STCNI0", new_key, IV)
    assert len(decoder.decode(encrypted(FILLED, key=new_key))) == 1
    with pytest.raises(bot.BadData):
        decoder.decode(encrypted(FILLED))


@pytest.mark.parametrize(
    ("flags", "kind"),
    [  # RCTF_CLS, RFUS_YN, CNTG_YN, ACPT_YN -> reference 5.7
        (("0", "0", "1", "1"), bot.NoticeKind.RECEIVED),
        (("0", "0", "2", "2"), bot.NoticeKind.FILL),
        (("2", "0", "1", "2"), bot.NoticeKind.CONFIRMED),
        (("2", "0", "1", "1"), bot.NoticeKind.RECEIVED),
        (("1", "0", "1", "1"), bot.NoticeKind.RECEIVED),
        (("1", "0", "1", "2"), bot.NoticeKind.CONFIRMED),
        (("0", "1", "1", "1"), bot.NoticeKind.REFUSED),
        (("1", "1", "1", ""), bot.NoticeKind.REFUSED),
        (("2", "1", "1", ""), bot.NoticeKind.REFUSED),
        (("0", "0", "1", "3"), bot.NoticeKind.REST_CANCELLED),
    ],
)
def test_notice_flags_say_what_happened(flags, kind):
    """Only CNTG_YN 2 is a fill; a receipt also carries shares and must never be booked."""
    action, refused, filled, accepted = flags
    text = notice_text(f5=action, f12=refused, f13=filled, f14=accepted)
    [notice] = notice_decoder().decode(encrypted(text))
    assert (kind, action) == (notice.kind, notice.action)


def test_cancel_notice_names_both_orders():
    """ODER_NO is the cancel's own number, OODER_NO the order that it takes back; the price is 0."""
    text = notice_text(f2="0000002899", f3="0000002891", f5="2", f10="000000000", f13="1")
    [notice] = notice_decoder().decode(encrypted(text))
    assert (notice.order_no, notice.original_no, notice.price) == ("0000002899", "0000002891", 0)


@pytest.mark.parametrize(("code", "side"), [("01", bot.Side.SELL), ("02", bot.Side.BUY)])
def test_notice_sides(code, side):
    """01 is a sell, 02 a buy."""
    assert side is notice_decoder().decode(encrypted(notice_text(f4=code)))[0].side


def test_notices_of_another_account_are_dropped():
    """The notice TR covers all accounts of the HTS id; only ours counts."""
    frame = encrypted(
        notice_text(f1="9999999901") + "^" + notice_text(f9="0000000005"), count="002"
    )
    assert [notice.quantity for notice in notice_decoder().decode(frame)] == [5]


@pytest.mark.parametrize(
    ("account", "ours"),
    [("12345678-01", True), ("12345678", True), ("1234567822", False), ("12345678-22", False),
     ("1234567", False), ("87654321", False), ("", False)],
)  # fmt: skip
def test_an_account_in_another_spelling_is_ours(account, ours):
    """Frames with a dash, and with eight digits, were printed by others; another product is not ours."""
    found = notice_decoder().decode(encrypted(notice_text(f1=account)))
    assert bool(found) is ours


@pytest.mark.parametrize("between", ["", "\n", "\r\n"])
def test_two_frames_in_one_are_refused_not_halved(between):
    """The second trade would be lost without a word."""
    with pytest.raises(bot.BadData):
        bot.FrameDecoder(ACCOUNT, DAY).decode(trade_frame() + between + trade_frame())


def test_a_refusal_without_a_head_is_read():
    """It ends a session all the same."""
    body = '{"rt_cd":"9","msg_cd":"OPSP8996","msg1":"ALREADY IN USE appkey"}'
    for head in ("", '"header":null,'):
        control = bot.parse_control("{" + head + '"body":' + body + "}")
        assert (control.result, control.code, control.tr_id) == ("9", "OPSP8996", "")


@pytest.mark.parametrize(
    "frame",
    [
        f"0|H0STCNI0|001|{FILLED}", f"0|H0STCNI9|001|{FILLED}", f"0|H0GSCNI0|001|{FILLED}",
        "1|H0STCNI0|001|", "1|H0STCNI0|001|AAAA", "1|H0STCNI0|001|not base64!",
        "1|H0STCNI0|001|" + base64.b64encode(bytes(16)).decode(),
        encrypted(FILLED, key=KEY[::-1]), encrypted(FILLED).replace("H0STCNI0", "H0STCNT0"),
        encrypted(notice_text(22)), encrypted(notice_text(f4="03")), encrypted(notice_text(f9="x")),
        encrypted(notice_text(f10="1.5")), encrypted(notice_text(f2="12345678901")),
        encrypted(notice_text(f2="A12")), encrypted(notice_text(), count="002"),
    ],
)  # fmt: skip
def test_notices_that_cannot_be_trusted_are_refused(frame):
    """Plain text, wrong key, bad padding, unknown key, other layouts: BadData."""
    with pytest.raises(bot.BadData):
        notice_decoder().decode(frame)


def test_line_breaks_inside_base64_are_passed_over():
    """Encoders of the MIME kind break lines; nothing but the alphabet counts."""
    frame = encrypted(FILLED)
    broken = frame[:91] + "\r\n" + frame[91:] + "\n"
    assert notice_decoder().decode(broken) == notice_decoder().decode(frame)


@pytest.mark.parametrize("changes", [{"f9": "-000000005"}, {"f10": "-00003190"}, {"f9": "1_0"}])
def test_notice_figures_are_plain_digits(changes):
    """Shares and prices of a notice have no sign and no separators."""
    with pytest.raises(bot.BadData):
        notice_decoder().decode(encrypted(notice_text(**changes)))


@pytest.mark.parametrize("changes", [{"f9": ""}, {"f9": "0000000000"}, {"f10": ""}])
def test_a_fill_without_shares_or_price_is_refused(changes):
    """A fill of nothing, or at no price, is BadData, never 0."""
    with pytest.raises(bot.BadData):
        notice_decoder().decode(encrypted(notice_text(**changes)))


def test_a_name_cut_inside_a_letter_costs_no_notice():
    """Names have a fixed length in bytes; what the bot reads of a notice is ASCII."""
    whole = notice_text(f17="가나다").encode()
    cut = whole.replace("다".encode(), "다".encode()[:2])
    assert cut != whole
    raw = AES.new(KEY.encode(), AES.MODE_CBC, IV.encode()).encrypt(pad(cut, 16))
    frame = f"1|H0STCNI0|001|{base64.b64encode(raw).decode()}"
    assert notice_decoder().decode(frame) == notice_decoder().decode(encrypted(notice_text()))


def test_bytes_that_are_no_text_are_refused():
    """A payload that decrypts to something else than fields is BadData."""
    raw = AES.new(KEY.encode(), AES.MODE_CBC, IV.encode()).encrypt(pad(b"\xff\xfe^a", 16))
    with pytest.raises(bot.BadData):
        notice_decoder().decode(f"1|H0STCNI0|001|{base64.b64encode(raw).decode()}")


@pytest.mark.parametrize(
    ("key", "iv"), [("", ""), (KEY[:31], IV), (KEY, IV + "0"), ("가" * 32, IV)]
)
def test_keys_of_another_length_are_refused(key, iv):
    """AES-256-CBC: 32 and 16 bytes, taken as text."""
    with pytest.raises(bot.BadData):
        bot.FrameDecoder().set_key("H0STCNI0", key, iv)


def test_a_key_that_is_no_text_is_refused():
    """JSON can carry a lone surrogate; it is BadData as any other odd key."""
    control = bot.parse_control('{"header":{},"body":{"output":{"key":"\\ud800","iv":"x"}}}')
    with pytest.raises(bot.BadData):
        bot.FrameDecoder().set_key("H0STCNI0", control.key, control.iv)


# --- control messages -------------------------------------------------------------------

ACKNOWLEDGED = (
    '{"header":{"tr_id":"H0STCNT0","tr_key":"005930","encrypt":"N"},"body":{"rt_cd":"0",'
    '"msg_cd":"OPSP0000","msg1":"SUBSCRIBE SUCCESS","output":{"iv":"0123456789abcdef",'
    '"key":"abcdefghijklmnopabcdefghijklmnop"}}}'
)
SECOND_SESSION = (
    '{"header":{"tr_id":"(null)","tr_key":"","encrypt":"N"},"body":{"rt_cd":"9",'
    '"msg_cd":"OPSP8996","msg1":"ALREADY IN USE appkey"}}'
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            ACKNOWLEDGED,
            ("H0STCNT0", "005930", "0", "OPSP0000", "SUBSCRIBE SUCCESS", KEY, IV),
        ),
        (SECOND_SESSION, ("(null)", "", "9", "OPSP8996", "ALREADY IN USE appkey", "", "")),
        (
            '{"header":{"tr_id":"PINGPONG","datetime":"20261120090000"}}',
            ("PINGPONG", "", "", "", "", "", ""),
        ),
        (
            '{"body":{"rt_cd":"9","msg_cd":"OPSP8996","msg1":"ALREADY IN USE appkey"}}',
            ("", "", "9", "OPSP8996", "ALREADY IN USE appkey", "", ""),
        ),
    ],
    ids=["success", "second session", "heartbeat", "no header"],
)
def test_documented_control_messages_are_read(text, expected):
    """Acknowledgement with key and iv, refusal of a session, PINGPONG without a body.

    A refusal without a header stands in one published log (2026-05).
    """
    assert expected == tuple(bot.parse_control(text))


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", "1", '"x"', '{"header":1}', '{"header":{},"body":[1]}', "[" * 100_000,
     '{"header":{},"body":{"output":"x"}}', '{"body":{"rt_cd":"0"}}'],
    ids=range(11),
)  # fmt: skip
def test_control_garbage_is_refused(text):
    """JSON of another shape is BadData."""
    with pytest.raises(bot.BadData):
        bot.parse_control(text)


@pytest.mark.parametrize(("register", "tr_type"), [(True, "1"), (False, "2")])
def test_registration_message(register, tr_type):
    """tr_type 1 registers and 2 releases; 0 in some docstrings is wrong."""
    message = json.loads(bot.registration_message("approval", "H0STCNT0", "005930", register))
    assert {
        "header": {
            "approval_key": "approval",
            "custtype": "P",
            "tr_type": tr_type,
            "content-type": "utf-8",
        },
        "body": {"input": {"tr_id": "H0STCNT0", "tr_key": "005930"}},
    } == message


# --- numbers of REST records ------------------------------------------------------------


@pytest.mark.parametrize("text", ["762", "0000000762", " 762 ", "00762   ", "   0000000762"])
def test_order_numbers_compare_in_every_padding(text):
    """Zero padded, blank padded, bare: one number."""
    assert bot.normalize_order_no(text) == "0000000762"


@pytest.mark.parametrize("text", ["", " ", "0", "0000000000"])
def test_no_order_number_is_empty(text):
    """Zeros or blanks mean: none."""
    assert bot.normalize_order_no(text) == ""


@pytest.mark.parametrize("text", ["-1", "12345678901", "1.0", "A", "٧", "²", "1 2"])
def test_odd_order_numbers_are_refused(text):
    """Anything but up to ten digits is BadData."""
    with pytest.raises(bot.BadData):
        bot.normalize_order_no(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0), ("-5", -5), ("+5", 5), (" 71900 ", 71900), ("7.00000000", 7), (5, 5)]
)  # fmt: skip
def test_whole_numbers_are_read(text, expected):
    """A sign, blanks around it and a zero fraction are fine."""
    assert expected == bot.whole({"x": text}, "x")


NO_NUMBERS = [
    "",
    " ",
    "-",
    "1,234",
    "1.5",
    "1e3",
    "nan",
    "inf",
    "N/A",
    "０x",
    True,
    None,
    [],
    {},
    "1 2",
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_what_is_no_whole_number_is_refused_and_never_zero(value):
    """Empty, "-", grouped, fractional, null: BadData."""
    with pytest.raises(bot.BadData):
        bot.whole({"x": value}, "x")


@pytest.mark.parametrize("value", [v for v in NO_NUMBERS if v != "1.5"], ids=repr)
def test_what_is_no_decimal_is_refused_and_never_zero(value):
    """The same for prices with decimals."""
    with pytest.raises(bot.BadData):
        bot.decimal_of({"x": value}, "x")


@pytest.mark.parametrize("read", [bot.whole, bot.decimal_of])
def test_a_missing_number_is_refused(read):
    """A renamed or removed field is BadData."""
    with pytest.raises(bot.BadData):
        read({"y": "1"}, "x")


def test_a_number_of_thousands_of_digits_is_refused():
    """No text may raise anything but BadData."""
    with pytest.raises(bot.BadData):
        bot.whole({"x": "9" * 5000}, "x")


# --- REST bodies ------------------------------------------------------------------------

PRICE = {
    "stck_prpr": "71900", "aspr_unit": "100", "stck_sdpr": "72000", "stck_mxpr": "93600",
    "stck_llam": "50400", "iscd_stat_cls_code": "57", "temp_stop_yn": "N",
    "rprs_mrkt_kor_name": "KOSPI200",
}  # fmt: skip


def price_of(symbol="005930", funds=(), **changes):
    """Read a price answer with fields replaced."""
    return bot.parse_price(symbol, {"output": {**PRICE, **changes}}, funds)


def test_price_answer_gives_limits_and_market():
    """Base price, limits and last price come from the broker."""
    expected = bot.Instrument("005930", "KOSPI", False, 72_000, 93_600, 50_400, 71_900)
    assert expected == price_of()


@pytest.mark.parametrize(
    ("changes", "funds", "symbol", "expected"),
    [
        ({}, (), "005930", ("KOSPI", False, "")),
        ({"rprs_mrkt_kor_name": "KOSDAQ"}, (), "247540", ("KOSDAQ", False, "")),
        ({"rprs_mrkt_kor_name": "KSQ150"}, (), "247540", ("KOSDAQ", False, "")),
        ({"aspr_unit": "5"}, (), "069500", ("KOSPI", True, "")),
        ({"stck_prpr": "3000", "aspr_unit": "5"}, (), "069500", ("KOSPI", False, "")),
        ({"stck_prpr": "3000", "aspr_unit": "5"}, ("069500",), "069500", ("KOSPI", True, "")),
        ({"rprs_mrkt_kor_name": "ETF", "aspr_unit": "5"}, (), "069500", ("KOSPI", True, "")),
        ({"aspr_unit": "5"}, (), "Q500001", ("KOSPI", True, "")),
        ({"aspr_unit": "50"}, (), "005930", ("KOSPI", False, "tick size 50 contradicts the table")),
        ({"aspr_unit": "100"}, ("069500",), "069500",
         ("KOSPI", True, "tick size 100 contradicts the table")),
        ({"iscd_stat_cls_code": "51"}, (), "005930", ("KOSPI", False, "administrative issue")),
        ({"sltr_yn": "Y"}, (), "005930", ("KOSPI", False, "liquidation trading")),
        ({"mang_issu_cls_code": "Y"}, (), "005930", ("KOSPI", False, "administrative issue")),
        ({"mrkt_warn_cls_code": "03"}, (), "005930", ("KOSPI", False, "investment risk")),
        ({"mrkt_warn_cls_code": "02"}, (), "005930", ("KOSPI", False, "investment warning")),
        ({"mrkt_warn_cls_code": "01"}, (), "005930", ("KOSPI", False, "")),
        ({"short_over_yn": "Y"}, (), "005930", ("KOSPI", False, "short-term overheated")),
        ({"sltr_yn": "Y", "temp_stop_yn": "Y"}, (), "005930", ("KOSPI", False, "trading halted")),
        ({"iscd_stat_cls_code": "52"}, (), "005930", ("KOSPI", False, "investment risk")),
        ({"iscd_stat_cls_code": "53"}, (), "005930", ("KOSPI", False, "investment warning")),
        ({"iscd_stat_cls_code": "58"}, (), "005930", ("KOSPI", False, "trading halted")),
        ({"iscd_stat_cls_code": "59"}, (), "005930", ("KOSPI", False, "short-term overheated")),
        ({"temp_stop_yn": "Y"}, (), "005930", ("KOSPI", False, "trading halted")),
    ],
)  # fmt: skip
def test_market_fund_and_blocks_of_a_stock(changes, funds, symbol, expected):
    """ETF by tick, name, code or settings; warned stocks and odd tick sizes are blocked."""
    found = price_of(symbol, funds, **changes)
    assert expected == (found.market, found.fund, found.blocked)


@pytest.mark.parametrize("key", ["stck_prpr", "aspr_unit", "stck_sdpr", "stck_mxpr", "stck_llam"])
def test_a_price_answer_without_a_number_is_refused(key):
    """Money fields are never defaulted."""
    for value in ("", "-", "71,900", None)[key in ("stck_mxpr", "stck_llam") :]:
        with pytest.raises(bot.BadData):
            price_of(**{key: value})


@pytest.mark.parametrize("blank", ["", "   "])
def test_blank_limits_are_not_known_and_the_price_stands(blank):
    """A stop can still be sold by the broker's price; entries need limits that are above 0."""
    found = price_of(stck_mxpr=blank, stck_llam=blank)
    assert (found.upper_limit, found.lower_limit, found.last_price) == (0, 0, 71_900)


@pytest.mark.parametrize("body", [{}, {"output": []}, {"output": None}, {"output": "x"}])
def test_a_price_answer_of_another_shape_is_refused(body):
    """`output` is one object."""
    with pytest.raises(bot.BadData):
        bot.parse_price("005930", body)


def test_a_halted_stock_stays_halted_when_its_tick_is_odd():
    """A halt blocks exits too; another finding must not hide it."""
    assert price_of(temp_stop_yn="Y", aspr_unit="50").blocked == "trading halted"


def book_body(**changes):
    """Return an order book answer with three levels a side."""
    levels = {}
    for n in range(1, 11):
        shown = n <= 3
        levels[f"askp{n}"] = str(71_800 + 100 * n) if shown else "0"
        levels[f"bidp{n}"] = str(71_800 - 100 * n) if shown else "0"
        levels[f"askp_rsqn{n}"] = levels[f"bidp_rsqn{n}"] = str(n) if shown else "0"
    output1 = {"aspr_acpt_hour": "093354", **levels, **changes}
    return {"output1": output1, "output2": {"antc_cnpr": "0"}}


def test_order_book_answer_leaves_empty_levels_out():
    """Ten levels are sent, the best first; a price of 0 is no level."""
    book = market_data.parse_order_book("005930", book_body())
    expected = ((71_900, 1), (72_000, 2), (72_100, 3)), ((71_700, 1), (71_600, 2), (71_500, 3))
    sides = tuple(tuple((e.price, e.size) for e in side) for side in (book.asks, book.bids))
    assert ("005930", "093354", expected, 0) == (book.symbol, book.time, sides, book.expected_price)


@pytest.mark.parametrize("key", ["askp1", "bidp10", "askp_rsqn3", "bidp_rsqn1"])
def test_a_broken_order_book_answer_is_refused(key):
    """A level without a number is BadData, not an empty level."""
    with pytest.raises(bot.BadData):
        market_data.parse_order_book("005930", book_body(**{key: ""}))


MINUTE = {
    "stck_bsop_date": "20261120", "stck_cntg_hour": "093100", "stck_oprc": "71900",
    "stck_hgpr": "72000", "stck_lwpr": "71800", "stck_prpr": "71900", "cntg_vol": "30",
}  # fmt: skip


def test_minute_bars_come_oldest_first_and_the_newest_is_kept():
    """The server sends the newest first; whether it is finished is for the caller to say."""
    hours = ("093200", "093100", "093000")
    body = {"output2": [{**MINUTE, "stck_cntg_hour": hour} for hour in hours]}
    bars = bot.parse_minute_bars("005930", body)
    assert [bar.start.minute for bar in bars] == [30, 31, 32]
    first = datetime(2026, 11, 20, 9, 30, tzinfo=bot.KST)
    expected = (first, first.replace(minute=31), 71_900, 72_000, 71_800, 71_900, 30)
    bar = bars[0]
    assert expected == (bar.start, bar.end, bar.open, bar.high, bar.low, bar.close, bar.volume)


def test_an_empty_page_of_minute_bars_is_no_bar():
    """An empty list and one empty object both say: nothing."""
    for rows in ([], [{}], {}, [{"stck_bsop_date": "", "stck_prpr": " "}]):
        assert bot.parse_minute_bars("005930", {"output2": rows}) == []


@pytest.mark.parametrize(
    "changes",
    [{"stck_cntg_hour": ""}, {"stck_cntg_hour": "246000"}, {"stck_bsop_date": "x"},
     {"cntg_vol": ""}, {"stck_hgpr": "-"}],
)  # fmt: skip
def test_broken_minute_bars_are_refused(changes):
    """A bar without its time or a price is BadData."""
    with pytest.raises(bot.BadData):
        bot.parse_minute_bars("005930", {"output2": [{**MINUTE, **changes}]})


@pytest.mark.parametrize("changes", [{"stck_cntg_hour": "9"}, {"stck_cntg_hour": "9310"}])
def test_a_minute_bar_with_a_cut_time_is_refused(changes):
    """Only YYYYMMDD and HHMMSS are a time; "9" must not become 02:00 of 1 January."""
    with pytest.raises(bot.BadData):
        bot.parse_minute_bars("005930", {"output2": [{**MINUTE, **changes}]})


DAILY = {
    "stck_bsop_date": "20261119", "stck_oprc": "71000", "stck_hgpr": "72000",
    "stck_lwpr": "70900", "stck_clpr": "71900", "acml_vol": "1000", "acml_tr_pbmn": "71500000",
}  # fmt: skip


def test_daily_bars_keep_the_order_of_the_server():
    """Newest first, as sent."""
    body = {"output2": [DAILY, {**DAILY, "stck_bsop_date": "20261118"}]}
    expected = bot.DailyBar(date(2026, 11, 19), 71_000, 72_000, 70_900, 71_900, 1000, 71_500_000)
    bars = bot.parse_daily_bars(body)
    assert expected == bars[0]
    assert [bar.day.day for bar in bars] == [19, 18]


@pytest.mark.parametrize("rows", [[], [{}], {}, [{"stck_bsop_date": "", "acml_vol": ""}]])
def test_an_empty_period_is_an_empty_list(rows):
    """An empty array or one empty object: no bars, no error."""
    assert bot.parse_daily_bars({"output2": rows}) == []


@pytest.mark.parametrize("rows", [None, "x", [None], [[]], ["x"], 5])
def test_rows_that_are_no_objects_are_refused(rows):
    """A container of another shape is BadData, not an empty list."""
    with pytest.raises(bot.BadData):
        bot.parse_daily_bars({"output2": rows})


@pytest.mark.parametrize("value", ["", "2026-11-19", "2026111", "x"])
def test_daily_bars_with_an_odd_date_are_refused(value):
    """A day is eight digits."""
    with pytest.raises(bot.BadData):
        bot.parse_daily_bars({"output2": [{**DAILY, "stck_bsop_date": value}]})


@pytest.mark.parametrize("value", ["20261399", "2026111²"])
def test_daily_bars_of_a_day_that_does_not_exist_are_refused(value):
    """Eight digits that are no date are BadData too."""
    with pytest.raises(bot.BadData):
        bot.parse_daily_bars({"output2": [{**DAILY, "stck_bsop_date": value}]})


def test_overseas_prices_keep_their_decimals():
    """Prices of other countries are Decimal, exact."""
    row = {"xymd": "20261119", "open": "182.8500", "high": "183", "low": "182.65", "clos": "182.9",
           "tvol": "100", "tamt": "18285.50"}  # fmt: skip
    [bar] = market_data.parse_overseas_daily_bars({"output2": [row]})
    assert (Decimal("182.8500"), Decimal("182.9"), 100) == (bar.open, bar.close, bar.volume)


ORDER_ROW = {
    "ord_gno_brno": "06010", "odno": "0000000762", "orgn_odno": "", "sll_buy_dvsn_cd": "02",
    "pdno": "005930", "ord_dvsn_cd": "00", "ord_qty": "10", "ord_unpr": "71900",
    "tot_ccld_qty": "4", "tot_ccld_amt": "287600", "cncl_cfrm_qty": "0", "rjct_qty": "0",
    "ord_tmd": "093354", "excg_id_dvsn_Cd": "KRX",
}  # fmt: skip


def test_order_rows_are_read_whatever_the_case_of_their_keys():
    """The document prints one key with a capital C; keys are compared without case."""
    expected = bot.BrokerOrder(
        "0000000762", "", "06010", "005930", bot.Side.BUY, "00", 10, 71_900, 4, 287_600, 0, 0,
        "093354",
    )  # fmt: skip
    upper = {key.upper(): value for key, value in ORDER_ROW.items()}
    assert [expected, expected] == bot.parse_broker_orders([ORDER_ROW, upper])


def test_order_rows_name_the_cancelled_shares_in_two_ways():
    """Answers say cncl_cfrm_qty, the field table of the document cnc_cfrm_qty."""
    bare = {key: value for key, value in ORDER_ROW.items() if key != "cncl_cfrm_qty"}
    both = {"cncl_cfrm_qty": "6", "cnc_cfrm_qty": "6"}
    for keys in ({"cncl_cfrm_qty": "6"}, {"cnc_cfrm_qty": "6"}, both):
        [order] = bot.parse_broker_orders([{**bare, **keys}])
        assert order.cancelled_quantity == 6
    for keys in ({}, {**both, "cnc_cfrm_qty": "5"}, {**both, "cncl_cfrm_qty": ""}):
        with pytest.raises(bot.BadData):
            bot.parse_broker_orders([{**bare, **keys}])


@pytest.mark.parametrize("number", ["762", "   762", "0000000762"])
def test_order_rows_give_ten_digit_numbers(number):
    """Inquiries pad differently from the order answer."""
    [order] = bot.parse_broker_orders([{**ORDER_ROW, "odno": number, "orgn_odno": number}])
    assert (order.order_no, order.original_no) == ("0000000762", "0000000762")


@pytest.mark.parametrize(
    "key", ["ord_qty", "ord_unpr", "tot_ccld_qty", "tot_ccld_amt", "cncl_cfrm_qty", "rjct_qty"]
)
def test_order_rows_without_a_number_are_refused(key):
    """A row of money is never read with a default."""
    for value in (None, "", "-", "1,234"):
        with pytest.raises(bot.BadData):
            bot.parse_broker_orders([{**ORDER_ROW, key: value}])


@pytest.mark.parametrize("changes", [{"sll_buy_dvsn_cd": ""}, {"odno": "x"}])
def test_order_rows_without_side_or_with_an_odd_number_are_refused(changes):
    """Side and number decide what a row means."""
    with pytest.raises(bot.BadData):
        bot.parse_broker_orders([{**ORDER_ROW, **changes}])


@pytest.mark.parametrize(
    "changes",
    [{"odno": ""}, {"tot_ccld_qty": "-4"}, {"tot_ccld_amt": "0"}],
    ids=["no number", "negative fill", "fill for nothing"],
)
def test_order_rows_that_cannot_be_are_refused(changes):
    """Fills are booked from these figures: shares without won are BadData."""
    with pytest.raises(bot.BadData):
        bot.parse_broker_orders([{**ORDER_ROW, **changes}])


# the sample of reference section 9, number 24 and 23, completed by the relations of 4.14
HOLDING = {
    "pdno": "005930", "hldg_qty": "4", "ord_psbl_qty": "4", "pchs_avg_pric": "248750.0000",
    "prpr": "248500", "evlu_amt": "994000", "evlu_pfls_amt": "-1000",
}  # fmt: skip
SUMMARY = {
    "dnca_tot_amt": "500000", "prvs_rcdl_excc_amt": "346455", "thdt_tlex_amt": "140",
    "scts_evlu_amt": "1759600", "tot_evlu_amt": "2106055",
}  # fmt: skip


def test_balance_takes_the_settled_cash():
    """output1 holds the holdings, output2 the account; cash is D+2, not today's deposit."""
    expected = bot.Balance(
        346_455, 140, 2_106_055, (bot.Holding("005930", 4, 4, Decimal("248750.0000")),)
    )
    assert expected == bot.parse_balance([HOLDING], SUMMARY)


def test_sold_out_stocks_are_left_out_of_the_balance():
    """A stock sold today stays listed with 0 shares for two days."""
    assert bot.parse_balance([{**HOLDING, "hldg_qty": "0"}], SUMMARY).holdings == ()


@pytest.mark.parametrize("key", ["hldg_qty", "ord_psbl_qty"])
def test_holdings_without_a_number_are_refused(key):
    """A holding is never read as 0 shares by mistake."""
    for value in ("", "-", "1,234", None):
        with pytest.raises(bot.BadData):
            bot.parse_balance([{**HOLDING, key: value}], SUMMARY)


@pytest.mark.parametrize("key", ["prvs_rcdl_excc_amt", "thdt_tlex_amt", "tot_evlu_amt"])
def test_a_summary_without_a_number_is_refused(key):
    """Cash is never 0 by mistake."""
    with pytest.raises(bot.BadData):
        bot.parse_balance([], {**SUMMARY, key: ""})


@pytest.mark.parametrize(
    "read",
    [
        lambda: market_data.parse_order_book("005930", {"output1": [], "output2": {}}),
        lambda: bot.parse_balance([None], SUMMARY),
        lambda: bot.parse_balance([], []),
    ],
    ids=["book list", "holding null", "summary list"],
)
def test_bodies_of_another_shape_are_refused(read):
    """Whatever JSON comes back, it is read or it is BadData."""
    with pytest.raises(bot.BadData):
        read()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 10**20) | st.floats() | st.text(ODD, max_size=8)
    | st.sampled_from(["0", "-5", "9" * 5000, "20261399", "9310", "1_000", "+5", "\ud800"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("aA", max_size=2), inner),
    max_leaves=4,
)  # fmt: skip


@given(
    st.sampled_from(
        [
            (lambda row: bot.parse_price("005930", {"output": row}), PRICE),
            (lambda row: market_data.parse_order_book("005930", {"output1": row, "output2": row}),
             {**book_body()["output1"], "antc_cnpr": "0"}),
            (lambda row: bot.parse_minute_bars("005930", {"output2": [MINUTE, row]}), MINUTE),
            (lambda row: bot.parse_daily_bars({"output2": row}), DAILY),
            (lambda row: bot.parse_broker_orders([ORDER_ROW, row]), ORDER_ROW),
            (lambda row: bot.parse_balance([row], SUMMARY), HOLDING),
            (lambda row: bot.parse_balance([HOLDING], row), SUMMARY),
        ]
    ),
    st.data(),
)  # fmt: skip
def test_mutated_bodies_raise_nothing_but_bad_data(reader, data):
    """Any JSON in place of a field, or of the whole record, is read or it is BadData."""
    read, record = reader
    assert read(record) is not None
    key, value = data.draw(st.sampled_from([None, *record])), data.draw(JSON_VALUES)
    with contextlib.suppress(bot.BadData):
        read(value if key is None else {**record, key: value})


PROFILE = bot.Profile(
    "paper", bot.PAPER_REST, bot.PAPER_WS, bot.Secret("key"), bot.Secret("secret"),
    bot.Secret("12345678"), "01", bot.Secret("id"), "agent",
)  # fmt: skip


@pytest.mark.parametrize(("kind", "price", "text"), [("00", 71_900, "71900"), ("01", 0, "0")])
def test_order_body_has_exactly_nine_upper_case_text_keys(kind, price, text):
    """A left-out key, an extra key, a number or a decimal made the server refuse."""
    expected = {
        "CANO": "12345678", "ACNT_PRDT_CD": "01", "PDNO": "005930", "ORD_DVSN": kind,
        "ORD_QTY": "10", "ORD_UNPR": text, "EXCG_ID_DVSN_CD": "KRX", "SLL_TYPE": "", "CNDT_PRIC": "",
    }  # fmt: skip
    assert expected == bot.order_body(PROFILE, "005930", kind, 10, price)
