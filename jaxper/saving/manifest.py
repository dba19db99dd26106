"""The manifest: a description saved with each checkpoint, and the checks against it on restore."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from typing import Any

from jaxper.checks import items
from jaxper.replay.types import Replay, State
from jaxper.transfer import state_spec

FORMAT = 2
VERSION = importlib.metadata.version("jaxper")
# Fields of a replay that may differ on restore, since they do not change the meaning of the arrays.
FREE = ("alpha", "epsilon", "strategy", "normalize")


def describe(replay: Replay, state: State, extra: Any) -> dict[str, Any]:
    """Returns the manifest of a state and its extra, in types that JSON has."""
    return {
        "format": FORMAT,
        "jaxper": VERSION,
        "replay": _config_fields(replay),
        "item": state_spec.describe(replay.view.item_spec(state.storage)),
        "leading": list(state.next_id.shape),
        "state": _array_specs(state),
        "extra": None if extra is None else state_spec.describe(extra),
    }


def check_format(directory: Any, manifest: dict[str, Any]) -> None:
    """Refuses a checkpoint whose format this version of jaxper cannot read."""
    if manifest["format"] != FORMAT:
        raise ValueError(
            f"{directory} has format {manifest['format']}, this jaxper ({VERSION}) "
            f"reads format {FORMAT}; restore it with jaxper {manifest['jaxper']}"
        )


def check_replay(
    directory: Any, manifest: dict[str, Any], replay: Replay, item: Any, any_capacity: bool
) -> None:
    """Refuses to restore under another replay or item; the error names each difference.

    Fields that only one of the two replays has are not compared.

    Args:
      directory: the directory of the checkpoint, for the error.
      manifest: the saved manifest.
      replay: the replay to restore with.
      item: arrays or `jax.ShapeDtypeStruct`s of one item.
      any_capacity: whether the capacity may differ.
    """
    free = (*FREE, "capacity") if any_capacity else FREE
    saved, given = manifest["replay"], _config_fields(replay)
    common = [name for name in saved if name in given and name not in free]
    differences = state_spec.list_differences(
        "", {name: saved[name] for name in common}, {name: given[name] for name in common}
    )
    differences += state_spec.list_differences(
        "item", manifest["item"], state_spec.describe(items.item_spec(item))
    )
    hint = ""
    if not any_capacity and saved["capacity"] != given["capacity"]:
        hint = (
            f"\nrestore with capacity={saved['capacity']}, then write "
            f"jaxper.resize(replay, state, {given['capacity']})"
        )
        if manifest["leading"]:
            hint += f"; or, if these are shards, {manifest['leading']}, restore onto a mesh=..."
    _refuse_differences(directory, differences, hint)


def check_state(directory: Any, manifest: dict[str, Any], expected: Any) -> None:
    """Refuses a state whose arrays have other names, dtypes or shapes than those of `expected`."""
    _refuse_differences(
        directory, state_spec.list_differences("state", manifest["state"], _array_specs(expected))
    )


def _array_specs(state: Any) -> dict[str, list[Any]]:
    """Returns dtype and shape of each array of a state under its name, in types that JSON has."""
    return {
        name: [str(x.dtype), list(x.shape)] for name, x in state_spec.arrays_by_path(state).items()
    }


def check_extra(directory: Any, manifest: dict[str, Any], extra: Any) -> None:
    """Refuses an `extra` of another structure, shape or dtype than the saved one."""
    if extra is None:
        return
    if manifest["extra"] is None:
        raise ValueError(f"{directory} was saved without extra; leave it out")
    _refuse_differences(
        directory,
        state_spec.list_differences("extra", manifest["extra"], state_spec.describe(extra)),
    )


def restore_replay(manifest: dict[str, Any], replay: Replay) -> Replay:
    """Returns `replay` with the saved capacity and normalize, which set the shapes of a state."""
    names = [name for name in ("capacity", "normalize") if hasattr(replay, name)]
    return dataclasses.replace(replay, **{name: manifest["replay"][name] for name in names})


def _config_fields(config: Any) -> dict[str, Any]:
    """Returns class and fields of a configuration; fields of its view are named `view.field`."""
    fields: dict[str, Any] = {"class": type(config).__name__}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            inner = _config_fields(value).items()
            fields |= {f"{field.name}.{name}": inner_value for name, inner_value in inner}
        else:
            fields[field.name] = value
    return fields


def _refuse_differences(directory: Any, differences: list[str], hint: str = "") -> None:
    if differences:
        lines = "\n  ".join(differences)
        raise ValueError(f"{directory} holds something else:\n  {lines}{hint}")
