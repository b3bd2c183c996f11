"""The properties on which money depends, tried as often as you like: rounding, books, limits.

Each property is tried in slices of differing seeds, so that all processors have work and a failure
names the slice that shows it again.

    python tests/campaigns/properties.py                        100,000 examples of each property
    python tests/campaigns/properties.py --examples 2000 --only limit
    python tests/campaigns/properties.py --examples 2000 --seed 5 --only limit     the same ones again
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, seed, settings

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / each) for each in ("unit", "support", "..")]

# The slow ones come first, so that no processor waits for the last one alone.
PROPERTIES = (
    "test_limits.test_no_sequence_of_events_sends_an_order_outside_a_limit",
    "test_engine.test_days_made_of_chance_keep_the_promises",
    "test_ledger.test_the_money_does_not_depend_on_how_an_order_was_filled",
    "test_ledger.test_cash_and_positions_balance_to_the_won",
    "test_ledger.test_random_days_balance_to_the_won",
    "test_codec.test_the_short_way_agrees_with_the_long_way",
    "test_risk.test_what_passes_is_within_every_limit",
    "test_rules.test_a_rounded_price_is_an_order_the_exchange_takes",
    "test_rules.test_rounding_gives_the_nearest_valid_price_and_never_the_wrong_way",
    "test_rules.test_rounding_inside_the_band_stays_inside",
    "test_rules.test_the_band_holds_valid_prices_within_thirty_per_cent",
    "test_rules.test_steps_up_and_down_lead_back",
    "test_rules.test_the_fee_of_an_order_does_not_depend_on_its_fills",
    "test_strategy.test_orders_and_plans_have_valid_prices_and_stay_within_risk",
)
SLICE = 2_000  # examples in a row: what Hypothesis remembers of them stays small


class Done(NamedTuple):
    """What became of one slice."""

    name: str
    seed: int
    examples: int  # that ran to their end, counted
    seconds: float  # of a processor
    failure: str


def prepare(examples: int) -> None:
    """Say how many examples a slice has. Tests take the profile when they are imported."""
    settings.register_profile(
        "slice", max_examples=examples, deadline=None, database=None, derandomize=False,
        print_blob=False, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    settings.load_profile("slice")


def run_slice(name: str, number: int) -> Done:
    """Try one property with examples of one seed."""
    module, _, function = name.partition(".")
    tried = getattr(importlib.import_module(module), function)
    inner, count, began = tried.hypothesis.inner_test, Counter[str](), time.process_time()

    def counted(*args: object, **kwargs: object) -> None:
        inner(*args, **kwargs)
        count["done"] += 1

    tried.hypothesis.inner_test, failure = counted, ""
    try:
        seed(number)(tried)()
    except BaseException as error:
        failure = "".join(traceback.format_exception(error))
    finally:
        tried.hypothesis.inner_test = inner
    return Done(name, number, count["done"], time.process_time() - began, failure)


def main() -> int:
    """Run the campaign from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--examples", type=int, default=100_000, help="of each property")
    parser.add_argument("--only", default="", metavar="TEXT", help="properties whose name has this")
    parser.add_argument("--seed", type=int, help="first of the seeds; each slice has the next one")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    names = [name for name in PROPERTIES if options.only in name]
    slices = -(-options.examples // SLICE)
    first = random.randrange(10**9) if options.seed is None else options.seed
    print(f"{len(names)} properties in {slices} slices each, seeds from {first}", flush=True)
    began = shown = time.monotonic()
    done: list[Done] = []
    with ProcessPoolExecutor(
        options.workers, initializer=prepare, initargs=(-(-options.examples // slices),)
    ) as pool:
        jobs = [pool.submit(run_slice, name, first + n) for name in names for n in range(slices)]
        for job in as_completed(jobs):
            done.append(job.result())
            if done[-1].failure:
                print(f"{done[-1].name}, seed {done[-1].seed}:\n{done[-1].failure}", flush=True)
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                ran = sum(each.examples for each in done)
                print(f"{ran:,} of {options.examples * len(names):,} examples", file=sys.stderr)
    for name in names:
        own = [each for each in done if each.name == name]
        examples, seconds = sum(e.examples for e in own), sum(e.seconds for e in own)
        print(
            f"{name}: {examples:,} examples, {seconds:.0f} s of a processor, "
            f"{sum(bool(each.failure) for each in own)} failures"
        )
    few = [
        name for name in names if sum(e.examples for e in done if e.name == name) < options.examples
    ]
    print(
        f"{time.monotonic() - began:.0f} s with {options.workers} workers; too few: {few or 'none'}"
    )
    return 1 if few or any(each.failure for each in done) else 0


if __name__ == "__main__":
    sys.exit(main())
