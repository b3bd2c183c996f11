"""Drills against an adversary: each was seen to go wrong once, and is shown here the right way."""

import asyncio
import contextlib
import gzip
import json
import logging
import os
import re
import resource
from dataclasses import replace

import edge
import pytest
from test_engine import OTHER, SYMBOL, Bench, Scripted, wish
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

import kis_realtime_trading as bot
from companions import replay


class Ending(Scripted):
    """Ends, or writes where it may only read, at the first trade it is shown in a bar."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def on_bar(self, view, bar):
        return self.act(view) if view.symbol == SYMBOL else None


def leaves(error):
    """Return what a strategy does that raises this."""

    def act(view):
        raise error

    return act


def writes(view):
    """Take itself for the owner of three shares."""
    view.position.quantity = 3


def swaps(view):
    """Put another position into the place of the one that is shown."""
    view.position = bot.Position(quantity=3)


def puts(name, value):
    """Return what a strategy does that puts a value into its view."""

    def act(view):
        setattr(view, name, value)

    return act


@pytest.mark.parametrize(
    "act",
    [leaves(SystemExit(0)), leaves(KeyboardInterrupt()), leaves(GeneratorExit()), writes, swaps,
     puts("symbol", OTHER), puts("bars", None), puts("quote", "70,000"), puts("fund", True),
     puts("session", None)],
    ids=["exit", "interrupt", "generator", "writes", "swaps", "symbol", "bars", "quote", "fund",
         "session"],
)  # fmt: skip
def test_a_strategy_that_ends_or_writes_stops_its_own_stock_only(act):
    """The program lives on, the stock is stopped, and the position shown is as it was."""
    bench = Bench(Ending(act)).start()
    bench.trade(70_000)
    bench.at("10:05:00")
    bench.trade(70_000)
    assert "of the strategy" in bench.ledger.stopped[SYMBOL]
    assert list(bench.ledger.stopped) == [SYMBOL]
    view = bench.engine.core.symbols[SYMBOL].view
    assert (view.position.quantity, view.symbol, view.quote, view.fund) == (0, SYMBOL, None, False)
    assert (len(view.bars), view.session) == (1, bench.engine.core.session)


@pytest.mark.parametrize(
    "odd",
    [
        replace(wish(), reason="\ud800"),
        replace(wish(), signal="x" * 201),
        replace(wish(), facts=(("\udfff", 1),)),
    ],
)
def test_a_text_that_no_file_can_hold_is_no_wish(odd):
    """A lone surrogate ended the program when the journal wrote it."""
    with pytest.raises(TypeError):
        bot.check_request(odd)


async def test_a_redirected_handshake_is_not_followed():
    """The approval key goes to the address of the settings or nowhere."""
    asked_elsewhere = []

    async def elsewhere(server, head, body, writer):
        asked_elsewhere.append(head)
        writer.write(edge.http(b"", "404 Not Found"))

    async with edge.RawServer(elsewhere) as other:

        async def away(server, head, body, writer):
            writer.write(edge.http(b"", "302 Found", Location=other.url.replace("http", "ws")))

        async with edge.RawServer(away) as server:
            with pytest.raises(bot.WebSocketException):
                await bot.connect_websocket(server.url.replace("http", "ws"))
            assert server.connections == 1
    assert asked_elsewhere == []


@pytest.mark.parametrize("how", ["soft link", "hard link", "for all to write", "of another"])
def test_a_control_file_that_is_not_the_owners_own_is_refused_without_its_words(tmp_path, how):
    """Through a link the lines of any file of the owner stood in the journal and on the phone."""
    secret, control = tmp_path / "secret", tmp_path / "control"
    secret.write_text("level FLATTEN_AND_HALT my-secret")
    if how == "soft link":
        control.symlink_to(secret)
    elif how == "hard link":
        os.link(secret, control)
    elif how == "of another":
        if os.geteuid():
            pytest.skip("only root can give a file away")
        control.write_text(secret.read_text())
        os.chown(control, 65_534, -1)
    else:
        control.write_text(secret.read_text())
        control.chmod(0o666)
    [said] = bot.take_words(control)
    assert said.startswith("unreadable")
    assert "secret" not in said.replace(str(tmp_path), "")
    assert secret.read_text() == "level FLATTEN_AND_HALT my-secret"
    assert not os.path.lexists(control)


def test_a_core_dump_is_refused_by_the_program_itself():
    """Secrets stand in the memory of the process: RLIMIT_CORE is lowered before anything runs."""
    bot.keep_secrets_in()
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


def test_log_lines_carry_korean_time_and_its_offset():
    """On a server that lives in UTC nobody has to guess."""
    formatter = bot._RedactingFormatter(str)
    record = logging.LogRecord("kisbot", logging.INFO, "", 0, "said", None, None)
    record.created = 1_795_737_600.25  # 2026-11-27 00:00:00.25 UTC
    assert formatter.format(record) == "2026-11-27 09:00:00.250+09:00 INFO kisbot: said"


def test_a_recording_runs_no_code_of_its_own_choice(tmp_path):
    """Somebody's recording names a file: it runs only when the command line names it too."""
    ran, file = tmp_path / "ran", tmp_path / "evil.py"
    file.write_text(f"open({str(ran)!r}, 'w')\n")
    settings = {"symbols": [SYMBOL], "limits": dict.fromkeys(
        ("max_order_krw", "max_symbol_krw", "max_total_krw", "max_daily_loss_krw"), 1_000_000)}  # fmt: skip
    header = {"settings": settings, "rows": [], "strategy": f"{file}:Evil", "environment": "paper"}
    recording = tmp_path / "20261120-085011-0000.gz"
    with gzip.open(recording, "wt") as out:
        out.write(f"S{json.dumps(header)}\n")
    with pytest.raises(bot.BotError, match="--strategy"):
        replay.replay(recording)
    assert not ran.exists()


def test_a_held_terminal_holds_no_log_line_and_drops_are_told():
    """Ctrl-S for a while: nobody waits, what found no room is counted and told when it goes on."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as held:
        thread = bot.LogThread(held)
        for number in range(20_000):  # several times the pipe and the queue
            thread.emit(logging.LogRecord("kisbot", 20, "", 0, f"{number} {'x' * 80}", None, None))
        assert thread.dropped > 0
        assert not thread.beside.end(0.01)
        shown = b""
        os.set_blocking(reading, False)
        while not thread.beside.end(0.001):
            with contextlib.suppress(BlockingIOError):
                shown += os.read(reading, 1 << 20)
        with contextlib.suppress(BlockingIOError):
            shown += os.read(reading, 1 << 20)
    os.close(reading)
    told = re.findall(rb"\((\d+) lines of the log were dropped", shown)
    assert sum(map(int, told)) == thread.dropped


# --- a plain feed, a shifted connection, strange files, floods ------------------------------


def forged(bench, times):
    """Show a trade whose total of the day is so many times too high."""
    total = bench.totals[SYMBOL] * times
    moment = bench.now
    return bench.feed(bot.Trade(SYMBOL, moment, 70_000, 1, total, total * 70_000, False))


@pytest.mark.parametrize("times", [2, 50, 500])
def test_one_forged_total_makes_no_stock_deaf(times):
    """The feed is plain text: whatever one frame says of the day, the next trades are heard."""
    bench = Bench().start()
    for n in range(20):
        bench.trade(70_000 + 100 * (n % 2))
        bench.wait(1)
    before = bench.engine.core.symbols[SYMBOL].builder.cum_volume
    forged(bench, times)
    bench.wait(1)
    heard, told = [], []
    for _ in range(6):
        actions = bench.trade(70_100) + bench.wait(1)
        heard.append(bench.engine.core.last_price(SYMBOL) == 70_100)
        told += [each.values["what"] for each in actions if isinstance(each, bot.Alert)]
    assert heard[bot.DEAF_TRADES :] == [True] * 3
    builder = bench.engine.core.symbols[SYMBOL].builder
    assert before < builder.cum_volume < 2 * before
    assert len(told) == (times == 2)  # the larger ones were never believed


def test_repeated_old_trades_do_not_reset_the_day():
    """A burst that comes twice is as old as before: no total goes back, nothing is told."""
    bench = Bench().start()
    burst = []
    for _ in range(8):
        actions = bench.trade(70_000)
        burst.append(bench.engine.core.symbols[SYMBOL].last_trade)
        bench.wait(1)
    total = bench.engine.core.symbols[SYMBOL].builder.cum_volume
    actions = [each for trade in burst for each in bench.feed(trade)]
    assert not [each for each in actions if isinstance(each, bot.Alert)]
    assert bench.engine.core.symbols[SYMBOL].builder.cum_volume == total


async def test_an_answer_to_another_question_closes_its_connection():
    """One answer came twice on a kept connection: the shift ends with the first that is seen."""

    async def answers(server, head, body, writer):
        once = edge.http(b"{}").replace(b"\r\n\r\n", b"\r\ntr_id: VTTC0012U\r\n\r\n", 1)
        writer.write(once)

    async with edge.RawServer(answers) as server:
        transport = bot.AiohttpTransport()
        same, other = {"tr_id": "VTTC0012U"}, {"tr_id": "FHKST01010100"}
        await transport("GET", server.url, same, {}, None)
        with pytest.raises(bot.NoAnswer, match="VTTC0012U"):
            await transport("GET", server.url, other, {}, None)
        await transport("GET", server.url, same, {}, None)
        await transport.close()
        assert server.connections == 2


@pytest.mark.parametrize("name", ["tip", "sqlite3"])
def test_a_file_that_another_user_planted_is_refused(tmp_path, name):
    """A link in place of the tip would have the bot overwrite any file of its owner."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = tmp_path / "journal.sqlite3"
    if name == "tip":
        path.with_suffix(".tip").symlink_to(victim)
    else:
        path.touch()
        if os.geteuid():
            pytest.skip("only the superuser can give a file away")
        os.chown(path, 12_345, 12_345)
    with pytest.raises(bot.JournalError, match="look who put it there"):
        bot.Journal(path)
    assert victim.read_text() == "precious"


def test_a_tip_that_becomes_a_link_is_not_followed(tmp_path):
    """Also while the bot runs: the row is late, not the victim overwritten."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with contextlib.closing(bot.Journal(tmp_path / "journal.sqlite3")) as journal:
        journal.path.with_suffix(".tip").symlink_to(victim)
        with pytest.raises(bot.JournalLate):
            journal.append([("note", "", {})], edge.at("10:00"))
    assert victim.read_text() == "precious"


def test_a_state_folder_that_others_could_replace_is_refused(tmp_path):
    """Under a folder that all may write anybody may put another folder in its place; /tmp is fine."""
    folder = tmp_path / "open" / "state"
    folder.mkdir(parents=True)
    bot.refuse(bot.strange_folder(folder))
    folder.parent.chmod(0o777)
    with pytest.raises(bot.SettingsError) as error:
        bot.refuse(bot.strange_folder(folder))
    assert "everybody may rename" in str(error.value.faults[0])
    folder.parent.chmod(0o1777)
    bot.refuse(bot.strange_folder(folder))


async def test_frames_that_wait_are_bounded_in_characters():
    """Few large frames must not fill the memory: the oldest prices go, counted."""
    inbox = bot.Inbox()
    for _ in range(600):
        inbox.put("0" + "x" * 100_000)
    assert inbox.lost > 0
    kept = 0
    while inbox._market:
        kept += sum(len(frame) for _, frame in await inbox.batch())
    assert 20_000_000 < kept <= bot.INBOX_CHARACTERS
    inbox.put("0x")
    assert len(await inbox.batch()) == 1


@pytest.mark.parametrize("flood", ["large frame", "pings", "PINGPONG"])
async def test_a_flood_ends_the_session(tmp_path, flood):
    """A frame beyond any real one, or pings without end: the session is closed, memory stays."""
    sent = 0

    async def server(connection):
        nonlocal sent
        await connection.recv()
        with contextlib.suppress(ConnectionClosed):
            while sent < 5_000:
                sent += 1
                if flood == "large frame":
                    await connection.send("0|" + "x" * 300_000)
                elif flood == "pings":
                    await connection.ping()
                else:
                    await connection.send('{"header":{"tr_id":"PINGPONG","datetime":"1"}}')
                await asyncio.sleep(0)

    async with serve(server, "127.0.0.1", 0, compression=None, ping_interval=None) as there:
        port = there.sockets[0].getsockname()[1]
        async with edge.served(tmp_path) as (clients, _):
            socket = bot.KISWebSocket(
                f"ws://127.0.0.1:{port}",
                clients.auth,
                bot.FrameDecoder(),
                bot.connect_websocket,
                0.0,
            )
            socket.registrations = [("H0STCNT0", SYMBOL)]
            why = await asyncio.wait_for(socket._one_session(), 200)
    assert ("pings" if flood == "PINGPONG" else "closed: ") in why


# --- what a server echoes, what a process inherits ------------------------------------------


def test_a_token_that_a_server_gave_is_known_to_every_redactor():
    """Also one that was made before: an echo of the token reaches no log and no journal."""
    earlier = bot.Redactor([])
    token = bot.Secret("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9.echoed")
    bot.Redactor.learn(token)
    assert token.reveal()[:20] not in earlier(f"Bearer {token.reveal()} is not known")
    for number in range(50):  # bounded: the last few of a long life
        bot.Redactor.learn(bot.Secret(f"{number:04d}" * 9))
    assert len(bot.Redactor._issued) <= 8


@pytest.mark.parametrize("place", ["msg_cd", "msg1", "KRX_FWDG_ORD_ORGNO"])
def test_an_echo_in_the_answer_to_an_order_is_not_kept(place):
    """A code, a text and a branch are what is stored of it; a key looks like none of them."""
    secret = "PS" + "aB3" * 11
    body = {"rt_cd": "0", "msg_cd": "APBK0013", "msg1": "ok", "output": {"ODNO": "0000000001"}}
    (body["output"] if place.isupper() else body)[place] = secret
    answer = bot.classify_order_answer(bot.HttpReply(200, json.dumps(body), {}))
    kept = (answer.code, answer.branch) + ((answer.text,) if place != "msg1" else ())
    assert secret not in " ".join(kept)


def test_a_notice_in_plain_text_is_not_recorded(tmp_path):
    """It would hold account and HTS id; an echoed key in an odd frame is taken out as well."""
    recorder = bot.Recorder(tmp_path, edge.at("10:00"), {})
    recorder.secrets = [bot.Secret("PSabcdefghijklmnop")]
    recorder.frame(1, 1, "0|H0STCNI0|001|myhtsid^5012345601^")
    recorder.frame(2, 1, "0|H0STCNT0|001|PSabcdefghijklmnop^")
    recorder.close()
    text = "\n".join(replay.read_lines(recorder.path))
    assert "5012345601" not in text and "PSabcdef" not in text
    assert [line[:1] for line in text.split("\n")] == ["S", "X", "F"]


def test_keys_leave_the_environment_after_they_were_read(monkeypatch):
    """Whatever the process starts would inherit them; other variables stay."""
    for name in (*bot.ENVIRONMENT_KEYS, *bot.TELEGRAM_KEYS, "KIS_OTHER"):
        monkeypatch.setenv(name, "value")
    bot.keep_secrets_in()
    left = [name for name in os.environ if name.startswith(("KIS_", "TELEGRAM_"))]
    assert "KIS_OTHER" in left
    assert not set(left) & {*bot.ENVIRONMENT_KEYS, *bot.TELEGRAM_KEYS}
