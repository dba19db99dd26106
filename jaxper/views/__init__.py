"""What a draw returns."""
