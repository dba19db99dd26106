"""How many operations the replay becomes on an H200: `python -m benchmarks.device_ops`.

It compiles every public operation and whole steps, on a machine without a GPU, and prints a table
of what the compiler made of them. Nothing is run: a count is not a time, it pins the structure.
The command fails where a count is above its bound.
"""

import sys

import jax

from benchmarks.harness import h200
from benchmarks.harness.device_cases import ADDED, BATCH, CAPACITY, MEBIBYTE, list_cases
from jaxper.storage import ring

jax.config.update("jax_platforms", "cpu")  # the GPU is only compiled for

MAX_CROSSING_BYTES = 16  # bytes between devices: a few scalars


def main() -> None:
    failed = []
    print(f"jax {jax.__version__}, {CAPACITY:,} slots, add {ADDED}, sample and update {BATCH}\n")
    print("| compiled for an H200 | operations | at most | loops | copies | temp KiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for case in list_cases():
        mesh, donate = h200.make_mesh(case.devices), case.donated != ()
        program = h200.compile_program(mesh, case.function, *case.arguments, donate=donate)
        print(
            f"| {case.name} | {program.operations} | {case.max_operations} | {program.loops} "
            f"| {program.copies} | {program.temp_bytes / 1024:,.0f} |",
            flush=True,
        )
        if (
            program.operations > case.max_operations
            or program.operations
            < min(case.max_operations, 1)  # none found: does the pattern still fit?
            or program.loops > case.max_loops
            or program.copies
            or program.crossing_bytes > MAX_CROSSING_BYTES
            or program.temp_bytes > case.max_temp_bytes
            or program.donated_bytes < ring.nbytes(case.donated) / case.devices - MEBIBYTE
        ):
            failed.append(case.name)
    if failed:
        sys.exit(f"above its bound, with a copy or not donated whole: {', '.join(failed)}")


if __name__ == "__main__":
    main()
