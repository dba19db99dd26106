"""The parts of a checkpoint."""
