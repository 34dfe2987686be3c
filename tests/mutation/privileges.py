"""Permissions that hold for the superuser too, as whom tests often run."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, capabilities(7); the structures are those of capget(2).
_READ_ALL = 1 << 1 | 1 << 2
_VERSION = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextmanager
def without_privileges() -> Iterator[None]:
    """Inside, this thread may not read what its user may not; on Linux, elsewhere it makes no difference."""
    if sys.platform != "linux":
        yield
        return
    library = ctypes.CDLL(None, use_errno=True)
    header, capabilities = _Header(_VERSION, 0), (_Capabilities * 2)()
    _call(library.capget(ctypes.byref(header), capabilities))
    effective = capabilities[0].effective
    capabilities[0].effective = effective & ~_READ_ALL
    _call(library.capset(ctypes.byref(header), capabilities))
    try:
        yield
    finally:
        capabilities[0].effective = effective
        _call(library.capset(ctypes.byref(header), capabilities))


def _call(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), "capabilities cannot be read or set")
