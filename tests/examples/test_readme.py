"""The Python of the README and of the documents runs."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import chex
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode

import jaxper

ROOT = Path(__file__).parents[2]


def blocks_of(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)


README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def run(blocks, names):
    assert blocks
    for block in blocks:
        exec(block, names)
    return names


def blocks_with(text):
    return [block for block in BLOCKS if text in block]


def regression():
    """Functions that a step of the documents calls: a line through random points."""

    def act(params, key):
        observation = jax.random.normal(key, (8, 4))
        return {"observation": observation, "target": observation.sum(axis=1)}

    def td_error(params, items):
        return items["target"] - items["observation"] @ params

    names = {"jaxper": jaxper, "jax": jax, "jnp": jnp, "params": jnp.zeros(4)}
    return names | {"act": act, "td_error": td_error}


def test_the_readme_runs_as_it_stands_and_learns():
    names: dict[str, Any] = {}
    (block,) = blocks_of(README)
    exec(block, names)
    reward = names["log"]["reward"]
    assert reward[:100].mean() < 0.02 < 0.1 < reward[-100:].mean()
    assert names["log"]["rejected"][-1] == names["log"]["stale"][-1] == 0
    assert README.read_text().count("\n") <= 150


def test_links_between_pages_lead_somewhere():
    for page in [README, ROOT / "CONTRIBUTING.md", *PAGES]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"


def test_a_training_step():
    names = run(blocks_with("def train_step"), regression())
    assert names["losses"][-1] < 0.1 * names["losses"][0]


def test_replays_side_by_side():
    names = {"jaxper": jaxper, "jax": jax, "jnp": jnp, "replay": jaxper.PrioritizedReplay(16)}
    names["items"] = {"observation": jnp.ones((8, 4, 4)), "target": jnp.arange(32.0).reshape(8, 4)}
    names["keys"] = jax.random.split(jax.random.key(0), 8)
    names = run(blocks_with("jnp.linspace(0, 1, 8)"), names)
    assert names["samples"].items["observation"].shape == (8, 256, 4)
    np.testing.assert_array_equal(names["samples"].items["target"] // 4, np.indices((8, 256))[0])


def test_many_devices():
    names = run(blocks_with("def shard_step"), regression())
    np.testing.assert_allclose(names["params"], 1, atol=0.05)
    assert names["state"].next_id.tolist() == [800]


def test_save_and_resume(tmp_path):
    replay = jaxper.UniformReplay(8)
    state = replay.add(replay.init(jnp.float32(0)), jnp.arange(5.0))
    names = {"directory": tmp_path, "replay": replay, "state": state, "item": jnp.float32(0)}
    names = run(blocks_with("checkpoint.save"), names | {"params": 3.0, "key": jax.random.key(1)})
    chex.assert_trees_all_equal(names["state"], state)
    assert names["rest"] == {"params": 3.0, "key": jax.random.key(1)}


def test_a_stream():
    zeros, never = jnp.zeros((6, 16)), jnp.zeros((6, 16), bool)
    frames = jnp.zeros((6, 16, 84, 84), jnp.uint8)
    steps = jaxper.TimeStep(frames, zeros.astype(jnp.int32), zeros + 1, never, never)
    names = {"jaxper": jaxper, "jax": jax, "jnp": jnp, "steps": steps, "key": jax.random.key(0)}
    names["value"] = lambda observation: observation.shape[1] * jnp.ones(len(observation))
    names = run(blocks_with("frame_stack=4)\nreplay ="), names)
    np.testing.assert_allclose(names["target"], 1 + 0.99 + 0.99**2 + 0.99**3 * 4, rtol=1e-5)


@pytest.mark.skipif(find_spec("gymnax") is None, reason="gymnax is not installed")
def test_feeding_from_gymnax():
    import gymnax

    names = {"jaxper": jaxper, "jax": jax, "jnp": jnp, "gymnax": gymnax, "key": jax.random.key(0)}
    names |= {"Any": Any, "NamedTuple": NamedTuple}
    names = run(blocks_with("gymnax.make") + blocks_with("class DelayedReset"), names)
    assert int(names["replay"].size(names["state"])) > 0
    one = jax.tree.map(lambda array: array[0], names["carry"])
    held = names["DelayedReset"](one[1], one[0], jnp.bool_(False))
    step = jax.jit(names["next_step"])
    ends = 0
    for key in jax.random.split(jax.random.key(1), 60):
        before = held
        held, observation, reward, terminated, truncated = step(key, held, jnp.int32(1))
        ends += bool(held.ended)
        assert bool(held.ended) == bool(terminated | truncated)
        if before.ended:
            np.testing.assert_array_equal(observation, before.first)
            assert reward == 0
        else:
            assert reward == 1
    assert ends > 3


def test_feeding_from_gymnasium_and_ale():
    names: dict[str, Any] = {"jaxper": jaxper, "jax": jax, "jnp": jnp, "gymnasium": gymnasium}
    names |= {"AutoresetMode": AutoresetMode, "AtariVectorEnv": AtariVectorEnv}
    names = run(blocks_with("AtariVectorEnv("), names)
    assert int(names["replay"].size(names["state"])) == 4 * 17


def test_each_block_is_run():
    tried = [
        "def train_step",
        "jnp.linspace(0, 1, 8)",
        "def shard_step",
        "checkpoint.save",
        "frame_stack=4)\nreplay =",
        "gymnax.make",
        "class DelayedReset",
    ]
    tried = [block for text in [*tried, "AtariVectorEnv("] for block in blocks_with(text)]
    assert sorted(tried) == sorted(BLOCKS)
