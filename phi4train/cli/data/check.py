"""`phi4train data check`: compares shards with their indexes, and tells what would be left out."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import TYPE_CHECKING

from phi4train.cli.data.mixtures import add_mixtures, mixtures_of
from phi4train.errors import ConfigError, ManifestError
from phi4train.visible import visible

if TYPE_CHECKING:
    from phi4train.config.schema import Config
    from phi4train.data.inspection.check import CheckReport


def run(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Prints what was found.

    Raises:
        ManifestError: a run would refuse a manifest, or stop for its samples.
    """
    add_mixtures(parser)
    parser.add_argument(
        "--decode-samples",
        type=int,
        metavar="N",
        help="decode so many samples of each source, evenly spread (default: 8)",
    )
    parser.add_argument("--decode", action="store_true", help="decode every sample; slow and thorough")
    options = parser.parse_intermixed_args(words)
    mixtures = mixtures_of(options)
    from phi4train.data.inspection.check import FEW_SAMPLES, CheckReport, render_check

    few = FEW_SAMPLES if options.decode_samples is None else max(options.decode_samples, 0)
    unfit = []
    for config, name in mixtures:
        try:
            report = _check(config, name, None if options.decode else few)
        except ManifestError as error:  # it cannot be opened; the others are looked at all the same
            if len(mixtures) == 1:
                raise
            report = CheckReport(name, (), tuple(str(error).splitlines()))
        print(visible(render_check(report)))
        unfit += [] if report.is_fit else [name]
    if unfit:
        raise ManifestError(
            f"manifests must be fit to train on · found unfit: {', '.join(unfit)} · mend what is told above"
        )


def _check(config: "Config", name: str, num_decoded: int | None) -> "CheckReport":
    """What was found in one mixture, and what a run on it would say.

    Raises:
        ManifestError: it cannot be opened.
    """
    from phi4train.config.load import encoded_media
    from phi4train.data.batches.bad_samples import BadSampleLimits
    from phi4train.data.inspection.check import CheckReport, check_mixture
    from phi4train.data.inspection.refusals import find_refusals
    from phi4train.run.schedule import build_schedule
    from phi4train.run.stage_data import data_plan, open_data, require_encoders

    data = open_data(config, name)
    report = check_mixture(data.mixture, data.tokenizer, data.limits, data.cache_dir, num_decoded)
    problems = list(report.problems)
    try:
        require_encoders(data, encoded_media(config))
    except ConfigError as error:
        problems += error.problems
    if not report.problems and not _is_held_out(config, name):
        limits = BadSampleLimits(config.data.max_bad_fraction, config.data.max_bad_in_a_row)
        steps = build_schedule(config).max_steps
        problems += find_refusals(data.mixture, data_plan(config, data), steps, limits, report.sources)
    return CheckReport(report.manifest, report.sources, tuple(problems))


def _is_held_out(config: "Config", name: str) -> bool:
    """Whether the recipe only measures on it: an evaluation leaves out what it cannot use, and goes on."""
    return name == config.evaluation.manifest and name != config.data.manifest
