"""The same float models quantized by others: TensorFlow's converter, and litert-quantizer with each of its algorithms.

Whatever is not installed, and whatever a tool has no way to do, is a ``Refusal`` that says why.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

import qcore
from qcore.model import Model, Operator, Signature, Subgraph, Tensor

Samples = Sequence[np.ndarray[Any, np.dtype[np.float32]]]

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


class Refusal(Exception):
    """Why there is no file."""


@dataclass(frozen=True)
class Setting:
    """What a quantized model is to be.

    weight_type: of weights. activations: "int8", or "float32" where weights alone are quantized.
    ends_in_int8: the first and the last operator with weights have int8 ones.
    wide: so many operators at the beginning have int16 activations.
    """

    weight_type: str = "int8"
    activations: str = "int8"
    ends_in_int8: bool = False
    wide: int = 0


def with_tensorflow(model: Model, setting: Setting, samples: Samples) -> bytes:
    """TensorFlow's converter, from the .tflite file.

    Raises:
        Refusal: the setting is not plain int8, or TensorFlow is not there.
    """
    if setting != Setting():
        raise Refusal("TensorFlow's converter makes no int4 weights, and int16 activations of all operators only")
    try:
        from tensorflow.lite.python import convert
        from tensorflow.lite.python.optimize import calibrator
    except ImportError as error:
        raise Refusal(f"TensorFlow: {error}") from None
    content = calibrator.add_intermediate_tensors(model.to_bytes())
    calibrated = calibrator.Calibrator(content).calibrate(lambda: ([sample] for sample in samples))
    return bytes(convert.mlir_quantize(calibrated, disable_per_channel=False))


ALGORITHMS = MappingProxyType(
    {
        "min/max": ("min_max_uniform_quantize", WEIGHTED),
        "OCTAV": ("OCTAV", WEIGHTED),
        "MSE": ("MSE", WEIGHTED),
        "GPTQ": ("GPTQ", ("FULLY_CONNECTED",)),
    }
)
"""litert-quantizer's algorithms for weights: its name for each, and the operators that it registers it for.

Source: litert_quantizer/algorithm_manager.py, release 0.11.
"""

_INT4_OPERATORS = ("CONV_2D", "FULLY_CONNECTED")
"""Whose weights its policy lets be int4, alone and with int8 activations.

Source: litert_quantizer/default_policy.py#DEFAULT_JSON_POLICY, release 0.11.
"""


def with_litert_quantizer(algorithm: str) -> Callable[[Model, Setting, Samples], bytes]:
    """litert-quantizer with an algorithm for weights where it has that for the operator, and its min/max for all else."""

    def quantize(model: Model, setting: Setting, samples: Samples) -> bytes:
        try:
            from litert_quantizer.quantizer import Quantizer
        except ImportError as error:
            raise Refusal(f"litert-quantizer: {error}") from None
        name, operators = ALGORITHMS[algorithm]
        present = {operator.name for operator in model.subgraphs[0].operators}
        if not present & set(operators):
            raise Refusal(f"litert-quantizer: {algorithm} is for {', '.join(operators)}, of which the model has none")
        logging.getLogger().setLevel(logging.ERROR)
        named = _with_signature(model)
        recipe = _recipe(named, setting, name, operators)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                tool = Quantizer(named.to_bytes(), recipe)
                key, feed = named.signatures[0].key, named.signatures[0].inputs[0][0]
                given = {key: [{feed: sample} for sample in samples]}
                ranges = tool.calibrate(given, num_threads=1) if tool.need_calibration else None
                result = tool.quantize(ranges, enable_progress_report=False, enable_progress_bar=False)
            except (ValueError, RuntimeError, KeyError, AssertionError) as error:
                raise Refusal(f"litert-quantizer: {algorithm}: {type(error).__name__}: {str(error).splitlines()[0]}") from None
        content = bytes(result.quantized_model)
        if any(map(_is_misfit, qcore.load(content).subgraphs[0].tensors)):
            raise Refusal(f"litert-quantizer: {algorithm} leaves tensors of integers with the bytes of float32 weights")
        return content

    return quantize


def _is_misfit(tensor: Tensor) -> bool:
    """A constant of integers that has other bytes than its codes take."""
    bits = {"int8": 8, "int4": 4}.get(tensor.dtype)
    return bits is not None and tensor.buffer.data is not None and tensor.buffer.data.size != -(-math.prod(tensor.shape) * bits // 8)


def _with_signature(model: Model) -> Model:
    """The model with a name for its entry, by which the tool calibrates."""
    if model.signatures:
        return model
    graph = model.subgraphs[0]
    inputs, outputs = (
        [(f"{end}_{i}", tensor) for i, tensor in enumerate(tensors)] for end, tensors in (("x", graph.inputs), ("y", graph.outputs))
    )
    return replace(model, signatures=[Signature("serve", inputs, outputs)])


def _recipe(model: Model, setting: Setting, algorithm: str, operators: Sequence[str]) -> list[dict[str, Any]]:
    """Steps, of which the last that matches an operator decides. The tool passes over those that its policy does not allow."""
    plain = ALGORITHMS["min/max"][0]
    activation_bits = 8 if setting.activations == "int8" else None

    def step(operator: str, bits: int, regex: str = ".*", activation_bits: int | None = activation_bits) -> dict[str, Any]:
        weights = {"num_bits": bits, "symmetric": True, "granularity": "CHANNELWISE", "dtype": "INT"}
        config: dict[str, Any] = {"weight_tensor_config": weights, "compute_precision": "FLOAT", "explicit_dequantize": True}
        if activation_bits:
            activations = {"num_bits": activation_bits, "symmetric": activation_bits == 16, "granularity": "TENSORWISE", "dtype": "INT"}
            config |= {"activation_tensor_config": activations, "compute_precision": "INTEGER", "explicit_dequantize": False}
        return {"regex": regex, "operation": operator, "algorithm_key": algorithm if operator in operators else plain, "op_config": config}

    graph = model.subgraphs[0]
    steps = [step("*", 8)] if activation_bits else []
    steps += [step(operator, 4 if setting.weight_type == "int4" and operator in _INT4_OPERATORS else 8) for operator in WEIGHTED]
    weighted = [operator for operator in graph.operators if operator.name in WEIGHTED]
    if setting.ends_in_int8:
        steps += [step(operator.name, 8, _named(graph, operator)) for operator in (weighted[0], weighted[-1])]
    steps += [step(operator.name, 8, _named(graph, operator), 16) for operator in graph.operators[: setting.wide]]
    return steps + [{"regex": ".*", "operation": end, "algorithm_key": "no_quantize", "op_config": {}} for end in ("INPUT", "OUTPUT")]


def _named(graph: Subgraph, operator: Operator) -> str:
    """A regular expression for what the tool calls an operator."""
    return f"^{re.escape(graph.tensors[operator.outputs[0]].name)};$"
