import numpy as np
import pytest

from recsys.mapped_npz import ALIGNMENT, read_npz, write_npz

ARRAYS = {
    "floats": np.arange(7, dtype=np.float32),
    "matrix": np.arange(6).reshape(2, 3),
    "by_columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "words": np.array(["a", "längere"]),
    "nothing": np.empty(0, dtype=np.int64),
    "number": np.array(3),
}


def assert_equal(found):
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_arrays_are_mapped_where_they_lie_and_numpy_reads_the_same_file(tmp_path):
    path = tmp_path / "arrays.npz"
    write_npz(path, ARRAYS)
    found = read_npz(path)
    with np.load(path) as loaded:
        assert_equal(dict(loaded))
    for name, array in found.items():
        assert isinstance(array, np.memmap) == (name != "nothing"), name
        assert array.ctypes.data % ALIGNMENT == 0 or name == "nothing"
    path.unlink()
    assert_equal(found)


def test_what_is_written_to_an_array_stays_in_the_process(tmp_path):
    path = tmp_path / "arrays.npz"
    write_npz(path, ARRAYS)
    read_npz(path)["floats"][0] = 100
    assert_equal(read_npz(path))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_that_numpy_wrote_is_read(tmp_path, save):
    save(tmp_path / "arrays.npz", **ARRAYS)
    assert_equal(read_npz(tmp_path / "arrays.npz"))


def test_the_same_arrays_are_the_same_bytes(tmp_path):
    for name in ("one.npz", "other.npz"):
        write_npz(tmp_path / name, ARRAYS)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()
