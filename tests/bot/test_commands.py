"""The owner's commands: one table, and every door of every command."""

import asyncio
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from test_trader import SYMBOL, Life, leave, wishes

import kis_realtime_trading as bot
from companions.options import WORDS_KNOWN
from companions.page import server

D = bot.Danger
DOING = [word for word in bot.COMMANDS.values() if word.danger is not D.ASK]
EXAMPLES = {
    "STOCK": SYMBOL, "SHARES": "3", "PRICE": "70000", "ORDER": "0000000012", "LEVEL": "ENTRIES_OFF",
    "CODE": "123456", "INTENT=absent|ORDER": "abc=absent", "LINES": "5", "DAYS": "3",
    "STOCK=scale|keep": f"{SYMBOL}=keep", "STOCK|ORDER": "삼성전자",
    "KIND": "fill", "on|silent|off": "off",
}  # fmt: skip


def spoken(word: bot.OwnersWord) -> str:
    """Return a word with an example for each argument."""
    return " ".join((word.name, *(EXAMPLES[each.strip("[]")] for each in word.arguments)))


# --- the table ---


def test_the_dangers_are_these():
    """What may go wrong decides the proof: this list changes only with an argument."""
    by_danger = {d: [w.name for w in DOING if w.danger is d] for d in (D.DOWN, D.CONFIRM, D.UP)}
    assert by_danger == {
        D.DOWN: ["stop", "reduce", "notify", "cancel"],
        D.CONFIRM: ["flatten", "sell"],
        D.UP: ["resume", "buy", "unlock", "resolve", "accept", "levels", "level"],
    }


def test_names_and_aliases_are_unique_and_each_word_is_told_in_both_languages():
    """As Telegram wants them: small letters, at most 32; help of at most 256 characters."""
    names = [name for w in bot.COMMANDS.values() for name in (w.name, *w.aliases)]
    assert len(names) == len(set(names))
    for word in bot.COMMANDS.values():
        assert all(re.fullmatch("[a-z]{1,32}", name) for name in (word.name, *word.aliases))
        assert re.search("[가-힣]", word.ko) and not re.search("[가-힣]", word.en)
        assert 1 <= len(word.ko) <= 256 and 1 <= len(word.en) <= 256
        assert set(bot.ARGUMENTS) >= {each.strip("[]") for each in word.arguments}


@pytest.mark.parametrize("word", bot.COMMANDS.values(), ids=list(bot.COMMANDS))
def test_a_word_is_read_with_arguments_of_their_form_and_no_others(word: bot.OwnersWord):
    """The example reads back; one argument more, or an odd one, does not."""
    said = bot.read_words(spoken(word).split())
    assert isinstance(said, bot.Said) and said.word is word
    assert bot.read_words([*spoken(word).split(), "x" * 30]) is word
    for odd in ("１２", "-1", "", "a b", "삼 성", "\u200f5"):
        if word.arguments:
            values = spoken(word).split()[1:]
            assert bot.read_words([word.name, *values[:-1], odd]) is word


# --- the doors ---


def test_every_door_opens_to_the_words_of_the_table_and_to_no_others():
    """Signals, command line, page, phone: what each may say is what the table says."""
    at = {door: {w.name for w in bot.COMMANDS.values() if door in w.doors} for door in (
        "signal", "line", "page", "phone")}  # fmt: skip
    assert set(bot.SIGNALS.values()) == at["signal"]
    levels = {word.level.name for word in DOING if "page" in word.doors and word.level}
    assert set(server.CONFIRM) == levels
    options = {"accept" if o == "--accept-orders" else o.strip("-") for o in WORDS_KNOWN}
    assert at["line"] == options & set(bot.COMMANDS) - {
        "report",
        "why",
        "status",
        "help",
        "version",
    }
    assert at["phone"] == set(bot.COMMANDS) - {"level"}
    assert all(word.danger in (D.DOWN, D.CONFIRM) for word in DOING if "page" in word.doors)
    assert all(word.danger in (D.DOWN, D.CONFIRM) for word in DOING if "signal" in word.doors)


@pytest.mark.parametrize("word", DOING, ids=[word.name for word in DOING])
def test_the_control_file_takes_every_word_that_does_something(word: bot.OwnersWord):
    """It is written down as a command; what cannot be done now is told, never guessed."""

    async def story(life: Life) -> Any:
        trader, run = await life.begin()
        await life.world.until("09:19:30")
        leave(life, spoken(word))
        await asyncio.sleep(3)
        level = trader.engine.core.ledger.level
        await life.stop(trader, run)
        return level

    life = Life(density=5.0)
    level = life.play(story)
    names = [row.ref for row in life.rows("command")]
    assert word.event in names or life.rows("notify")[0].ref == "fill"
    wanted = word.level or bot.KillLevel.ACTIVE
    assert level is (bot.KillLevel.ENTRIES_OFF if word.name == "level" else wanted)
    nothing_there = {"cancel", "sell", "unlock", "resolve", "levels"}
    assert ("error" in life.alerts()) is (word.name in nothing_there)


@pytest.mark.parametrize("word", [w for w in bot.COMMANDS.values() if w.danger is D.ASK][:3])
def test_a_question_in_the_control_file_is_no_word_for_it(word: bot.OwnersWord):
    """Nobody would read the answer; somebody wanted something: entries stop."""

    async def story(life: Life) -> Any:
        trader, run = await life.begin()
        await life.world.until("09:20:00")
        leave(life, spoken(word))
        await asyncio.sleep(3)
        level = trader.engine.core.ledger.level
        await life.stop(trader, run)
        return level

    assert Life(density=1.0).play(story) is bot.KillLevel.REDUCE_ONLY


@pytest.mark.parametrize("number", bot.SIGNALS)
def test_a_signal_tightens_and_never_loosens(number: int):
    """SIGUSR1 after SIGUSR2 leaves the stricter level."""

    async def story(life: Life) -> Any:
        trader, run = await life.begin()
        await life.world.until("09:20:00")
        levels = []
        for name in (bot.SIGNALS[number], "flatten", bot.SIGNALS[number]):
            trader.obey(bot.Said(bot.COMMANDS[name]), "signal")
            levels.append(trader.engine.core.ledger.level)
        await life.stop(trader, run)
        return levels

    hard = bot.KillLevel.FLATTEN_AND_HALT
    assert Life(density=1.0).play(story) == [bot.COMMANDS[bot.SIGNALS[number]].level, hard, hard]


# --- buy and sell of the owner ---


class Seller(bot.TradingStrategy):
    """Wants to sell whatever is held, at every trade."""

    def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> None:
        return None

    def on_trade(self, view: bot.StrategyView, trade: bot.Trade) -> bot.OrderRequest | None:
        return view.sell("now", "strategy") if view.position.quantity else None


def owners_day(*words: tuple[str, str], strategy: Any = None, **settings: Any) -> Life:
    """Let the owner say words at times; return the life after 09:24."""

    async def story(life: Life) -> None:
        trader, run = await life.begin(strategy)
        for moment, text in words:
            await life.world.until(moment)
            leave(life, text)
        await life.world.until("09:24:00")
        await life.stop(trader, run)

    life = Life(settings=settings, density=120.0)
    life.play(story)
    return life


def test_the_owners_buy_is_bought_and_no_strategy_sells_it_but_his_own_word_does():
    """A wish of the strategy to sell is refused with a row; `sell` sells all."""
    day = owners_day(("09:20:30", f"buy {SYMBOL} 3"), strategy=Seller())
    assert [(o["side"], o["filled_quantity"]) for o in day.orders] == [("BUY", 3)]
    assert any("the owner bought it" in row.body for row in day.rows("refusal"))
    words = (("09:20:30", f"buy {SYMBOL} 3"), ("09:22:30", f"sell {SYMBOL}"))
    day = owners_day(*words, strategy=Seller())
    assert [(o["side"], o["filled_quantity"]) for o in day.orders] == [("BUY", 3), ("SELL", 3)]


def test_the_owners_position_is_known_again_after_a_restart():
    """The mark comes with the row of the intent."""

    async def story(life: Life) -> Any:
        trader, run = await life.begin(Seller())
        await life.world.until("09:20:30")
        leave(life, f"buy {SYMBOL} 3")
        await life.world.until("09:22:00")
        trader.stop("restart")
        await run
        trader.journal.close()
        trader, run = await life.begin(Seller())
        await life.world.until("09:25:00")
        owners = trader.engine.core.ledger.position(SYMBOL).owners
        await life.stop(trader, run)
        return owners

    life = Life(density=120.0)
    assert life.play(story) is True
    assert [o["side"] for o in life.orders] == ["BUY"]


def test_the_strategys_own_position_is_still_sold_by_its_wish():
    """The refusal is for the owner's positions only."""

    class Both(bot.TradingStrategy):
        def on_bar(self, view: bot.StrategyView, bar: bot.Bar) -> None:
            return None

        def on_trade(self, view: bot.StrategyView, trade: bot.Trade) -> bot.OrderRequest | None:
            if view.position.quantity:
                return view.sell("now", "strategy")
            late = view.now - view.session.open > timedelta(minutes=20, seconds=30)
            plan = bot.ExitPlan(round(trade.price * 0.9), round(trade.price * 1.2))
            price = bot.step_ticks(trade.price, view.fund, 5)
            return view.buy(2, price, "once", plan, "test") if late else None

    sides = [o["side"] for o in owners_day(strategy=Both()).orders]
    assert sides == ["BUY", "SELL"]


REFUSED = [
    (f"buy {SYMBOL} 3 999000", {}, "BAND"),
    (f"buy {SYMBOL} 3 70001", {}, "TICK"),
    (f"buy {SYMBOL} 99999", {"limits": {"max_order_krw": 1_000_000}}, "ORDER_VALUE"),
    (f"buy {SYMBOL} 3 80000", {}, "COLLAR"),
]


@pytest.mark.parametrize(("text", "settings", "code"), REFUSED, ids=[c for *_, c in REFUSED])
def test_the_owners_buy_meets_every_rule(text: str, settings: dict[str, Any], code: str):
    """No door goes round RULES: no order leaves, and the refusal is told."""
    day = owners_day(("09:20:30", text), **settings)
    assert day.orders == [] and "refused" in day.alerts()
    assert f'"{code}"' in day.rows("refusal")[-1].body


def test_the_owners_buy_meets_the_kill_switch_and_the_settings():
    """Neither against a level nor in a stock that the settings do not name."""
    day = owners_day(("09:20:10", "stop"), ("09:20:30", f"buy {SYMBOL} 3"))
    assert day.orders == [] and '"LEVEL"' in day.rows("refusal")[-1].body
    day = owners_day(("09:20:30", "buy 000001 3"))
    assert day.orders == [] and "error" in day.alerts()


def said_at(moment: str, act: Any, start: str = "09:19:00", **config: Any) -> tuple[Life, Any]:
    """Let something be done to a trading bot at a time; return the life of five more minutes."""

    async def story(life: Life) -> Any:
        trader, run = await life.begin()
        await life.world.until(moment)
        found = act(trader)
        await asyncio.sleep(300)
        await life.stop(trader, run)
        return found

    life = Life(start=start, density=120.0, **config)
    return life, life.play(story)


def buys(trader: bot.Trader, *values: str) -> None:
    """Obey a `buy` whose proof was there."""
    trader.obey(bot.Said(bot.COMMANDS["buy"], (SYMBOL, *values)), "phone /buy")


@pytest.mark.parametrize(
    ("start", "moment"), [("14:49:00", "14:51:00"), ("15:18:30", "15:21:00"), ("08:58:00", "08:59:30")]
)  # fmt: skip
def test_the_owners_buy_keeps_the_hours_of_entries(start: str, moment: str):
    """Not before the open, after `last_entry`, or in the closing auction."""
    life, _ = said_at(moment, lambda trader: buys(trader, "3"), start=start)
    codes = [json.loads(row.body)["code"] for row in life.rows("refusal")]
    assert life.orders == [] and codes and set(codes) <= {"SESSION", "ON_HOLD", "STALE", "PRICE"}
    assert "refused" in life.alerts()


@pytest.mark.parametrize("hold", ["clock", "orders", "journal late"])
def test_the_owners_buy_waits_for_nothing_that_is_held_back(hold: str):
    """While something is not clear nothing is bought, whoever wishes it."""

    def act(trader: bot.Trader) -> None:
        trader.feed(bot.Command("hold", trader.clock.now(), text=hold))
        buys(trader, "3")

    life, _ = said_at("09:21:00", act)
    assert life.orders == [] and '"ON_HOLD"' in life.rows("refusal")[-1].body


def test_the_owners_buy_goes_two_ticks_above_the_offer_or_at_his_price():
    """He pays no more than he was told."""

    def act(trader: bot.Trader) -> int:
        quote = trader.engine.core.symbols[SYMBOL].view.quote
        assert quote is not None
        buys(trader, "3")
        return quote.ask

    life, ask = said_at("09:21:00", act)
    [row] = life.rows("intent")
    assert json.loads(row.body)["price"] == bot.step_ticks(ask, fund=False, steps=2)

    def act_at_the_offer(trader: bot.Trader) -> int:
        quote = trader.engine.core.symbols[SYMBOL].view.quote
        assert quote is not None
        buys(trader, "3", str(quote.ask))
        return quote.ask

    life, ask = said_at("09:21:00", act_at_the_offer)
    [row] = life.rows("intent")
    assert json.loads(row.body)["price"] == ask


def test_the_owner_buys_no_more_of_what_the_settings_no_longer_name():
    """It is held and guarded, and never bought."""

    async def story(life: Life) -> Any:
        life.world.settings["symbols"] = [SYMBOL, "000660"]
        trader, run = await life.begin(wishes("09:20:10"))
        await life.world.until("09:21:00")
        trader.stop("restart")
        await run
        trader.journal.close()
        life.world.settings["symbols"] = ["000660"]
        trader, run = await life.begin()
        await life.world.until("09:22:30")
        before = len(life.orders)
        held = trader.engine.core.ledger.position(SYMBOL).quantity
        buys(trader, "3")
        await asyncio.sleep(30)
        after = len(life.orders)
        await life.stop(trader, run)
        return held, before, after

    life = Life(symbols=(SYMBOL, "000660"), density=120.0)
    held, before, after = life.play(story)
    assert held == 5 and before == after and "error" in life.alerts()


def test_the_owners_cancel_takes_no_sell_back():
    """What guards a position is never taken away by a word for entries."""

    async def story(life: Life) -> Any:
        trader, run = await life.begin(wishes("09:20:10"))
        await life.world.until("09:21:00")
        leave(life, f"sell {SYMBOL}")
        await life.world.until("09:21:03")
        [order] = trader.engine.core.ledger.open_orders()
        assert order.intent.side is bot.Side.SELL
        before = len(life.rows("request"))
        trader.obey(bot.Said(bot.COMMANDS["cancel"], (order.order_no,)), "phone /cancel")
        asked = [row for row in life.rows("request")[before:] if "cancel" in row.body]
        await life.stop(trader, run)
        return asked

    never = {
        "match": {"kind": "order", "side": "SELL"},
        "effect": {"do": "no_fill", "seconds": 600},
    }
    life = Life(density=120.0, faults=(never,), settings={"exit_step_s": 60.0})
    assert life.play(story) == [] and "error" in life.alerts()


def test_a_strategy_cannot_pass_for_the_owner():
    """The mark in a request is refused like any other wrong type."""
    wish = bot.OrderRequest(SYMBOL, bot.Side.BUY, 1, "x", price=1, owners=True)
    with pytest.raises(TypeError, match="owner"):
        bot.check_request(wish)


def test_unlock_lets_a_stopped_stock_be_bought_again():
    """Of a stop by a rule; the hold is gone and a wish goes through."""

    async def story(life: Life) -> Any:
        trader, run = await life.begin(wishes("09:20:30", "09:23:00"))
        await life.world.until("09:20:00")
        core = trader.engine.core
        core.stop_symbol(SYMBOL, "test")
        actions, core.out = core.out, []
        trader.bridge.execute(actions)
        await life.world.until("09:22:00")
        before = len(life.orders), dict(core.ledger.stopped)
        leave(life, f"unlock {SYMBOL}")
        await life.world.until("09:24:00")
        after = len(life.orders), dict(core.ledger.stopped)
        await life.stop(trader, run)
        return before, after

    assert Life(density=120.0).play(story) == ((0, {SYMBOL: "test"}), (1, {}))


def test_cancel_takes_back_a_resting_entry_by_its_number():
    """Down: at once; the order is cancelled at the broker."""

    async def story(life: Life) -> None:
        trader, run = await life.begin(wishes("09:20:30", offset_ticks=-20))
        await life.world.until("09:20:40")
        number = next(o.order_no for o in trader.engine.core.ledger.open_orders())
        leave(life, f"cancel {number}")
        await life.world.until("09:20:50")
        assert not trader.engine.core.ledger.open_orders()
        await life.stop(trader, run)

    life = Life(settings={"entry_timeout_s": 600.0}, density=600.0)
    life.play(story)
    assert "order_cancelled" in life.alerts()


# --- the guide ---


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_guide_has_the_table_of_the_words(language: str):
    """Name with arguments, help and proof of each word of the phone, in the order of the table."""
    proofs = {
        "ko": {D.ASK: "없음", D.DOWN: "없음, 바로 실행", D.CONFIRM: "단추 한 번", D.UP: "확인 번호"},
        "en": {D.ASK: "none", D.DOWN: "none: at once", D.CONFIRM: "one tap", D.UP: "one-time code"},
    }[language]  # fmt: skip
    wanted = []
    for word in bot.COMMANDS.values():
        if "phone" in word.doors:
            usage = word.usage(language).replace("|", "\\|")
            names = " ".join((f"`/{usage}`", *(f"`/{name}`" for name in word.aliases)))
            told = word.ko if language == "ko" else word.en
            wanted.append(f"| {names} | {told} | {proofs[word.danger]} |")
    page = bot.HERE / "docs" / language / "phone.md"
    assert [line for line in page.read_text("utf-8").splitlines() if line[:4] == "| `/"] == wanted
