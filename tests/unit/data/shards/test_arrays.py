"""Array files are what was written or refused, and hold no file open."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from phi4train.data.shards.arrays import DamagedArrayError, MappedArrays, require_size, write_array
from phi4train.data.shards.tables import MEDIA_DTYPE, SAMPLE_DTYPE

INTEGER = np.dtype("<i8")


def num_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("dtype", [SAMPLE_DTYPE, MEDIA_DTYPE, INTEGER, np.dtype(np.uint8)])
@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_an_array_is_loaded_as_it_was_written(tmp_path: Path, dtype: np.dtype[np.void], rows: int) -> None:
    content = np.random.default_rng(0).bytes(rows * dtype.itemsize)
    array = np.frombuffer(content, dtype)
    file = write_array(tmp_path / "a.npy", array)
    loaded = MappedArrays().load(tmp_path, "a.npy", file, dtype)
    assert loaded.tobytes() == content and loaded.dtype == dtype and len(loaded) == rows
    assert np.load(tmp_path / "a.npy").tobytes() == content, "an ordinary .npy file"
    with pytest.raises(ValueError, match="read-only"):
        loaded[:1] = loaded[:1]


def test_maps_stay_few_and_hold_no_file_open(tmp_path: Path) -> None:
    arrays, before = MappedArrays(max_mapped=3), num_open()
    files = [write_array(tmp_path / f"{i}.npy", np.array([i])) for i in range(9)]
    for i in [*range(9), *range(9)]:
        assert arrays.load(tmp_path, f"{i}.npy", files[i], INTEGER).tolist() == [i]
    assert len(arrays._arrays) == 3 and num_open() == before


def test_an_array_outlives_its_place_among_the_maps(tmp_path: Path) -> None:
    arrays = MappedArrays(max_mapped=1)
    files = [write_array(tmp_path / f"{i}.npy", np.full(9, i)) for i in range(2)]
    first = arrays.load(tmp_path, "0.npy", files[0], INTEGER)
    arrays.load(tmp_path, "1.npy", files[1], INTEGER)
    (tmp_path / "0.npy").unlink()
    assert first.tolist() == [0] * 9


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    file = write_array(tmp_path / "a.npy", np.arange(5))
    sound = (tmp_path / "a.npy").read_bytes()
    for position in range(len(sound)):
        (tmp_path / "a.npy").write_bytes(
            sound[:position] + bytes([sound[position] ^ 1]) + sound[position + 1 :]
        )
        with pytest.raises(DamagedArrayError, match="not those that were written"):
            MappedArrays().load(tmp_path, "a.npy", file, INTEGER)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", bytes(500)])
def test_another_size_is_found_without_reading(tmp_path: Path, content: bytes) -> None:
    file = write_array(tmp_path / "a.npy", np.arange(5))
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DamagedArrayError, match=f"{len(content)} bytes in place of {file.num_bytes}"):
        require_size(tmp_path / "a.npy", file)
    with pytest.raises(DamagedArrayError, match="No such file"):
        require_size(tmp_path / "b.npy", file)


def test_a_file_is_compared_once_unless_it_was_replaced(tmp_path: Path) -> None:
    arrays = MappedArrays(max_mapped=1)
    files = [write_array(tmp_path / f"{i}.npy", np.array([i])) for i in range(2)]
    for i in range(2):
        arrays.load(tmp_path, f"{i}.npy", files[i], INTEGER)
    (tmp_path / "1.npy").replace(tmp_path / "0.npy")
    with pytest.raises(DamagedArrayError, match="not those that were written"):
        arrays.load(tmp_path, "0.npy", files[0], INTEGER)


def test_a_copy_for_another_process_has_no_maps(tmp_path: Path) -> None:
    arrays = MappedArrays(max_mapped=7)
    file = write_array(tmp_path / "a.npy", np.arange(5))
    arrays.load(tmp_path, "a.npy", file, INTEGER)
    copy = pickle.loads(pickle.dumps(arrays))
    assert (copy._max_mapped, len(copy._arrays), len(copy._checked)) == (7, 0, 0)
    assert copy.load(tmp_path, "a.npy", file, INTEGER).tolist() == [0, 1, 2, 3, 4]
