"""Where the public names of earlier versions are now, for modules of users that still import the old ones."""

from importlib.util import find_spec

MODULES = {
    "phi4train.cli_help": "phi4train.cli.help",
    "phi4train.cli_verbs": "phi4train.cli.verbs",
    "phi4train.data.audio": "phi4train.data.media.audio",
    "phi4train.data.audio_features": "phi4train.data.media.audio_features",
    "phi4train.data.audio_kind": "phi4train.data.media.audio_kind",
    "phi4train.data.check": "phi4train.data.inspection.check",
    "phi4train.data.collate": "phi4train.data.batches.collate",
    "phi4train.data.decoding": "phi4train.data.batches.decoding",
    "phi4train.data.evaluation_batches": "phi4train.data.batches.held_out",
    "phi4train.data.frames": "phi4train.data.samples.frames",
    "phi4train.data.image_kind": "phi4train.data.media.image_kind",
    "phi4train.data.images": "phi4train.data.media.images",
    "phi4train.data.index": "phi4train.data.shards.index",
    "phi4train.data.indexing": "phi4train.data.shards.indexing",
    "phi4train.data.lengths": "phi4train.data.order.lengths",
    "phi4train.data.loader": "phi4train.data.batches.loader",
    "phi4train.data.manifest": "phi4train.data.shards.manifest",
    "phi4train.data.media_totals": "phi4train.data.inspection.media_totals",
    "phi4train.data.mixture": "phi4train.data.shards.mixture",
    "phi4train.data.packing": "phi4train.data.order.packing",
    "phi4train.data.permutation": "phi4train.data.order.permutation",
    "phi4train.data.prompts": "phi4train.data.samples.prompts",
    "phi4train.data.records": "phi4train.data.samples.records",
    "phi4train.data.show": "phi4train.data.inspection.show",
    "phi4train.data.spec_augment": "phi4train.data.media.spec_augment",
    "phi4train.data.stats": "phi4train.data.inspection.stats",
    "phi4train.data.tokenizer": "phi4train.data.samples.tokenizer",
    "phi4train.demo.arithmetic": "phi4train.demo.text.arithmetic",
    "phi4train.demo.docs_questions": "phi4train.demo.text.docs_questions",
    "phi4train.demo.handwriting": "phi4train.demo.images.handwriting",
    "phi4train.demo.lines": "phi4train.demo.images.lines",
    "phi4train.demo.multi_image": "phi4train.demo.images.multi_image",
    "phi4train.demo.panel_dialogues": "phi4train.demo.images.panel_dialogues",
    "phi4train.demo.panels": "phi4train.demo.images.panels",
    "phi4train.demo.passages": "phi4train.demo.text.passages",
    "phi4train.demo.photos": "phi4train.demo.images.photos",
    "phi4train.demo.questions": "phi4train.demo.images.questions",
    "phi4train.demo.small_talk": "phi4train.demo.text.small_talk",
    "phi4train.demo.sounds": "phi4train.demo.speech.sounds",
    "phi4train.demo.speech_augmentation": "phi4train.demo.speech.augmentation",
    "phi4train.demo.speech_clips": "phi4train.demo.speech.clips",
    "phi4train.demo.speech_synthesis": "phi4train.demo.speech.synthesis",
    "phi4train.demo.speech_tasks": "phi4train.demo.speech.exchanges",
    "phi4train.demo.speech_words": "phi4train.demo.speech.words",
    "phi4train.demo.spoken_panels": "phi4train.demo.speech.spoken_panels",
    "phi4train.demo.written_speech": "phi4train.demo.speech.written",
    "phi4train.curriculum.run": "phi4train.curriculum.running",
    "phi4train.evaluation.bleu": "phi4train.evaluation.metrics.bleu",
    "phi4train.evaluation.error_rate": "phi4train.evaluation.metrics.error_rate",
    "phi4train.evaluation.exact_match": "phi4train.evaluation.metrics.exact_match",
    "phi4train.evaluation.judging": "phi4train.evaluation.metrics.judging",
    "phi4train.evaluation.ngrams": "phi4train.evaluation.metrics.ngrams",
    "phi4train.evaluation.normaliser": "phi4train.evaluation.metrics.normaliser",
    "phi4train.evaluation.perplexity": "phi4train.evaluation.metrics.perplexity",
    "phi4train.evaluation.run": "phi4train.evaluation.evaluate",
    "phi4train.evaluation.show": "phi4train.evaluation.show_answers",
    "phi4train.training.loader_clock": "phi4train.training.watching.loader_clock",
    "phi4train.training.loss_plot": "phi4train.training.watching.loss_plot",
    "phi4train.training.metric_keys": "phi4train.training.watching.metric_keys",
    "phi4train.training.progress": "phi4train.training.watching.progress",
    "phi4train.training.provenance": "phi4train.run.provenance",
    "phi4train.training.ranks": "phi4train.ranks",
    "phi4train.training.report": "phi4train.training.briefing",
    "phi4train.training.run_folder": "phi4train.run.run_folder",
    "phi4train.training.schedule": "phi4train.run.schedule",
    "phi4train.training.status": "phi4train.run.status",
    "phi4train.training.torch_setup": "phi4train.run.torch_setup",
    "phi4train.training.wandb_sink": "phi4train.training.watching.wandb_sink",
}
"""By module that moved as a whole, its new name."""

NAMES = {
    "phi4train.cli_data": {
        "phi4train.cli.data.verbs": "DATA_VERBS",
    },
    "phi4train.cli_words": {
        "phi4train.cli.words": "Verb add_overrides",
    },
    "phi4train.data.index": {
        "phi4train.data.media.kind": "Rows",
        "phi4train.data.shards.arrays": "MappedArrays",
        "phi4train.data.shards.tables": "MEDIA_DTYPE RECORD_SHAPES SAMPLE_DTYPE SampleTable",
    },
    "phi4train.data.lengths": {
        "phi4train.data.media.limits": "Limits",
    },
    "phi4train.data.media": {
        "phi4train.data.media.kind": "MediaKind MediaSize",
        "phi4train.data.media.registry": (
            "RegisteredKinds find_media_kind kind_of_extension media_kind media_kinds mode_of"
        ),
        "phi4train.data.samples.prompts": "slot_token_id",
    },
    "phi4train.data.order": {
        "phi4train.data.order.planner": (
            "BLOCK_STEPS BatchSize Hole Ints ORDER_VERSION Planner StepItems StepPlan"
        ),
        "phi4train.data.order.source_order": "WINDOW_SHARDS",
    },
    "phi4train.data.order.planner": {"phi4train.data.order.source_order": "WINDOW_SHARDS"},
    "phi4train.data.shards": {
        "phi4train.data.shards.source": "ByteSource LocalSource RemoteSource ShardSource",
        "phi4train.data.shards.writer": "ShardWriter",
        "phi4train.files": "write_atomically",
    },
    "phi4train.demo.speech": {
        "phi4train.demo.speech.spoken": (
            "ENGLISH_WEIGHT TRANSLATED_LANGUAGES asr_questions asr_samples ast_questions "
            "ast_samples sign_samples sqa_samples sqqa_samples ssum_samples"
        ),
    },
    "phi4train.evaluation.metric_keys": {
        "phi4train.evaluation.metrics.error_rate": "CER MEAN_ERROR_RATE WER",
        "phi4train.evaluation.metrics.metric": "SKIPPED_SAMPLES",
        "phi4train.evaluation.metrics.perplexity": "LOSS",
    },
    "phi4train.training.auxiliary": {
        "phi4train.training.losses.ctc": "CtcClips NO_CLIPS",
        "phi4train.training.losses.loss": "Selection",
        "phi4train.training.losses.reading": "ReadSlots",
    },
    "phi4train.training.callbacks": {
        "phi4train.training.watching.evaluating": "PeriodicEvaluation",
        "phi4train.training.watching.metrics": "MetricSink MetricsWriter peak_memory_bytes step_metrics",
        "phi4train.training.watching.progress_bar": "ProgressBar",
        "phi4train.training.watching.sample_guard": "SampleGuard",
        "phi4train.training.watching.saving": "PeriodicSave",
    },
    "phi4train.training.evaluation": {
        "phi4train.evaluation.held_out": "HeldOut one_line",
        "phi4train.evaluation.stage": "evaluate_stage",
        "phi4train.run.paths": "evaluate_command",
    },
    "phi4train.training.inputs": {
        "phi4train.run.inputs": "StageInputs open_inputs open_parents",
        "phi4train.run.paths": "artifact_path run_path train_command",
        "phi4train.run.stage_data": "StageData data_plan open_data require_encoders",
    },
    "phi4train.training.module": {
        "phi4train.training.losses.loss": "loss_per_task",
    },
    "phi4train.training.report": {
        "phi4train.run.schedule": "token_budget",
    },
    "phi4train.training.stage": {
        "phi4train.run.schedule": "build_schedule",
        "phi4train.training.fitting": "LIGHTNING_PRECISION fit",
    },
}
"""By module that was divided: names that it had, by the module that has them now."""

_REGISTER = "phi4train.modality.register_modality"

RENAMED = {
    "phi4train.checkpoint.artifact.name_inputs": "phi4train.checkpoint.artifact.named_fingerprints",
    "phi4train.checkpoint.assembly.Source": "phi4train.checkpoint.assembly.ComponentSource",
    "phi4train.config.schema.Objective": "phi4train.objectives.registry.NamedLoss",
    "phi4train.config.schema.SpecAugmentConfig": "phi4train.data.media.spec_augment.SpecAugment",
    "phi4train.data.lengths.measure": "phi4train.data.order.lengths.measure_lengths",
    "phi4train.data.order.lengths.cause_in_words": "phi4train.data.order.lengths.why_unusable",
    "phi4train.data.media.register_media_kind": _REGISTER,
    "phi4train.data.media.unregister_media_kind": "phi4train.modality.unregister_modality",
    "phi4train.data.shards.sync_folder": "phi4train.files.sync",
    "phi4train.evaluation.metric_keys.overall_name": "phi4train.evaluation.metrics.metric.overall_key",
    "phi4train.model.components.register_component": _REGISTER,
    "phi4train.model.components.set_activation_checkpointing": (
        "phi4train.model.activation_checkpointing.set_activation_checkpointing"
    ),
    "phi4train.model.routing.Routing": "phi4train.model.routing.BatchRouting",
    "phi4train.model.routing.register_modality": _REGISTER,
    "phi4train.model.routing.register_mode": _REGISTER,
    "phi4train.training.auxiliary.AuxiliaryCtc": "phi4train.training.losses.ctc.Ctc",
    "phi4train.training.auxiliary.AuxiliaryLoss": "phi4train.training.losses.loss.Loss",
    "phi4train.training.auxiliary.AuxiliaryReading": "phi4train.training.losses.reading.Reading",
    "phi4train.training.auxiliary.AuxiliarySteps": "phi4train.training.micro_batch.StepLosses",
    "phi4train.training.auxiliary.build_auxiliaries": "phi4train.training.losses.chosen.build_losses",
    "phi4train.training.checkpointing.check_inputs": "phi4train.run.resume.check_fingerprints",
    "phi4train.training.evaluation.TrainedStage": "phi4train.run.trained.TrainedModel",
    "phi4train.training.evaluation.open_trained": "phi4train.run.trained.open_model",
    "phi4train.training.optimizer.trainable_tensors": "phi4train.model.ownership.Ownership",
    "phi4train.training.status.input_differences": "phi4train.run.status.fingerprint_differences",
}
"""By old name, another name that does its work."""


def new_place(module: str, name: str | None = None) -> tuple[str, str] | None:
    """What `import module` or `from module import name` asks for, and where that is now; None: not moved."""
    dotted = f"{module}.{name}" if name else module
    if dotted in RENAMED:
        return dotted, RENAMED[dotted]
    for new, names in NAMES.get(module, {}).items():
        if name in names.split():
            return dotted, f"{new}.{name}"
    for old in (dotted, module):
        if old in MODULES:
            return old, MODULES[old]
    if dotted in NAMES and find_spec(dotted) is None:
        return dotted, " and ".join(NAMES[dotted])
    return None
