"""Loader: the same batches bit for bit, whoever decodes them and wherever the run starts."""

import gc
import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from phi4train.batch import IGNORE_INDEX, Batch, ImageInputs
from phi4train.data.batches import loader
from phi4train.data.batches.loader import (
    DataPlan,
    StepBatch,
    build_loader,
    data_fingerprint,
    micro_batches_of,
)
from phi4train.data.media.spec_augment import NO_SPEC_AUGMENT
from phi4train.data.order.dealing import VirtualRanks
from phi4train.data.order.planner import BatchSize, Planner, StepItems
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards import index, indexing
from phi4train.data.shards.mixture import Mixture, open_mixture
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import ManifestError
from tests.unit.data.small_shards import limits_of, png, question, words, write_questions, write_texts

LIMITS = limits_of(64)
PLAN = DataPlan(
    BatchSize(samples=6),
    LIMITS,
    pack_tokens=128,
    micro_batch_tokens=256,
    seed=0,
    spec_augment=NO_SPEC_AUGMENT,
)
TOKENS = replace(PLAN, batch_size=BatchSize(tokens=500))

Load = Callable[..., list[StepBatch]]


@pytest.fixture
def load(tmp_path: Path, tokenizer: Tokenizer) -> Load:
    def loaded(mixture: Mixture, plan: DataPlan, start: int, end: int, **options: Any) -> list[StepBatch]:
        return list(build_loader(mixture, tokenizer, plan, tmp_path / "cache", start, end, **options))

    return loaded


def image_inputs(batch: Batch) -> ImageInputs:
    inputs = batch.media["image"]
    assert isinstance(inputs, ImageInputs)
    return inputs


def assert_same(one: list[StepBatch], two: list[StepBatch]) -> None:
    assert [step.step for step in one] == [step.step for step in two]
    assert [step.skipped for step in one] == [step.skipped for step in two]
    for left, right in zip(one, two, strict=True):
        for a, b in zip(left.micro_batches, right.micro_batches, strict=True):
            assert (a.sample_lengths, a.modes, a.tasks, a.keys) == (
                b.sample_lengths,
                b.modes,
                b.tasks,
                b.keys,
            )
            for name in ("input_ids_T", "position_ids_T", "labels_T"):
                assert torch.equal(getattr(a, name), getattr(b, name))
            assert a.media.keys() == b.media.keys()
            if a.media:
                assert torch.equal(image_inputs(a).crops_C3SS, image_inputs(b).crops_C3SS)
                assert torch.equal(image_inputs(a).positions, image_inputs(b).positions)


@pytest.mark.parametrize("plan", [PLAN, TOKENS], ids=["samples", "tokens"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_run_sees_the_same_batches(
    mixture: Mixture, load: Load, plan: DataPlan, num_workers: int
) -> None:
    whole = load(mixture, plan, 0, 9)
    assert_same(whole[5:], load(mixture, plan, 5, 9, num_workers=num_workers))


def test_spawned_workers_give_the_same_batches(mixture: Mixture, load: Load) -> None:
    whole = load(mixture, PLAN, 0, 2)
    assert_same(whole, load(mixture, PLAN, 0, 2, num_workers=1, start_method="spawn"))


def test_a_batch_is_flat_and_consistent(mixture: Mixture, load: Load, tokenizer: Tokenizer) -> None:
    seen_modes = set()
    for step in load(mixture, PLAN, 0, 12):
        for batch in step.micro_batches:
            assert sum(batch.sample_lengths) == len(batch.input_ids_T) <= PLAN.micro_batch_tokens
            assert len(batch.sample_lengths) == len(batch.modes) == len(batch.tasks) == len(batch.keys)
            positions = torch.cat([torch.arange(length) for length in batch.sample_lengths])
            assert torch.equal(batch.position_ids_T, positions)
            assert [mode for i, mode in enumerate(batch.modes) if batch.modes[:i].count(mode) == 0] == sorted(
                set(batch.modes)
            )
            assert list(batch.modes) == sorted(batch.modes), "equal modes are adjacent"
            seen_modes |= set(batch.modes)
            if not batch.media:
                continue
            inputs = image_inputs(batch)
            slots = (batch.input_ids_T == tokenizer.image_token_id).nonzero().squeeze(1)
            assert torch.equal(inputs.positions, slots)
            assert (batch.labels_T[inputs.positions[:-1]] != tokenizer.image_token_id).all()
            assert len(inputs.crops_C3SS) == sum(1 + rows * columns for rows, columns in inputs.grids)
    assert seen_modes == {"text", "vision"}


def test_labels_are_the_next_ids_inside_each_sample(mixture: Mixture, load: Load) -> None:
    for step in load(mixture, PLAN, 0, 4):
        for batch in step.micro_batches:
            start = 0
            for length in batch.sample_lengths:
                ids = batch.input_ids_T[start : start + length]
                labels = batch.labels_T[start : start + length]
                trained = labels[:-1] != IGNORE_INDEX
                assert torch.equal(labels[:-1][trained], ids[1:][trained])
                start += length


@pytest.mark.parametrize("plan", [PLAN, TOKENS], ids=["samples", "tokens"])
def test_virtual_ranks_share_a_step_without_loss_and_none_is_idle(
    mixture: Mixture, load: Load, plan: DataPlan
) -> None:
    alone = load(mixture, plan, 0, 6)
    shares = [load(mixture, plan, 0, 6, virtual=VirtualRanks.of_rank(2, rank, 2)) for rank in range(2)]
    for step in range(6):
        parts = [share[step].micro_batches for share in shares]
        assert parts[0] and parts[1]
        together = sorted(key for part in parts for batch in part for key in batch.keys)
        assert together == sorted(key for batch in alone[step].micro_batches for key in batch.keys)
        assert sum(share[step].num_drawn for share in shares) == alone[step].num_drawn


@pytest.mark.parametrize("num_workers", [0, 2])
def test_micro_batches_of_virtual_ranks_do_not_depend_on_who_has_them(
    mixture: Mixture, load: Load, num_workers: int
) -> None:
    def parts(size: int, rank: int) -> list[StepBatch]:
        virtual = VirtualRanks.of_rank(4, rank, size)
        return load(mixture, PLAN, 0, 3, virtual=virtual, num_workers=num_workers)

    def keys(batches: Sequence[StepBatch]) -> list[tuple[int, tuple[str, ...]]]:
        return [
            (virtual_rank, batch.keys)
            for part in batches
            for virtual_rank, batch in zip(part.virtual_ranks, part.micro_batches, strict=True)
        ]

    whole = parts(1, 0)
    for size in (2, 4):
        by_rank = [parts(size, rank) for rank in range(size)]
        for step in range(3):
            assert keys([part[step] for part in by_rank]) == keys([whole[step]])


def items(lengths: list[int]) -> StepItems:
    zeros = np.zeros(len(lengths), dtype=np.int64)
    return StepItems(
        zeros, zeros, zeros, zeros, np.array(lengths), zeros, np.array(lengths, dtype=np.float64)
    )


def test_micro_batches_are_filled_in_order_up_to_their_tokens() -> None:
    step = items([5, 5, 9, 3, 3, 8])
    assert micro_batches_of(step, 20, 1) == [[[0, 1, 2], [3, 4, 5]]]
    assert micro_batches_of(step, 10, 1) == [[[0, 1], [2], [3, 4], [5]]]
    assert micro_batches_of(step, 20, 2) == [[[1, 2, 4]], [[0, 3, 5]]]
    assert micro_batches_of(step, 20, 8) == [[[2]], [[5]], [[0]], [[1]], [[3]], [[4]], [], []]
    assert micro_batches_of(items([]), 20, 2) == [[], []]


def poisoned(tmp_path: Path, open_all: Callable[..., Mixture], damage: Callable[[bytes], bytes]) -> Mixture:
    """Questions, one of whose images is damaged after it was indexed."""
    write_questions(tmp_path, 12)
    mixture = open_all("vision")
    path = tmp_path / "vision-000000.tar"
    content = path.read_bytes()
    media = mixture.shards[0][0].media[3]
    start, size = int(media["offset"]), int(media["size"])
    damaged = damage(content[start : start + size])
    assert len(damaged) == size
    path.write_bytes(content[:start] + damaged + content[start + size :])
    return mixture


def huge_header(image: bytes) -> bytes:
    """The same PNG, whose header claims 20,000 x 20,000 pixels."""
    import struct
    import zlib

    header = struct.pack(">II", 20_000, 20_000) + image[24:29]
    return image[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + image[33:]


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (lambda image: b"\0" * len(image), "broken_image"),
        (lambda image: image[:60] + b"\0" * (len(image) - 60), "broken_image"),
        (huge_header, "image_too_large"),
    ],
)
def test_a_sample_that_breaks_after_indexing_leaves_a_hole_and_shifts_nothing(
    tmp_path: Path, open_all: Any, load: Load, damage: Callable[[bytes], bytes], cause: str
) -> None:
    write_questions(tmp_path, 12)
    sound = load(open_all("vision"), PLAN, 0, 6)
    broken = load(poisoned(tmp_path, open_all, damage), PLAN, 0, 6)
    skipped = [sample for step in broken for sample in step.skipped]
    assert {(sample.cause, sample.key, sample.shard) for sample in skipped} == {
        (cause, "vision-000000.tar/v0003", "vision-000000.tar")
    }
    for one, two in zip(sound, broken, strict=True):
        left = [key for batch in one.micro_batches for key in batch.keys if not key.endswith("/v0003")]
        assert left == [key for batch in two.micro_batches for key in batch.keys]
        assert one.num_drawn == two.num_drawn


def test_a_micro_batch_of_bad_samples_only_is_dropped(tmp_path: Path, open_all: Any, load: Load) -> None:
    write_questions(tmp_path, 1)
    mixture = open_all("vision")
    path = tmp_path / "vision-000000.tar"
    media = mixture.shards[0][0].media[0]
    content = bytearray(path.read_bytes())
    content[int(media["offset"]) : int(media["offset"]) + 8] = b"\0" * 8
    path.write_bytes(content)
    (step,) = load(mixture, PLAN, 0, 1)
    assert step.micro_batches == [] and len(step.skipped) == step.num_drawn == 6


def test_holes_known_from_the_index_are_reported_once(tmp_path: Path, open_all: Any, load: Load) -> None:
    rng = random.Random(0)
    with ShardWriter(tmp_path / "s") as writer:
        for i in range(8):
            writer.write(f"g{i}", question(rng, None))
        writer.write(
            "long",
            {
                "messages": [
                    {"role": "user", "content": words(rng, 99)},
                    {"role": "assistant", "content": "x"},
                ]
            },
        )
        writer.write("big", question(rng), {"0.png": png(200, 200)})
    mixture = open_all("s")
    shares = [load(mixture, PLAN, 0, 10, virtual=VirtualRanks.of_rank(2, rank, 2)) for rank in range(2)]
    skipped = [sample for share in shares for step in share for sample in step.skipped]
    assert {(sample.key, sample.cause) for sample in skipped} == {
        ("s-000000.tar/long", "longer_than_context"),
        ("s-000000.tar/big", "image_too_large"),
    }
    assert len(skipped) > 6 and not [s for step in shares[1] for s in step.skipped]


def test_a_long_text_is_trained_token_by_token_over_its_pieces(
    tmp_path: Path, open_all: Any, load: Load, tokenizer: Tokenizer
) -> None:
    text = words(random.Random(0), 300)
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("long", {"text": text, "task": "lm"})
    plan = replace(PLAN, batch_size=BatchSize(samples=1))
    (step,) = load(open_all("s"), plan, 0, 1)
    pieces: list[list[int]] = []
    for batch in step.micro_batches:
        start = 0
        for length in batch.sample_lengths:
            pieces.append(batch.labels_T[start : start + length].tolist())
            start += length
        assert set(batch.tasks) == {"lm"}
    full = [*tokenizer.encode(text), tokenizer.eos_token_id][1:]
    expected = [full[start : start + 64] for start in range(0, len(full), 64)]
    assert sorted(pieces) == sorted(expected)


def test_a_shard_that_shrinks_during_a_run_stops_it_with_a_clear_error(
    tmp_path: Path, mixture: Mixture, load: Load
) -> None:
    for path in tmp_path.glob("*.tar"):
        path.write_bytes(path.read_bytes()[:512])
    with pytest.raises(ManifestError, match="data index"):
        load(mixture, PLAN, 0, 3)


def test_the_fingerprint_follows_the_data_and_not_the_seed(
    tmp_path: Path, open_all: Any, tokenizer: Tokenizer
) -> None:
    write_texts(tmp_path, 20)
    mixture = open_all("text")
    base = data_fingerprint(mixture, PLAN)
    assert data_fingerprint(open_all("text"), replace(PLAN, seed=9, micro_batch_tokens=999)) == base
    assert data_fingerprint(mixture, replace(PLAN, pack_tokens=200)) != base
    assert data_fingerprint(mixture, replace(PLAN, limits=replace(LIMITS, context_tokens=65))) != base
    assert data_fingerprint(open_all("text", weight_by="tokens"), PLAN) != base
    write_texts(tmp_path, 20, seed=5)
    assert data_fingerprint(open_all("text"), PLAN) != base


@pytest.mark.parametrize("name", ["CHAT_TEMPLATE_VERSION", "RECORD_VERSION"])
def test_another_version_of_what_makes_ids_is_other_data_once_it_is_indexed(
    name: str, tmp_path: Path, open_all: Any, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_texts(tmp_path, 20)
    mixture = open_all("text")
    base = data_fingerprint(mixture, PLAN)
    for module in (loader, index, indexing):
        monkeypatch.setattr(module, name, 2)
    with pytest.raises(ManifestError, match=rf"{name.lower()} 2 · found 1 · .*data index"):
        open_mixture(mixture.manifest, tmp_path, tmp_path / "cache", tokenizer)
    assert data_fingerprint(open_all("text"), PLAN) != base


def test_memory_does_not_grow_with_the_batches(
    mixture: Mixture, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    loader = build_loader(mixture, tokenizer, PLAN, tmp_path / "cache", 0, 200)
    process, grown = psutil.Process(), 0
    for step in loader:
        if step.step == 80:
            gc.collect()
            grown = -process.memory_info().rss
    gc.collect()
    assert grown + process.memory_info().rss < 8 * 2**20


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_users_error_in_a_worker_arrives_as_it_was_raised(
    mixture: Mixture, load: Load, monkeypatch: pytest.MonkeyPatch, num_workers: int
) -> None:
    def gone(self: Planner, step: int) -> None:
        raise ManifestError("the shard is gone")

    monkeypatch.setattr(Planner, "plan", gone)
    with pytest.raises(ManifestError) as error:
        load(mixture, PLAN, 0, 2, num_workers=num_workers)
    assert str(error.value) == "the shard is gone"


@pytest.mark.parametrize("num_workers", [0, 1])
def test_loading_draws_no_global_random_numbers(mixture: Mixture, load: Load, num_workers: int) -> None:
    before = torch.get_rng_state()
    load(mixture, PLAN, 0, 1, num_workers=num_workers)
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_outlive_signals_and_end_with_the_loader(
    mixture: Mixture, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    own = psutil.Process()
    known = set(own.children())
    steps = iter(build_loader(mixture, tokenizer, PLAN, tmp_path / "cache", 0, 9, num_workers=2))
    next(steps)
    workers = set(own.children()) - known
    assert len(workers) == 2
    for worker in workers:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            worker.send_signal(signum)
    assert [step.step for step in steps] == list(range(1, 9))
    assert not psutil.wait_procs(list(workers), timeout=10)[1]
