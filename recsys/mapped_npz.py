"""Arrays in one file that NumPy reads as .npz, laid out so that they can be mapped into memory instead.

A .npz file is a zip file of .npy files, not compressed. Here each array begins at a multiple of 64 bytes: what is in
front of it is filled up by an extra field, which whoever reads zip files passes over.

https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3.7 and 4.5
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

ALIGNMENT: Final = 64
_LOCAL_HEADER: Final = struct.Struct("<4s5H3I2H")
_ZIP64_EXTRA_BYTES: Final = 20
_EXTRA: Final = struct.Struct("<HH")
_PADDING: Final = 0xD935
"""What the tools of Android call an extra field that aligns."""

_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays under their names, none of objects; the same arrays give the same bytes."""
    with ZipFile(path, "w", ZIP_STORED) as file:
        for name, array in arrays.items():
            entry = ZipInfo(f"{name}.npy", _EARLIEST)
            begins = file.start_dir + _LOCAL_HEADER.size + len(entry.filename.encode()) + _ZIP64_EXTRA_BYTES
            padding = -(begins + _EXTRA.size) % ALIGNMENT
            entry.extra = _EXTRA.pack(_PADDING, padding) + bytes(padding)
            with file.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays by their names, mapped, copy on write: processes share them; of a file that NumPy wrote, read.

    The file must stay as it is, but may be removed. Raises OSError or ValueError for one that cannot be read.
    """
    with ZipFile(path) as file, path.open("rb") as content:
        return {entry.filename.removesuffix(".npy"): _read(path, file, content, entry) for entry in file.infolist()}


def _read(path: Path, file: ZipFile, content: Any, entry: ZipInfo) -> np.ndarray:
    content.seek(entry.header_offset)
    *_, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(content.read(_LOCAL_HEADER.size))
    begins = entry.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
    if entry.compress_type == ZIP_STORED and begins % ALIGNMENT == 0:
        content.seek(begins)
        version = np.lib.format.read_magic(content)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, in_fortran_order, dtype = read_header(content)
        if np.prod(shape) and not dtype.hasobject:
            return np.memmap(path, dtype, "c", content.tell(), shape, "F" if in_fortran_order else "C")
    with file.open(entry) as member:
        found: np.ndarray = np.lib.format.read_array(member, allow_pickle=False)
        return found
