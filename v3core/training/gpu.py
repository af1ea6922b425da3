"""What a run uses of a GPU."""

import torch


def gpu_memory() -> int | None:
    """Bytes of the GPU's memory that this process holds; None if it uses none."""
    return torch.cuda.memory_reserved() if _is_used() else None


def gpu_use() -> float | None:
    """The share of the last moment in which the GPU was in use, by any process; None where that cannot be measured."""
    if not _is_used():
        return None
    try:
        return torch.cuda.utilization() / 100  # by NVIDIA's library for Python, where it is installed
    except Exception:  # without that library, or without the right to ask
        return None


def _is_used() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
