"""Benchmarks: ours and a floor in turn, in one run, so that a busy machine slows both alike. Each prints a ratio."""
