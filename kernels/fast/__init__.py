"""The operators of ``qcore.kernels`` once more, as code generated for this processor: the same integers, faster.

A kernel here is a small frozen description (``products.Product``, ...) that emits LLVM instructions; ``compiler`` makes them a function,
and keeps it on disk. ``lowering`` says which planned step becomes which calls; whatever it does not cover runs on NumPy.
"""
