"""Audio as a kind of media: what the header says is what the features take."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from phi4train.batch import AudioInputs
from phi4train.data.media import audio_kind
from phi4train.data.media.audio_kind import AudioKind
from phi4train.data.media.kind import MediaSize
from phi4train.data.media.limits import Limits
from phi4train.data.media.spec_augment import SpecAugment
from phi4train.data.shards.tables import MEDIA_DTYPE
from phi4train.errors import SampleError
from tests.unit.data.small_shards import clip

KIND = AudioKind()


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("frames", [1_200, 5_000, 20_001])
def test_slots_from_the_header_are_those_that_the_features_fill(
    limits: Limits, frames: int, rate: int
) -> None:
    content = clip(frames, rate)
    measured = KIND.measure(content)
    assert measured == MediaSize(frames=frames, sample_rate=rate)
    features_FM = KIND.process(content, limits)
    assert KIND.slot_length(measured, limits) == -(-len(features_FM) // 8)


def test_a_clip_beyond_its_seconds_and_one_shorter_than_a_frame_are_refused(limits: Limits) -> None:
    short = replace(limits, max_audio_seconds=2)
    assert KIND.slot_length(MediaSize(frames=16_000, sample_rate=8_000), short) == 25
    for size, cause in (
        (MediaSize(frames=16_001, sample_rate=8_000), "audio_too_long"),
        (MediaSize(frames=399, sample_rate=16_000), "audio_too_short"),
    ):
        with pytest.raises(SampleError) as caught:
            KIND.slot_length(size, short)
        assert caught.value.cause == cause
    assert KIND.slot_length(MediaSize(frames=400, sample_rate=16_000), short) == 1


def test_features_that_are_no_numbers_make_the_clip_unusable(
    limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_kind, "log_mel", lambda _: torch.tensor([[0.0, torch.inf]]))
    with pytest.raises(SampleError, match="scale them") as caught:
        KIND.process(clip(4_000), limits)
    assert caught.value.cause == "bad_audio_values"


def test_clips_lie_end_to_end_and_the_mode_chooses_the_projector() -> None:
    items = [torch.full((length, 4), float(length)) for length in (3, 1, 5)]
    batch = KIND.collate(items, ["speech", "vision_speech", "sensor_speech"], torch.arange(3))
    assert isinstance(batch, AudioInputs)
    assert batch.num_frames == (3, 1, 5)
    assert batch.projectors == ("speech", "vision_speech", "speech")
    assert torch.equal(batch.features_FM, torch.cat(items))


def test_masks_are_drawn_from_the_generator_and_leave_the_item_as_it_was() -> None:
    item = torch.arange(320.0).view(40, 8)
    before = item.clone()
    masks = SpecAugment(time_masks=2, time_width=9, frequency_masks=1, frequency_width=4)
    one, same, other = (KIND.augment(item, masks, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert not torch.equal(one, item) and torch.equal(item, before)
    assert torch.equal(KIND.augment(item, SpecAugment(), np.random.default_rng(0)), item)


def test_hours_and_clips_add_up_by_rate() -> None:
    rows = np.zeros(4, dtype=MEDIA_DTYPE)
    rows["frames"], rows["sample_rate"] = [8_000, 16_000, 48_000, 0], [8_000, 8_000, 16_000, 0]
    assert KIND.totals(rows) == {
        "hours": pytest.approx(6 / 3600),
        "clips at 0 Hz": 1,
        "clips at 8000 Hz": 2,
        "clips at 16000 Hz": 1,
    }
    assert KIND.describe(MediaSize(frames=12_000, sample_rate=8_000)) == "1.50 s at 8000 Hz"
