"""The parts that the commands of `benchmarks` are made of."""
