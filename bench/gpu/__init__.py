"""The pieces of ``bench/gpu_check.py``. A piece gives rows; what it lacks makes a row that says so."""
