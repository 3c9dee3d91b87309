"""Where conf/, recipes/ and data_manifests/ are: inside an installed wheel, else atop the checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def resource_folder(name: str) -> Path:
    """The folder `conf`, `recipes` or `data_manifests`."""
    bundled = _PACKAGE / "_bundled" / name
    return bundled if bundled.is_dir() else _PACKAGE.parent / name
