"""The closed, typed schema of a run: plain dataclasses, no Hydra, no torch; ranges beside their numbers.

Science keys decide what is learned (a change refuses a resume and makes a stage stale); the others say
where, how fast, how watched and how described (they may differ on resume). `MACHINE_KEYS` draws the line.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated

from phi4train.data.commands import DEFAULT_DATA_ROOT
from phi4train.data.media.spec_augment import SpecAugment
from phi4train.model.shapes import ModelShape
from phi4train.ranges import Above, AtLeast, Below, Between

MACHINE_KEYS = (
    *("resume", "run", "hardware", "strategy", "checkpoint", "logger", "imports"),
    *("evaluation", "safety", "description", "source"),
)
"""Top-level keys that may differ between a run and its resumption."""


class Resume(Enum):
    """What to do with a run folder that holds checkpoints."""

    auto = "auto"
    """Go on from the newest complete checkpoint, or start when there is none."""
    never = "never"
    """Start anew; refused when the run folder already holds checkpoints or an artifact.

    A SLURM job that is requeued goes on with what it began itself; likewise under `overwrite`."""
    overwrite = "overwrite"
    """Start anew and move what the run folder held out of the way."""


class Precision(Enum):
    """Number format of the training step."""

    fp32 = "fp32"
    """Everything in float32."""
    bf16_mixed = "bf16_mixed"
    """Weights and optimizer in float32, matrix products in bfloat16."""
    bf16_true = "bf16_true"
    """Everything in bfloat16."""


class ScheduleKind(Enum):
    """Shape of the learning rate over the steps."""

    wsd = "wsd"
    """Warmup, stable, then linear decay over the last `decay_fraction` of the steps."""
    cosine = "cosine"
    """Half a cosine down to the end."""
    linear = "linear"
    """A straight line down to the end."""
    constant = "constant"
    """The peak up to the end."""


class Routing(Enum):
    """Which tokens a sample's adapter applies to."""

    sample = "sample"
    """All tokens of the sample, by its mode (as in the released models)."""
    token = "token"
    """Each token by its own modality."""


class Device(Enum):
    """Where the run computes."""

    auto = "auto"
    """CUDA when there is one, else the CPU."""
    cpu = "cpu"
    """The CPU."""
    cuda = "cuda"
    """A GPU; refused where torch finds none."""


@dataclass
class BudgetConfig:
    """How long a stage trains and how large a step is: `max_steps` or `tokens`, and one `global_batch_*`."""

    max_steps: Annotated[int, Above(0)] | None = None
    """Optimizer steps."""
    tokens: Annotated[int, Above(0)] | None = None
    """Token budget D; max_steps is then D / global_batch_tokens, rounded up."""
    global_batch_tokens: Annotated[int, Above(0)] | None = None
    """Real tokens of an optimizer step over all ranks, on average."""
    global_batch_samples: Annotated[int, Above(0)] | None = None
    """Samples of an optimizer step over all ranks, exactly."""


@dataclass
class LrLawConfig:
    """Peak learning rate LR*(D) = B * D^-exponent (Bjorck et al., arXiv 2409.19913)."""

    B: Annotated[float, Above(0)] = 0.0
    """Best learning rate at a budget of one token unit (see `unit_tokens`)."""
    exponent: float = 0.32
    """Exponent of the token budget."""
    unit_tokens: Annotated[float, Above(0)] = 1e9
    """Tokens that D counts in: B is the best learning rate at a budget of this many tokens."""


@dataclass
class OptimizerConfig:
    """AdamW. Exactly one of `lr` and `lr_law`."""

    lr: Annotated[float, Above(0)] | None = None
    """Peak learning rate."""
    lr_law: LrLawConfig | None = None
    """Rule that gives the peak learning rate from the token budget."""
    beta1: Annotated[float, AtLeast(0), Below(1)] = 0.9
    """Decay of the mean of gradients, per step."""
    beta2: Annotated[float, AtLeast(0), Below(1)] = 0.95
    """Decay of the mean of squared gradients, per step."""
    eps: Annotated[float, Above(0)] = 1e-8
    """Added to the root of the mean of squared gradients."""
    weight_decay: Annotated[float, AtLeast(0)] = 0.0
    """Applied to matrices only; norms, biases and separators are exempt."""
    gradient_clip_val: Annotated[float, AtLeast(0)] = 1.0
    """Largest global gradient norm; 0 turns clipping off."""
    lr_multipliers: dict[str, Annotated[float, AtLeast(0)]] = field(default_factory=dict)
    """Factor on the learning rate by component; 1 where absent."""


@dataclass
class ScheduleConfig:
    """Learning rate over the steps."""

    kind: ScheduleKind = ScheduleKind.cosine
    """Shape after the warmup."""
    warmup_steps: Annotated[int, AtLeast(0)] = 0
    """Steps of linear warmup from 0."""
    warmup_fraction: Annotated[float, AtLeast(0), Below(1)] = 0.0
    """Warmup as a share of max_steps; used when warmup_steps is 0."""
    decay_fraction: Annotated[float, Between(0, 1)] = 0.1
    """Share of the steps in which `wsd` decays."""
    min_lr_fraction: Annotated[float, Between(0, 1)] = 0.0
    """Learning rate at the end, as a share of the peak."""


@dataclass
class DataConfig:
    """What a stage learns from, and its limits."""

    manifest: str = "???"
    """Name of a mixture under data_manifests/, or a path to a YAML file."""
    context_tokens: Annotated[int, Above(0)] = 4096
    """Longest sample and size of a pack, in tokens."""
    max_crops: Annotated[int, Above(0)] = 36
    """Most sub-crops of an image (dynamic multi-crop)."""
    max_image_pixels: Annotated[int, Above(0)] = 100_000_000
    """Images with more pixels are skipped before they are decoded."""
    video_fps: Annotated[float, Above(0)] | None = None
    """Frames per second that are kept of a video; null: all."""
    max_frames: Annotated[int, Above(0)] = 64
    """Most frames of a video; of more, evenly spread ones are kept."""
    max_audio_seconds: Annotated[float, Above(0)] = 1800.0
    """Longer audio clips are skipped before they are decoded."""
    spec_augment: SpecAugment = field(default_factory=SpecAugment)
    """Masks in audio features."""
    max_bad_fraction: Annotated[float, Between(0, 1)] = 0.01
    """The run stops when a larger share of the samples so far could not be used."""
    max_bad_in_a_row: Annotated[int, Above(0)] = 100
    """The run stops when this many samples in a row could not be used."""
    routing: Routing = Routing.sample
    """Which tokens of a sample its adapter applies to."""


@dataclass
class AuxiliaryConfig:
    """Losses beside the objective; off by default, as the paper has none."""

    reading_weight: Annotated[float, AtLeast(0)] = 0.0
    """Factor of a cross-entropy of media tokens, a mean per slot that a record's `reading` labels; 0: off."""
    ctc_weight: Annotated[float, AtLeast(0)] = 0.0
    """Factor of a CTC loss of audio tokens, a mean per target token, beside the loss; 0: off."""
    ctc_tasks: list[str] = field(default_factory=lambda: ["asr"])
    """First words of the names of tasks (`asr` of `asr_en`) whose answers are what their one clip says."""
    ctc_blank: str = "~"
    """A text of one token, which audio tokens are to look like where nothing new is heard."""
    extra: dict[str, Annotated[float, AtLeast(0)]] = field(default_factory=dict)
    """Factors of further losses by name, each a mean per target, beside the objective; 0: off."""


@dataclass
class EvaluationConfig:
    """What is measured on held-out data while training and at the end."""

    manifest: str | None = None
    """Held-out mixture, as for `data.manifest`; null: nothing is evaluated."""
    every_n_steps: Annotated[int, AtLeast(0)] = 0
    """Steps between two evaluations while it trains; 0: only at the end of the stage."""
    max_samples: Annotated[int, AtLeast(0)] = 0
    """Samples per source during training; 0: all. The evaluation at the end always takes all."""
    max_new_tokens: Annotated[int, Above(0)] = 16
    """Longest generated answer in tokens."""
    baseline_samples: Annotated[int, AtLeast(0)] = 0
    """Training samples a source that unigram and bigram models, scored at the end, learn from; 0: none."""


@dataclass
class HardwareConfig:
    """Where a stage runs. Accumulation follows from the micro-batch size."""

    device: Device = Device.auto
    """Where the run computes."""
    ranks: Annotated[int, Above(0)] = 1
    """Processes that share a step, a power of two; started here, unless torchrun or srun has started them."""
    virtual_ranks: Annotated[int, AtLeast(0)] = 0
    """Shares that a step is cut into, a power of two: any number of processes up to it ends at the same bits.
    0: as many as the run began with; at its first start, as many as there are processes."""
    timeout_seconds: Annotated[float, Above(0)] = 600.0
    """How long a rank waits for the others before the run ends."""
    precision: Precision = Precision.fp32
    """Number format of weights and of the training step."""
    micro_batch_tokens: Annotated[int, Above(0)] = 4096
    """Tokens that pass through the model at once on one rank; at least `data.context_tokens`."""
    num_workers: Annotated[int, AtLeast(0)] = 0
    """Processes that decode samples; 0: the main process does it."""
    num_threads: Annotated[int, AtLeast(0)] = 0
    """CPU threads of torch; 0: all cores, or in a run that goes on as many as it began with."""
    activation_checkpointing: list[str] = field(default_factory=list)
    """Components whose activations are recomputed in the backward pass."""


class StrategyKind(Enum):
    """How processes share the work of a step."""

    single = "single"
    ddp = "ddp"
    deepspeed_zero1 = "deepspeed_zero1"
    deepspeed_zero2 = "deepspeed_zero2"
    deepspeed_zero3 = "deepspeed_zero3"


@dataclass
class StrategyConfig:
    """How processes share the work of a step."""

    kind: StrategyKind = StrategyKind.single
    """single: one process; ddp: each has all weights, and gradients are summed in one fixed tree;
    deepspeed_zero1, 2, 3: the ranks share optimizer state, gradients too, weights too."""


@dataclass
class CheckpointConfig:
    """When the full training state is saved and which are kept."""

    every_n_steps: Annotated[int, AtLeast(0)] = 1000
    """Steps between two checkpoints; 0: only at the end."""
    keep_last_n: Annotated[int, Above(0)] = 2
    """Newest complete checkpoints that are kept."""
    keep_every_n: Annotated[int, AtLeast(0)] = 0
    """Also keep checkpoints whose step is a multiple of this; 0: none."""


@dataclass
class RunPathsConfig:
    """Where things are on this machine."""

    root: str = "runs"
    """Folder of all runs."""
    name: str = "${scale}"
    """Name of the run below its stage."""
    data_root: str = DEFAULT_DATA_ROOT
    """Folder that relative shard names start from."""
    parents: dict[str, str] = field(default_factory=dict)
    """Artifact or run folder of a parent stage, by stage; default: the parent's run of this run's name, or
    else of the scale's name."""
    branch_from: str | None = None
    """Another run's folder and a step of which it has a checkpoint, `runs/lm_sft/demo@200`: a new run begins
    with its weights, optimizer state and step, and follows its own recipe from there."""
    config_dir: str | None = None
    """Set by `--config-dir`: a folder of the user's own stages, scales, curricula and data_manifests."""


@dataclass
class LoggerConfig:
    """Where metrics go besides metrics.jsonl and the terminal."""

    every_n_steps: Annotated[int, Above(0)] = 10
    """Steps between two lines on the terminal and in loggers; metrics.jsonl has every step."""
    wandb_project: str | None = None
    """Weights & Biases project; null: off."""


@dataclass
class SafetyConfig:
    """When a run gives up."""

    max_bad_steps: Annotated[int, Above(0)] = 5
    """Steps in a row whose loss or gradient is not finite (each is skipped and counted)."""


@dataclass
class Config:
    """Everything about one stage run."""

    stage: str = "???"
    """Name of the recipe."""
    scale: str = "???"
    """Name of the model size and budget: full, demo, or a rung of the ladder."""
    description: str = ""
    """What the stage does, in a line."""
    source: str = ""
    """Where the recipe's numbers come from."""
    parents: list[str] = field(default_factory=list)
    """Stages whose artifacts this one starts from."""
    trainable: list[str] = field(default_factory=list)
    """Components that may change; all others are frozen."""
    init: dict[str, str] = field(default_factory=dict)
    """Components that no parent provides: `fresh`, or a parent's component to copy as it is handed on, or an
    artifact folder to take them from."""
    imports: list[str] = field(default_factory=list)
    """Modules of the user's own that register modalities, from `--config-dir` or the Python path."""
    objective: str = "next_token"
    """The loss that is minimised, by name; modules of `imports` may add some."""
    objective_settings: dict[str, float] = field(default_factory=dict)
    """Numbers of the objective that differ from its defaults."""
    seed: Annotated[int, AtLeast(0), Below(2**63)] = 0
    """Of fresh weights, of the order of data, and of every random number."""
    tokenizer: str = "o200k"
    """`o200k`, or a tokenizer file relative to run.data_root."""
    model: ModelShape = field(default_factory=ModelShape)
    data: DataConfig = field(default_factory=DataConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    auxiliary: AuxiliaryConfig = field(default_factory=AuxiliaryConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    resume: Resume = Resume.auto
    """What to do with a run folder that an earlier start has used."""
    run: RunPathsConfig = field(default_factory=RunPathsConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
