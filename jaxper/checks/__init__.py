"""Checks of the arguments and pytrees that users pass."""
