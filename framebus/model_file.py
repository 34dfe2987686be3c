"""Opens the files of a model's folder, where anything may lie."""

import errno
import stat
from pathlib import Path
from typing import BinaryIO


def open_model_file(path: Path, max_bytes: int) -> BinaryIO:
    """Opens a file that can be read to its end, in bounded time and memory.

    Raises:
        OSError: It cannot be opened, or is none (a pipe keeps its reader waiting, a device has no end), or is
            larger than `max_bytes`; `strerror` says which.
    """
    status = path.stat()
    is_file = stat.S_ISREG(status.st_mode)
    if is_file and status.st_size > max_bytes:
        raise OSError(errno.EFBIG, f"{status.st_size} bytes, {max_bytes} is the most", str(path))
    if not is_file and not stat.S_ISDIR(status.st_mode):  # of a folder `open` tells itself
        raise OSError(errno.EINVAL, "Not a file, but a pipe or a device", str(path))
    return path.open("rb")
