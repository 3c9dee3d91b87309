"""A model is put together from two parents, and a component may start as a copy of another one."""

from pathlib import Path

import pytest
import torch

from phi4train.checkpoint.artifact import Artifact, open_artifact, save_artifact
from phi4train.checkpoint.assembly import assemble_model
from phi4train.checkpoint.lineage import lineage_text
from phi4train.errors import CheckpointError, ConfigError
from phi4train.model.components import build_model, state_of
from phi4train.model.shapes import (
    AudioShape,
    LanguageModelShape,
    LoraShape,
    ModelShape,
    RopeShape,
    VisionShape,
)

SHAPE = ModelShape(
    LanguageModelShape(64, 32, 64, 1, 4, 2, rope=RopeShape(short_factor=[1.0] * 3, long_factor=[1.0] * 3)),
    VisionShape(16, 32, 3, 2, crop_size=16, patch_size=4),
    AudioShape(80, 16, 24, 1, 2, subsampling_channels=4, window_tokens=10, bias_max_distance=10),
    {"vision": LoraShape(4, 8, 0.0), "speech": LoraShape(2, 4, 0.0)},
)
SPEECH, VISION_SPEECH = "audio_projector.speech", "audio_projector.vision_speech"
COPY = {VISION_SPEECH: SPEECH}


def save(
    folder: Path,
    components: tuple[str, ...],
    *parents: Artifact,
    seed: int = 0,
    init: dict[str, str] | None = None,
) -> Artifact:
    """An artifact of fresh components: other seeds, other values."""
    needed = {"language_model", "vision_encoder", "vision_projector", "audio_encoder", SPEECH, *components}
    model = build_model(SHAPE, needed, seed)
    return save_artifact(
        folder,
        {name: state_of(model, name) for name in components},
        stage=folder.name,
        parents={parent.lineage.stage: parent for parent in parents},
        recipe={"data": {"manifest": "demo"}, "seed": 0, "init": init or {}},
        data_fingerprint="d" * 64,
        code={"version": "0.1.0"},
        results={},
        initialised_from=dict.fromkeys(init, parents[0].lineage.identity) if init else None,
    )


def branches(root: Path) -> dict[str, Artifact]:
    """A vision stage and an audio stage on one language model."""
    sft = save(root / "lm_sft", ("language_model",), seed=1)
    vision = save(root / "vision_sft", ("vision_encoder", "vision_projector", "lora.vision"), sft, seed=2)
    audio = save(root / "audio_pretrain", ("audio_encoder", SPEECH), sft, seed=3)
    return {"vision_sft": vision, "audio_pretrain": audio}


def test_each_component_comes_from_the_branch_that_has_it(tmp_path: Path) -> None:
    parents = branches(tmp_path)
    model, origins = assemble_model(SHAPE, parents)
    assert {name: line.split()[0] for name, line in origins.items()} == {
        "language_model": "lm_sft",
        "vision_encoder": "vision_sft",
        "vision_projector": "vision_sft",
        "lora.vision": "vision_sft",
        "audio_encoder": "audio_pretrain",
        SPEECH: "audio_pretrain",
    }
    for seed, names in ((1, ["language_model"]), (2, ["vision_encoder"]), (3, ["audio_encoder", SPEECH])):
        expected = build_model(SHAPE, origins, seed)
        for name in names:
            for key, tensor in state_of(expected, name).items():
                assert torch.equal(state_of(model, name)[key], tensor), (name, key)


def test_a_component_that_two_branches_hold_in_different_versions_is_refused(tmp_path: Path) -> None:
    parents = branches(tmp_path)
    other = save(tmp_path / "vision_align", ("vision_projector",), parents["vision_sft"], seed=4)
    with pytest.raises(
        CheckpointError,
        match=r"must agree on the component vision_projector · found .*vision_sft and .*vision_align · train",
    ):
        assemble_model(SHAPE, {**parents, "vision_align": other})


def test_branches_from_different_language_models_are_refused(tmp_path: Path) -> None:
    parents = branches(tmp_path)
    other_sft = save(tmp_path / "other" / "lm_sft", ("language_model",), seed=5)
    audio = save(tmp_path / "other" / "audio_pretrain", ("audio_encoder", SPEECH), other_sft, seed=3)
    with pytest.raises(CheckpointError, match="must agree on the component language_model"):
        assemble_model(SHAPE, {**parents, "audio_pretrain": audio})


def test_a_copy_has_the_bits_that_the_parent_hands_on(tmp_path: Path) -> None:
    parents = branches(tmp_path)
    audio = parents["audio_pretrain"]
    model, origins = assemble_model(SHAPE, parents, [SPEECH], COPY, seed=9)
    place = f"audio_pretrain {audio.lineage.identity[:12]}"
    assert origins[SPEECH] == place
    assert origins[VISION_SPEECH] == f"copy of {SPEECH} from {place}"
    original, copy = state_of(model, SPEECH), state_of(model, VISION_SPEECH)
    assert original.keys() == copy.keys()
    for key, tensor in original.items():
        assert torch.equal(tensor, copy[key])
        assert tensor.data_ptr() != copy[key].data_ptr(), "training the one must not move the other"


def test_a_copied_component_is_handed_on_and_found_as_any_other(tmp_path: Path) -> None:
    audio = branches(tmp_path)["audio_pretrain"]
    sft = save(tmp_path / "audio_sft", (SPEECH, VISION_SPEECH), audio, seed=6, init=COPY)
    _, origins = assemble_model(SHAPE, {"audio_sft": sft})
    assert origins[VISION_SPEECH] == f"audio_sft {sft.lineage.identity[:12]}"
    told = f"{VISION_SPEECH} from {SPEECH} of {audio.lineage.identity[:12]}"
    assert told in lineage_text(sft.path)
    assert open_artifact(sft.path, "the test").lineage.fingerprints()[f"init.{VISION_SPEECH}"] == (
        audio.lineage.identity
    )


def test_a_copy_of_what_no_parent_has_is_refused(tmp_path: Path) -> None:
    vision = branches(tmp_path)["vision_sft"]
    init = {"audio_encoder": "fresh", **COPY}
    with pytest.raises(
        ConfigError, match=f"init.{VISION_SPEECH} must copy .* found '{SPEECH}', which none does"
    ):
        assemble_model(SHAPE, {"vision_sft": vision}, init=init)


def test_a_copy_of_a_component_with_other_tensors_is_refused(tmp_path: Path) -> None:
    vision = branches(tmp_path)["vision_sft"]
    with pytest.raises(CheckpointError, match=r"component 'lora.speech' must fit the model.*another shape"):
        assemble_model(SHAPE, {"vision_sft": vision}, init={"lora.speech": "lora.vision"})
