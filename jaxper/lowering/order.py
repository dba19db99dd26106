"""The order of two computations that XLA would be free to choose.

Rule "in place" of README.md: a write happens in place if every earlier read of the buffer is
ordered before it.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_batching import custom_vmap

from jaxper.lowering import bits, limits


def order_after(value: Array, *reads: Array) -> Array:
    """Returns `value`, which XLA takes to depend on `reads`: floats [], or of its shape.

    XLA copies a buffer before it writes to it unless something orders an earlier read of that
    buffer first. An optimization barrier does not: it is gone before copies are placed. A data
    dependence does: no float is both NaN and 0, which XLA does not know. Should it ever learn, the
    test of copies under donation turns red.
    """
    for read in reads:
        value = jnp.where((read != read) & (read == 0), jnp.zeros_like(value), value)
    return value


def delay(values: Any, until: Array) -> Any:
    """Returns a pytree of arrays that are not ready before `until`, floats [] or [B], are known.

    CPU: rule "eight operations" of README.md. Other platforms: no effect.
    """
    return jax.tree.map(
        lambda value: _delay_on_cpu(value, until[0] if until.ndim else until), values
    )


def _delay_on_cpu(value: Array, until: Array) -> Array:
    value = vary_like(value, until)
    return jax.lax.platform_dependent(value, until, cpu=order_after, default=lambda value, _: value)


def delay_key(key: Array, until: Array) -> Array:
    """Returns a random key that is not ready before `until`, a float [], is known.

    CPU: rule "eight operations" of README.md. Several replays under `vmap` are work enough for two
    threads, so their keys need not wait.
    """
    # The result is unused, but JAX's check for reused keys has to see the key consumed here.
    jax.random.split(key)
    data = _delay_one_replay(jax.random.key_data(key), until)
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(key))


@custom_vmap
def _delay_one_replay(data: Array, until: Array) -> Array:
    return _delay_on_cpu(data, until)


@_delay_one_replay.def_vmap
def _pass_many_replays(
    replays: int, batched: list[bool], data: Array, until: Array
) -> tuple[Array, bool]:
    if replays == 1:
        data, until = (x[0] if b else x for x, b in zip((data, until), batched, strict=True))
        return _delay_one_replay(data, until)[None], True
    return vary_like(data, until), batched[0]


def vary_like(value: Array, *others: Array) -> Array:
    """Returns `value`, which `shard_map` takes to vary over the mesh axes that `others` vary over.

    `shard_map` refuses platform branches if one of them returns something that differs between
    devices and another does not. Compiles to nothing.
    """
    for other in others:
        if value.size and other.size:
            value = jnp.where(False, some_bits(other).astype(value.dtype), value)
    return value


def some_bits(array: Array) -> Array:
    """Some bits of an array, uint32 []."""
    first = array.ravel()[0]
    number = jax.lax.real(first) if jnp.iscomplexobj(first) else first
    return bits.as_bits(number).astype(jnp.uint32)


def settle(*values: Array) -> list[Array]:
    """Returns values that are all complete before anything that uses one of them begins.

    GPU: rule "fusion" of README.md, an optimization barrier. CPU: no effect; see `compute_once`.
    """
    return jax.lax.platform_dependent(
        *values,
        cpu=lambda *values: list(values),
        default=lambda *values: list(jax.lax.optimization_barrier(values)),
    )


def settle_everywhere(*values: Array) -> list[Array]:
    """Does what `settle` does, with the same barrier in the program of a CPU."""
    return list(jax.lax.optimization_barrier(values))


def settle_scalars(rows: int, *numbers: Array) -> tuple[Array, ...]:
    """Returns scalars computed from `rows` rows, all complete before anything uses one of them.

    GPU: it would count few rows again in each operation that uses a count, and read leaves that are
    overwritten by then. With more rows it counts once anyway.
    """
    return tuple(settle(*numbers)) if rows < limits.GPU_RECOUNTED_ROWS else numbers
