"""Order: a pure function of (seed, step), each sample once an epoch, shares as the weights say."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from phi4train.data.order import planner as order
from phi4train.data.order import source_order
from phi4train.data.order.planner import BLOCK_STEPS, BatchSize, Planner, StepPlan
from phi4train.data.shards.mixture import ArrayTable, MixtureSource
from phi4train.data.shards.tables import MEDIA_DTYPE, RECORD_SHAPES, SAMPLE_DTYPE
from phi4train.errors import ManifestError
from tests.unit.data.small_shards import limits_of

LIMITS = limits_of(256)
GOLDEN_STEP = [(0, 1, 25), (0, 1, 18), (1, 0, 34), (1, 0, 9), (0, 0, 10), (0, 0, 1), (0, 1, 17), (1, 0, 16)]


def table(number: int, seed: int = 0, shape: str = "messages", longest: int = 200) -> ArrayTable:
    samples = np.zeros(number, dtype=SAMPLE_DTYPE)
    samples["branches"] = 1
    samples["text_tokens"][:, 0] = np.random.default_rng(seed).integers(1, longest + 1, number)
    samples["shape"] = RECORD_SHAPES.index(shape)
    return ArrayTable(samples, np.zeros(0, dtype=MEDIA_DTYPE), ("broken_image",))


def source(name: str, counts: Sequence[int], weight: float = 1.0, **kind: object) -> MixtureSource:
    tables = [table(count, seed, **kind) for seed, count in enumerate(counts)]  # type: ignore[arg-type]
    return MixtureSource(name, weight, tables)


def planner(
    sources: Sequence[MixtureSource],
    batch_size: BatchSize = BatchSize(samples=8),  # noqa: B008 - frozen
    seed: int = 0,
    weight_by: str = "samples",
    pack_tokens: int = 512,
) -> Planner:
    return Planner(sources, weight_by, batch_size, LIMITS, pack_tokens, seed)


def rows_of(plan: StepPlan) -> list[tuple[int, ...]]:
    items = plan.items
    columns = (items.source, items.shard, items.row, items.start, items.length, items.pack)
    return [tuple(int(value) for value in values) for values in zip(*columns, strict=True)]


def drawn(plan: StepPlan) -> list[tuple[int, int, int]]:
    """(source, shard, row) of every sample of a step, holes included."""
    return [row[:3] for row in rows_of(plan) if row[3] == 0] + [
        (hole.source, hole.shard, hole.row) for hole in plan.holes
    ]


BOTH = pytest.mark.parametrize("batch_size", [BatchSize(samples=8), BatchSize(tokens=1500)], ids=str)


@BOTH
def test_a_step_is_the_same_whatever_was_planned_before(batch_size: BatchSize) -> None:
    sources = [source("a", [300, 200]), source("b", [90])]
    one, two = planner(sources, batch_size), planner(sources, batch_size)
    forward = [rows_of(one.plan(step)) for step in range(200)]
    backward = [rows_of(two.plan(step)) for step in reversed(range(200))]
    assert forward == backward[::-1]


@BOTH
def test_seeds_and_steps_give_different_batches(batch_size: BatchSize) -> None:
    sources = [source("a", [3000])]
    batches = {
        tuple(rows_of(planner(sources, batch_size, seed).plan(step)))
        for seed in range(4)
        for step in range(9)
    }
    assert len(batches) == 36


@BOTH
def test_no_sample_repeats_before_its_epoch_ends_and_none_is_missing(batch_size: BatchSize) -> None:
    sources = [source("a", [37, 0, 41, 29]), source("b", [50])]
    plans = planner(sources, batch_size)
    seen: list[list[tuple[int, int, int]]] = [[], []]
    for block in range(6):
        inside = [each for i in range(BLOCK_STEPS) for each in drawn(plans.plan(block * BLOCK_STEPS + i))]
        for number in range(2):
            seen[number] += sorted(each for each in inside if each[0] == number)
    for number, total in ((0, 107), (1, 50)):
        counts = Counter(seen[number])
        epochs = len(seen[number]) // total
        assert len(counts) == total
        assert {epochs, epochs + (len(seen[number]) % total > 0)} >= set(counts.values())


def test_samples_mode_draws_exactly_its_samples_each_step() -> None:
    plans = planner([source("a", [300]), source("b", [500], weight=3)])
    for step in range(150):
        assert len(drawn(plans.plan(step))) == 8
    assert plans.quotas == [128, 384]


def test_tokens_mode_holds_its_tokens_on_average() -> None:
    plans = planner([source("a", [5000]), source("b", [5000], longest=60)], BatchSize(tokens=4000))
    tokens = [int(plans.plan(step).items.length.sum()) for step in range(5 * BLOCK_STEPS)]
    assert np.mean(tokens) == pytest.approx(4000, rel=0.02)
    assert np.std(tokens) < 0.2 * 4000


def test_weights_may_be_shares_of_tokens() -> None:
    sources = [source("long", [4000]), source("short", [4000], longest=20)]
    plans = planner(sources, BatchSize(tokens=8000), weight_by="tokens")
    tokens = np.zeros(2)
    for step in range(2 * BLOCK_STEPS):
        items = plans.plan(step).items
        tokens += np.bincount(items.source, weights=items.length, minlength=2)
    assert tokens[0] / tokens.sum() == pytest.approx(0.5, abs=0.02)


@BOTH
def test_packs_keep_their_capacity_and_numbers(batch_size: BatchSize) -> None:
    plans = planner([source("a", [900])], batch_size)
    for step in range(BLOCK_STEPS):
        items = plans.plan(step).items
        assert np.bincount(items.pack, weights=items.length).max() <= 512
        assert (np.diff(items.pack) >= 0).all() and items.pack[0] == 0
        assert len(set(items.pack.tolist())) == items.pack[-1] + 1


def test_packs_of_a_block_are_nearly_full_and_dealt_evenly() -> None:
    plans = planner([source("a", [9000])], BatchSize(tokens=4096))
    packs = [int(plans.plan(step).items.pack[-1]) + 1 for step in range(BLOCK_STEPS)]
    tokens = sum(int(plans.plan(step).items.length.sum()) for step in range(BLOCK_STEPS))
    assert tokens / (512 * sum(packs)) > 0.98
    assert max(packs) - min(packs) <= 1


@BOTH
def test_long_texts_are_cut_into_pieces_and_lose_nothing(batch_size: BatchSize) -> None:
    sources = [source("a", [200], shape="text", longest=900)]
    plans = planner(sources, batch_size)
    pieces: dict[int, list[tuple[int, int]]] = {}
    for step in range(BLOCK_STEPS):
        for _, _, row, start, length, _ in rows_of(plans.plan(step)):
            pieces.setdefault(row, []).append((start, length))
    tokens = sources[0].tables[0].samples["text_tokens"][:, 0]
    for row, found in pieces.items():
        covered = sorted(set(found))
        assert [start for start, _ in covered] == [256 * i for i in range(len(covered))]
        assert sum(length for _, length in covered) == tokens[row]
    assert any(len(set(found)) > 2 for found in pieces.values())


@BOTH
def test_unusable_samples_leave_holes_and_move_no_other(batch_size: BatchSize) -> None:
    good, bad = source("a", [512]), source("a", [512])
    broken = bad.tables[0].samples
    broken["cause"][100] = 1
    broken["text_tokens"][200, 0] = 257
    sources = [bad]
    holes = [hole for step in range(BLOCK_STEPS) for hole in planner(sources, batch_size).plan(step).holes]
    if batch_size.samples:
        assert {(hole.row, hole.cause) for hole in holes} == {
            (100, "broken_image"),
            (200, "longer_than_context"),
        }
        steps = [
            (set(drawn(planner([good]).plan(step))), set(drawn(planner(sources).plan(step))))
            for step in range(BLOCK_STEPS)
        ]
        assert all(one == two for one, two in steps)
    assert not {100, 200} & {
        row[2] for step in range(9) for row in rows_of(planner(sources, batch_size).plan(step))
    }


@BOTH
def test_a_pack_holds_all_branches_of_its_samples(batch_size: BatchSize) -> None:
    pairs = source("a", [512], longest=256)
    rows = pairs.tables[0].samples
    rows["shape"], rows["branches"] = RECORD_SHAPES.index("preference"), 2
    rows["text_tokens"][:, 1] = rows["text_tokens"][::-1, 0]
    limits = replace(LIMITS, num_branches=2)
    plans = Planner([pairs], "samples", batch_size, limits, limits.sample_tokens, seed=0)
    longest = 0
    for step in range(BLOCK_STEPS):
        items = plans.plan(step).items
        assert plans.plan(step).holes == () and (items.start == 0).all()
        assert items.length.tolist() == rows["text_tokens"][items.row].sum(axis=1).tolist()
        assert np.bincount(items.pack, weights=items.length).max() <= 512
        longest = max(longest, int(items.length.max()))
    assert longest > LIMITS.context_tokens
    with pytest.raises(AssertionError, match="a pack holds the longest sample"):
        Planner([pairs], "samples", batch_size, limits, LIMITS.context_tokens, seed=0)


def test_no_step_of_a_block_is_empty_even_when_packs_are_few() -> None:
    plans = planner([source("a", [5000], longest=10)], BatchSize(tokens=512))
    assert min(len(plans.plan(step).items.row) for step in range(BLOCK_STEPS)) > 0
    few = planner([source("a", [5000], longest=10)], BatchSize(tokens=40))
    assert min(len(few.plan(step).items.row) for step in range(BLOCK_STEPS)) > 0


def test_rare_sources_give_at_least_one_sample_a_block() -> None:
    plans = planner([source("a", [500], weight=1e6), source("b", [5], weight=1e-6)])
    assert plans.quotas == [BLOCK_STEPS * 8 - 1, 1]


def test_a_source_without_a_usable_sample_is_refused() -> None:
    useless = source("a", [10])
    useless.tables[0].samples["cause"] = 1
    with pytest.raises(ManifestError, match="source a must have usable samples"):
        planner([useless])


def test_more_sources_than_samples_in_a_block_are_refused() -> None:
    with pytest.raises(ManifestError, match="raise the global batch"):
        planner([source(str(i), [3]) for i in range(BLOCK_STEPS + 1)], BatchSize(samples=1))


def test_step_one_million_of_millions_of_samples_takes_the_work_of_step_ten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = table(20_000)
    work: Counter[str] = Counter()

    def counted(module: ModuleType, name: str, rows_at: int) -> None:
        function = getattr(module, name)

        def counting(*arguments: Any) -> Any:
            work[name] += len(arguments[rows_at])
            return function(*arguments)

        monkeypatch.setattr(module, name, counting)

    def work_of(step: int) -> dict[str, int]:
        plans = planner([MixtureSource("a", 1.0, [shared] * 250)], BatchSize(samples=64))
        work.clear()
        plans.plan(step)
        return dict(work)

    counted(order, "measure_lengths", rows_at=1)
    counted(source_order, "permute", rows_at=0)
    assert (
        work_of(10)
        == work_of(1_000_000)
        == {"measure_lengths": 64 * BLOCK_STEPS, "permute": 64 * BLOCK_STEPS + 250}
    )
    plans = planner([MixtureSource("a", 1.0, [shared] * 250)], BatchSize(samples=64))
    assert plans.epochs_at(1_000_000)[0] == pytest.approx(12.8)


def test_planning_holds_on_to_a_few_blocks_only() -> None:
    plans = planner([source("a", [900])])
    for step in range(0, 20 * BLOCK_STEPS, BLOCK_STEPS):
        plans.plan(step)
    assert len(plans._blocks) <= 2 and all(len(each._epochs) <= 2 for each in plans._orders)


def test_the_order_is_the_one_that_runs_were_started_with() -> None:
    # a change here changes the data order of every run that is resumed: raise ORDER_VERSION
    plans = planner([source("a", [30, 30]), source("b", [40])], seed=3)
    assert [row[:3] for row in rows_of(plans.plan(70))] == GOLDEN_STEP


def test_long_samples_are_spread_over_the_steps_of_a_block() -> None:
    plans = planner([source("a", [9000])], BatchSize(tokens=2048))
    longest = [int(plans.plan(step).items.length.max()) for step in range(BLOCK_STEPS)]
    half = BLOCK_STEPS // 2
    assert abs(np.mean(longest[:half]) - np.mean(longest[half:])) < 40
