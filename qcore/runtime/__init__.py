"""Running a model: plan every operator once, place tensors in memory, then call kernels in order."""
