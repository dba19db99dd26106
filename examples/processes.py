"""A program on several processes of this machine, which could as well be several hosts."""

import signal
import socket
import subprocess
import sys
import time

import jax

# A process counts as dead after this many seconds without a sign of life.
HEARTBEAT = 10

# The other processes have this many seconds to notice it.
PATIENCE = 60


def join(address: str, count: int, index: int, devices: int) -> None:
    """Makes this process number `index` of `count`, with this many devices of its own."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", devices)
    if count > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(address, count, index, heartbeat_timeout_seconds=HEARTBEAT)


def start(count: int) -> int:
    """Runs this command `count` times, as the processes of one program, and waits for them.

    If one process dies, the others stop with an error, since the runtime of JAX misses it. A
    process that still runs `PATIENCE` seconds later is killed.

    Returns:
      The exit status of the program.
    """
    address = f"127.0.0.1:{_find_free_port()}"
    command = [sys.executable, *sys.argv, "--address", address, "--process"]
    running = [subprocess.Popen([*command, str(index)]) for index in range(count)]
    # Ctrl-C reaches the processes too, and they handle it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return _wait(running)
    finally:
        for process in running:
            process.kill()


def _wait(running: list[subprocess.Popen]) -> int:
    """Waits until all processes have ended or one has failed, and returns the exit status."""
    while all(process.poll() in (None, 0) for process in running):
        if all(process.poll() == 0 for process in running):
            return 0
        time.sleep(0.1)
    failed = [index for index, process in enumerate(running) if process.poll()]
    print(f"process {failed[0]} stopped with status {running[failed[0]].poll()}", file=sys.stderr)
    deadline = time.monotonic() + PATIENCE
    while any(process.poll() is None for process in running) and time.monotonic() < deadline:
        time.sleep(0.1)
    return 1


def _find_free_port() -> int:
    """Returns a port that no program listens to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
