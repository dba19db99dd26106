"""The views: what is stored, and what a draw returns."""
