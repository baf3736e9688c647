"""``Interpreter``: the methods, dictionaries and names of ``tf.lite.Interpreter``, and ``run`` on real values."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, BinaryIO, get_args

import numpy as np

from qcore.errors import InputError, UnsupportedError
from qcore.kernels.opdef import Arithmetic, Array, OpDef
from qcore.model import Model
from qcore.runtime.details import tensor_details
from qcore.runtime.plan import DEFAULT_LOOP_LIMIT, DEFAULT_MEMORY_LIMIT, Engine, Settings, require_arithmetic
from qcore.runtime.real_values import to_elements, to_real
from qcore.runtime.session import Session
from qcore.runtime.signature import SignatureRunner
from qcore.schema import load
from qcore.schema.check import check

RESOLVERS: Mapping[str, Arithmetic] = MappingProxyType(
    {"AUTO": "xnnpack", "BUILTIN": "xnnpack", "BUILTIN_REF": "reference", "BUILTIN_WITHOUT_DEFAULT_DELEGATES": "builtin"}
)
"""The arithmetic of each tf.lite.experimental.OpResolverType."""


def resolver_arithmetic(resolver: Any) -> Arithmetic:
    """The arithmetic of an OpResolverType or its name; "reference" for None.

    Raises:
        InputError: no such resolver.
    """
    name = getattr(resolver, "name", resolver)
    if name is None:
        return "reference"
    if name not in RESOLVERS:
        raise InputError(f"Interpreter: experimental_op_resolver_type is {resolver!r}, expected one of {', '.join(RESOLVERS)}")
    return RESOLVERS[name]


class Interpreter:
    """Runs a model. A drop-in for ``tf.lite.Interpreter``.

    Args:
        model_path: path of a ``.tflite`` file.
        model_content: the file's bytes, a binary file object, or a ``Model``; one of the two must be given.
        num_threads: of the fast engine; the reference engine runs in one thread. Results never depend on it.
        experimental_op_resolver_type: one of tf.lite.experimental.OpResolverType, or its name; says whose integers where arithmetic
            does not.
        experimental_preserve_all_tensors: keep every intermediate, so that ``get_tensor`` can read it. Changes no result.
        arithmetic: whose integers: "reference" (BUILTIN_REF, the default), "builtin" (BUILTIN_WITHOUT_DEFAULT_DELEGATES on x86-64) or
            "xnnpack" (AUTO and BUILTIN: what a plain tf.lite.Interpreter gives).
        engine: "reference" (NumPy), "fast" (native code for what it covers, with the same integers), or "auto": the reference first, and
            native code once a second has gone by in it, which is about what making that takes. "fast" may take float32 sums in another
            order, within the operators' tolerance, but for arithmetic "builtin"; "auto" changes no bit.
        memory_limit: bytes that tensors and temporaries may take; a plan over it is refused.
        loop_limit: iterations after which a loop of the graph is refused.
        custom_ops: your own operators by custom code; see docs/custom-operators.md.
        experimental_delegates: accepted where empty.

    Raises:
        QCoreError: the file is damaged, or an argument is wrong. What the graph holds is checked by ``allocate_tensors``.
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] | None = None,
        model_content: bytes | bytearray | memoryview | BinaryIO | Model | None = None,
        experimental_delegates: Sequence[Any] | None = None,
        num_threads: int | None = None,
        experimental_op_resolver_type: Any = None,
        experimental_preserve_all_tensors: bool = False,
        *,
        arithmetic: Arithmetic | None = None,
        engine: Engine = "auto",
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
        loop_limit: int = DEFAULT_LOOP_LIMIT,
        custom_ops: Mapping[str, OpDef] | None = None,
    ):
        if (model_path is None) == (model_content is None):
            raise InputError("Interpreter: give either model_path or model_content")
        if experimental_delegates:
            raise UnsupportedError("Interpreter: qcore runs no delegates")
        if num_threads is not None and (isinstance(num_threads, bool) or not isinstance(num_threads, int) or num_threads < 1):
            raise InputError(f"Interpreter: num_threads is {num_threads!r}, expected an integer of at least 1")
        arithmetic = arithmetic or resolver_arithmetic(experimental_op_resolver_type)
        require_arithmetic("Interpreter", arithmetic)
        if engine not in get_args(Engine):
            raise UnsupportedError(f"Interpreter: engine is {engine!r}, qcore has {', '.join(get_args(Engine))}")
        source = model_path if model_path is not None else model_content
        if isinstance(source, Model):
            check(source)
            self.model = source
        else:
            self.model = load(source)  # type: ignore[arg-type]
        settings = Settings(
            arithmetic, experimental_preserve_all_tensors, memory_limit, loop_limit, custom_ops or {}, engine, num_threads or 1
        )
        self._session = Session(self.model, settings)

    def allocate_tensors(self) -> None:
        """Plan every operator for the present input shapes, and take the memory.

        Raises:
            ModelError: the graph is wrong.
            UnsupportedError: it holds an operator or type that qcore does not do.
        """
        self._session.executor().allocate()

    def resize_tensor_input(self, input_index: int, tensor_size: Sequence[int], strict: bool = False) -> None:
        """Give an input another shape; call ``allocate_tensors`` afterwards.

        Args:
            input_index: the input's tensor number.
            tensor_size: the new shape.
            strict: refuse to change a dimension that ``shape_signature`` does not mark as unknown (-1).

        Raises:
            InputError: not an input, a negative dimension, or a change that strict forbids.
        """
        self._session.executor().resize(int(input_index), tuple(int(size) for size in tensor_size), strict)

    def set_tensor(self, tensor_index: int, value: Any) -> None:
        """Copy an array into an input.

        Raises:
            InputError: not an input, not allocated, or another shape or type than the input's.
        """
        self._session.executor().write(int(tensor_index), np.asarray(value))

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> Array:
        """A copy of a tensor's value: inputs, constants and variables at any time, outputs after ``invoke``.

        Raises:
            InputError: the tensor holds no value now; for intermediates the message names ``experimental_preserve_all_tensors``.
        """
        return self._session.executor(subgraph_index).read(int(tensor_index)).copy()

    def tensor(self, tensor_index: int) -> Callable[[], Array]:
        """A function that gives a view of a tensor's memory, for reading and writing without a copy."""
        return lambda: self._session.executor().read(int(tensor_index))

    def invoke(self) -> None:
        """Run the model on the inputs set before.

        Raises:
            QCoreError: an operator cannot run on these values.
        """
        self._session.executor().invoke()

    def reset_all_variables(self) -> None:
        """Set every variable tensor to real zero."""
        self._session.reset_variables()

    def get_input_details(self) -> list[dict[str, Any]]:
        """A dictionary for each input, in the model's order: name, index, shape, dtype, quantization_parameters, ..."""
        executor = self._session.executor()
        return [tensor_details(executor, index) for index in executor.graph.inputs]

    def get_output_details(self) -> list[dict[str, Any]]:
        """A dictionary for each output, in the model's order."""
        executor = self._session.executor()
        return [tensor_details(executor, index) for index in executor.graph.outputs]

    def get_tensor_details(self, subgraph_index: int = 0) -> list[dict[str, Any]]:
        """A dictionary for each tensor of a subgraph."""
        executor = self._session.executor(subgraph_index)
        return [tensor_details(executor, index) for index in range(len(executor.graph.tensors))]

    @property
    def planned_memory(self) -> int:
        """Bytes that the first subgraph's tensors and temporaries take, the file's constants not counted."""
        return self._session.executor().allocated().peak_memory

    def num_subgraphs(self) -> int:
        """How many subgraphs the model has."""
        return len(self.model.subgraphs)

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """Names of inputs and outputs by signature key."""
        return {
            s.key: {"inputs": [name for name, _ in s.inputs], "outputs": [name for name, _ in s.outputs]}
            for s in self.model.signatures or []
        }

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """A callable that runs one signature; the key may be left out where the model has exactly one.

        Raises:
            InputError: no such signature, or no key given and not exactly one.
        """
        signatures = {s.key: s for s in self.model.signatures or []}
        if signature_key is None:
            if len(signatures) != 1:
                raise InputError(f"get_signature_runner: name one of the model's {len(signatures)} signatures: {sorted(signatures)}")
            signature_key = next(iter(signatures))
        if signature_key not in signatures:
            raise InputError(f"get_signature_runner: no signature {signature_key!r}, the model has {sorted(signatures)}")
        signature = signatures[signature_key]
        return SignatureRunner(self._session.executor(signature.subgraph_index), signature)

    def run(self, *inputs: Any, **named: Any) -> dict[str, Array]:
        """Run on real values, and give real values by output name: quantizes, rounds and saturates as each tensor says.

        Args:
            inputs: arrays in the order of ``get_input_details``, or one mapping from input name to array.
            named: arrays by input name.

        A float array given to a quantized input is taken as real values; any other array as the tensor's own elements. Inputs
        are resized to the arrays given where the model allows.

        Raises:
            InputError: inputs are missing, unknown, or do not fit.
            QCoreError: the model cannot run on them.
        """
        executor = self._session.executor()
        given = self.elements(*inputs, **named)
        for index, array in given.items():
            executor.resize(index, array.shape)
        executor.allocate()
        for index, array in given.items():
            executor.write(index, array)
        executor.invoke()
        return {executor.tensor(i).name: to_real(executor.tensor(i), executor.read(i)) for i in executor.graph.outputs}

    def elements(self, *inputs: Any, **named: Any) -> dict[int, Array]:
        """Inputs as ``run`` takes them, as each tensor's own elements by its number: real values quantized.

        Raises:
            InputError: inputs are missing or unknown, or hold what a tensor cannot.
        """
        executor = self._session.executor()
        indices = {executor.tensor(index).name: index for index in executor.graph.inputs}
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            named, inputs = {**inputs[0], **named}, ()
        given = dict(zip(executor.graph.inputs, inputs, strict=False)) | {indices[n]: v for n, v in named.items() if n in indices}
        unknown = sorted(set(named) - set(indices))
        if unknown or len(given) != len(executor.graph.inputs) or len(inputs) + len(named) != len(given):
            raise InputError(f"run: got {len(inputs)} arrays and the names {sorted(named)}, expected one for each of {list(indices)}")
        return {index: to_elements(executor.tensor(index), np.asarray(value)) for index, value in given.items()}
