"""The job that every side of the benchmarks submits."""

from typing import Any

JOB: dict[str, Any] = {
    "project": "default",
    "name": "train-resnet",
    "labels": {"team": "vision", "trial": "42"},
    "command": ["python3", "train.py", "--epochs", "90", "--batch-size", "256"],
    "environment": {"variables": {"SEED": "1", "NCCL_DEBUG": "WARN"}},
    "resources": {
        "cpu_millis": 4000,
        "memory_bytes": "17179869184",
        "gpu_count": 1,
        "gpu_type": "H100",
    },
    "time_limit": "86400s",
}
