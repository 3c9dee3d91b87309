"""`phi4train data check`: compares shards with their indexes, and tells what would be left out."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from phi4train.cli.data.mixtures import add_mixtures, mixtures_of
from phi4train.errors import ManifestError
from phi4train.visible import visible


def run(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Prints what was found.

    Raises:
        ManifestError: a manifest is not fit to train on.
    """
    add_mixtures(parser)
    parser.add_argument("--decode", action="store_true", help="also decode every sample; slow and thorough")
    options = parser.parse_intermixed_args(words)
    mixtures = mixtures_of(options)
    from phi4train.data.inspection.check import check_manifest, render_check
    from phi4train.run.stage_data import open_data

    unfit = []
    for config, name in mixtures:
        data, data_root = open_data(config, name), Path(config.run.data_root)
        report = check_manifest(
            data.mixture.manifest, data_root, data.cache_dir, data.tokenizer, data.limits, options.decode
        )
        print(visible(render_check(report)))
        unfit += [] if report.is_fit else [name]
    if unfit:
        raise ManifestError(
            f"manifests must be fit to train on · found unfit: {', '.join(unfit)} · mend what is told above"
        )
