"""The parts that `jaxper.checkpoint` is made of."""
