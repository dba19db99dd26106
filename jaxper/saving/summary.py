"""A table of the contents of a checkpoint, made from its scalars and leaves, not its items."""

import math
from typing import Any

import jax
import numpy as np

from jaxper.saving import manifest, store

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
SCALARS = ("stored", "max_priority", "alpha", "discount", "rejected", "stale")


def make_table(place: store.Place) -> str:
    """Returns a table of configuration, items, fill, quantiles of priorities, and size on disk."""
    saved = store.read_manifest(place)
    manifest.check_format(place.directory, saved)
    arrays = _read_arrays(place, saved)
    parts = [
        {"checkpoint": place.folder, "on disk": _format_size(store.nbytes(place.folder))},
        saved["replay"] | _shard_axes(saved),
        {f"item{path}": spec for path, spec in saved["item"].items()},
        _summarize_fill(arrays, saved["replay"]["capacity"]),
        _summarize_priorities(arrays, saved["replay"].get("epsilon", 0.0)),
        {f"extra{path}": spec for path, spec in (saved["extra"] or {}).items()},
    ]
    return "\n\n".join(_format_lines(part) for part in parts if part)


def _read_arrays(place: store.Place, saved: dict[str, Any]) -> dict[str, np.ndarray]:
    """Reads the scalars and leaves that the state has, by name."""
    wanted = [f".{name}" for name in SCALARS] + [".tree.leaves"]
    specs = {name: saved["state"][name] for name in wanted if name in saved["state"]}
    specs = {name: jax.ShapeDtypeStruct(shape, dtype) for name, (dtype, shape) in specs.items()}
    found = store.read_arrays(place, "state", specs)
    return {name[1:]: array for name, array in found.items()}


def _shard_axes(saved: dict[str, Any]) -> dict[str, Any]:
    leading = saved["leading"]
    return {"replays": " x ".join(map(str, leading))} if leading else {}


def _summarize_fill(arrays: dict[str, np.ndarray], capacity: int) -> dict[str, Any]:
    """Collects the fill and the scalars of a state, over all its replays."""
    fill = int(arrays["stored"].sum(dtype=np.int64))
    leaves = arrays.get("tree.leaves")
    scalars = {name: _format_range(arrays[name]) for name in SCALARS[1:] if name in arrays}
    return {
        "stored": fill,
        "live": fill if leaves is None else np.count_nonzero(leaves),
        "fill": f"{fill / (capacity * arrays['stored'].size):.1%}",
    } | scalars


def _format_range(values: np.ndarray) -> str:
    """Shows one number if all are equal, or the smallest and the largest."""
    form = "g" if values.dtype.kind == "f" else "d"
    low, high = (format(value, form) for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def _summarize_priorities(arrays: dict[str, np.ndarray], epsilon: float) -> dict[str, Any]:
    """Computes quantiles of the leaves above 0 and of the priorities, leaf^(1/alpha) - epsilon."""
    if "alpha" not in arrays or not arrays["tree.leaves"].any():
        return {}
    leaves = arrays["tree.leaves"].astype(np.float64)
    alpha = np.broadcast_to(arrays["alpha"].astype(np.float64)[..., None, None], leaves.shape)
    leaves, alpha = leaves[leaves > 0], alpha[leaves > 0]
    columns = {"leaf": leaves}
    # If any alpha is 0, its leaves are all 1 and say nothing about priorities: no column of these.
    if alpha.all():
        columns["priority"] = np.maximum(leaves ** (1 / alpha) - epsilon, 0)
    values = np.quantile(np.stack(list(columns.values())), QUANTILES, axis=1)
    rows = {f"{q:.0%}": row for q, row in zip(QUANTILES, values, strict=True)}
    rows = {q: "".join(f"{value:>12.4g}" for value in row) for q, row in rows.items()}
    return {"quantile": "".join(f"{name:>12}" for name in columns)} | rows


def _format_size(count: int) -> str:
    """Shows a number of bytes in the largest unit below it."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    power = min(int(math.log(max(count, 1), 1000)), len(units) - 1)
    return f"{count / 1000**power:.{1 if power else 0}f} {units[power]}"


def _format_lines(rows: dict[str, Any]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())
