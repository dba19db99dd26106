"""Atari on the host: games in lockstep, single frames, each life an episode."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ale_py.vector_env import AtariVectorEnv

import jaxper


class Games:
    """Games in lockstep. After an end comes a row that only shows where it led."""

    def __init__(self, name: str, count: int, seed: int):
        self.env = AtariVectorEnv(name, num_envs=count, stack_num=1, episodic_life=True)
        self.actions = int(self.env.single_action_space.n)  # type: ignore[attr-defined]
        self.observation = self._make_observation(*self.env.reset(seed=seed))
        self.first = np.ones(count, bool)  # whether `observation` begins an episode
        self._ended = np.zeros(count, bool)

    def step(self, actions: np.ndarray) -> jaxper.TimeStep:
        """The row that the actions make, leaves [1, num_envs, ...]."""
        before = self.observation
        frames, reward, terminated, truncated, info = self.env.step(actions)
        self.observation = self._make_observation(frames, info)
        self.first, self._ended = self._ended, (terminated | truncated) & ~self._ended
        step = jaxper.TimeStep(before, actions, np.float32(reward), terminated, truncated)
        return jax.tree.map(lambda leaf: leaf[None], step)

    def _make_observation(self, frames: np.ndarray, info: dict[str, Any]) -> dict[str, np.ndarray]:
        number = np.array(info["episode_frame_number"], np.int32)
        return {"pixels": frames[:, 0].copy(), "frame": number}

    def make_example_step(self) -> jaxper.TimeStep:
        """An example of what is stored of each game."""
        observation = jax.tree.map(lambda leaf: leaf[0], self.observation)
        flag = jnp.bool_(False)
        return jaxper.TimeStep(observation, jnp.int32(0), jnp.float32(0), flag, flag)

    def make_empty_stack(self, count: int) -> Any:
        """Stacks of `count` frames for all games, leaves [num_envs, ..., count]."""
        return jax.tree.map(
            lambda leaf: jnp.zeros((*leaf.shape, count), leaf.dtype), self.observation
        )
