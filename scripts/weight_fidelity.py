#!/usr/bin/env python3
"""Weight fidelity of files by NumPy alone: matrices rounded to integers of some bits, with a scale for each first index.

    pip install torch==2.15.0 numpy
    python3 scripts/weight_fidelity.py BITS FILE...

The files are those of `scripts/array_counts.py`; `wattif report --model FILE --weight-bits BITS` says the same.
"""
import pathlib
import sys

import numpy

from array_counts import tensors


def rounded(values, most):
    rows = values.astype("f4").reshape(values.shape[0], -1)
    scales = (numpy.abs(rows).max(1, keepdims=True) / most).astype("f2").astype("f4")
    codes = numpy.round(numpy.divide(rows, scales, out=numpy.zeros_like(rows), where=scales > 0))
    return rows, numpy.clip(codes, -most, most) * scales


most = 2 ** (int(sys.argv[1]) - 1) - 1
for name in sys.argv[2:]:
    signal = noise = 0.0
    for values in tensors(pathlib.Path(name)).values():
        if values.ndim >= 2:
            before, after = rounded(values, most)
            signal += (before.astype("f8") ** 2).sum()
            noise += ((before - after).astype("f8") ** 2).sum()
    print(f"{name}: {10 * numpy.log10(signal / noise):.1f} dB")
