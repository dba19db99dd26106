"""Draws from real environments are what the environments returned, across episode ends."""

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode

from jaxper import TimeStep, Transitions, UniformReplay

ENVS, ROWS, ADDS = 3, 24, 3


class Recorded:
    """Records what an environment was given and returned, row by row."""

    def __init__(self):
        self.observation, self.action, self.reward = [], [], []
        self.terminated, self.truncated = [], []
        self.led_to = []  # the observation that the action led to, also where a reset followed
        self.ignored = []  # whether the action was ignored, as the environment documents it

    def append(self, observation, action, reward, terminated, truncated, led_to, ignored):
        row = (observation, action, reward, terminated, truncated, led_to, ignored)
        for column, value in zip(vars(self).values(), row, strict=True):
            column.append(np.array(value))

    def steps(self, begin, end):
        names = ("observation", "action", "reward", "terminated", "truncated")
        return TimeStep(*[np.stack(getattr(self, name)[begin:end]) for name in names])


def play_gymnax():
    """CartPole with a time limit of 15 steps, stepped and reset in one call."""
    gymnax = pytest.importorskip("gymnax")
    env, params = gymnax.make("CartPole-v1")
    params = params.replace(max_steps_in_episode=15)
    reset = jax.jit(jax.vmap(lambda key: env.reset(key, params)))
    step = jax.jit(jax.vmap(lambda *arguments: env.step(*arguments, params)))
    recorded, never = Recorded(), np.zeros(ENVS, bool)
    keys = jax.random.split(jax.random.key(0), (ROWS * ADDS + 1, ENVS))
    observation, state = reset(keys[0])
    for row_keys in keys[1:]:
        action = jax.vmap(lambda key: jax.random.randint(key, (), 0, 2))(row_keys)
        new, state, reward, terminated, truncated, info = step(row_keys, state, action)
        led_to = info["final_observation"]
        recorded.append(observation, action, reward, terminated, truncated, led_to, never)
        observation = new
    return recorded


def play_gymnasium(mode):
    """CartPole with a time limit of 15 steps."""
    env = gymnasium.make_vec(
        "CartPole-v1",
        ENVS,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        max_episode_steps=15,
    )
    return play(env, mode, lambda observation: observation)


def play_atari():
    """Breakout, each life an episode, cut off after 110 frames; it resets on the next step."""
    env = AtariVectorEnv(
        "breakout",
        num_envs=ENVS,
        stack_num=1,
        noop_max=0,
        episodic_life=True,
        max_num_frames_per_episode=110,
    )
    return play(env, AutoresetMode.NEXT_STEP, lambda frames: frames[:, 0])


def play(env, mode, observe):
    random, recorded = np.random.default_rng(1), Recorded()
    raw, _ = env.reset(seed=1)
    ended = np.zeros(ENVS, bool)
    for _ in range(ROWS * ADDS):
        observation = observe(raw)
        action = random.integers(0, env.single_action_space.n, ENVS)
        raw, reward, terminated, truncated, info = env.step(action)
        led_to = observe(raw).copy()
        for i in np.flatnonzero(info.get("_final_obs", [])):
            led_to[i] = info["final_obs"][i]
        recorded.append(observation, action, reward, terminated, truncated, led_to, ended)
        ended = terminated | truncated if mode == AutoresetMode.NEXT_STEP else ended
    env.close()
    return recorded


PLAYS: dict[str, Any] = {
    "gymnax": (play_gymnax, "same_step"),
    "gymnasium, same step": (lambda: play_gymnasium(AutoresetMode.SAME_STEP), "same_step"),
    "gymnasium, next step": (lambda: play_gymnasium(AutoresetMode.NEXT_STEP), "next_step"),
    "ale": (play_atari, "next_step"),
}


@pytest.mark.parametrize("name", PLAYS)
def test_draws_are_what_the_environment_returned(name):
    played, autoreset = PLAYS[name]
    recorded = played()
    ended = np.array(recorded.terminated) | np.array(recorded.truncated)
    assert ended.any(axis=0).all()
    assert np.array(recorded.truncated).any()

    view = Transitions(ENVS, 1, 0.9, frame_stack=2, autoreset=autoreset)
    replay = UniformReplay(2 * ROWS * ENVS, view=view)
    one = jax.tree.map(lambda array: array[0, 0], recorded.steps(0, 1))
    state, add, get = replay.init(one), jax.jit(replay.add), jax.jit(replay.get)
    for row in range(0, ROWS * ADDS, ROWS):
        state = add(state, recorded.steps(row, row + ROWS))
        check(recorded, replay, state, get, row + ROWS, autoreset)


def check(recorded, replay, state, get, rows, autoreset):
    """Every step that can be drawn is, and comes back as it was."""
    oldest = max(0, rows - 2 * ROWS)
    places = [(t, env) for t in range(oldest, oldest + 2 * ROWS) for env in range(ENVS)]
    ids = jnp.array([t * ENVS + env for t, env in places])
    live = np.asarray(replay.probabilities(state, ids)) > 0
    drawn = jax.tree.map(np.asarray, get(state, ids))
    first_complete = oldest + (rows > 2 * ROWS)
    for i, (t, env) in enumerate(places):
        expected = first_complete <= t < rows - 1 and not recorded.ignored[t][env]
        if autoreset == "same_step" and expected:
            expected = recorded.terminated[t][env] or not recorded.truncated[t][env]
        assert live[i] == expected
        if expected:
            check_draw(recorded, t, env, jax.tree.map(lambda array, i=i: array[i], drawn))


def check_draw(recorded, t, env, drawn):
    observation, led_to = recorded.observation[t][env], recorded.led_to[t][env]
    began = t == 0 or recorded.ignored[t - 1][env]
    began |= not np.array_equal(recorded.led_to[t - 1][env], observation)
    before = observation if began else recorded.observation[t - 1][env]
    np.testing.assert_array_equal(drawn.observation, [before, observation])
    if not recorded.terminated[t][env]:
        np.testing.assert_array_equal(drawn.next_observation, [observation, led_to])
    assert drawn.action == recorded.action[t][env]
    assert drawn.reward == np.float32(recorded.reward[t][env])
    assert drawn.discount == (0 if recorded.terminated[t][env] else np.float32(0.9))
