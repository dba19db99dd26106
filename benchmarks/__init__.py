"""What jaxper costs beside its peers, and what it becomes on a GPU: each module is a command."""
