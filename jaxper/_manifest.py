"""What a checkpoint says of itself, so that it is not restored as something else."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

import jaxper
from jaxper import _check_items, _store
from jaxper.stream import Stream
from jaxper.timestep import TimeStep

if TYPE_CHECKING:
    from jaxper.moves import Replay, State

FORMAT = 1
FREE = ("alpha", "epsilon", "strategy", "normalize")  # may differ: not what the arrays mean


def of(replay: Replay, state: State, extra: Any) -> dict[str, Any]:
    """The manifest of what is saved, as JSON holds it."""
    return {
        "format": FORMAT,
        "jaxper": jaxper.__version__,
        "replay": _fields(replay),
        "item": _leaves(item_of(state)),
        "leading": list(state.next_id.shape),
        "state": {name: [str(x.dtype), list(x.shape)] for name, x in _store.named(state).items()},
        "extra": None if extra is None else _leaves(extra),
    }


def check_format(where: Any, manifest: dict[str, Any]) -> None:
    """Refuses what another version wrote in a way that this one does not know."""
    if manifest["format"] != FORMAT:
        raise ValueError(
            f"{where} has format {manifest['format']}, this jaxper ({jaxper.__version__}) "
            f"reads format {FORMAT}; restore it with jaxper {manifest['jaxper']}"
        )


def check(
    where: Any, manifest: dict[str, Any], replay: Replay, item: Any, any_capacity: bool
) -> None:
    """Refuses to restore as another replay, naming each difference."""
    free = (*FREE, "capacity") if any_capacity else FREE
    saved, given = manifest["replay"], _fields(replay)
    common = [name for name in saved if name in given and name not in free]
    differences = _differences(
        "", {name: saved[name] for name in common}, {name: given[name] for name in common}
    )
    differences += _differences("item", manifest["item"], _leaves(_check_items.item_spec(item)))
    hint = ""
    if not any_capacity and saved["capacity"] != given["capacity"]:
        hint = (
            f"\nrestore with capacity={saved['capacity']}, then write "
            f"jaxper.resize(replay, state, {given['capacity']})"
        )
    _refuse(where, differences, hint)


def check_extra(where: Any, manifest: dict[str, Any], extra: Any) -> None:
    """Refuses what was saved as `extra` of another structure, shape or dtype."""
    if extra is None:
        return
    if manifest["extra"] is None:
        raise ValueError(f"{where} was saved without extra; leave it out")
    _refuse(where, _differences("extra", manifest["extra"], _leaves(extra)))


def check_state(replay: Replay, state: State) -> None:
    """Refuses to save what is no state of this replay."""
    if not isinstance(state, jaxper.PrioritizedState | jaxper.UniformState):
        raise ValueError(f"state must be the replay's, got {type(state).__name__}")
    expected = spec(replay, item_of(state), state.next_id.shape)
    differences = _differences("state", _leaves(state), _leaves(expected), ("given", "expected"))
    if differences:
        raise ValueError(f"the state is not one of {replay}:\n  " + "\n  ".join(differences))


def saved_replay(manifest: dict[str, Any], replay: Replay) -> Replay:
    """The replay as it was where that sets the state's layout; `check` has passed."""
    names = [name for name in ("capacity", "normalize") if hasattr(replay, name)]
    return dataclasses.replace(replay, **{name: manifest["replay"][name] for name in names})


def spec(replay: Replay, item: Any, leading: tuple[int, ...]) -> Any:
    """Shapes and dtypes of a state with these leading axes."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((*leading, *leaf.shape), leaf.dtype),
        jax.eval_shape(replay.init, item),
    )


def item_of(state: State) -> Any:
    """Shapes and dtypes of one item that the state was made for."""
    storage = state.storage
    if not isinstance(storage, Stream):
        return jax.tree.unflatten(storage.structure, storage.leaves)
    outer = storage.flags.ndim

    def one(leaves: Any) -> Any:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[outer:], x.dtype), leaves)

    flag = jax.ShapeDtypeStruct((), jnp.bool_)
    return TimeStep(
        one(storage.observation),
        one(storage.action),
        one(storage.reward),
        flag,
        flag,
        one(storage.extras),
    )


def _fields(config: Any) -> dict[str, Any]:
    """Class and fields of a configuration, those of its view after it."""
    fields: dict[str, Any] = {"class": type(config).__name__}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            inner = _fields(value).items()
            fields |= {f"{field.name}.{name}": inner_value for name, inner_value in inner}
        else:
            fields[field.name] = value
    return fields


def _leaves(tree: Any) -> dict[str, str]:
    """Path of each leaf: its dtype and shape."""
    leaves = _store.named(jax.eval_shape(lambda leaves: leaves, tree))
    return {path: f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves.items()}


def _differences(
    name: str,
    one: dict[str, Any],
    other: dict[str, Any],
    names: tuple[str, str] = ("saved", "given"),
) -> list[str]:
    """A line for each name under which they differ."""
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return [
        f"{name}{key}: {names[0]} {one.get(key, 'nothing')}, {names[1]} {other.get(key, 'nothing')}"
        for key in keys
    ]


def _refuse(where: Any, differences: list[str], hint: str = "") -> None:
    if differences:
        lines = "\n  ".join(differences)
        raise ValueError(f"{where} holds something else:\n  {lines}{hint}")
