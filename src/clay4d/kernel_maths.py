"""Functions that kernels call in their innermost loops, written so that LLVM turns the loops into vectors."""

from __future__ import annotations

import numpy as np

from clay4d.jit import float_from_bits, inlined


@inlined
def exp_below(x):  # type: ignore[no-untyped-def]
    """e^x for x ≤ 0 as 2^i·2^f; the polynomial for 2^f, fitted to least relative error, is 8e-8 off.

    Below 2^-64 it stays there: denormal numbers take a processor a hundred times as long.
    """
    y = max(x * np.float32(1.44269504), np.float32(-64.0))
    whole = np.floor(y)
    f = np.float32(y - whole)
    p = np.float32(1.8671301e-3)
    p = p * f + np.float32(9.0170303e-3)
    p = p * f + np.float32(5.5799913e-2)
    p = p * f + np.float32(2.4016445e-1)
    p = p * f + np.float32(6.9315131e-1)
    p = p * f + np.float32(1.0)
    return p * float_from_bits((np.int32(whole) + np.int32(127)) << np.int32(23))
