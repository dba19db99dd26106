"""Prioritized n-step double DQN on Gymnasium's CartPole, in one file: `python gymnasium_dqn.py`.

The environments run on the host, so the loop is one of Python. Each turn calls two compiled
functions: one acts, the other stores, draws, learns and re-prioritizes. It needs gymnasium, jax,
flax, optax, matplotlib and jaxper, and writes its learning curve to gymnasium_dqn_curve.png.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import optax
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from matplotlib.figure import Figure

import jaxper

SEED = 0
NUM_ENVS = 8
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

# The wrapper counts each episode's return once, and leaves out the ignored step after its end.
envs = RecordEpisodeStatistics(gymnasium.make_vec("CartPole-v1", NUM_ENVS, "sync"))
num_actions = int(envs.single_action_space.n)  # type: ignore[attr-defined]
# Gymnasium resets in the step after an end, and ignores the action of that step. The view has to
# know it, or resets would be drawn as if they were transitions.
view = jaxper.Transitions(NUM_ENVS, n_step=N_STEP, discount=DISCOUNT, autoreset="next_step")
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
        advantage = nn.Dense(num_actions)(hidden)
        return nn.Dense(1)(hidden) + advantage - advantage.mean(axis=-1, keepdims=True)


class Run(NamedTuple):
    """All that stays on the device from step to step."""

    key: jax.Array
    update: jax.Array  # int32 [], the number of updates so far
    params: Any
    target_params: Any
    optimizer_state: Any
    replay_state: Any


network = QNetwork()


def compute_q(params: Any, observation: jax.Array) -> jax.Array:
    """Computes the Q-values of observations [B, 4]; float32 [B, actions]."""
    q: Any = network.apply(params, observation)
    return q


def begin(key: jax.Array, observation: np.ndarray) -> Run:
    """Makes a network that knows nothing, and an empty replay."""
    key, network_key = jax.random.split(key)
    params = network.init(network_key, observation)
    # The replay learns from one step of one environment what it will store.
    flag = jnp.bool_(False)
    step = jaxper.TimeStep(observation[0], jnp.int32(0), jnp.float32(0), flag, flag)
    return Run(
        key=key,
        update=jnp.int32(0),
        params=params,
        # A copy: if the run is donated, no array may be in it twice.
        target_params=jax.tree.map(jnp.copy, params),
        optimizer_state=optimizer.init(params),
        replay_state=replay.init(step),
    )


@jax.jit
def act(run: Run, observation: jax.Array) -> jax.Array:
    """Chooses actions epsilon-greedily, int32 [NUM_ENVS]."""
    # The key is split here: in the loop each split would be one more call to the device.
    explore_key, action_key = jax.random.split(jax.random.fold_in(run.key, 2 * run.update))
    best = jnp.argmax(compute_q(run.params, observation), axis=-1)
    random_action = jax.random.randint(action_key, (NUM_ENVS,), 0, num_actions)
    explores = jax.random.uniform(explore_key, (NUM_ENVS,)) < epsilon_schedule(run.update)
    return jnp.where(explores, random_action, best).astype(jnp.int32)


@jax.jit(donate_argnums=0)
def store(run: Run, step: jaxper.TimeStep) -> Run:
    """Stores a step, arrays [1, NUM_ENVS, ...]. The given run is gone: its memory is reused."""
    return run._replace(replay_state=replay.add(run.replay_state, step))


def td_error(params: Any, target_params: Any, drawn: jaxper.Transition) -> jax.Array:
    """Computes the n-step double Q-learning errors of a batch, float32 [BATCH_SIZE]."""
    q = compute_q(params, drawn.observation)
    chosen = jnp.take_along_axis(q, drawn.action[:, None], axis=-1)[:, 0]
    best = jnp.argmax(compute_q(params, drawn.next_observation), axis=-1)
    next_q = compute_q(target_params, drawn.next_observation)
    value = jnp.take_along_axis(next_q, best[:, None], axis=-1)[:, 0]
    # The reward is the discounted sum of n steps, and the discount that of what follows them.
    return jax.lax.stop_gradient(drawn.reward + drawn.discount * value) - chosen


@jax.jit(donate_argnums=0)
def store_and_learn(run: Run, step: jaxper.TimeStep) -> tuple[Run, jax.Array]:
    """Stores a step, learns from a batch and gives it new priorities; returns the loss too."""
    # Add, draw, update: in this order, and donated, the replay is never copied.
    replay_state = replay.add(run.replay_state, step)
    key, beta = jax.random.fold_in(run.key, 2 * run.update + 1), beta_schedule(run.update)
    sample = replay.sample(replay_state, key, BATCH_SIZE, beta=beta)

    def compute_loss(params):
        errors = td_error(params, run.target_params, sample.items)
        return jnp.mean(sample.weights * optax.huber_loss(errors)), errors

    (loss, errors), gradients = jax.value_and_grad(compute_loss, has_aux=True)(run.params)
    change, optimizer_state = optimizer.update(gradients, run.optimizer_state, run.params)
    params = optax.apply_updates(run.params, change)
    run = Run(
        key=run.key,
        update=run.update + 1,
        params=params,
        target_params=optax.incremental_update(params, run.target_params, TARGET_RATE),
        optimizer_state=optimizer_state,
        replay_state=replay.update_priorities(replay_state, sample.ids, jnp.abs(errors)),
    )
    return run, loss


def play(observation: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, jaxper.TimeStep, list]:
    """Plays one step; returns what is seen next, the step, and the returns of ended episodes."""
    *arrays, info = envs.step(action)
    # Copies, because some environments write every step into the same arrays: the next step would
    # change them before they are stored, or while JAX, which may share their memory, reads them.
    after, reward, terminated, truncated = (np.array(array) for array in arrays)
    # The observation of a step is the one acted on. The leading axis is time: one step here.
    step = jaxper.TimeStep(observation, action, reward, terminated, truncated)
    step = jax.tree.map(lambda array: array[None], step)
    ended = info["episode"]["r"][info["_episode"]].tolist() if "episode" in info else []
    return after, step, ended


def train() -> np.ndarray:
    """Trains and prints a table; returns [episodes, 2]: steps at the end, and the return."""
    observation = np.array(envs.reset(seed=SEED)[0])
    envs.action_space.seed(SEED)
    run = begin(jax.random.key(SEED), observation)
    for _ in range(WARM_UP // NUM_ENVS):
        observation, step, _ = play(observation, envs.action_space.sample())
        run = store(run, step)

    print(f"{'steps':>8}{'return':>8}{'loss':>8}{'rejected':>10}{'stale':>7}")
    episodes, steps = [], WARM_UP
    for row in range(ROWS):
        returns, losses = [], []
        for _ in range(row * updates // ROWS, (row + 1) * updates // ROWS):
            action = np.asarray(act(run, observation))
            observation, step, ended = play(observation, action)
            run, loss = store_and_learn(run, step)
            # The losses stay on the device: fetching one would wait until it is computed.
            losses.append(loss)
            returns += ended
            steps += NUM_ENVS
            episodes += [(steps, value) for value in ended]
        mean, loss = sum(returns) / max(len(returns), 1), np.mean(jax.device_get(losses))
        # Priorities that were no priorities, and updates that came too late: both should stay 0.
        counts = f"{run.replay_state.rejected:>10}{run.replay_state.stale:>7}"
        print(f"{steps:>8}{mean:>8.1f}{loss:>8.3f}{counts}  {'#' * round(mean / 500 * 40)}")
    return np.array(episodes)


def plot(episodes: np.ndarray) -> None:
    """Plots the return of each episode as a dot, and the mean of twenty as a line."""
    steps, returns = episodes.T
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, returns, ".", color="tab:blue", alpha=0.25, label="an episode")
    mean = np.convolve(returns, np.full(20, 1 / 20), "valid")
    axes.plot(steps[19:], mean, color="tab:blue", label="mean of the last 20")
    axes.set(title="CartPole-v1", xlabel="steps of all environments", ylabel="return")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig("gymnasium_dqn_curve.png", dpi=120)


if __name__ == "__main__":
    plot(train())
