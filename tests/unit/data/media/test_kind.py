"""Every kind of media has all that the engine asks of it, and what it measures fits an index."""

import inspect
import pickle

import numpy as np
import pytest

from phi4train.data.media.kind import MediaKind, MediaSize
from phi4train.data.media.registry import media_kinds
from phi4train.data.shards.tables import MEDIA_DTYPE

ASKED = [name for name in vars(MediaKind) if not name.startswith("_")]
METHODS = [name for name in ASKED if inspect.isfunction(getattr(MediaKind, name))]


@pytest.mark.parametrize("kind", media_kinds(), ids=lambda kind: kind.name)
def test_a_kind_has_all_that_is_asked_of_it(kind: MediaKind) -> None:
    assert [name for name in ASKED if not hasattr(kind, name)] == []
    for name in METHODS:
        asked = list(inspect.signature(getattr(MediaKind, name)).parameters)
        assert list(inspect.signature(getattr(type(kind), name)).parameters) == asked, name


@pytest.mark.parametrize("kind", media_kinds(), ids=lambda kind: kind.name)
def test_a_kind_goes_to_worker_processes_and_names_its_members_in_lower_case(kind: MediaKind) -> None:
    again = pickle.loads(pickle.dumps(kind))
    assert again == kind and hash(again) == hash(kind)
    assert kind.extensions and all(extension == extension.lower() for extension in kind.extensions)


def test_what_is_not_measured_stays_zero_and_all_of_it_fits_an_index() -> None:
    assert MediaSize() == (0, 0, 0, 0)
    largest = MediaSize(2**32 - 1, 2**32 - 1, 2**63 - 1, 2**32 - 1)
    row = np.zeros(1, dtype=MEDIA_DTYPE)
    for name, value in largest._asdict().items():
        row[name] = value
        assert int(row[name][0]) == value, name
