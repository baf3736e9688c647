"""Calibration: what values the tensors of a float model take on sample data, and which range to quantize each of them with."""

from __future__ import annotations

from qcore.calibration.calibrating import calibrate
from qcore.calibration.observers import Method
from qcore.calibration.outliers import Outlier
from qcore.calibration.statistics import Choice, Statistics
from qcore.calibration.tensor_statistics import TensorStatistics

__all__ = ["Choice", "Method", "Outlier", "Statistics", "TensorStatistics", "calibrate"]
