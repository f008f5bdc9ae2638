"""Precision of matrix products on an accelerator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def matrix_precision(tf32: bool) -> Iterator[None]:
    """Products of float32 matrices in TF32 (10 bits of mantissa) or not: a global switch."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32" if tf32 else "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision = before
