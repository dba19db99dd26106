"""A program on several processes of this machine, as on several hosts: start them, join, wait."""

import signal
import socket
import subprocess
import sys
import time

import jax

HEARTBEAT = 10  # seconds without a sign of life after which a process counts as dead
PATIENCE = 60  # seconds that the others get to notice


def join(address: str, count: int, index: int, devices: int) -> None:
    """Makes this process number `index` of `count`, with so many devices of its own."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", devices)
    if count > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(address, count, index, heartbeat_timeout_seconds=HEARTBEAT)


def start(count: int) -> int:
    """Runs this very command `count` times, as one program, and returns its exit status.

    Where one process dies the others stop with an error of their own: JAX's runtime misses it.
    One that still runs `PATIENCE` seconds later is ended.
    """
    address = f"127.0.0.1:{_find_free_port()}"
    command = [sys.executable, *sys.argv, "--address", address, "--process"]
    running = [subprocess.Popen([*command, str(index)]) for index in range(count)]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches them too, and is theirs to handle
    try:
        return _wait(running)
    finally:
        for process in running:
            process.kill()


def _wait(running: list[subprocess.Popen]) -> int:
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
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
