"""What XLA has to be told."""
