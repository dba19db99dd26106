"""Helpers of several tests: random lives of a replay, its specification in NumPy, small agents."""
