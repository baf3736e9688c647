"""What a report says, as plain data: what the page shows, and what a program may read instead.

Real numbers are in real units unless a name says otherwise; shares are parts of 1. Tensors and operators are named by their numbers in the
quantized model's subgraph.
"""

from __future__ import annotations

from dataclasses import dataclass

from qcore.analysis.comparison import Comparison, OperatorError
from qcore.numerics.metrics import ErrorMetrics


@dataclass(frozen=True)
class Bars:
    """A histogram: counts in bins of equal width, the first of which begins at low."""

    low: float
    width: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Grid:
    """The real numbers that codes stand for: ``scale * (code - zero_point)``.

    scale: of the widest channel where there are several.
    low, high: what its least and its greatest code stand for.
    narrowest: the same of the channel with the least scale; None per tensor.
    quantized_min, quantized_max: least and greatest code.
    scales: how many there are. axis: along which; None per tensor.
    """

    scale: float
    zero_point: int
    low: float
    high: float
    narrowest: tuple[float, float] | None
    quantized_min: int
    quantized_max: int
    scales: int
    axis: int | None


@dataclass(frozen=True)
class Channel:
    """One channel of a tensor.

    scale: its own; None per tensor.
    low, high: least and greatest of the float model's values, or of what the codes stand for where it has none.
    error: the root of its mean squared error. mean_error: its bias. sqnr_db: None without a float counterpart.
    """

    index: int
    scale: float | None
    low: float
    high: float
    error: float | None
    mean_error: float | None
    sqnr_db: float | None


@dataclass(frozen=True)
class Columns:
    """Scales by channel, drawn as columns: the least and the greatest of the channels that each column stands for."""

    channels: int
    lows: tuple[float, ...]
    highs: tuple[float, ...]


@dataclass(frozen=True)
class Weights:
    """Constant weights of an operator.

    slot: which input. tensor: the constant, also where a DEQUANTIZE is between. size: bytes in the file.
    bars: of the float model's weights, else of what the codes stand for (compared is False).
    grid: None for float16, or codes in blocks.
    codes: how often codes are used, in bins of equal width.
    error: of all weights. clipped: share of the float weights beyond the grid by more than half a step.
    per_channel_sqnr_db: what scales by channel would give, where there is one scale and the operator has kernels for more.
    worst: channels, the least SQNR first. scales: None per tensor.
    """

    slot: int
    tensor: int
    size: int
    compared: bool
    bars: Bars
    grid: Grid | None
    codes: Bars | None
    error: ErrorMetrics | None
    clipped: float
    per_channel_sqnr_db: float | None
    worst: tuple[Channel, ...]
    scales: Columns | None


@dataclass(frozen=True)
class Bias:
    """A quantized bias. steps: how far the farthest is from the float model's, in its own steps; None without one. ends: codes at the
    ends of the type. saturated: biases more than a step off, or without a counterpart at the ends."""

    slot: int
    tensor: int
    channels: int
    steps: float | None
    ends: int
    saturated: int


@dataclass(frozen=True)
class Range:
    """A range of an activation. method: the calibration method that chooses it; "present" is the file's. error: the root of the mean
    squared error that it is expected to give to the values seen. clipped: share of them beyond it."""

    method: str
    low: float
    high: float
    error: float
    clipped: float


@dataclass(frozen=True)
class Activation:
    """Values seen of an operator's output, or of an input of the model.

    tensor: in the quantized model. bars, low, high, count, nonfinite: of the float model's values.
    below, above: shares of them beyond the grid by more than half a step.
    least, greatest: codes seen in the quantized model.
    ranges: the present one and what methods would choose, where the tensor's range is its own choice.
    worst: channels (along the last axis), the least SQNR first. alone: their errors are of the operator run alone.
    """

    tensor: int
    bars: Bars
    low: float
    high: float
    count: int
    nonfinite: int
    grid: Grid | None
    below: float
    above: float
    least: int | None
    greatest: int | None
    ranges: tuple[Range, ...]
    worst: tuple[Channel, ...]
    alone: bool


@dataclass(frozen=True)
class TensorRow:
    """A tensor of the quantized model. producer: position of its operator. constant: its value is in the file, in this or another form."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    producer: int | None
    constant: bool
    size: int
    grid: Grid | None


@dataclass(frozen=True)
class OperatorRow:
    """An operator of the quantized model.

    scope: the part of the model that its name puts it in. options: as text, those that differ from the defaults.
    size: bytes of constants that no earlier operator has.
    counterpart: position of the float model's operator. target: name of the tensor by which a Rule finds it there.
    errors: of its outputs.
    """

    name: str
    scope: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: tuple[tuple[str, str], ...]
    size: int
    counterpart: int | None
    target: str | None
    errors: tuple[OperatorError, ...]
    weights: tuple[Weights, ...]
    biases: tuple[Bias, ...]
    activations: tuple[Activation, ...]


@dataclass(frozen=True)
class Part:
    """A part of the sizes: an operator type, or an element type of constants. Counts and bytes in the float and the quantized model."""

    name: str
    float_count: int
    float_bytes: int
    quantized_count: int
    quantized_bytes: int


@dataclass(frozen=True)
class Finding:
    """What a rule found at an operator, or at an input of the model (operator is None)."""

    operator: int | None
    evidence: str


@dataclass(frozen=True)
class Advice:
    """A fix that a rule suggests: why, the exact call, and where. rule: its short name."""

    rule: str
    title: str
    reason: str
    call: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Report:
    """Everything the page shows.

    float_name, quantized_name: of the files, where they are known. float_bytes, quantized_bytes: of the files.
    mode: how the model was quantized, as ``quantize_model`` calls it; "float" where it was not.
    comparison: None without samples.
    """

    float_name: str
    quantized_name: str
    float_bytes: int
    quantized_bytes: int
    mode: str
    comparison: Comparison | None
    operator_types: tuple[Part, ...]
    element_types: tuple[Part, ...]
    tensors: tuple[TensorRow, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_activations: tuple[Activation, ...]
    operators: tuple[OperatorRow, ...]
    advice: tuple[Advice, ...]
    notes: tuple[str, ...]
