"""The README's Python runs as it stands."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp

README = Path(__file__).parent.parent / "README.md"


def test_the_code_of_the_readme_runs():
    def act(params, key):
        observation = jax.random.normal(key, (8, 4))
        return {"observation": observation, "target": observation.sum(axis=1)}

    def td_error(params, items):
        return items["target"] - items["observation"] @ params

    names = {"jax": jax, "jnp": jnp, "act": act, "td_error": td_error, "params": jnp.zeros(4)}
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(block, names)
    assert names["losses"][-1] < 0.1 * names["losses"][0]
