"""No sequence of events makes the engine send an order outside any limit.

A broker holds the truth. A referee hears every event and judges every call of the engine by figures
of his own: what was fed, what the broker holds, what was sent. He reads nothing of the risk rules.
"""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime, time, timedelta

import edge
from hypothesis import given
from hypothesis import strategies as st
from test_engine import BUY, DAY, SELL, Bench

import kis_realtime_trading as bot

BASES = {"005930": (70_000, "KOSPI"), "247540": (4_990, "KOSDAQ"), "069500": (10_005, "KOSPI")}
CODES, FUND = tuple(BASES), "069500"
STEPS = ((2_000, 5), (5_000, 10), (20_000, 50), (50_000, 100), (200_000, 500))  # from a price on
FUND_STEPS = ((2_000, 5),)
PRICED, EXITS = ("00", "11", "12"), ("00", "01", "03")  # order kinds
LAST_ENTRY, LISTS_S, AUCTION_S = time(14, 50), 181, 300


def stock(code, price, blocked=""):
    """Return the broker's price answer."""
    (base, market), fund = BASES[code], code == FUND
    lower, upper = edge.price_band(base, fund)
    return bot.Instrument(code, market, fund, base, upper, lower, price, blocked)


class Broker:
    """The truth: every order that arrived, by number; refuses what a broker refuses."""

    def __init__(self, cash):
        self.cash, self.rows, self.intents, self.arrived = cash, {}, {}, {}

    def rest(self, row):
        """Return the shares of an order that can still be filled."""
        return row.quantity - row.filled_quantity - row.cancelled_quantity

    def ours(self, code, side):
        """Return our rows of a stock and a side."""
        return [
            row
            for number, row in self.rows.items()
            if number in self.intents and (row.symbol, row.side) == (code, side)
        ]

    def held(self, code):
        """Return our shares."""
        bought, sold = (
            sum(row.filled_quantity for row in self.ours(code, side)) for side in (BUY, SELL)
        )
        return bought - sold

    def free(self, code):
        """Return our shares that no order of ours is selling."""
        return self.held(code) - sum(self.rest(row) for row in self.ours(code, SELL))

    def free_cash(self):
        """Return the cash for a further buy; fees left out, the owner pays from another purse."""
        cash = self.cash
        for row in (row for number, row in self.rows.items() if number in self.intents):
            cash -= row.side.sign * row.filled_amount_krw
            if row.side is BUY:
                cash -= self.rest(row) * (row.price or stock(row.symbol, 0).upper_limit)
        return cash

    def take(self, call, now):
        """Let a call arrive; return its order number, "" for a refusal."""
        intent, number = call.intent, f"{len(self.rows) + 1:010d}"
        row = bot.BrokerOrder(
            number, "", "06010", intent.symbol, intent.side, str(intent.kind), intent.quantity,
            intent.price, 0, 0, 0, 0, f"{now:%H%M%S}",
        )  # fmt: skip
        if call.action == "new":
            value = intent.quantity * (intent.price or stock(intent.symbol, 0).upper_limit)
            buying = intent.side is BUY
            if value > self.free_cash() if buying else intent.quantity > self.free(intent.symbol):
                return ""
        else:
            old = self.rows.get(call.order_no)
            rest = self.rest(old) if old else 0
            if not rest:
                return ""
            gone = old.cancelled_quantity + rest
            self.rows[call.order_no] = replace(old, cancelled_quantity=gone)
            row = replace(
                row, original_no=call.order_no, quantity=rest, price=call.price, kind=call.kind,
                cancelled_quantity=rest if call.action == "cancel" else 0,
            )  # fmt: skip
        self.rows[number], self.intents[number], self.arrived[number] = row, intent, now
        return number

    def fill(self, code, price, share):
        """Fill a part of every living order of a stock, at its price or better."""
        for number, row in self.rows.items():
            if row.symbol == code and number in self.intents:
                done = (self.rest(row) * share + 99) // 100
                best = min(price, row.price or price) if row.side is BUY else price
                self.rows[number] = replace(
                    row, filled_quantity=row.filled_quantity + done,
                    filled_amount_krw=row.filled_amount_krw + done * best,
                )  # fmt: skip

    def owner_buys(self, code, quantity, now):
        """Let the owner buy by phone."""
        number, price = f"{len(self.rows) + 1:010d}", BASES[code][0]
        self.rows[number] = bot.BrokerOrder(
            number, "", "06010", code, BUY, "00", quantity, price, quantity, quantity * price, 0, 0,
            f"{now:%H%M%S}",
        )  # fmt: skip
        self.arrived[number] = now


class Referee:
    """What a careful reader of all events knows, and what he says to each call."""

    def __init__(self, floor, limits, broker):
        self.floor, self.limits, self.broker, self.now = floor, limits, broker, None
        self.last, self.totals = {}, defaultdict(int)  # (price, time) of the last new trade
        self.asked, self.blocked, self.quiet = {}, {}, {}  # REST price, block, halt or auction
        self.wanted, self.signals = set(), set()
        self.intents, self.states, self.times = {}, {}, []  # what was sent, how it stands, when
        self.calling = {}  # intents with a call under way -> stock
        self.looked = {}  # intents of unknown outcome -> whether a list came since
        self.shown = {}  # order number -> row as a list last showed it
        self.level, self.feed, self.stopping, self.stopped = (
            bot.KillLevel.ACTIVE,
            False,
            False,
            set(),
        )
        self.listed_at = self.up_at = datetime.combine(DAY, time(), bot.KST)

    # --- what is heard ---

    def hear(self, event):
        """Take an event in."""
        if isinstance(event, bot.TimeEvent):
            self.now = event.now
        elif isinstance(event, bot.Trade):
            known = stock(event.symbol, 0)
            possible = known.lower_limit <= event.price <= known.upper_limit
            if possible and event.cum_volume > self.totals[event.symbol]:
                self.totals[event.symbol] = event.cum_volume
                self.last[event.symbol] = (event.price, event.ts_exchange)
                self.quiet[event.symbol] = ("halt", None) if event.halted else None
        elif isinstance(event, bot.Quote):
            mark = self.quiet.get(event.symbol)
            if event.session_code == "C" and mark is None:
                self.quiet[event.symbol] = ("auction", self.now)
            elif event.session_code != "C" and mark and mark[0] == "auction":
                self.quiet[event.symbol] = None
        elif isinstance(event, bot.MarketStatus):
            self.quiet[event.symbol] = ("halt", None) if event.halted or event.vi_active else None
        elif isinstance(event, bot.Seen):
            self._hear_answer(event.value, event.asked_at)
        elif isinstance(event, bot.Command):
            self._hear_command(event)
        else:
            self._hear_end(event.intent_id, event.answer.outcome)

    def _hear_answer(self, value, asked_at):
        if isinstance(value, bot.Instrument):
            self.blocked[value.symbol] = value.blocked
            self.asked[value.symbol] = (value.last_price, asked_at)
        elif isinstance(value, bot.OrderList):
            self.listed_at = asked_at
            self.shown |= {row.order_no: row for row in value.rows}
            self.looked = dict.fromkeys(self.looked, True)

    def _hear_command(self, command):
        self.now = command.at
        if command.name == "level":
            self.level = command.level
        elif command.name == "stop":
            self.stopping = True
        elif command.name in ("feed up", "feed down"):
            self.feed, self.up_at = command.name == "feed up", self.now
            self.quiet = {}  # REST tells halts from now on
        elif command.name == "restarted":  # answers that had not come will not come
            for key in list(self.calling):
                self._hear_end(key, bot.Outcome.UNKNOWN)
            self.last, self.quiet, self.feed, self.stopping = {}, {}, False, False
            self.totals.clear()

    def _hear_end(self, key, outcome):
        self.calling.pop(key, None)
        if outcome is bot.Outcome.UNKNOWN:
            self.states[key], self.looked[key] = "unknown", False
        elif self.states[key] == "sent":
            self.states[key] = str(outcome)

    # --- what is judged ---

    def judge(self, call):
        """Judge one call at the moment at which the engine wants it."""
        intent, code = call.intent, call.intent.symbol
        assert intent.intent_id not in self.calling, "one call at a time for an order"
        if call.action == "new":
            self._judge_price(code, intent.kind, intent.price)
            self._judge_moment(intent)
            assert intent.intent_id not in self.intents, "an intent is sent once"
            assert type(intent.quantity) is int and intent.quantity > 0
            self._judge_pace(intent)
            judge = self._judge_entry if intent.side is BUY else self._judge_exit
            judge(intent)
            self.intents[intent.intent_id], self.states[intent.intent_id] = intent, "sent"
            self.times.append(self.now)
        else:
            assert call.order_no in self.broker.rows
        if call.action == "change":
            self._judge_price(code, call.kind, call.price)
            self._judge_moment(intent)
            assert intent.side is SELL and call.kind in EXITS
        self.calling[intent.intent_id] = code

    def _judge_price(self, code, kind, price):
        if kind not in PRICED:
            assert price == 0
            return
        known, tick = stock(code, 0), 1
        for border, step in FUND_STEPS if code == FUND else STEPS:
            tick = step if price >= border else tick
        assert type(price) is int and price > 0 and price % tick == 0
        assert known.lower_limit <= price <= known.upper_limit

    def _judge_moment(self, intent):
        """Judge session, halts and auctions."""
        first, last = (time(9), LAST_ENTRY) if intent.side is BUY else (time(9), time(15, 30))
        assert first <= self.now.time() < last
        mark = self.quiet.get(intent.symbol)
        late = mark and mark[1] and (self.now - mark[1]).total_seconds() >= AUCTION_S
        assert not mark or late, f"{intent.symbol} is quiet: {mark}"

    def _judge_pace(self, intent):
        ago = [(self.now - at).total_seconds() for at in self.times]
        most = self.limits.max_orders_per_minute if intent.side is BUY else 30
        assert sum(each < 60 for each in ago) < most
        assert sum(each < 1 for each in ago) < 3
        assert intent.side is SELL or len(ago) < self.limits.max_orders_per_day

    def _judge_exit(self, intent):
        assert intent.purpose == "exit" and intent.kind in EXITS
        assert intent.quantity <= self.broker.free(intent.symbol), "no share is sold twice"

    def _judge_entry(self, intent):
        limits, code = self.limits, intent.symbol
        assert (intent.purpose, intent.side) == ("entry", BUY)
        assert (intent.signal, code) not in self.signals, "a signal is one order"
        self.signals.add((intent.signal, code))
        assert any(
            each[:4] == (intent.signal, code, intent.price, intent.kind)
            and intent.quantity == min(each[4], limits.max_quantity)
            for each in self.wanted
        )
        self._judge_state(code)
        self._judge_near(intent)
        value = intent.quantity * (intent.price or stock(code, 0).upper_limit)
        assert value <= limits.max_order_krw
        assert self._worth(code) + value <= limits.max_symbol_krw
        assert sum(map(self._worth, CODES)) + value <= limits.max_total_krw
        busy = {each for each in CODES if each != code and self._occupied(each)}
        assert self._shares(code) > 0 or len(busy) < limits.max_positions
        assert value <= self.broker.free_cash()
        loss = self._loss()
        assert loss < limits.max_daily_loss_krw
        assert limits.max_drawdown_krw is None or loss < limits.max_drawdown_krw
        today = self.floor.ledger.today
        for key, most in ((code, limits.losses_in_a_row), ("", limits.losses_in_a_row_all)):
            pause = timedelta(minutes=limits.loss_pause_minutes)
            assert today.losses.get(key, 0) < most or self.now >= today.lost_at[key] + pause

    def _judge_near(self, intent):
        """Judge price and plan against what was last seen."""
        code, limits = intent.symbol, self.limits
        (price, traded_at), (quoted, asked_at) = self.last[code], self.asked[code]
        assert (self.now - traded_at).total_seconds() <= limits.max_data_age_s
        assert (self.now - asked_at).total_seconds() <= limits.max_quote_age_s
        asked, plan = intent.price if intent.kind in PRICED else price, intent.plan
        for near in (price, quoted):
            assert abs(asked - near) * 100 <= limits.collar_pct * near
        assert plan is None or 0 < plan.stop_price < asked
        assert plan is None or not plan.target_price or plan.target_price > asked

    def _judge_state(self, code):
        """Judge whether anything may be begun in a stock now."""
        assert self.level is self.floor.ledger.level is bot.KillLevel.ACTIVE
        assert not self.stopping and not self.stopped & {code, ""} and not self.blocked[code]
        assert self.feed and self.listed_at >= self.up_at, "orders are not known"
        assert (self.now - self.listed_at).total_seconds() <= LISTS_S
        for key in self.calling:
            assert self.calling[key] != code or self._over(key), "an order has no answer yet"
        for key, looked in self.looked.items():
            fine = looked or self.intents[key].symbol != code or self._over(key)
            assert fine, "an unknown order was not looked for"
        for row, state in self._rows(code, SELL):
            assert state != "accepted" or not self.broker.rest(self.broker.rows[row.order_no])

    # --- figures ---

    def _rows(self, code, side):
        """Yield row and state of our orders that arrived, the row as a list last showed it."""
        for number, intent in self.broker.intents.items():
            if (intent.symbol, intent.side) == (code, side):
                row = self.shown.get(number) or replace(
                    self.broker.rows[number], filled_quantity=0, filled_amount_krw=0,
                )  # fmt: skip
                yield row, self.states[intent.intent_id]

    def _over(self, key):
        """Tell whether lists have shown the end of an order."""
        numbers = [n for n, intent in self.broker.intents.items() if intent.intent_id == key]
        rows = [self.shown[number] for number in numbers if number in self.shown]
        filled, quantity = sum(row.filled_quantity for row in rows), self.intents[key].quantity
        cancelled = rows[0].cancelled_quantity if rows and self.intents[key].side is BUY else 0
        return filled + cancelled >= quantity

    def _shares(self, code):
        """Return our shares, as lists have shown them."""
        bought, sold = (
            sum(row.filled_quantity for row, _ in self._rows(code, side)) for side in (BUY, SELL)
        )
        return bought - sold

    def _price(self, code):
        return self.last.get(code, self.asked[code])[0]

    def _worth(self, code):
        """Return the least that we hold or may come to hold in a stock, won."""
        last, upper = self._price(code), stock(code, 0).upper_limit
        owners = (row for number, row in self.shown.items() if number not in self.broker.intents)
        worth = last * sum(row.filled_quantity for row in owners if row.symbol == code)
        for row, state in self._rows(code, BUY):
            truth, price = self.broker.rows[row.order_no], row.price or upper
            least = min(last, price)
            worth += row.filled_quantity * (last if state == "accepted" else least)
            worth += (truth.filled_quantity - row.filled_quantity) * least
            worth += self.broker.rest(truth) * price
        worth -= last * sum(row.filled_quantity for row, _ in self._rows(code, SELL))
        arrived = {intent.intent_id for intent in self.broker.intents.values()}
        for key, intent in self.intents.items():  # not arrived, but nobody can know that yet
            hidden = self.states[key] == "sent" or not self.looked.get(key, True)
            if hidden and key not in arrived and (intent.symbol, intent.side) == (code, BUY):
                worth += intent.quantity * (intent.price or upper)
        return worth

    def _occupied(self, code):
        alive = any(
            self.broker.rest(self.broker.rows[r.order_no]) for r, _ in self._rows(code, BUY)
        )
        return alive or self._shares(code) > 0

    def _loss(self):
        """Return what the day has lost before costs, won; 0 while an outcome is not known."""
        if not set(self.states.values()) <= {"accepted", "refused", "not sent"}:
            return 0
        result = 0
        for code in CODES:
            for side in (BUY, SELL):
                result -= side.sign * sum(
                    row.filled_amount_krw for row, _ in self._rows(code, side)
                )
            if shares := self._shares(code):
                result += shares * self._price(code)
        return -result


class Floor(Bench):
    """A bench whose every event the referee hears and whose every call he judges."""

    def __init__(self, cash, limits):
        super().__init__(
            symbols=CODES, limits=limits, entry_timeout_s=20, exit_step_s=5, funds=(FUND,)
        )
        self.broker, self.queue = Broker(cash), []
        self.prices = {code: base for code, (base, _) in BASES.items()}
        self.referee = Referee(self, self.settings.limits, self.broker)

    def feed(self, event):
        """Feed one event; the calls that it causes are judged and wait for the broker."""
        self.referee.hear(event)
        actions = super().feed(event)
        for action in actions:
            if isinstance(action, bot.OrderCall):
                self.referee.judge(action)
                self.queue.append(action)
            elif isinstance(action, bot.Alert) and action.code == "symbol_stopped":
                self.referee.stopped.add(action.values["symbol"])
        return actions

    def begin(self, crashed=False):
        """Run the morning, or what a process that comes back does."""
        self.command("restarted", text=self.now.isoformat() if crashed else "")
        self.command("day", session=bot.session_of(DAY))
        for code, price in self.prices.items():
            self.seen(stock(code, price))
        self.show_list()
        self.show_balance()
        self.seen(bot.Cash(self.broker.free_cash()))
        self.command("feed up")
        self.show_list()

    def crash(self):
        """Die with all calls that had no answer; come back with what was written down."""
        self.queue.clear()
        ledger = bot.Ledger()
        for action in self.actions:
            if isinstance(action, bot.Record):
                if action.kind == "instrument":
                    ledger.instruments[action.ref] = action.data
                elif action.kind in ("intent", "ledger"):
                    ledger.apply(bot.entry_from_json(bot.canonical_json(action.data)))
        self.ledger = ledger
        self.engine = bot.Engine(self.settings, self.strategy, ledger, False)
        self.begin(crashed=True)

    def serve(self, luck):
        """Let the broker have the calls that wait; the luck is that of the first one."""
        while self.queue and luck != "slow":
            call = self.queue.pop(0)
            if self.engine.too_late(call):
                self.answer(call, bot.Outcome.NOT_SENT)
                continue
            if call.action == "new" and call.intent.side is BUY:  # at the last moment
                assert self.referee.level is bot.KillLevel.ACTIVE and not self.referee.stopping
                waited_s = (self.now - call.intent.at).total_seconds()
                assert waited_s <= self.settings.limits.max_quote_age_s
            number = self.broker.take(call, self.now) if luck not in ("lost", "refused") else ""
            if luck in ("lost", "answer lost"):
                self.answer(call, bot.Outcome.UNKNOWN)
            elif number:
                self.answer(call, number=number)
            else:
                self.answer(call, bot.Outcome.REFUSED)
            luck = ""

    def show_list(self, lag_s=-1):
        """Feed the order list; it may lack what arrived just now."""
        since = self.now - timedelta(seconds=lag_s)
        arrived, rows = self.broker.arrived, self.broker.rows
        self.list_of(*(row for number, row in rows.items() if arrived[number] <= since))

    def show_balance(self):
        """Feed the balance."""
        held = []
        for code in CODES:
            owners = sum(
                row.filled_quantity
                for number, row in self.broker.rows.items()
                if row.symbol == code and number not in self.broker.intents
            )
            if total := self.broker.held(code) + owners:
                held.append((code, total, self.broker.free(code) + owners))
        self.balance(*held, cash=self.broker.cash)

    def step(self, what, code, chance):
        """Let one thing happen."""
        price, known = self.prices[code], stock(code, self.prices[code])
        if what in ("want", "buy", "trade", "move"):
            self.wait(1)
            if what == "move":
                share = (chance - 49) / (1500 if chance % 9 else 300)
                price = bot.round_to_tick(known.base_price * (1 + share), known.fund, up=True)
            self.prices[code] = min(max(price, known.lower_limit), known.upper_limit)
            self.trade(self.prices[code], code)
        if what in ("want", "buy"):
            self._want(code, chance if what == "want" else chance % 5)
        if what == "buy":
            self.serve("")
            self.broker.fill(code, price, 100 if chance % 3 else chance)
            self.wait(chance % 3)
            self.show_list()
        elif what == "price":
            odd = price * 104 // 100 if chance % 5 == 0 else price
            self.seen(stock(code, odd, "trading halted" if chance % 11 == 0 else ""))
        elif what == "wait":
            self.wait(chance // 2)
        elif what == "jump":
            self.now += timedelta(seconds=60 * chance if chance % 4 == 0 else 2 * chance)
            self.feed(bot.TimeEvent(self.now))
            if chance % 3:
                self.show_list()
        elif what == "fill":
            self.broker.fill(code, price, chance)
        elif what == "list":
            self.wait(chance % 4)
            self.show_list(3 if chance % 5 == 0 else -1)
        elif what == "account":
            self.seen(bot.Cash(self.broker.free_cash()))
            self.show_balance()
        elif what == "quiet":
            self._fall_quiet(code, chance, price)
        elif what == "owner":
            self._owner(code, chance)

    def _want(self, code, chance):
        price, known = self.prices[code], stock(code, self.prices[code])
        if chance % 4:
            self.seen(known)
        kind = bot.OrderKind.MARKET if chance % 10 == 9 else bot.OrderKind.LIMIT
        asked = bot.step_ticks(price, known.fund, chance % 7 - 3) if kind.priced else 0
        asked = {13: asked + 1, 29: price * 2, 33: price * 104 // 100 // 100 * 100, 37: -asked}.get(
            chance, asked
        )
        quantity = {70: 0, 71: -1, 72: 250, 73: 1000}.get(
            chance, [10, 14, 1, 20, 5, 28][chance % 6]
        )
        quantity *= max(20_000 // BASES[code][0], 1)
        away = max(price // (200 if chance % 3 else 20), 1)
        plan = bot.ExitPlan(price - away, price + 2 * away, 0.01 * (chance % 2))
        if chance % 17 == 16:
            plan = bot.ExitPlan(price + 10 * away, price)
        signal = f"s{chance % 7}" if chance % 5 == 4 else f"s{self.now:%H%M%S}"
        request = bot.OrderRequest(code, BUY, quantity, signal, kind, asked, plan)
        self.referee.wanted.add((request.signal, code, asked, kind, quantity))
        self.engine.entries.consider(self.engine.core.symbols[code], request)
        self.feed(bot.TimeEvent(self.now))

    def _fall_quiet(self, code, chance, price):
        how = chance % 5
        if how == 0:
            self.trade(price, code, halted=True)
        elif how == 1:
            self.quote(price, code, code="C")
        elif how == 2:
            self.quote(price, code)
        elif how == 3:
            self.feed(bot.MarketStatus(code, chance % 2 == 0, chance % 3 == 0, ""))
        else:
            self.trade(price * 2, code)  # impossible on this day
            self.trade(price, code, volume=0)  # seen before

    def _owner(self, code, chance):
        how = chance % 8
        if how == 1:
            self.command("feed down")
        elif how == 2:
            self.broker.owner_buys(code, chance, self.now)
        elif how == 3 and chance > 90:
            self.command("stop", text="cancel")
        elif how == 3:
            self.crash()
        elif how == 4 and chance > 50:
            self.command("level", level=bot.KillLevel(chance // 8 % 4), text="owner")
        else:
            self.command("level", level=bot.KillLevel.ACTIVE, text="owner")
            self.command("feed up")
            self.show_list()


settings_of_a_day = st.fixed_dictionaries({
    "max_order_krw": st.sampled_from([2_000_000, 1_000_000, 300_000]),
    "max_symbol_krw": st.sampled_from([4_000_000, 1_500_000, 400_000]),
    "max_total_krw": st.sampled_from([9_000_000, 2_500_000, 500_000]),
    "max_daily_loss_krw": st.sampled_from([100_000, 20_000, 3_000]),
    "max_drawdown_krw": st.sampled_from([None, 2_000]),
    "max_quantity": st.sampled_from([1_000_000, 12]),
    "max_positions": st.integers(1, 3),
    "max_orders_per_minute": st.sampled_from([30, 3, 1]),
    "max_orders_per_day": st.sampled_from([100, 5, 2]),
    "losses_in_a_row": st.sampled_from([20, 1]),
})  # fmt: skip
LUCK = ("", "", "", "", "lost", "answer lost", "refused", "slow")  # of the calls of a step
steps = st.tuples(
    st.sampled_from([
        "wait", "trade", "want", "want", "want", "buy", "buy", "buy", "move", "move", "move", "fill",
        "list", "account", "price", "jump", "quiet", "owner",
    ]),
    st.integers(0, 4 * len(LUCK) * 100 - 1),  # which stock, luck, chance: one draw is quicker
)  # fmt: skip


@given(
    settings_of_a_day, st.sampled_from([10_000_000, 700_000]),
    st.sampled_from(["10:00:00", "09:00:30", "14:47:00"]),
    st.lists(steps, min_size=15, max_size=45),
)  # fmt: skip
def test_no_sequence_of_events_sends_an_order_outside_a_limit(limits, cash, begin, table):
    """Size, money, pace, price, moment, doubt: whatever comes in any order, each call is within."""
    floor = Floor(cash, limits)
    floor.now = datetime.combine(DAY, time.fromisoformat(begin), bot.KST)
    floor.begin()
    for what, number in table:
        chance, rest = divmod(number, 4 * len(LUCK))
        luck, which = divmod(rest, 4)
        floor.step(what, CODES[which % 3], chance)
        floor.serve(LUCK[luck])
