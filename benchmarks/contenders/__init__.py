"""The libraries that are timed. Each module imports the library of its name in its functions."""
