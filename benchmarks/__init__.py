"""Times of jaxper beside its peers, and its operations on a GPU. Each module here is a command."""
