"""The sum tree."""
