"""What a configuration must hold beyond its types; every function yields all problems of its subject."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from phi4train.config.resources import manifest_folders
from phi4train.config.run_names import run_name_problems
from phi4train.config.schema import Config, StrategyKind
from phi4train.config.validate_components import component_problems
from phi4train.config.validate_ranges import range_problems
from phi4train.data.shards.manifest import load_manifest
from phi4train.errors import ManifestError, did_you_mean
from phi4train.model.component_names import media_components
from phi4train.model.shapes import AudioShape, LanguageModelShape, VisionShape
from phi4train.objectives.registry import known_losses


def find_problems(config: Config, stages: Sequence[str], recipe: Callable[[str], Config]) -> list[str]:
    """Everything in a configuration that does not hold.

    Args:
        config: a configuration of the right types.
        stages: names of all recipes.
        recipe: gives another stage's configuration at the same scale.
    """
    return [
        *run_name_problems(config.run.name),
        *_data_problems(config),
        *_spec_augment_problems(config),
        *_objective_problems(config),
        *_auxiliary_problems(config),
        *_budget_problems(config),
        *_optimizer_problems(config),
        *_schedule_problems(config),
        *_hardware_problems(config),
        *range_problems(config),
        *_language_model_problems(config.model.language_model),
        *_vision_problems(config.model.vision),
        *_audio_problems(config.model.audio),
        *component_problems(config, stages, recipe),
    ]


def _data_problems(config: Config) -> Iterator[str]:
    manifests = {"data.manifest": config.data.manifest, "evaluation.manifest": config.evaluation.manifest}
    for key, name in manifests.items():
        if name == "???":
            yield f"{key} must name a data mixture · found none · set {key}=<name or YAML file>"
        elif name is not None:
            try:
                load_manifest(name, manifest_folders(config.run.config_dir))
            except ManifestError as error:
                yield f"{key}: {error}"
    if config.tokenizer != "o200k" and Path(config.tokenizer).suffix != ".json":
        yield (
            f"tokenizer must be o200k or a .json file below run.data_root · found '{config.tokenizer}' · "
            "set it to one of these"
        )


def _spec_augment_problems(config: Config) -> Iterator[str]:
    settings, num_mels = config.data.spec_augment, config.model.audio.num_mels
    for name in ("time", "frequency"):
        masks, width = (getattr(settings, f"{name}_{part}") for part in ("masks", "width"))
        if (masks > 0) != (width > 0):
            yield (
                f"data.spec_augment.{name}_masks and data.spec_augment.{name}_width must both be 0 or both "
                f"be above 0 · found {masks} and {width} · set both, or both to 0"
            )
    if settings.frequency_width >= num_mels:
        yield (
            f"data.spec_augment.frequency_width must be below the {num_mels} mel bands · "
            f"found {settings.frequency_width} · lower it"
        )


def _objective_problems(config: Config) -> Iterator[str]:
    losses = known_losses()
    for key, name in [
        ("objective", config.objective),
        *(("auxiliary.extra", n) for n in config.auxiliary.extra),
    ]:
        if name not in losses:
            yield f"{key} must name a loss · found '{name}'{did_you_mean(name, losses)} · mend the name"
    settings = losses[config.objective].settings if config.objective in losses else config.objective_settings
    for name in config.objective_settings:
        if name not in settings:
            hint = did_you_mean(name, settings) if settings else " (it has none)"
            yield (
                f"objective_settings must name settings of {config.objective} · found '{name}'{hint} · "
                "mend the name"
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
                f"auxiliary.{name} needs a stage that trains one of {', '.join(components)} · "
                f"found {weight} and trainable={config.trainable} · set auxiliary.{name}=0"
            )
    if settings.ctc_weight <= 0:
        return
    if not settings.ctc_tasks:
        yield "auxiliary.ctc_tasks must name at least one task · found none · or set auxiliary.ctc_weight=0"
    for task in settings.ctc_tasks:
        if "_" in task:
            yield (
                "auxiliary.ctc_tasks must be first words of task names, before any '_' · "
                f"found '{task}' · write '{task.split('_')[0]}'"
            )


def _exactly_one(section: str, values: Mapping[str, object]) -> Iterator[str]:
    given = [f"{section}.{name}" for name, value in values.items() if value is not None]
    names = " and ".join(f"{section}.{name}" for name in values)
    if not given:
        yield f"exactly one of {names} must be set · found none · set one"
    elif len(given) > 1:
        yield f"exactly one of {names} must be set · found both · add {given[0]}=null or {given[1]}=null"


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
            "budget.tokens needs budget.global_batch_tokens to give a number of steps · found none · "
            "set it, or budget.max_steps with budget.tokens=null"
        )


def _optimizer_problems(config: Config) -> Iterator[str]:
    optimizer = config.optimizer
    yield from _exactly_one("optimizer", {"lr": optimizer.lr, "lr_law": optimizer.lr_law})
    if optimizer.lr_law is not None and config.budget.global_batch_tokens is None:
        yield (
            "optimizer.lr_law needs budget.global_batch_tokens to know the token budget · found none · "
            "set it, or optimizer.lr with optimizer.lr_law=null"
        )


def _schedule_problems(config: Config) -> Iterator[str]:
    budget, warmup_steps = config.budget, config.schedule.warmup_steps
    max_steps = budget.max_steps
    if max_steps is None and budget.tokens and (budget.global_batch_tokens or 0) > 0:
        max_steps = math.ceil(budget.tokens / (budget.global_batch_tokens or 1))
    if max_steps is not None and 0 < max_steps <= warmup_steps:
        yield (
            f"schedule.warmup_steps must be below the {max_steps} steps of the budget · found {warmup_steps} "
            "· lower it, or set schedule.warmup_steps=0 and schedule.warmup_fraction"
        )


def _hardware_problems(config: Config) -> Iterator[str]:
    hardware, batch = config.hardware, config.budget.global_batch_tokens
    for key, number in (("ranks", hardware.ranks), ("virtual_ranks", hardware.virtual_ranks)):
        if number & (number - 1):
            yield (
                f"hardware.{key} must be a power of two · found {number} · choose "
                f"{2 ** (number.bit_length() - 1)} or {2 ** number.bit_length()}"
            )
    if hardware.ranks > 1 and config.strategy.kind is StrategyKind.single:
        yield (
            f"hardware.ranks must be 1 with strategy=single · found {hardware.ranks} · choose strategy=ddp, "
            "or set hardware.ranks=1"
        )
    if 0 < hardware.virtual_ranks < hardware.ranks:
        yield (
            f"hardware.virtual_ranks must be at least hardware.ranks={hardware.ranks} · found "
            f"{hardware.virtual_ranks} · raise it, or set hardware.virtual_ranks=0"
        )
    loss = known_losses().get(config.objective)
    branches = loss.num_branches if loss is not None else 1
    longest = f"{branches} * data.context_tokens" if branches > 1 else "data.context_tokens"
    if hardware.micro_batch_tokens < branches * config.data.context_tokens:
        yield (
            "hardware.micro_batch_tokens must hold the longest sample, "
            f"{longest}={branches * config.data.context_tokens} · "
            f"found {hardware.micro_batch_tokens} · raise the one or lower the other"
        )
    step = hardware.ranks * hardware.micro_batch_tokens
    if batch is not None and batch > step > 0 and batch % step:
        yield (
            "budget.global_batch_tokens must be a multiple of hardware.ranks * hardware.micro_batch_tokens "
            f"= {step} · found {batch} · choose the nearest, {_nearest_multiples(batch, step)}, "
            "or change the micro-batch"
        )


def _nearest_multiples(value: int, divisor: int) -> str:
    below = value // divisor * divisor
    return " or ".join(str(multiple) for multiple in (below, below + divisor) if multiple)


def _divisible(whole: str, value: int, part: str, divisor: int) -> Iterator[str]:
    if value > 0 and divisor > 0 and value % divisor:
        yield (
            f"{whole} must be a multiple of {part}={divisor} · found {value} · "
            f"choose the nearest, {_nearest_multiples(value, divisor)}"
        )


def _language_model_problems(shape: LanguageModelShape) -> Iterator[str]:
    key = "model.language_model"
    yield from _divisible(f"{key}.hidden_dim", shape.hidden_dim, f"{key}.num_heads", shape.num_heads)
    yield from _divisible(f"{key}.num_heads", shape.num_heads, f"{key}.num_kv_heads", shape.num_kv_heads)
    rope = shape.rope
    if rope.max_context_tokens < rope.original_context_tokens:
        yield (
            f"{key}.rope.max_context_tokens must be at least {key}.rope.original_context_tokens="
            f"{rope.original_context_tokens} · found {rope.max_context_tokens} · raise the one or lower the "
            "other"
        )
    if min(shape.num_heads, shape.hidden_dim) < 1 or shape.hidden_dim % shape.num_heads:
        return
    if shape.rotary_dim % 2 or not 0 < shape.rotary_dim <= shape.head_dim:
        yield (
            f"{key}.rope.partial_rotary_factor must rotate an even number of a head's {shape.head_dim} "
            f"dimensions · found {rope.partial_rotary_factor}, which is {shape.rotary_dim} · "
            "choose one that does"
        )
    for name, factors in (("short_factor", rope.short_factor), ("long_factor", rope.long_factor)):
        if len(factors) != shape.rotary_dim // 2:
            yield (
                f"{key}.rope.{name} must have rotary_dim / 2 = {shape.rotary_dim // 2} values · "
                f"found {len(factors)} · take a list of conf/rope/, for heads of 16, 32 or 64 dimensions"
            )


def _vision_problems(shape: VisionShape) -> Iterator[str]:
    key = "model.vision"
    yield from _divisible(f"{key}.hidden_dim", shape.hidden_dim, f"{key}.num_heads", shape.num_heads)
    yield from _divisible(f"{key}.crop_size", shape.crop_size, f"2 * {key}.patch_size", 2 * shape.patch_size)


def _audio_problems(shape: AudioShape) -> Iterator[str]:
    key = "model.audio"
    yield from _divisible(f"{key}.hidden_dim", shape.hidden_dim, f"{key}.num_heads", shape.num_heads)
    if shape.num_mels != 80:
        yield (
            f"{key}.num_mels must be 80, which the features of audio have · found {shape.num_mels} · "
            f"set {key}.num_mels=80"
        )
