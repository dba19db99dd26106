"""Prioritized n-step double DQN on CartPole, in one file to copy: `python dqn_single_file.py`.

Four seeds learn side by side under `vmap`. Each is one compiled program: act, store, draw, learn
and re-prioritize in a `lax.scan`, with no host in the loop. It needs jax, flax, optax, gymnax and
jaxper.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import gymnax
import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

import jaxper

SEEDS = 4
NUM_ENVS = 16
# Steps of all environments together.
WARM_UP = 2_000
TOTAL_STEPS = 100_000
CAPACITY = 50_000 // NUM_ENVS * NUM_ENVS
BATCH_SIZE = 128
N_STEP = 3
DISCOUNT = 0.99
ALPHA = 0.6
TARGET_RATE = 0.02
# Rows of the table that is printed.
ROWS = 12

env, env_params = gymnax.make("CartPole-v1")
# gymnax resets within the step that ends an episode: the next row is the first of the next one.
view = jaxper.Transitions(NUM_ENVS, n_step=N_STEP, discount=DISCOUNT, autoreset="same_step")
replay = jaxper.PrioritizedReplay(CAPACITY, alpha=ALPHA, view=view)
optimizer = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(1e-3))
updates = (TOTAL_STEPS - WARM_UP) // NUM_ENVS
epsilon_schedule = optax.linear_schedule(1.0, 0.02, updates // 4)
beta_schedule = optax.linear_schedule(0.4, 1.0, updates)


class QNetwork(nn.Module):
    """Dueling Q-values of each action."""

    @nn.compact
    def __call__(self, observation):
        hidden = nn.relu(nn.Dense(128)(observation))
        hidden = nn.relu(nn.Dense(128)(hidden))
        advantage = nn.Dense(env.num_actions)(hidden)
        return nn.Dense(1)(hidden) + advantage - advantage.mean(axis=-1, keepdims=True)


class Run(NamedTuple):
    """All that one seed carries from step to step."""

    params: Any
    target_params: Any
    optimizer_state: Any
    replay_state: Any
    env_state: Any  # arrays [NUM_ENVS, ...]
    observation: jax.Array  # float32 [NUM_ENVS, 4]
    returns: jax.Array  # float32 [NUM_ENVS], of the episodes that are under way


class Log(NamedTuple):
    """The numbers of one step that are worth a look."""

    finished_returns: jax.Array  # float32 [], sum over the episodes that ended
    finished: jax.Array  # int32 [], number of episodes that ended
    loss: jax.Array  # float32 []
    rejected: jax.Array  # uint32 [], priorities that were no priorities: should stay 0
    stale: jax.Array  # uint32 [], updates that came too late: should stay 0


network = QNetwork()


def compute_q(params: Any, observation: jax.Array) -> jax.Array:
    """Computes the Q-values of observations [B, 4]; float32 [B, actions]."""
    q: Any = network.apply(params, observation)
    return q


def begin(key: jax.Array) -> Run:
    """Makes a network that knows nothing, an empty replay and environments at their start."""
    reset_key, network_key = jax.random.split(key)
    reset_keys = jax.random.split(reset_key, NUM_ENVS)
    observation, env_state = jax.vmap(env.reset, (0, None))(reset_keys, env_params)
    params = network.init(network_key, observation[0])
    # The replay learns from one step of one environment what it will store.
    flag = jnp.bool_(False)
    step = jaxper.TimeStep(observation[0], jnp.int32(0), jnp.float32(0), flag, flag)
    return Run(
        params=params,
        # A copy: if the run is donated, no array may be in it twice.
        target_params=jax.tree.map(jnp.copy, params),
        optimizer_state=optimizer.init(params),
        replay_state=replay.init(step),
        env_state=env_state,
        observation=observation,
        returns=jnp.zeros(NUM_ENVS),
    )


def act(run: Run, key: jax.Array, epsilon: ArrayLike) -> tuple[Run, Log]:
    """Plays one step in all environments, epsilon-greedily, and stores it."""
    explore_key, action_key, step_key = jax.random.split(key, 3)
    best = jnp.argmax(compute_q(run.params, run.observation), axis=-1)
    random_action = jax.random.randint(action_key, (NUM_ENVS,), 0, env.num_actions)
    explores = jax.random.uniform(explore_key, (NUM_ENVS,)) < epsilon
    action = jnp.where(explores, random_action, best).astype(jnp.int32)
    step_keys = jax.random.split(step_key, NUM_ENVS)
    observation, env_state, reward, terminated, truncated, _ = jax.vmap(env.step, (0, 0, 0, None))(
        step_keys, run.env_state, action, env_params
    )
    # The observation of a step is the one acted on. The leading axis is time: one step here.
    step = jaxper.TimeStep(run.observation, action, reward, terminated, truncated)
    step = jax.tree.map(lambda array: array[None], step)
    replay_state = replay.add(run.replay_state, step)
    returns, ended = run.returns + reward, terminated | truncated
    run = run._replace(
        replay_state=replay_state,
        env_state=env_state,
        observation=observation,
        returns=jnp.where(ended, 0.0, returns),
    )
    log = Log(
        finished_returns=jnp.sum(returns * ended),
        finished=jnp.sum(ended),
        loss=jnp.float32(0),
        rejected=replay_state.rejected,
        stale=replay_state.stale,
    )
    return run, log


def td_error(params: Any, target_params: Any, drawn: jaxper.Transition) -> jax.Array:
    """Computes the n-step double Q-learning errors of a batch, float32 [BATCH_SIZE]."""
    q = compute_q(params, drawn.observation)
    chosen = jnp.take_along_axis(q, drawn.action[:, None], axis=-1)[:, 0]
    best = jnp.argmax(compute_q(params, drawn.next_observation), axis=-1)
    next_q = compute_q(target_params, drawn.next_observation)
    value = jnp.take_along_axis(next_q, best[:, None], axis=-1)[:, 0]
    # The reward is the discounted sum of n steps, and the discount that of what follows them.
    return jax.lax.stop_gradient(drawn.reward + drawn.discount * value) - chosen


def learn(run: Run, key: jax.Array, beta: ArrayLike) -> tuple[Run, jax.Array]:
    """Draws a batch, learns from it and gives it new priorities; returns the loss too."""
    sample = replay.sample(run.replay_state, key, BATCH_SIZE, beta=beta)

    def compute_loss(params):
        errors = td_error(params, run.target_params, sample.items)
        return jnp.mean(sample.weights * optax.huber_loss(errors)), errors

    (loss, errors), gradients = jax.value_and_grad(compute_loss, has_aux=True)(run.params)
    change, optimizer_state = optimizer.update(gradients, run.optimizer_state, run.params)
    params = optax.apply_updates(run.params, change)
    replay_state = replay.update_priorities(run.replay_state, sample.ids, jnp.abs(errors))
    run = run._replace(
        params=params,
        target_params=optax.incremental_update(params, run.target_params, TARGET_RATE),
        optimizer_state=optimizer_state,
        replay_state=replay_state,
    )
    return run, loss


def train(key: jax.Array) -> Log:
    """Trains one seed; arrays [updates] come back."""
    begin_key, warm_up_key, key = jax.random.split(key, 3)

    def warm_up(run, key):
        return act(run, key, epsilon=1.0)

    def train_step(run, inputs):
        step, key = inputs
        act_key, sample_key = jax.random.split(key)
        run, log = act(run, act_key, epsilon_schedule(step))
        run, loss = learn(run, sample_key, beta_schedule(step))
        return run, log._replace(loss=loss)

    warm_up_keys = jax.random.split(warm_up_key, WARM_UP // NUM_ENVS)
    run, _ = jax.lax.scan(warm_up, begin(begin_key), warm_up_keys)
    inputs = (jnp.arange(updates), jax.random.split(key, updates))
    _, log = jax.lax.scan(train_step, run, inputs)
    return log


if __name__ == "__main__":
    log = jax.device_get(jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), SEEDS)))
    print(f"{'steps':>8}{'return':>8}{'loss':>8}{'rejected':>10}{'stale':>7}")
    for row in range(ROWS):
        part = slice(row * updates // ROWS, (row + 1) * updates // ROWS)
        mean = log.finished_returns[:, part].sum() / log.finished[:, part].sum().clip(1)
        steps = WARM_UP + part.stop * NUM_ENVS
        counts = f"{log.rejected[:, part].max():>10}{log.stale[:, part].max():>7}"
        bar = "#" * round(mean / 500 * 40)
        print(f"{steps:>8}{mean:>8.1f}{log.loss[:, part].mean():>8.3f}{counts}  {bar}")
