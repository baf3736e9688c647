"""``float_model``: from a Keras model on any backend to a float ``Model``, without TensorFlow.

The graph is what TensorFlow's converter would make of the model with its batch size given: layers become operators by the table in
``qcore.qat.emitting.table``, and ``qcore.qat.fusing`` folds what kernels do at once.

Source: tflite/converter/transforms/optimize_patterns.td and optimize_pass.cc, TensorFlow Lite 2.21.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import keras

from qcore.errors import InputError, UnsupportedError
from qcore.model import Model, Signature
from qcore.qat.emitting.calling import call, call_node
from qcore.qat.emitting.emitter import Emitter
from qcore.qat.fusing import fuse
from qcore.qat.graph import functional, run
from qcore.qat.versions import set_float_versions
from qcore.quantizer.graph import finish

INPUT_TYPES = ("float32", "int32", "int64", "uint8", "int8", "bool")


def float_model(model: Any) -> Model:
    """The float graph of a Keras model; ``qcore.quantize_model`` takes it from there.

    Weights are read as they are now. A batch size that the model leaves open is 1. Inputs and outputs are named by the signature
    "serving_default": inputs as in Keras, outputs by the model's dictionary, or "output_0" and so on.

    Args:
        model: a Sequential or functional Keras 3 model, built; also one with the layers of ``qcore.qat``, whose learned ranges become
            pairs of QUANTIZE and DEQUANTIZE.

    Raises:
        InputError: not a Keras model.
        UnsupportedError: a subclassed model, or one with a layer that ``docs/keras.md`` does not list; the message names it.
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"float_model: got {type(model).__name__}, expected a Keras model")
    graph = functional(model, "float_model")
    e = Emitter(call)
    inputs = [e.input(tensor.name, _shape(tensor), _dtype(tensor)) for tensor in graph.inputs]
    outputs = run(graph, inputs, partial(call_node, e))
    flat = [output.number for output in keras.tree.flatten(outputs)]
    named = isinstance(outputs, dict) and len(outputs) == len(flat)
    names = keras.tree.flatten({name: name for name in outputs}) if named else [f"output_{i}" for i in range(len(flat))]
    e.graph.subgraph.outputs = flat
    e.graph.model.signatures = [Signature("serving_default", [(t.name, v.number) for t, v in zip(graph.inputs, inputs, strict=True)], [])]
    e.graph.model.signatures[0].outputs = list(zip(names, flat, strict=True))
    fuse(e.graph)
    finish(e.graph.model)
    set_float_versions(e.graph.model)
    return e.graph.model


def _shape(tensor: Any) -> tuple[int, ...]:
    batch, *rest = tensor.shape
    if None in rest:
        raise UnsupportedError(
            f"float_model: input {tensor.name!r} has shape {tensor.shape}, expected every size but the batch's to be known"
        )
    return (1 if batch is None else int(batch), *map(int, rest))


def _dtype(tensor: Any) -> str:
    if tensor.dtype not in INPUT_TYPES:
        raise UnsupportedError(f"float_model: input {tensor.name!r} is {tensor.dtype}, expected {', '.join(INPUT_TYPES)}")
    return str(tensor.dtype)
