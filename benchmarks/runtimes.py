"""The runtimes that are timed side by side, each in one thread and with TensorFlow Lite's interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any

import numpy as np

import qcore
from qcore.errors import QCoreError
from qcore.kernels.opdef import Array
from qcore.model import Model
from qcore.runtime.plan import Engine


class Unavailable(Exception):
    """The runtime is not installed, or does not run the model."""


def with_qcore(engine: Engine) -> Callable[[Model], Any]:
    return lambda model: qcore.Interpreter(model_content=model, engine=engine)


def with_tflite(resolver: str) -> Callable[[Model], Any]:
    def make(model: Model) -> Any:
        tflite = import_module("ai_edge_litert.interpreter")
        kernels = tflite.OpResolverType[resolver]
        return tflite.Interpreter(model_content=model.to_bytes(), experimental_op_resolver_type=kernels, num_threads=1)

    return make


class OnnxInterpreter:
    """ONNX Runtime on an int8 model; memory of inputs and outputs is bound once, so that an invoke copies nothing."""

    def __init__(self, model: Model):
        self.runtime = import_module("onnxruntime")
        content = import_module("benchmarks.onnx_model").onnx_model(model).SerializeToString()
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = self.runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = self.runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        self.outputs = [self.runtime.OrtValue.ortvalue_from_shape_and_type(o.shape, np.uint8) for o in self.session.get_outputs()]
        for output, value in zip(self.session.get_outputs(), self.outputs, strict=True):
            self.binding.bind_ortvalue_output(output.name, value)

    def allocate_tensors(self) -> None:
        """Does nothing: memory is taken as the session is made."""

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"index": i} for i in range(len(self.session.get_inputs()))]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [{"index": i} for i in range(len(self.outputs))]

    def set_tensor(self, index: int, value: Array) -> None:
        value = self.runtime.OrtValue.ortvalue_from_numpy(value.view(np.uint8) ^ np.uint8(128))
        self.binding.bind_ortvalue_input(self.session.get_inputs()[index].name, value)

    def get_tensor(self, index: int) -> Array:
        return (self.outputs[index].numpy() ^ np.uint8(128)).view(np.int8)

    def invoke(self) -> None:
        self.session.run_with_iobinding(self.binding)


RUNTIMES: Mapping[str, Callable[[Model], Any]] = MappingProxyType(
    {
        "qcore-fast": with_qcore("fast"),
        "qcore-reference": with_qcore("reference"),
        "tflite-reference": with_tflite("BUILTIN_REF"),
        "tflite-builtin": with_tflite("BUILTIN_WITHOUT_DEFAULT_DELEGATES"),
        "tflite-xnnpack": with_tflite("AUTO"),
        "onnxruntime": OnnxInterpreter,
    }
)


def ready(runtime: str, model: Model, inputs: Sequence[Array]) -> Any:
    """An interpreter that has run once on these inputs.

    Raises:
        Unavailable: the runtime is not installed, or does not run the model.
        QCoreError: qcore does not run it.
    """
    try:
        interpreter = RUNTIMES[runtime](model)
        interpreter.allocate_tensors()
    except ImportError as error:
        raise Unavailable(f"{error.name} is not installed") from error
    except QCoreError:
        raise
    except (RuntimeError, ValueError) as error:
        raise Unavailable(f"{runtime} does not run it: {error}") from error
    for details, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(details["index"], array)
    interpreter.invoke()
    return interpreter


def outputs(interpreter: Any) -> list[Array]:
    """A copy of each."""
    return [np.array(interpreter.get_tensor(details["index"])) for details in interpreter.get_output_details()]
