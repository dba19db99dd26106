"""What a checkpoint says of itself, so that it is not restored as something else."""

from __future__ import annotations

import dataclasses
from typing import Any

import jaxper
from jaxper.checks import items as _check_items
from jaxper.replay.types import Replay, State
from jaxper.transfer import state_spec as _state_spec

FORMAT = 2
FREE = ("alpha", "epsilon", "strategy", "normalize")  # may differ: not what the arrays mean


def of(replay: Replay, state: State, extra: Any) -> dict[str, Any]:
    """The manifest of what is saved, as JSON holds it."""
    return {
        "format": FORMAT,
        "jaxper": jaxper.__version__,
        "replay": _fields(replay),
        "item": _state_spec.leaves(replay.view.item_spec(state.storage)),
        "leading": list(state.next_id.shape),
        "state": _arrays(state),
        "extra": None if extra is None else _state_spec.leaves(extra),
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
    differences = _state_spec.differences(
        "", {name: saved[name] for name in common}, {name: given[name] for name in common}
    )
    differences += _state_spec.differences(
        "item", manifest["item"], _state_spec.leaves(_check_items.item_spec(item))
    )
    hint = ""
    if not any_capacity and saved["capacity"] != given["capacity"]:
        hint = (
            f"\nrestore with capacity={saved['capacity']}, then write "
            f"jaxper.resize(replay, state, {given['capacity']})"
        )
        if manifest["leading"]:
            hint += f"; or, if these are shards, {manifest['leading']}, restore onto a mesh=..."
    _refuse(where, differences, hint)


def check_state(where: Any, manifest: dict[str, Any], expected: Any) -> None:
    """Refuses arrays of other names, dtypes or shapes than those of the state `expected`."""
    _refuse(where, _state_spec.differences("state", manifest["state"], _arrays(expected)))


def _arrays(state: Any) -> dict[str, list[Any]]:
    """Dtype and shape of each array of a state by its name, as JSON holds them."""
    return {name: [str(x.dtype), list(x.shape)] for name, x in _state_spec.named(state).items()}


def check_extra(where: Any, manifest: dict[str, Any], extra: Any) -> None:
    """Refuses what was saved as `extra` of another structure, shape or dtype."""
    if extra is None:
        return
    if manifest["extra"] is None:
        raise ValueError(f"{where} was saved without extra; leave it out")
    _refuse(where, _state_spec.differences("extra", manifest["extra"], _state_spec.leaves(extra)))


def saved_replay(manifest: dict[str, Any], replay: Replay) -> Replay:
    """The replay as it was where that sets the state's layout; `check` has passed."""
    names = [name for name in ("capacity", "normalize") if hasattr(replay, name)]
    return dataclasses.replace(replay, **{name: manifest["replay"][name] for name in names})


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


def _refuse(where: Any, differences: list[str], hint: str = "") -> None:
    if differences:
        lines = "\n  ".join(differences)
        raise ValueError(f"{where} holds something else:\n  {lines}{hint}")
