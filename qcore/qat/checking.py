"""``check``: does the exported model compute what was trained, operator by operator and as a whole?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from qcore.calibration.calibrating import read_model
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic
from qcore.model import Model
from qcore.qat.baking import Baking
from qcore.qat.graph import run
from qcore.qat.layers import FakeQuant, real_name
from qcore.quantizer.graph import Graph
from qcore.runtime.interpreter import Interpreter

_CHUNK = 32


@dataclass(frozen=True)
class OperatorCheck:
    """How far one operator of the exported model is from the layers it stands for, both fed with the exported model's own integers.

    tensor: what it computes, by the name of the FakeQuant that rounds it in training. operator: its type.
    elements: how many were compared. differing: how many of them differ. max_lsb: by how many steps at most.
    """

    tensor: str
    operator: str
    elements: int
    differing: int
    max_lsb: int


@dataclass(frozen=True)
class Check:
    """What ``check`` found.

    arithmetic: whose kernels ran the exported model. Biases of the trained model were rounded as in the file.
    samples: how many. operators: in the order they run.
    agreement: the part of the samples that both, each running by itself, put in the same class: the place of the first output's maximum.
    """

    arithmetic: Arithmetic
    samples: int
    operators: tuple[OperatorCheck, ...]
    agreement: float

    @property
    def max_lsb(self) -> int:
        """The greatest difference of any operator, in steps."""
        return max((operator.max_lsb for operator in self.operators), default=0)

    def __str__(self) -> str:
        width = max([len(operator.tensor) for operator in self.operators] + [6])
        lines = [f"{'tensor':{width}}  {'operator':24}  max LSB  differing"]
        for o in self.operators:
            lines.append(f"{o.tensor:{width}}  {o.operator:24}  {o.max_lsb:7}  {o.differing / max(o.elements, 1):9.3%}")
        lines.append(
            f"{self.samples} samples, arithmetic {self.arithmetic}, biases rounded as in the file: "
            f"at most {self.max_lsb} LSB apart, same class {self.agreement:.4f}"
        )
        return "\n".join(lines)


def check(trained: Any, exported: Model | str | os.PathLike[str] | bytes, samples: Any, *, arithmetic: Arithmetic = "xnnpack") -> Check:
    """Compare a trained model with what ``export`` made of it.

    Operators should be within 1 LSB: sums of float32 products in training, integers in the file, meet rounding from two sides. Differences
    of single operators grow on their way through a deep model, so that the whole is judged by its classes.

    Args:
        trained: from ``quantize_model``.
        exported: from ``export``: a ``Model``, a path or a file's bytes.
        samples: real values of the input, or a list with those of each, in the order of ``trained.inputs``: arrays whose first axis runs
            over the samples.
        arithmetic: as for ``qcore.Interpreter``; "xnnpack" is what TensorFlow Lite computes by default.

    Raises:
        InputError: there is no sample, or the exported model was not made of the trained one.
        QCoreError: the exported model is wrong, or cannot run.
    """
    inputs = [np.asarray(part) for part in (samples if isinstance(samples, list | tuple) else [samples])]
    if len(inputs) != len(trained.inputs) or not inputs[0].size or any(len(part) != len(inputs[0]) for part in inputs):
        shapes = [part.shape for part in inputs]
        raise InputError(f"check: got samples of shapes {shapes}, expected {len(trained.inputs)} arrays of as many samples, at least one")
    inputs = [part.astype(tensor.dtype) for part, tensor in zip(inputs, trained.inputs, strict=True)]
    comparison = _Comparison(trained, read_model(exported), arithmetic)
    for start in range(0, len(inputs[0]), _CHUNK):
        comparison.take([part[start : start + _CHUNK] for part in inputs])
    return comparison.result()


class _Comparison:
    def __init__(self, trained: Any, exported: Model, arithmetic: Arithmetic) -> None:
        self.layers = Baking(None, as_in_file=True).bake(trained)
        self.graph = Graph(exported)
        self.arithmetic = arithmetic
        self.interpreter = Interpreter(model_content=exported, arithmetic=arithmetic, experimental_preserve_all_tensors=True)
        self.interpreter.allocate_tensors()
        computed = [number for number, tensor in enumerate(self.graph.tensors) if tensor.dtype == "int8" and not tensor.is_constant]
        names = {self.graph.tensors[number].name: number for number in computed}
        self.rounds = [layer for layer in self.layers.layers if isinstance(layer, FakeQuant)]
        for layer in self.rounds:
            quantization = self.graph.tensors[names[layer.name]].quantization if layer.name in names else None
            if quantization is None or (float(quantization.scale[0]), int(quantization.zero_point[0])) != layer.params.single():
                raise InputError(f"check: the exported model has no tensor {layer.name!r} of this scale, so it was made of another model")
        self.numbers = {layer.name: names[layer.name] for layer in self.rounds}
        self.found: dict[str, list[int]] = {layer.name: [0, 0, 0] for layer in self.rounds}
        self.agreeing = self.samples = 0

    def take(self, inputs: list[NDArray[Any]]) -> None:
        """Compares some samples."""
        codes, outputs = self._run(inputs)
        real = [keras.ops.convert_to_tensor(part) for part in inputs]

        def call(node: Any, *args: Any, **kwargs: Any) -> Any:
            layer, output = node.operation, node.operation(*args, **kwargs)
            if not isinstance(layer, FakeQuant):
                return output
            scale, zero_point = layer.params.single()
            trained = np.rint(keras.ops.convert_to_numpy(output) / np.float32(scale)) + zero_point
            # The converter may let a RESHAPE come before the rounding that it follows in training.
            actual = codes[layer.name].reshape(trained.shape)
            self._note(layer.name, np.abs(trained - actual))
            return keras.ops.convert_to_tensor((actual - np.float32(zero_point)) * np.float32(scale))

        run(self.layers, real, call)
        given = keras.tree.pack_sequence_as(self.layers.input, real)
        first = keras.tree.flatten(self.layers(given, training=False))[0]
        trained = keras.ops.convert_to_numpy(first).reshape(len(outputs), -1)
        self.agreeing += int(np.sum(trained.argmax(axis=1) == outputs.argmax(axis=1)))
        self.samples += len(outputs)

    def _note(self, name: str, apart: NDArray[np.float32]) -> None:
        elements, differing, most = self.found[name]
        self.found[name] = [elements + apart.size, differing + int(np.count_nonzero(apart)), max(most, int(apart.max(initial=0)))]

    def _run(self, inputs: list[NDArray[Any]]) -> tuple[dict[str, NDArray[np.int32]], NDArray[np.float32]]:
        """The exported model's codes of each FakeQuant, and its first output, a row for each sample."""
        codes: dict[str, list[Any]] = {name: [] for name in self.numbers}
        outputs = []
        names = [self.graph.tensors[number].name for number in self.graph.subgraph.inputs]
        first = self.layers.outputs[0]._keras_history.operation.name
        for sample in zip(*inputs, strict=True):
            given = dict(zip((tensor.name for tensor in self.layers.inputs), sample, strict=True))
            result = self.interpreter.run(*(given[name if name in given else real_name(name)][np.newaxis] for name in names))
            outputs.append(result[first if first in result else real_name(first)].reshape(-1))
            for name, number in self.numbers.items():
                codes[name].append(self.interpreter.get_tensor(number))
        return {name: np.concatenate(parts).astype(np.int32) for name, parts in codes.items()}, np.array(outputs)

    def result(self) -> Check:
        """What was found."""
        producers = self.graph.producers()
        operators = tuple(
            OperatorCheck(name, producers[self.numbers[name]].name if self.numbers[name] in producers else "input", *figures)
            for name, figures in self.found.items()
        )
        return Check(self.arithmetic, self.samples, operators, self.agreeing / self.samples)
