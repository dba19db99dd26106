"""An H200 to compile programs for, on a machine without one. The programs never run."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

TARGET = """
gpu_device_info {
  threads_per_warp: 32
  core_count: 132
  fpus_per_core: 128
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  registers_per_block_limit: 65536
  registers_per_core_limit: 65536
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  l2_cache_size: 52428800
  memory_bandwidth: 4800000000000
  device_memory_size: 151397597184
  clock_rate_ghz: 1.98
  cuda_compute_capability { major: 9 }
  driver_version: "12.9.0"
  runtime_version: "12.9.0"
  dnn_version: "9.10.0"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
device_description_str: "NVIDIA H200"
"""
AXIS = "device"
COLLECTIVES = ("all-", "collective-", "reduce-scatter")

# These operations cost no launch.
FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast"}

# Copies of at most this many bytes are not counted.
SMALL = 1024

_COMMENT = re.compile(r"/\*.*?\*/")
_OPERATION = re.compile(r"^ +(?:ROOT )?\S+ = (\((?:[^()]|\([^()]*\))*\)|\S+) ([\w-]+)\(")
_SHAPE = re.compile(r"([a-z]+)(\d+)\w*\[([\d,]*)\]")


class Program(NamedTuple):
    """The counts of a compiled program."""

    operations: int  # launches, those in the body of a loop counted once
    loops: int
    copies: int  # those of more than `SMALL` bytes
    crossing_bytes: int  # bytes that pass between devices
    temp_bytes: int
    donated_bytes: int  # bytes of arguments whose memory the results take over


@cache
def make_mesh(devices: int) -> Mesh:
    """Returns a mesh of this many H200s in a row, with the axis `AXIS`.

    Raises:
      SystemExit: the compiler for CUDA is not installed.
    """
    try:
        topology = topologies.get_topology_desc(
            platform="cuda", target_config=TARGET, topology=f"1x{devices}x1"
        )
    except (RuntimeError, KeyError, NotImplementedError, AssertionError) as error:
        version = jax.__version__
        raise SystemExit(
            f"no compiler for CUDA ({error}); write\n  pip install --no-deps "
            f"jax-cuda12-plugin=={version} jax-cuda12-pjrt=={version} "
            f"nvidia-cuda-nvcc-cu12 nvidia-cuda-runtime-cu12"
        ) from error
    return topologies.make_mesh(topology, (devices,), (AXIS,))


def compile_program(
    mesh: Mesh, function: Callable, state: Any, *arguments: Any, donate: bool = True
) -> Program:
    """Compiles a function for a mesh, and returns the counts of the program.

    Args:
      mesh: the devices. If there are several, each has one row of the state.
      function: takes the state and the arguments.
      state: shapes and dtypes of the state.
      arguments: shapes and dtypes of the arguments, which are the same on all devices.
      donate: whether the state is donated.
    """
    alike = NamedSharding(mesh, PartitionSpec())
    own = NamedSharding(mesh, PartitionSpec(AXIS)) if mesh.size > 1 else alike
    jitted = jax.jit(function, donate_argnums=0 if donate else ())
    program = jitted.lower(
        _attach_sharding(own, state), *_attach_sharding(alike, arguments)
    ).compile()
    memory, text = program.memory_analysis(), program.as_text()
    bodies = find_loop_bodies(text)
    launched = [
        operation for name in ("ENTRY", *bodies) for operation in list_operations(text, name)
    ]
    return Program(
        operations=sum(name not in FREE for name, _ in launched),
        loops=len(bodies),
        copies=sum(name.startswith("copy") and size > SMALL for name, size in launched),
        crossing_bytes=sum(size for name, size in launched if name.startswith(COLLECTIVES)),
        temp_bytes=memory.temp_size_in_bytes,
        donated_bytes=memory.alias_size_in_bytes,
    )


def _attach_sharding(sharding: NamedSharding, arrays: Any) -> Any:
    """Returns the shapes and dtypes of the arrays, with the sharding."""
    return jax.tree.map(
        lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding), arrays
    )


def find_loop_bodies(text: str) -> list[str]:
    """Returns the names of the computations that are the bodies of loops."""
    return re.findall(r" while\(.*body=(%[\w.-]+)", text)


def list_operations(text: str, computation: str) -> list[tuple[str, int]]:
    """Returns the name of each operation of a computation, and the bytes of its result."""
    lines = text[text.index(f"\n{computation} ") :].split("\n}", 1)[0].splitlines()
    found = (_OPERATION.match(_COMMENT.sub("", line)) for line in lines)
    return [(match[2], _count_bytes(match[1])) for match in found if match]


def _count_bytes(shapes: str) -> int:
    """Returns the bytes of all shapes in a text, such as `(f32[4], u8[2,3])`."""
    total = 0
    for _, bits, dimensions in _SHAPE.findall(shapes):
        size = int(bits)
        for dimension in filter(None, dimensions.split(",")):
            size *= int(dimension)
        total += size // 8
    return total
