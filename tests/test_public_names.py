"""Tests of the package as a user sees it: its names, and where its classes say they come from."""

import doctest
import pickle

import jax
import jax.numpy as jnp
import pytest

import jaxper
from jaxper import PrioritizedReplay, TimeStep, Transitions, UniformReplay

CLASSES = [name for name in jaxper.__all__ if isinstance(getattr(jaxper, name), type)]


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_says_that_it_is_of_the_package(name):
    public = getattr(jaxper, name)
    assert public.__module__ == "jaxper"
    assert pickle.loads(pickle.dumps(public)) is public
    assert b"jaxper\n" in pickle.dumps(public, protocol=0)


def test_the_sum_tree_says_where_users_find_it():
    assert jaxper.sum_tree.SumTree.__module__ == "jaxper.sum_tree"


def test_dir_lists_only_what_is_public():
    names = {name for name in dir(jaxper) if not name.startswith("__")}
    assert names == set(jaxper.__all__)


@pytest.mark.parametrize("name", CLASSES)
def test_the_examples_of_its_methods_run(name):
    """Pytest collects those of functions and modules; of a class it leaves out its methods."""
    public = getattr(jaxper, name)
    names = vars(jaxper) | {"jax": jax, "jnp": jnp}
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(public, name, module=False, globs=names):
        runner.run(test)
    assert not runner.summarize(verbose=False).failed


def test_replays_and_states_pickle():
    view = Transitions(2, 3, autoreset="same_step")
    step = TimeStep(jnp.zeros(3), jnp.int32(0), jnp.float32(0), jnp.bool_(0), jnp.bool_(0))
    for replay in (PrioritizedReplay(16, view=view), UniformReplay(16, view=view)):
        assert pickle.loads(pickle.dumps(replay)) == replay
        state = replay.init(step)
        again = pickle.loads(pickle.dumps(state))
        assert jax.tree.structure(again) == jax.tree.structure(state)


def test_there_is_no_module_behind_a_functions_name():
    import jaxper.transfer.resize

    assert callable(jaxper.resize)
    assert jaxper.resize is jaxper.transfer.resize.resize
