"""TorchRL: tensors in contiguous storage, and C++ trees for the sum and the minimum."""

import os
from importlib import metadata

import numpy as np

from benchmarks.harness import python_loop
from benchmarks.harness.work import Contender, Loop, Work, make_random_transitions


def list_contenders() -> list[Contender]:
    """Returns its prioritized buffer, if its compiled part loads beside the installed torch."""
    # Its threads must not spin while other contenders have their turn.
    os.environ.update(OMP_WAIT_POLICY="passive", GOMP_SPINCOUNT="0", KMP_BLOCKTIME="0")
    from torchrl._torchrl import SumSegmentTreeFp32  # noqa: F401

    return [Contender("TorchRL", metadata.version("torchrl"), _make_loops)]


def _make_loops(work: Work) -> dict[str, Loop]:
    import torch
    from tensordict import TensorDict
    from torchrl.data import LazyTensorStorage, TensorDictPrioritizedReplayBuffer

    buffer = TensorDictPrioritizedReplayBuffer(
        alpha=0.6,
        beta=0.4,
        storage=LazyTensorStorage(work.capacity),
        batch_size=work.batch_size,
    )

    def make_tensors(rows):
        rows = {name: torch.from_numpy(array) for name, array in rows.items()}
        return TensorDict(rows, batch_size=[len(rows["reward"])])

    buffer.extend(make_tensors(make_random_transitions(work.capacity, np.random.default_rng(1))))
    buffer.update_priority(torch.arange(work.capacity), torch.from_numpy(work.first_priorities))
    rows = make_tensors(work.rows)

    def sample():
        batch = buffer.sample()
        return batch["reward"], batch["index"]

    return python_loop.make_loops(
        work, lambda: buffer.extend(rows), sample, buffer.update_priority, torch.from_numpy
    )
