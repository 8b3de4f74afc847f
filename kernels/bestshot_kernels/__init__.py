"""Measuring and converting pictures: one folder per operation.

Import an operation from its folder, such as ``from bestshot_kernels.frame_stats import frame_stats``.
Each folder holds the documented wrapper, ``reference.py`` (vectorised NumPy, the oracle of the tests)
and, where a library is faster, ``cpu.py``. Nothing here knows about videos, files or settings.
"""
