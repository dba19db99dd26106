"""The API in thirty lines: store, draw, learn, re-prioritise, all in one compiled function."""

import jax
import jax.numpy as jnp

import jaxper

replay = jaxper.PrioritizedReplay(capacity=1000, alpha=0.6)  # configuration: no arrays in it
item = {"observation": jnp.zeros(4), "reward": jnp.float32(0)}  # one item, as a specimen
state = replay.init(item)  # all arrays are in here
print(f"{replay}\n{replay.nbytes(item):,} bytes")


@jax.jit
def step(state, key):
    """One turn of a training loop."""
    data_key, sample_key = jax.random.split(key)
    observations = jax.random.normal(data_key, (16, 4))
    state = replay.add(state, {"observation": observations, "reward": observations.sum(axis=1)})
    sample = replay.sample(state, sample_key, batch_size=32, beta=0.4)
    td_errors = sample.items["reward"] - sample.items["observation"].mean(axis=1)
    loss = jnp.mean(sample.weights * td_errors**2)  # the weights undo what the draw prefers
    state = replay.update_priorities(state, sample.ids, jnp.abs(td_errors))
    return state, loss


state, losses = jax.lax.scan(step, state, jax.random.split(jax.random.key(0), 100))
print(f"loss {losses.mean():.3f}, {replay.size(state)} items")
for name, value in replay.stats(state)._asdict().items():
    print(f"{name:>22}  {value:.6g}")
