"""Measurements: correctness first, then medians against a baseline that runs in turn with ours."""
