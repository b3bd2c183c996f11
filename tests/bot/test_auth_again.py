"""The token over all short rows of answers: who is asked, what is returned, when keys are given up."""

import asyncio
import itertools
from datetime import timedelta

import pytest
from test_auth import quiet_desk, run, scripted, token_answer

import kis_realtime_trading as bot

ANSWERS = {
    "invalid": (403, {"error_code": "EGW00103", "error_description": "no such key"}),
    "refused": (500, {"error_code": "EGW00002", "error_description": "busy"}),
    "nobody": bot.NotSent("no connection"),
    "silence": bot.NoAnswer("no answer"),
    "page": (502, "<html>"),
}
RAISED = {
    "refused": "RequestRefused",
    "nobody": "NotSent",
    "silence": "NoAnswer",
    "page": "BadData",
}


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("first", ["good", *ANSWERS])
def test_what_a_row_of_answers_makes_of_token_and_keys(tmp_path, first, dropped):
    """One answer that calls working keys invalid may be false, a second is not; then nobody is asked.

    A token that is still good is returned when no new one comes; keys are then tried once more.
    """

    async def main():
        desk = quiet_desk(tmp_path)
        for rest in itertools.product(("good", *ANSWERS), repeat=3 if first == "good" else 2):
            row = (first, *rest)
            for file in tmp_path.glob("token-*"):
                file.unlink()
            auth, script = scripted(desk, *[
                token_answer(f"{number}" * 40) if name == "good" else ANSWERS[name]
                for number, name in enumerate(row)
            ], bot.NoAnswer("too many"))  # fmt: skip
            expected, seen, worked, given_up, asked, had = [], [], False, False, 0, ""
            for name in row:
                answer = row[asked] if asked < len(row) else ""
                if given_up:
                    expected.append("KeysRefused")
                else:
                    asked += 1
                    name = answer
                    if name == "good":
                        worked, had = True, f"{asked - 1}" * 40
                        expected.append(had)
                    else:
                        gave_up = name == "invalid" and not worked
                        worked = worked and name != "invalid"
                        raised = "KeysRefused" if gave_up else RAISED.get(name, "RequestRefused")
                        expected.append(had or raised)
                        given_up = gave_up and not had
                try:  # more than any token is good for: each time a new one is wanted
                    seen.append((await auth.token(timedelta(hours=30))).reveal())
                except bot.BotError as error:
                    seen.append(type(error).__name__)
                if dropped and had:
                    auth.drop_token(bot.Secret(had))
                    had = ""
                await asyncio.sleep(bot.TOKEN_PAUSE_S)
            assert (seen, len(script.sent)) == (expected, asked), row

    run(main)
