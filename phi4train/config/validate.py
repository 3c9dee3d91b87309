"""What a configuration must hold beyond its types; every function yields all problems of its subject."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from phi4train.config.resources import manifest_folders
from phi4train.config.schema import Config
from phi4train.config.validate_components import component_problems
from phi4train.data.shards.manifest import load_manifest
from phi4train.errors import ManifestError
from phi4train.model.component_names import media_components
from phi4train.model.shapes import AudioShape, LanguageModelShape, VisionShape


def find_problems(config: Config, stages: Sequence[str], recipe: Callable[[str], Config]) -> list[str]:
    """Everything in a configuration that does not hold.

    Args:
        config: a configuration of the right types.
        stages: names of all recipes.
        recipe: gives another stage's configuration at the same scale.
    """
    return [
        *_data_problems(config),
        *_spec_augment_problems(config),
        *_auxiliary_problems(config),
        *_budget_problems(config),
        *_optimizer_problems(config),
        *_schedule_problems(config),
        *_hardware_problems(config),
        *_range_problems(config),
        *_language_model_problems(config.model.language_model),
        *_vision_problems(config.model.vision),
        *_audio_problems(config.model.audio),
        *component_problems(config, stages, recipe),
    ]


def _data_problems(config: Config) -> Iterator[str]:
    manifests = {"data.manifest": config.data.manifest, "evaluation.manifest": config.evaluation.manifest}
    for key, name in manifests.items():
        if name == "???":
            yield f"{key} must name a data mixture; found none. Set {key}=<name or YAML file>."
        elif name is not None:
            try:
                load_manifest(name, manifest_folders(config.run.config_dir))
            except ManifestError as error:
                yield f"{key}: {error}"
    if config.tokenizer != "o200k" and Path(config.tokenizer).suffix != ".json":
        yield f"tokenizer must be o200k or a .json file below run.data_root; found '{config.tokenizer}'."


def _spec_augment_problems(config: Config) -> Iterator[str]:
    settings, num_mels = config.data.spec_augment, config.model.audio.num_mels
    for name in ("time", "frequency"):
        masks, width = (getattr(settings, f"{name}_{part}") for part in ("masks", "width"))
        if (masks > 0) != (width > 0):
            yield (
                f"data.spec_augment.{name}_masks and {name}_width must both be 0 or both be above 0; "
                f"found {masks} and {width}."
            )
    if settings.frequency_width >= num_mels:
        yield (
            f"data.spec_augment.frequency_width must be below the {num_mels} mel bands; "
            f"found {settings.frequency_width}."
        )


def _auxiliary_problems(config: Config) -> Iterator[str]:
    settings = config.auxiliary
    learners = {
        "reading_weight": (settings.reading_weight, media_components()),
        "ctc_weight": (settings.ctc_weight, media_components("audio")),
    }
    for name, (weight, components) in learners.items():
        if weight > 0 and not {*components} & {*config.trainable}:
            yield (
                f"auxiliary.{name} needs a stage that trains one of {', '.join(components)}; "
                f"found {weight} and trainable={config.trainable}. Set auxiliary.{name}=0."
            )
    if settings.ctc_weight <= 0:
        return
    if not settings.ctc_tasks:
        yield "auxiliary.ctc_tasks must name at least one task; found none. Or set auxiliary.ctc_weight=0."
    for task in settings.ctc_tasks:
        if "_" in task:
            yield (
                "auxiliary.ctc_tasks must be first words of task names, before any '_'; "
                f"found '{task}'. Set it to '{task.split('_')[0]}'."
            )


def _exactly_one(section: str, values: Mapping[str, object]) -> Iterator[str]:
    given = [f"{section}.{name}" for name, value in values.items() if value is not None]
    names = " and ".join(f"{section}.{name}" for name in values)
    if not given:
        yield f"exactly one of {names} must be set; found none. Set one."
    elif len(given) > 1:
        yield f"exactly one of {names} must be set; found both. Add {given[0]}=null or {given[1]}=null."


def _budget_problems(config: Config) -> Iterator[str]:
    budget = config.budget
    yield from _exactly_one("budget", {"max_steps": budget.max_steps, "tokens": budget.tokens})
    batch = {
        "global_batch_tokens": budget.global_batch_tokens,
        "global_batch_samples": budget.global_batch_samples,
    }
    yield from _exactly_one("budget", batch)
    if budget.tokens is not None and budget.global_batch_tokens is None:
        yield (
            "budget.tokens needs budget.global_batch_tokens to give a number of steps; found none. "
            "Set budget.max_steps instead."
        )


def _optimizer_problems(config: Config) -> Iterator[str]:
    optimizer = config.optimizer
    yield from _exactly_one("optimizer", {"lr": optimizer.lr, "lr_law": optimizer.lr_law})
    if optimizer.lr_law is not None and config.budget.global_batch_tokens is None:
        yield (
            "optimizer.lr_law needs budget.global_batch_tokens to know the token budget; found none. "
            "Set optimizer.lr instead."
        )


def _schedule_problems(config: Config) -> Iterator[str]:
    budget, warmup_steps = config.budget, config.schedule.warmup_steps
    max_steps = budget.max_steps
    if max_steps is None and budget.tokens and (budget.global_batch_tokens or 0) > 0:
        max_steps = math.ceil(budget.tokens / (budget.global_batch_tokens or 1))
    if max_steps is not None and 0 < max_steps <= warmup_steps:
        yield (
            f"schedule.warmup_steps must be below the {max_steps} steps of the budget; found {warmup_steps}. "
            "Lower it, or set schedule.warmup_steps=0 and schedule.warmup_fraction."
        )


def _hardware_problems(config: Config) -> Iterator[str]:
    hardware, batch = config.hardware, config.budget.global_batch_tokens
    if hardware.ranks != 1:
        yield f"hardware.ranks must be 1; found {hardware.ranks}. Training on several ranks is not there yet."
    context = config.data.context_tokens
    if hardware.micro_batch_tokens < context:
        yield (
            f"hardware.micro_batch_tokens must hold the longest sample, data.context_tokens={context}; "
            f"found {hardware.micro_batch_tokens}. Raise the one or lower the other."
        )
    step = hardware.ranks * hardware.micro_batch_tokens
    if batch is not None and batch > 0 and step > 0 and batch % step:
        yield (
            "budget.global_batch_tokens must be a multiple of hardware.ranks * hardware.micro_batch_tokens "
            f"= {step}; found {batch}. The nearest that hold: {_nearest_multiples(batch, step)}; "
            "or change the micro-batch."
        )


def _range_problems(config: Config) -> Iterator[str]:
    """Values with a least and a largest one."""
    law = config.optimizer.lr_law
    positive: dict[str, float | None] = {
        "budget.max_steps": config.budget.max_steps,
        "budget.tokens": config.budget.tokens,
        "budget.global_batch_tokens": config.budget.global_batch_tokens,
        "budget.global_batch_samples": config.budget.global_batch_samples,
        "optimizer.lr": config.optimizer.lr,
        "optimizer.lr_law.B": law.B if law else None,
        "optimizer.lr_law.unit_tokens": law.unit_tokens if law else None,
        "optimizer.eps": config.optimizer.eps,
        "data.context_tokens": config.data.context_tokens,
        "data.max_crops": config.data.max_crops,
        "data.max_image_pixels": config.data.max_image_pixels,
        "data.video_fps": config.data.video_fps,
        "data.max_frames": config.data.max_frames,
        "data.max_audio_seconds": config.data.max_audio_seconds,
        "data.max_bad_in_a_row": config.data.max_bad_in_a_row,
        "evaluation.max_new_tokens": config.evaluation.max_new_tokens,
        "hardware.micro_batch_tokens": config.hardware.micro_batch_tokens,
        "checkpoint.keep_last_n": config.checkpoint.keep_last_n,
        "logger.every_n_steps": config.logger.every_n_steps,
        "safety.max_bad_steps": config.safety.max_bad_steps,
    }
    not_negative: dict[str, float] = {
        "seed": config.seed,
        "auxiliary.ctc_weight": config.auxiliary.ctc_weight,
        "auxiliary.reading_weight": config.auxiliary.reading_weight,
        **{f"data.spec_augment.{name}": value for name, value in vars(config.data.spec_augment).items()},
        "optimizer.weight_decay": config.optimizer.weight_decay,
        "optimizer.gradient_clip_val": config.optimizer.gradient_clip_val,
        "schedule.warmup_steps": config.schedule.warmup_steps,
        "evaluation.every_n_steps": config.evaluation.every_n_steps,
        "evaluation.max_samples": config.evaluation.max_samples,
        "evaluation.baseline_samples": config.evaluation.baseline_samples,
        "hardware.num_workers": config.hardware.num_workers,
        "hardware.num_threads": config.hardware.num_threads,
        "checkpoint.every_n_steps": config.checkpoint.every_n_steps,
        "checkpoint.keep_every_n": config.checkpoint.keep_every_n,
        **{
            f"optimizer.lr_multipliers.{name}": value
            for name, value in config.optimizer.lr_multipliers.items()
        },
    }
    fractions = {
        "data.max_bad_fraction": config.data.max_bad_fraction,
        "schedule.decay_fraction": config.schedule.decay_fraction,
        "schedule.min_lr_fraction": config.schedule.min_lr_fraction,
    }
    below_one = {
        "schedule.warmup_fraction": config.schedule.warmup_fraction,
        "optimizer.beta1": config.optimizer.beta1,
        "optimizer.beta2": config.optimizer.beta2,
    }
    yield from _out_of_range(positive, not_negative, fractions, below_one)


def _out_of_range(
    positive: Mapping[str, float | None],
    not_negative: Mapping[str, float],
    fractions: Mapping[str, float],
    below_one: Mapping[str, float],
) -> Iterator[str]:
    """The values by key that leave the range of their group."""
    for key, value in positive.items():
        if value is not None and value <= 0:
            yield f"{key} must be above 0; found {value}."
    for key, number in not_negative.items():
        if number < 0:
            yield f"{key} must not be negative; found {number}."
    for key, number in fractions.items():
        if not 0 <= number <= 1:
            yield f"{key} must be between 0 and 1; found {number}."
    for key, number in below_one.items():
        if not 0 <= number < 1:
            yield f"{key} must be at least 0 and below 1; found {number}."


def _nearest_multiples(value: int, divisor: int) -> str:
    below = value // divisor * divisor
    return " or ".join(str(multiple) for multiple in (below, below + divisor) if multiple)


def _divisible(whole: str, value: int, part: str, divisor: int) -> Iterator[str]:
    if divisor < 1 or value < 1:
        yield f"{whole} and {part} must be above 0; found {value} and {divisor}."
    elif value % divisor:
        yield (
            f"{whole} must be a multiple of {part}={divisor}; found {value}. "
            f"The nearest that hold: {_nearest_multiples(value, divisor)}."
        )


def _language_model_problems(shape: LanguageModelShape) -> Iterator[str]:
    key = "model.language_model"
    yield from _divisible(f"{key}.hidden_dim", shape.hidden_dim, f"{key}.num_heads", shape.num_heads)
    yield from _divisible(f"{key}.num_heads", shape.num_heads, f"{key}.num_kv_heads", shape.num_kv_heads)
    for name in ("vocab_size", "intermediate_dim", "num_layers"):
        if getattr(shape, name) < 1:
            yield f"{key}.{name} must be above 0; found {getattr(shape, name)}."
    rope = shape.rope
    if rope.max_context_tokens < rope.original_context_tokens or rope.original_context_tokens < 2:
        yield (
            f"{key}.rope.max_context_tokens must be at least original_context_tokens, and that at least 2; "
            f"found {rope.max_context_tokens} and {rope.original_context_tokens}."
        )
    if shape.num_heads < 1 or shape.hidden_dim % shape.num_heads:
        return
    if shape.rotary_dim % 2 or not 0 < shape.rotary_dim <= shape.head_dim:
        yield (
            f"{key}.rope.partial_rotary_factor must rotate an even number of a head's {shape.head_dim} "
            f"dimensions; found {rope.partial_rotary_factor}, which is {shape.rotary_dim}."
        )
    for name, factors in (("short_factor", rope.short_factor), ("long_factor", rope.long_factor)):
        if len(factors) != shape.rotary_dim // 2:
            yield (
                f"{key}.rope.{name} must have rotary_dim / 2 = {shape.rotary_dim // 2} values; "
                f"found {len(factors)}. conf/rope/ has lists for heads of 16, 32 and 64 dimensions."
            )


def _vision_problems(shape: VisionShape) -> Iterator[str]:
    key = "model.vision"
    yield from _divisible(f"{key}.hidden_dim", shape.hidden_dim, f"{key}.num_heads", shape.num_heads)
    yield from _divisible(f"{key}.crop_size", shape.crop_size, f"2 * {key}.patch_size", 2 * shape.patch_size)
    if shape.num_layers < 2:
        yield f"{key}.num_layers must be at least 2: the last is never used; found {shape.num_layers}."


def _audio_problems(shape: AudioShape) -> Iterator[str]:
    key = "model.audio"
    yield from _divisible(f"{key}.hidden_dim", shape.hidden_dim, f"{key}.num_heads", shape.num_heads)
    positive = ("intermediate_dim", "num_layers", "subsampling_channels")
    for name in (*positive, "conv_kernel_size", "window_tokens", "bias_max_distance"):
        if getattr(shape, name) < 1:
            yield f"{key}.{name} must be above 0; found {getattr(shape, name)}."
    if shape.num_mels != 80:
        yield f"{key}.num_mels must be 80, which the features of audio have; found {shape.num_mels}."
    if not 0 <= shape.dropout < 1:
        yield f"{key}.dropout must be at least 0 and below 1; found {shape.dropout}."
