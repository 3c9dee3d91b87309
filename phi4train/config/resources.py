"""Where conf/, recipes/ and data_manifests/ are: inside a wheel, else atop the checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def resource_folder(name: str) -> Path:
    """The folder `conf`, `recipes` or `data_manifests`."""
    bundled = _PACKAGE / "_bundled" / name
    return bundled if bundled.is_dir() else _PACKAGE.parent / name


def manifest_folders(config_dir: str | Path | None) -> list[Path]:
    """Where a manifest's name is looked up: in the user's own folder, then among the bundled ones."""
    own = [] if config_dir is None else [Path(config_dir) / "data_manifests"]
    return [*own, resource_folder("data_manifests")]
