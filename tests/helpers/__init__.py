"""What several tests share: random lives of a replay, its specification in NumPy, small agents."""
