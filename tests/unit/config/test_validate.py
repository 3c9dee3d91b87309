"""What a configuration must hold beyond its types."""

import pytest

from phi4train.config.load import load_config
from phi4train.errors import ConfigError
from phi4train.objectives.registry import NamedLoss, register_loss, unregister_loss

HEADS = "model.language_model.num_heads"
FIXED = [
    *(
        "stage=lm_sft",
        "scale=demo",
        "model.language_model.hidden_dim=96",
        f"{HEADS}=6",
        "model.language_model.num_kv_heads=2",
    ),
    *("hardware.micro_batch_tokens=4096", "budget.global_batch_tokens=4096"),
]
"""A demo run with the numbers that the messages below name."""


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ("budget.tokens=100", "exactly one of budget.max_steps and budget.tokens must be set · found both"),
        ("budget.max_steps=null", "exactly one of budget.max_steps and budget.tokens must be set · found none"),
        ("budget.global_batch_samples=8", "exactly one of budget.global_batch_tokens and budget.global_batch_samples"),
        ("optimizer.lr=null", "exactly one of optimizer.lr and optimizer.lr_law must be set · found none"),
        ("budget.max_steps=0", "budget.max_steps must be above 0 · found 0"),
        ("optimizer.weight_decay=-1", "optimizer.weight_decay must be at least 0 · found -1.0"),
        ("schedule.warmup_fraction=1.5", "schedule.warmup_fraction must be at least 0 and below 1 · found 1.5"),
        ("optimizer.beta1=1", "optimizer.beta1 must be at least 0 and below 1 · found 1.0"),
        ("optimizer.beta2=1.0", "optimizer.beta2 must be at least 0 and below 1 · found 1.0"),
        ("data.max_bad_fraction=1.01", "data.max_bad_fraction must be between 0 and 1 · found 1.01"),
        ("data.max_audio_seconds=0", "data.max_audio_seconds must be above 0 · found 0.0"),
        ("data.max_frames=0", "data.max_frames must be above 0 · found 0"),
        ("data.video_fps=-1", "data.video_fps must be above 0 · found -1.0"),
        ("data.spec_augment.time_masks=-1", "data.spec_augment.time_masks must be at least 0 · found -1"),
        ("data.spec_augment.time_masks=2", "data.spec_augment.time_masks and data.spec_augment.time_width must both be 0 or both be above 0 · found 2 and 0"),
        ("data.spec_augment={frequency_masks:1,frequency_width:80}", "frequency_width must be below the 80 mel bands · found 80"),
        ("auxiliary.ctc_weight=-1", "auxiliary.ctc_weight must be at least 0 · found -1.0"),
        ("auxiliary.reading_weight=-1", "auxiliary.reading_weight must be at least 0 · found -1.0"),
        ("auxiliary.reading_weight=1", "auxiliary.reading_weight needs a stage that trains one of vision_encoder, vision_projector, audio_encoder, audio_projector.speech, audio_projector.vision_speech · found 1.0 and trainable=['language_model']"),
        ("auxiliary.ctc_weight=0.3", "auxiliary.ctc_weight needs a stage that trains one of audio_encoder, audio_projector.speech, audio_projector.vision_speech · found 0.3 and trainable=['language_model']"),
        ("auxiliary={ctc_weight:1,ctc_tasks:[asr_en]}", "auxiliary.ctc_tasks must be first words of task names, before any '_' · found 'asr_en' · write 'asr'"),
        ("auxiliary={ctc_weight:1,ctc_tasks:[]}", "auxiliary.ctc_tasks must name at least one task · found none"),
        ("schedule.warmup_steps=100000", "schedule.warmup_steps must be below the "),
        ("budget.global_batch_tokens=10000",
         "hardware.micro_batch_tokens = 4096 · found 10000 · choose the nearest, 8192 or 12288"),
        ("data.context_tokens=8192", "hardware.micro_batch_tokens must hold the longest sample, data.context_tokens=8192"),
        ("hardware.ranks=2", "hardware.ranks must be 1 with strategy=single · found 2 · choose strategy=ddp"),
        ("hardware.ranks=3", "hardware.ranks must be a power of two · found 3 · choose 2 or 4"),
        (f"{HEADS}=5", f"model.language_model.hidden_dim must be a multiple of {HEADS}=5 · found 96 · choose the nearest, 95 or 100"),
        (f"{HEADS}=3", f"{HEADS} must be a multiple of model.language_model.num_kv_heads=2 · found 3 · choose the nearest, 2 or 4"),
        (f"{HEADS}=0", f"{HEADS} must be above 0"),
        ("model.language_model.rope.long_factor=[1.0]", "rope.long_factor must have rotary_dim / 2 = 6 values · found 1"),
        ("model.vision.patch_size=16", "model.vision.crop_size must be a multiple of 2 * model.vision.patch_size=32 · found 48"),
        ("model.vision.num_layers=1", "model.vision.num_layers must be at least 2 · found 1"),
        (f"seed={2**63}", f"seed must be at least 0 and below {2**63} · found {2**63}"),
        ("seed=-1", f"seed must be at least 0 and below {2**63} · found -1"),
        ("optimizer.lr_multipliers.lora.vision=-1", "optimizer.lr_multipliers.lora.vision must be at least 0 · found -1.0"),
        ("model.lora.speech.r=0", "model.lora.speech.r must be above 0 · found 0"),
        ("optimizer={lr:null,lr_law:{B:0}}", "optimizer.lr_law.B must be above 0 · found 0.0"),
        ("model.language_model.rope.original_context_tokens=1", "rope.original_context_tokens must be at least 2 · found 1"),
        ("model.language_model.rope.max_context_tokens=2", "rope.max_context_tokens must be at least model.language_model.rope.original_context_tokens="),
        ("model.audio.num_heads=15", "model.audio.hidden_dim must be a multiple of model.audio.num_heads=15 · found 128 · choose the nearest, 120 or 135"),
        ("model.audio.window_tokens=0", "model.audio.window_tokens must be above 0 · found 0"),
        ("model.audio.num_mels=40", "model.audio.num_mels must be 80, which the features of audio have · found 40"),
        ("model.audio.dropout=1", "model.audio.dropout must be at least 0 and below 1 · found 1.0"),
        ("trainable=[]", "trainable must name at least one component · found none"),
        ("trainable=[vision_encoder]", "the trainable component vision_encoder must come from a parent or from init"),
        ("trainable=[lora.speach]", "trainable must name components · found 'lora.speach' (did you mean 'lora.speech'?)"),
        ("trainable=[lora.speech]", None),
        ("init.language_model=fresh", "init must name components that no parent provides · found 'language_model'"),
        ("init.lora.vision=frsh", "init.lora.vision must be fresh, a component of a parent, or an artifact folder · found 'frsh' (did you mean 'fresh'?)"),
        ("init.lora.vision=lora.speach", "found 'lora.speach' (did you mean 'lora.speech'?)"),
        ("init.lora.vision=lora.speech", "init.lora.vision must copy a component that a parent hands on · found 'lora.speech', which none does"),
        ("init.vision_projector=language_model", "init.vision_projector must copy a component with tensors of the same shapes · found 'language_model'"),
        ("optimizer.lr_multipliers.vision_encoder=2", "found 'vision_encoder', which is frozen"),
        ("hardware.activation_checkpointing=[lm]", "hardware.activation_checkpointing must name components · found 'lm'"),
        ("hardware.activation_checkpointing=[vision_projector]",
         "must name components with layers, language_model or vision_encoder or audio_encoder · found 'vision_projector'"),
        ("model.lora.vison.r=4", "model.lora must name known adapters · found 'vison' (did you mean 'vision'?)"),
        ("parents=[lm_pretrian]", "parents must be stages · found 'lm_pretrian' (did you mean 'lm_pretrain'?)"),
        ("run.parents.lm_stf=x", "run.parents must name parents of this stage · found 'lm_stf'"),
        ("data.manifest=demo_lm_stf", "data.manifest: a manifest must be data_manifests/<name>.yaml"),
        ("evaluation.manifest=demo_lm_stf", "did you mean 'demo_lm_sft'?"),
        ("tokenizer=gpt2", "tokenizer must be o200k or a .json file below run.data_root · found 'gpt2'"),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_told_with_what_would(overrides: str, problem: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config([*FIXED, overrides])
    assert problem is None or problem in "\n".join(caught.value.problems)


def test_virtual_ranks_are_at_least_the_ranks() -> None:
    words = ["hardware.ranks=4", "hardware.virtual_ranks=2", "strategy=ddp"]
    with pytest.raises(ConfigError, match=r"virtual_ranks must be at least hardware\.ranks=4 · found 2"):
        load_config(["stage=lm_sft", "scale=demo", *words])


def test_a_copy_needs_a_component_of_the_same_shapes() -> None:
    speech = ["stage=audio_sft", "scale=demo"]
    assert load_config(speech).init["audio_projector.vision_speech"] == "audio_projector.speech"
    for init, shape in (
        ("{lora.speech:fresh,audio_projector.vision_speech:audio_encoder}", "audio_encoder"),
        ("{lora.speech:audio_projector.speech}", "audio_projector.speech"),
    ):
        with pytest.raises(ConfigError, match=f"tensors of the same shapes · found '{shape}'"):
            load_config([*speech, f"init={init}"])


def test_an_adapter_may_be_copied_from_one_of_the_same_rank() -> None:
    copied = ["stage=audio_sft", "scale=demo", "parents=[vision_sft,audio_pretrain]"]
    copied.append("init={lora.speech:lora.vision}")
    assert load_config(copied).init == {
        "lora.speech": "lora.vision",
        "audio_projector.vision_speech": "audio_projector.speech",
    }
    with pytest.raises(ConfigError, match=r"init.lora.speech must copy .* same shapes · found 'lora.vision'"):
        load_config([*copied, "model.lora.speech.r=8"])


def test_nothing_is_said_about_values_that_could_not_be_read() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(["stage=lm_sft", "scale=demo", "data.context_tokens=${description}"])
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("stage", ["audio_pretrain", "audio_sft"])
def test_ctc_beside_a_component_of_audio_is_accepted(stage: str) -> None:
    config = load_config([f"stage={stage}", "scale=demo", "auxiliary.ctc_weight=0.3"])
    assert config.auxiliary.ctc_weight == 0.3


def test_a_learning_rate_law_needs_a_token_budget() -> None:
    overrides = ["budget.global_batch_tokens=null", "budget.global_batch_samples=8"]
    with pytest.raises(ConfigError) as caught:
        load_config(["stage=lm_pretrain", *overrides])
    assert [problem.split(" needs ")[0] for problem in caught.value.problems] == [
        "budget.tokens",
        "optimizer.lr_law",
    ]


def test_a_loss_of_two_branches_needs_micro_batches_that_hold_both() -> None:
    register_loss(NamedLoss("pairs", "not:built", num_branches=2))
    try:
        asked = ["stage=lm_sft", "scale=demo", "objective=pairs", "data.context_tokens=1024"]
        with pytest.raises(ConfigError, match=r"2 \* data.context_tokens=2048 · found 1024"):
            load_config([*asked, "hardware.micro_batch_tokens=1024"])
        load_config([*asked, "hardware.micro_batch_tokens=2048", "budget.global_batch_tokens=2048"])
    finally:
        unregister_loss("pairs")
