"""How many operations the replay becomes on an H200: `python -m benchmarks.device_ops`.

It compiles all public operations and whole steps, on a machine without a GPU, and prints a table
of the operations, loops and copies in each program. No program runs: a count is not a time, but it
tells if the structure of a program has changed. The command fails if a count is above its bound.
"""

import sys

import jax

from benchmarks.harness import h200
from benchmarks.harness.arrays import nbytes
from benchmarks.harness.device_cases import ADDED, BATCH, CAPACITY, MEBIBYTE, Case, list_cases

# JAX must not look for a GPU: programs are only compiled for one.
jax.config.update("jax_platforms", "cpu")

# A few scalars may pass between devices.
MAX_CROSSING_BYTES = 16


def keeps_bounds(program: h200.Program, case: Case) -> bool:
    """Whether a program keeps the bounds of its case, has no copies, and donates the state."""
    # If no operation was found, the pattern that finds them no longer fits.
    fewest = min(case.max_operations, 1)
    return (
        fewest <= program.operations <= case.max_operations
        and program.loops <= case.max_loops
        and not program.copies
        and program.crossing_bytes <= MAX_CROSSING_BYTES
        and program.temp_bytes <= case.max_temp_bytes
        and program.donated_bytes >= nbytes(case.donated) / case.devices - MEBIBYTE
    )


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
        if not keeps_bounds(program, case):
            failed.append(case.name)
    if failed:
        sys.exit(f"above a bound, with a copy, or not donated whole: {', '.join(failed)}")


if __name__ == "__main__":
    main()
