"""Measurements behind the numbers that this project states; run one with ``python -m benchmarks.<name>``."""
