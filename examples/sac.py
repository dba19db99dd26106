"""Soft actor-critic on Pendulum, in one file to copy: `python sac.py`.

It has continuous actions, two critics and a learned temperature (Haarnoja et al., Soft Actor-Critic
Algorithms and Applications, 2018). Four seeds learn side by side under `vmap`. Each is one compiled
program: act, store, draw and learn in a `lax.scan`, with no host in the loop. It prints a table and
draws the learning curve. It needs jax, flax, optax, gymnax, matplotlib and jaxper.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import gymnax
import jax
import jax.numpy as jnp
import optax
from jax.scipy.stats import norm
from matplotlib.figure import Figure

import jaxper

SEEDS = 4
NUM_ENVS = 4
# Steps of all environments together.
WARM_UP = 1_600
TOTAL_STEPS = 40_000
# All steps are kept: with room for half of them, some seeds got worse again for a while.
CAPACITY = TOTAL_STEPS // NUM_ENVS * NUM_ENVS
BATCH_SIZE = 128
HIDDEN = 64
DISCOUNT = 0.99
TARGET_RATE = 0.01
# Rows of the table that is printed, and points of the curve.
ROWS = 16

env, env_params = gymnax.make("Pendulum-v1")
bounds: Any = env.action_space(env_params)
ACTIONS = bounds.shape[0]
# The paper's choice: -1 for each number of an action. The temperature is learned to hold it there.
TARGET_ENTROPY = -ACTIONS
# gymnax resets within the step that ends an episode: the next row is the first of the next one.
view = jaxper.Transitions(NUM_ENVS, n_step=1, discount=DISCOUNT, autoreset="same_step")
replay = jaxper.UniformReplay(CAPACITY, view=view)
optimizer = optax.adam(1e-3)
updates = (TOTAL_STEPS - WARM_UP) // (NUM_ENVS * ROWS) * ROWS


class Params(NamedTuple):
    """All that learns by gradients."""

    actor: Any
    critics: Any  # arrays [2, ...], a row for each critic
    log_temperature: jax.Array  # float32 []


class Run(NamedTuple):
    """All that one seed carries from step to step."""

    params: Params
    target_critics: Any  # arrays [2, ...]
    optimizer_state: Any
    replay_state: Any
    env_state: Any  # arrays [NUM_ENVS, ...]
    observation: jax.Array  # float32 [NUM_ENVS, 3]
    returns: jax.Array  # float32 [NUM_ENVS], of the episodes that are under way


class Log(NamedTuple):
    """The numbers of one step that are worth a look."""

    finished_returns: jax.Array  # float32 [], sum over the episodes that ended
    finished: jax.Array  # int32 [], number of episodes that ended
    critic_loss: jax.Array  # float32 []
    entropy: jax.Array  # float32 [], of the policy: should come near TARGET_ENTROPY
    temperature: jax.Array  # float32 []


def make_network(outputs: int) -> nn.Module:
    """Makes a network with two hidden layers."""
    hidden = [nn.Dense(HIDDEN), nn.relu, nn.Dense(HIDDEN), nn.relu]
    return nn.Sequential([*hidden, nn.Dense(outputs)])


# The policy has a mean and the logarithm of a deviation for each number of an action.
actor, critic = make_network(2 * ACTIONS), make_network(1)


def begin(key: jax.Array) -> Run:
    """Makes networks that know nothing, an empty replay and environments at their start."""
    reset_key, actor_key, critic_key = jax.random.split(key, 3)
    reset_keys = jax.random.split(reset_key, NUM_ENVS)
    observation, env_state = jax.vmap(env.reset, (0, None))(reset_keys, env_params)
    action = jnp.zeros(ACTIONS)
    critic_keys, critic_input = jax.random.split(critic_key), jnp.append(observation[0], action)
    params = Params(
        actor=actor.init(actor_key, observation[0]),
        critics=jax.vmap(critic.init, (0, None))(critic_keys, critic_input),
        log_temperature=jnp.float32(0),
    )
    # The replay learns from one step of one environment what it will store.
    flag = jnp.bool_(False)
    step = jaxper.TimeStep(observation[0], action, jnp.float32(0), flag, flag)
    return Run(
        params=params,
        # A copy: if the run is donated, no array may be in it twice.
        target_critics=jax.tree.map(jnp.copy, params.critics),
        optimizer_state=optimizer.init(params),
        replay_state=replay.init(step),
        env_state=env_state,
        observation=observation,
        returns=jnp.zeros(NUM_ENVS),
    )


def compute_log_probability(raw: jax.Array, mean: jax.Array, log_std: jax.Array) -> jax.Array:
    """Computes the log-probability of the actions tanh(raw) for a Gaussian raw; [B, n] to [B].

    The density of raw is divided by the slope of tanh, which is 1 - tanh(raw)^2. The logarithm of
    the slope is written in a form that stays finite if raw is large.
    """
    log_slope = 2 * (jnp.log(2.0) - raw - nn.softplus(-2 * raw))
    return jnp.sum(norm.logpdf(raw, mean, jnp.exp(log_std)) - log_slope, axis=-1)


def pick_action(params: Any, observation: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Picks random actions of the policy, in [-1, 1]; returns their log-probabilities too."""
    outputs: Any = actor.apply(params, observation)
    mean, log_std = jnp.split(outputs, 2, axis=-1)
    log_std = jnp.clip(log_std, -5.0, 2.0)
    raw = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
    return jnp.tanh(raw), compute_log_probability(raw, mean, log_std)


def compute_values(critics: Any, observation: jax.Array, action: jax.Array) -> jax.Array:
    """Computes the values of actions [B, n] by both critics; float32 [2, B]."""
    inputs = jnp.concatenate([observation, action], axis=-1)
    values: Any = jax.vmap(critic.apply, (0, None))(critics, inputs)
    return values[..., 0]


def act(run: Run, key: jax.Array) -> tuple[Run, tuple[jax.Array, jax.Array]]:
    """Plays one step in all environments and stores it; returns the log's first two numbers too."""
    action_key, step_key = jax.random.split(key)
    action, _ = pick_action(run.params.actor, run.observation, action_key)
    torque = bounds.low + (action + 1) / 2 * (bounds.high - bounds.low)
    step_keys = jax.random.split(step_key, NUM_ENVS)
    observation, env_state, reward, terminated, truncated, _ = jax.vmap(env.step, (0, 0, 0, None))(
        step_keys, run.env_state, torque, env_params
    )
    # Pendulum never terminates; after 200 steps it is truncated. The observation after that is not
    # stored, so no draw begins at that step. The discount of every other step is DISCOUNT.
    # The observation of a step is the one acted on. The leading axis is time: one step here.
    step = jaxper.TimeStep(run.observation, action, reward, terminated, truncated)
    returns, ended = run.returns + reward, terminated | truncated
    run = run._replace(
        replay_state=replay.add(run.replay_state, jax.tree.map(lambda x: x[None], step)),
        env_state=env_state,
        observation=observation,
        returns=jnp.where(ended, 0.0, returns),
    )
    return run, (jnp.sum(returns * ended), jnp.sum(ended))


def learn(run: Run, key: jax.Array) -> tuple[Run, tuple[jax.Array, jax.Array, jax.Array]]:
    """Draws a batch and learns from it; returns the log's other numbers too."""
    sample_key, next_key, action_key = jax.random.split(key, 3)
    drawn = replay.sample(run.replay_state, sample_key, BATCH_SIZE).items
    temperature = jnp.exp(run.params.log_temperature)
    next_action, next_log = pick_action(run.params.actor, drawn.next_observation, next_key)
    next_values = compute_values(run.target_critics, drawn.next_observation, next_action)
    # The smaller one of two noisy values is seldom too high.
    next_value = next_values.min(axis=0) - temperature * next_log
    target = drawn.reward + drawn.discount * next_value

    def compute_critic_loss(critics):
        values = compute_values(critics, drawn.observation, drawn.action)
        return jnp.mean(jnp.square(values - target))

    def compute_actor_loss(params):
        action, log_probability = pick_action(params, drawn.observation, action_key)
        value = compute_values(run.params.critics, drawn.observation, action).min(axis=0)
        return jnp.mean(temperature * log_probability - value), -jnp.mean(log_probability)

    loss, critic_gradient = jax.value_and_grad(compute_critic_loss)(run.params.critics)
    actor_gradient, entropy = jax.grad(compute_actor_loss, has_aux=True)(run.params.actor)
    # The temperature falls while the entropy is above its target, and rises while it is below.
    gradients = Params(actor_gradient, critic_gradient, entropy - TARGET_ENTROPY)
    change, optimizer_state = optimizer.update(gradients, run.optimizer_state)
    params: Any = optax.apply_updates(run.params, change)
    run = run._replace(
        params=params,
        target_critics=optax.incremental_update(params.critics, run.target_critics, TARGET_RATE),
        optimizer_state=optimizer_state,
    )
    return run, (loss, entropy, temperature)


def train(key: jax.Array) -> Log:
    """Trains one seed; arrays [updates] come back."""
    begin_key, warm_up_key, key = jax.random.split(key, 3)

    def train_step(run, key):
        act_key, learn_key = jax.random.split(key)
        # In this order: if the draw came first, the add would copy the whole replay.
        run, played = act(run, act_key)
        run, learned = learn(run, learn_key)
        return run, Log(*played, *learned)

    # A policy that knows nothing plays at random.
    warm_up_keys = jax.random.split(warm_up_key, WARM_UP // NUM_ENVS)
    run, _ = jax.lax.scan(act, begin(begin_key), warm_up_keys)
    _, log = jax.lax.scan(train_step, run, jax.random.split(key, updates))
    return log


def plot(steps: Any, returns: Any) -> None:
    """Plots returns [SEEDS, ROWS] over steps [ROWS]: the seeds as thin lines, and their mean."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, returns.T, color="gray", linewidth=0.8, alpha=0.7)
    axes.plot(steps, returns.mean(axis=0), linewidth=2)
    axes.set(xlabel="environment steps per seed", ylabel="return of finished episodes")
    axes.set_title(f"Soft actor-critic on Pendulum: {SEEDS} seeds and their mean")
    figure.savefig("sac_curve.png", dpi=120)


if __name__ == "__main__":
    log = jax.device_get(jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), SEEDS)))
    # Arrays [SEEDS, ROWS, updates in a row of the table].
    log = Log(*(array.reshape(SEEDS, ROWS, -1) for array in log))
    steps = [WARM_UP + (row + 1) * updates // ROWS * NUM_ENVS for row in range(ROWS)]
    returns = log.finished_returns.sum(axis=2) / log.finished.sum(axis=2).clip(1)
    print(f"{'steps':>8}{'return':>9}{'worst':>9}{'loss':>8}{'entropy':>9}{'temperature':>13}")
    for row in range(ROWS):
        mean, worst_seed = returns[:, row].mean(), returns[:, row].min()
        loss, entropy, temperature = (array[:, row].mean() for array in log[2:])
        learned = f"{loss:>8.2f}{entropy:>9.2f}{temperature:>13.3f}"
        # Empty at -1,600 and full at 0, the best there is.
        bar = "#" * round((mean + 1_600) / 1_600 * 40)
        print(f"{steps[row]:>8}{mean:>9.1f}{worst_seed:>9.1f}{learned}  {bar}")
    plot(steps, returns)
