"""The libraries that are timed: each module imports the one of its own name where it needs it."""
