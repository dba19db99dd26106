"""One of two processes with two devices each, which save and restore one state together."""

import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxper import PrioritizedReplay, checkpoint

_, process, port, directory = sys.argv
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.config.update("jax_num_cpu_devices", 2)
jax.distributed.initialize(f"localhost:{port}", 2, int(process))
mesh = Mesh(np.array(jax.devices()), ("data",))
replay = PrioritizedReplay(8)


@partial(jax.jit, out_shardings=NamedSharding(mesh, PartitionSpec("data")))
def filled(shards):
    return jax.vmap(lambda i: replay.add(replay.init(shards[0]), jnp.arange(5) + 10 * i))(shards)


def placed(spec, values):
    sharding = NamedSharding(mesh, spec)
    return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])


states = filled(placed(PartitionSpec("data"), np.arange(4, dtype=np.int32)))
params = placed(PartitionSpec(), np.arange(3, dtype=np.float32))
for _ in range(2):
    checkpoint.save(directory, replay, states, extra=params)
restored, extra = checkpoint.restore(directory, replay, jnp.int32(0), extra=jnp.zeros(3), mesh=mesh)
np.testing.assert_array_equal(extra.addressable_data(0), np.arange(3))
for before, after in zip(jax.tree.leaves(states), jax.tree.leaves(restored), strict=True):
    for one, other in zip(before.addressable_shards, after.addressable_shards, strict=True):
        assert np.asarray(one.data).tobytes() == np.asarray(other.data).tobytes()
two = Mesh(np.array(jax.devices())[[0, 2]], ("data",))  # a device of each process
larger = PrioritizedReplay(10)
restored = checkpoint.restore(directory, larger, jnp.int32(0), mesh=two)
assert restored.tree.live.addressable_data(0).tolist() == [10]
print("all well")
