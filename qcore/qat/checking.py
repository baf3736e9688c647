"""``check``: does the exported model compute what was trained, operator by operator and as a whole?"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from qcore.calibration.calibrating import read_model
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic
from qcore.model import Model
from qcore.numerics.affine import dequantize
from qcore.numerics.training import average_codes
from qcore.qat.baking import Baking
from qcore.qat.graph import run
from qcore.qat.layers import FakeQuant, real_name
from qcore.qat.rounding import Rounding
from qcore.quantizer.graph import Graph, params_of
from qcore.runtime.interpreter import Interpreter
from qcore.shown import Shown, table

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
class Check(Shown):
    """What ``check`` found.

    arithmetic: whose kernels ran the exported model.
    samples: how many. operators: in the order they run.
    agreement: the part of the samples that both, each running by itself, put in the same class: the place of the first output's maximum.
        The trained model rounds as in the file; see ``check``.
    agreement_as_trained: the same of the trained model as it is, which rounds no bias, and every sum once.
    """

    arithmetic: Arithmetic
    samples: int
    operators: tuple[OperatorCheck, ...]
    agreement: float
    agreement_as_trained: float

    @property
    def max_lsb(self) -> int:
        """The greatest difference of any operator, in steps."""
        return max((operator.max_lsb for operator in self.operators), default=0)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"max_lsb": self.max_lsb}

    def table(self) -> RenderableType:
        """A row for each operator and a line on all, for a rich console."""
        columns = ("tensor", "operator", "max LSB", "differing")
        rows = [(o.tensor, o.operator, o.max_lsb, f"{o.differing / max(o.elements, 1):.3%}") for o in self.operators]
        summary = (
            f"{self.samples} samples, arithmetic {self.arithmetic}, rounded as in the file: at most {self.max_lsb} LSB apart, "
            f"same class {self.agreement:.4f}; as trained {self.agreement_as_trained:.4f}"
        )
        return Group(table("", columns, rows, columns[2:]), Text(summary))


def check(trained: Any, exported: Model | str | os.PathLike[str] | bytes, samples: Any, *, arithmetic: Arithmetic = "xnnpack") -> Check:
    """Compare a trained model with what ``export`` made of it.

    So that a difference means something, the trained model rounds as in the file:

    * biases to the integers that the file has;
    * sums of products, in CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED, as the arithmetic requantizes accumulators:
      twice, in builtin kernels, and so in any that XNNPACK leaves to them, such as convolutions with packed int4 kernels;
    * codes that a QUANTIZE brings to the scale of a CONCATENATION as that does: XNNPACK by a factor of 8 fractional bits;
    * averages of AVERAGE_POOL_2D and RESIZE_BILINEAR to their input's codes.

    Other operators round once, ties away from zero, as in training: ADD, MUL, MEAN, LEAKY_RELU, ... should be within 1 LSB, and nearly
    all sums are equal. Of 16 bits, 256 LSB make one of 8, and kernels that look up tables are farther: EXP, GELU, SOFTMAX, TANH.

    Differences of single operators grow on their way through a deep model, so that the whole is judged by its classes.

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
        self.trained = trained
        self.graph = Graph(exported)
        self.arithmetic = arithmetic
        self.rounding = Rounding(exported, arithmetic)
        self.interpreter = Interpreter(model_content=exported, arithmetic=arithmetic, experimental_preserve_all_tensors=True)
        self.interpreter.allocate_tensors()
        self.rounds = [layer for layer in self.layers.layers if isinstance(layer, FakeQuant)]
        # By scale too: a clamp that became part of a pool leaves two tensors of one name.
        known = {
            (tensor.name, *params_of(tensor).single()): number
            for number, tensor in enumerate(self.graph.tensors)
            if tensor.dtype in ("int8", "int16") and tensor.quantization is not None and tensor.quantization.scale.size == 1
        }
        for layer in self.rounds:
            if (layer.name, *layer.params.single()) not in known:
                raise InputError(f"check: the exported model has no tensor {layer.name!r} of this scale, so it was made of another model")
        self.numbers = {layer.name: known[layer.name, *layer.params.single()] for layer in self.rounds}
        self.found: dict[str, list[int]] = {layer.name: [0, 0, 0] for layer in self.rounds}
        self.agreeing = self.agreeing_as_trained = self.samples = 0

    def take(self, inputs: list[NDArray[Any]]) -> None:
        """Compares some samples."""
        codes, outputs = self._run(inputs)
        real = [keras.ops.convert_to_tensor(part) for part in inputs]

        def compared(name: str, rounded: NDArray[Any]) -> NDArray[Any]:
            # The converter may let a RESHAPE come before the rounding that it follows in training.
            actual = codes[name].reshape(rounded.shape)
            self._note(name, np.abs(rounded - actual))
            return actual

        self._forward(real, compared)
        classes = outputs.argmax(axis=1)
        given = keras.tree.pack_sequence_as(self.trained.input, real)
        self.agreeing += int(np.sum(_classes(self._forward(real, lambda _, rounded: rounded)) == classes))
        self.agreeing_as_trained += int(np.sum(_classes(self.trained(given, training=False)) == classes))
        self.samples += len(outputs)

    def _forward(self, inputs: list[Any], going_on: Callable[[str, NDArray[Any]], NDArray[Any]]) -> Any:
        """What the layers compute, rounded as in the file.

        going_on: the codes that layers go on with, by the name of a FakeQuant and the codes that it has.
        """

        def call(node: Any, *args: Any, average: bool = False, **kwargs: Any) -> Any:
            layer = node.operation
            if not isinstance(layer, FakeQuant):
                return layer(*args, **kwargs)
            x = keras.ops.convert_to_numpy(args[0])
            real = average_codes(x, layer.params) if average else x
            codes = self.rounding.codes(self.numbers[layer.name], real).reshape(x.shape).astype(np.int32)
            return keras.ops.convert_to_tensor(dequantize(going_on(layer.name, codes), layer.params))

        return run(self.layers, inputs, call)

    def _note(self, name: str, apart: NDArray[np.int32]) -> None:
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
        agreements = self.agreeing / self.samples, self.agreeing_as_trained / self.samples
        return Check(self.arithmetic, self.samples, operators, *agreements)


def _classes(outputs: Any) -> NDArray[np.int64]:
    """The place of the maximum of each sample's first output."""
    first = keras.ops.convert_to_numpy(keras.tree.flatten(outputs)[0])
    classes: NDArray[np.int64] = first.reshape(len(first), -1).argmax(axis=1)
    return classes
