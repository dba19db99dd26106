"""The API in thirty lines: one compiled function adds, samples, learns and re-prioritizes."""

import jax
import jax.numpy as jnp

import jaxper

# The replay is configuration and holds no arrays. All arrays are in its state.
replay = jaxper.PrioritizedReplay(capacity=1000, alpha=0.6)
# Items will have the shapes and dtypes of this example.
item = {"observation": jnp.zeros(4), "reward": jnp.float32(0)}
state = replay.init(item)
print(f"{replay}\n{replay.nbytes(item):,} bytes")


@jax.jit
def step(state, key):
    """Runs one step of a training loop."""
    data_key, sample_key = jax.random.split(key)
    observations = jax.random.normal(data_key, (16, 4))
    state = replay.add(state, {"observation": observations, "reward": observations.sum(axis=1)})
    sample = replay.sample(state, sample_key, batch_size=32, beta=0.4)
    td_errors = sample.items["reward"] - sample.items["observation"].mean(axis=1)
    # The weights correct for items that are drawn more often than others.
    loss = jnp.mean(sample.weights * td_errors**2)
    state = replay.update_priorities(state, sample.ids, jnp.abs(td_errors))
    return state, loss


state, losses = jax.lax.scan(step, state, jax.random.split(jax.random.key(0), 100))
print(f"loss {losses.mean():.3f}, {replay.size(state)} items")
for name, value in replay.stats(state)._asdict().items():
    print(f"{name:>22}  {value:.6g}")
