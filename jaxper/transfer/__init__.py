"""States of other capacities and other shards."""
