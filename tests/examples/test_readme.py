"""The Python of the README and of the documents runs, as it stands and in order."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import jaxper

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"```(?:python|\{code-cell\} python)\n(.*?)```", re.DOTALL)


def run_blocks(path):
    """Runs the blocks of a page one after the other, and returns the names that they leave."""
    names: dict[str, Any] = {}
    for block in BLOCK.findall(path.read_text()):
        exec(block, names)
    return names


def test_the_readme_runs_as_it_stands_and_learns():
    names = run_blocks(README)
    reward = names["log"]["reward"]
    assert reward[:100].mean() < 0.02 < 0.1 < reward[-100:].mean()
    assert names["log"]["rejected"][-1] == names["log"]["stale"][-1] == 0
    assert README.read_text().count("\n") <= 150


def test_links_between_pages_lead_somewhere():
    for page in [README, ROOT / "CONTRIBUTING.md", *PAGES]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"


def is_copied(names, step):
    temporary = names["temporary_bytes"](names[step], *names["arguments"])
    return temporary > names["replay"].nbytes(names["item"]) / 2


# What each page with Python has to reach.
REACHED = {
    "compiled_envs": lambda n: 900 < int(n["replay"].size(n["state"])) < 64 * 16,
    "devices": lambda n: abs(n["params"] - 1).max() < 0.05 and n["state"].next_id[0] == 800,
    "host_loop": lambda n: n["drawn"].observation.shape == (32, 84, 84, 4),
    "in_place": lambda n: is_copied(n, "draw_then_add") and not is_copied(n, "add_then_draw"),
    "install": lambda n: n["jaxper"].__version__ == jaxper.__version__,
    "logging": lambda n: n["log"]["rejected"][-1] == 0 and "jnp.abs" in n["error"].get(),
    "one_scan": lambda n: n["losses"][-1] < 0.1 * n["losses"][0],
    "quickstart": lambda n: n["losses"][-1] < 0.1 * n["losses"][0],
    "saving": lambda n: int(n["replay"].size(n["state"])) == 8,
    "sequences": lambda n: (n["learns"].sum(axis=1) == 8).all(),
    "streams": lambda n: abs(n["target"] - (1 + 0.99 + 0.99**2)).max() < 1e-5,
    "sweeps": lambda n: n["losses"].shape == (5, 3, 2, 200) and n["losses"][..., -1].max() < 1,
    "warm_up": lambda n: abs(n["params"] - 1).max() < 0.01,
}


@pytest.mark.parametrize("page", REACHED)
def test_the_python_of_a_page_runs(page):
    if page == "compiled_envs" and find_spec("gymnax") is None:
        pytest.skip("gymnax is not installed")
    names = run_blocks(ROOT / "docs" / f"{page}.md")
    assert REACHED[page](names)


def test_no_page_with_python_is_left_out():
    assert sorted(REACHED) == [page.stem for page in PAGES if BLOCK.search(page.read_text())]


def test_steps_of_the_page_on_warm_up_copy_nothing():
    names = run_blocks(ROOT / "docs" / "warm_up.md")
    replay = jaxper.PrioritizedReplay(200_000)
    item = {"observation": jnp.zeros(4), "target": jnp.float32(0)}
    names["replay"] = replay
    carry = jax.eval_shape(lambda: (jnp.zeros(4), replay.init(item)))
    key = jax.eval_shape(jax.random.key, 0)
    for step in ("step_when_ready", "four_updates_a_step", "one_update_in_four_steps"):
        compiled = jax.jit(names[step], donate_argnums=0).lower(carry, key).compile()
        memory = compiled.memory_analysis()
        assert memory is not None
        assert memory.temp_size_in_bytes < 200_000, step


def test_the_picture_of_the_ring():
    """Steps 3 to 7 are live, but for the cut step 6 of environment 2."""
    view = jaxper.Transitions(3, n_step=2, frame_stack=2, autoreset="same_step")
    replay = jaxper.UniformReplay(24, view=view)
    flags = jnp.zeros((10, 3), bool)
    steps = jaxper.TimeStep(
        jnp.zeros((10, 3, 1)),
        jnp.zeros((10, 3), jnp.int32),
        jnp.zeros((10, 3)),
        terminated=flags.at[4, 1].set(True),
        truncated=flags.at[6, 2].set(True),
    )
    state = replay.init(jax.tree.map(lambda array: array[0, 0], steps))
    state = replay.add(state, jax.tree.map(lambda array: array[:5], steps))
    state = replay.add(state, jax.tree.map(lambda array: array[5:], steps))
    live = replay.probabilities(state, jnp.arange(30)).reshape(10, 3) > 0
    expected = jnp.zeros((10, 3), bool).at[3:8].set(True).at[6, 2].set(False)
    assert (live == expected).all()
