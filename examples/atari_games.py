"""Atari games on the host, in lockstep. They return single frames, and each life is an episode."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ale_py.vector_env import AtariVectorEnv

import jaxper


class Games:
    """Games in lockstep.

    After an end comes an ignored row, which holds the final observation of the episode.
    """

    def __init__(self, name: str, count: int, seed: int):
        self.env = AtariVectorEnv(name, num_envs=count, stack_num=1, episodic_life=True)
        self.actions = int(self.env.single_action_space.n)  # type: ignore[attr-defined]
        self.observation = self._make_observation(*self.env.reset(seed=seed))
        # Whether `observation` begins an episode, and whether the step before it was an end.
        self.first, self._ended = np.ones(count, bool), np.zeros(count, bool)

    def step(self, actions: np.ndarray) -> jaxper.TimeStep:
        """Plays one step of all games, and returns it, arrays [1, num_envs, ...]."""
        observation = self.observation
        frames, reward, terminated, truncated, info = self.env.step(actions)
        self.observation = self._make_observation(frames, info)
        self.first, self._ended = self._ended, (terminated | truncated) & ~self._ended
        step = jaxper.TimeStep(observation, actions, np.float32(reward), terminated, truncated)
        return jax.tree.map(lambda array: array[None], step)

    def _make_observation(self, frames: np.ndarray, info: dict[str, Any]) -> dict[str, np.ndarray]:
        """Returns the frame of each game, with its number in the episode."""
        number = np.array(info["episode_frame_number"], np.int32)
        return {"pixels": frames[:, 0].copy(), "frame": number}

    def make_example_step(self) -> jaxper.TimeStep:
        """Returns a step of one game, as an example for the `init` of a replay."""
        observation = jax.tree.map(lambda array: array[0], self.observation)
        false = jnp.bool_(False)
        return jaxper.TimeStep(observation, jnp.int32(0), jnp.float32(0), false, false)

    def make_empty_stack(self, count: int) -> Any:
        """Returns empty stacks of `count` frames for all games, arrays [num_envs, ..., count]."""
        return jax.tree.map(
            lambda array: jnp.zeros((*array.shape, count), array.dtype), self.observation
        )
