"""Steps of environments in lockstep."""
