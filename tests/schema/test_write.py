"""Writing: nothing that was read is lost, the same model gives the same bytes, and TensorFlow Lite runs them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError
from qcore.model import Buffer, Metadata, Model, Operator, OperatorCode, Subgraph, Table, Tensor
from qcore.schema import constant, default_options, encode, load, read, write
from qcore.schema.description import TABLES

SHARED_MODELS = Path(__file__).resolve().parents[3] / "shared" / "models"


def _plain(value: Any) -> Any:
    """A value of a model as lists and dictionaries that can be compared; tables with their defaults."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Table):
        return value.name, {name: _plain(value.fields.get(name, default)) for name, default in TABLES[value.name].defaults.items()}
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def test_all_that_a_model_holds_comes_back(rich_model: Model) -> None:
    back = _plain(read(write(rich_model)))
    assert _plain(rich_model.subgraphs) == back["subgraphs"]
    expected = _plain(rich_model)
    for field in ("version", "description", "metadata", "metadata_buffer", "signatures", "external_buffer_groups", "external_buffers"):
        assert expected[field] == back[field], field


def test_what_is_referred_to_but_not_listed_is_added_in_the_order_of_its_use(rich_model: Model) -> None:
    back = read(write(rich_model))
    assert [code.name for code in back.operator_codes] == ["FULLY_CONNECTED", "CUSTOM", "WHILE", "STABLEHLO_PAD"]
    sizes = [None if buffer.data is None else buffer.data.size for buffer in back.buffers]
    assert sizes == [None, 5, 12, 12, 2, 25, 8]


def test_writing_what_was_read_gives_the_same_bytes(rich_bytes: bytes) -> None:
    assert write(read(rich_bytes)) == rich_bytes


def test_the_same_model_gives_the_same_bytes(make_rich_model: Callable[[], Model], rich_bytes: bytes) -> None:
    assert write(make_rich_model()) == rich_bytes


def test_constants_start_at_multiples_of_16_bytes(rich_bytes: bytes) -> None:
    whole = np.frombuffer(rich_bytes, np.uint8)
    for buffer in read(rich_bytes).buffers:
        if buffer.data is not None:
            assert (buffer.data.ctypes.data - whole.ctypes.data) % 16 == 0


def test_an_absent_vector_is_not_an_empty_one() -> None:
    graph = Subgraph(None, [Tensor("t", "int32", (0,), Buffer(np.zeros(0, np.uint8)), shape_signature=())], [], [0], [])
    model = read(write(Model([graph], metadata=[], signatures=[])))
    assert model.metadata == []
    assert model.signatures == []
    assert model.metadata_buffer is None
    tensor = model.subgraphs[0].tensors[0]
    assert tensor.shape_signature == ()
    assert tensor.is_constant


def test_old_readers_find_the_operator_in_a_field_of_its_own() -> None:
    """Builtins past 126 hold a placeholder there, which old readers refuse by name."""
    from qcore.schema.decode import decode

    codes = [OperatorCode("ADD"), OperatorCode("BATCH_MATMUL", 2), OperatorCode("GELU")]
    root, _ = decode(memoryview(write(Model([Subgraph(None, [], [], [], [])], codes))))
    fields = [(code["deprecated_builtin_code"], code["builtin_code"], code["version"]) for code in root["operator_codes"]]
    assert fields == [(0, "ADD", 1), (126, "BATCH_MATMUL", 2), (127, "GELU", 1)]


def test_a_tensor_of_buffer_0_is_no_constant_whatever_the_buffer_holds() -> None:
    """As in TensorFlow Lite; the bytes stay in the file for whoever else refers to them."""
    blob = Buffer(np.array([7], np.uint8))
    model = Model([Subgraph(None, [Tensor("t", "int8", (1,), Buffer())], [0], [0], [])], buffers=[blob], metadata=[Metadata("m", blob)])
    back = read(write(model))
    assert back.metadata is not None
    assert back.metadata[0].buffer is back.buffers[0]
    assert back.buffers[0].data is not None
    assert not back.tensor("t").is_constant
    assert write(back) == write(model)
    back.tensor("t").buffer = back.buffers[0]
    back.subgraphs[0].inputs = []
    with pytest.raises(ModelError, match="^tensor 't': its bytes are in the model's first buffer, which means that there are none"):
        write(back)


def test_constants_past_2_gb_go_after_the_flatbuffer(rich_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limit lowered: the same values, every constant outside, at multiples of 16 bytes."""
    monkeypatch.setattr("qcore.schema.writer.INLINE_LIMIT", 20)
    data = write(rich_model)
    back = read(data)
    assert all(buffer.in_appendix for buffer in back.buffers if buffer.data is not None)
    for tensor, original in zip(back.subgraphs[0].tensors, rich_model.subgraphs[0].tensors, strict=True):
        if original.buffer.data is not None:
            assert tensor.buffer.data is not None
            assert tensor.buffer.data.tobytes() == original.buffer.data.tobytes()
            assert (tensor.buffer.data.ctypes.data - np.frombuffer(data, np.uint8).ctypes.data) % 16 == 0
    assert write(back) == data


def test_bytes_after_the_flatbuffer_that_the_file_does_not_have_are_refused(rich_bytes: bytes) -> None:
    with pytest.raises(ModelError, match=r"^(buffer 3|subgraph 0, operator 1, custom options): \d+ bytes at \d+ run past the end"):
        read(rich_bytes[:-1])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"colour": 1}, "FullyConnectedOptions has no field colour"),
        ({"keep_num_dims": None, "weights_format": "ROUND"}, "'ROUND' is no FullyConnectedOptionsWeightsFormat"),
        ({"fused_activation_function": 1}, "1 is no ActivationFunctionType"),
        ({"quant_spec": [256]}, "the values are no vector of uint8"),
        ({"quant_spec": [0.5]}, "the values are no vector of uint8"),
        ({"quant_spec": [[1], [2]]}, "got 2 dimensions, a vector has 1"),
    ],
)
def test_options_that_the_schema_cannot_hold_are_refused(fields: dict[str, Any], message: str, rich_model: Model) -> None:
    rich_model.subgraphs[0].operators[0].options = Table("FullyConnectedOptions", fields)
    where = r"^subgraphs\[0\]\.operators\[0\]\.builtin_options[a-z_.]*: "
    with pytest.raises(ModelError, match=where + re.escape(message)):
        write(rich_model)


def _set_custom_code(value: Any) -> Callable[[Model], None]:
    def edit(model: Model) -> None:
        model.subgraphs[0].operators[1].code.custom_code = value

    return edit


def _set_quantization(**fields: Any) -> Callable[[Model], None]:
    def edit(model: Model) -> None:
        quantization = model.tensor("w").quantization
        assert quantization is not None
        for name, value in fields.items():
            setattr(quantization, name, value)

    return edit


def _set_code(name: str) -> Callable[[Model], None]:
    def edit(model: Model) -> None:
        model.subgraphs[0].operators[3].code.name = name
        model.subgraphs[0].operators[3].options = None

    return edit


def _set_description(value: Any) -> Callable[[Model], None]:
    return lambda model: setattr(model, "description", value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_set_custom_code(b"Mine"), "operator_codes[1].custom_code: got bytes, expected str"),
        (_set_code("ROUNDABOUT"), "operator_codes[3].builtin_code: 'ROUNDABOUT' is no BuiltinOperator"),
        (_set_quantization(min=np.array(["a"])), "subgraphs[0].tensors[1].quantization.min: the values are no vector of float32"),
        (
            _set_quantization(details=Table("PadOptions", {})),
            "subgraph 0, tensor 1 'w': the quantization's details are PadOptions",
        ),
        (_set_description("\ud800"), "description: '\\ud800' has no UTF-8: surrogates not allowed"),
    ],
)
def test_values_that_the_schema_cannot_hold_are_refused(edit: Callable[[Model], None], message: str, rich_model: Model) -> None:
    edit(rich_model)
    with pytest.raises(ModelError, match=f"^{re.escape(message)}"):
        write(rich_model)


def test_numbers_of_any_type_that_fit_are_written_alike(rich_model: Model, rich_bytes: bytes) -> None:
    operator = rich_model.subgraphs[0].operators[0]
    operator.inputs = list(np.array(operator.inputs, np.int64))
    quantization = rich_model.tensor("w").quantization
    assert quantization is not None
    quantization.scale = quantization.scale.astype(np.float64)  # type: ignore[assignment]
    quantization.zero_point = quantization.zero_point.astype(np.int32)  # type: ignore[assignment]
    assert write(rich_model) == rich_bytes


@pytest.mark.parametrize("in_appendix", [False, True])
def test_tensorflow_lite_runs_what_was_written(in_appendix: bool) -> None:
    interpreter_module = pytest.importorskip("ai_edge_litert.interpreter")
    weights = np.array([[1, 2], [3, -4], [0.5, 0]], np.float32)
    bias = np.array([1, 1, -10], np.float32)
    options = default_options("FULLY_CONNECTED")
    options.fields["fused_activation_function"] = "RELU"
    tensors = [
        Tensor("x", "float32", (1, 2), Buffer(), shape_signature=(-1, 2)),
        Tensor("w", "float32", (3, 2), Buffer(encode(weights, "float32"), in_appendix)),
        Tensor("b", "float32", (3,), Buffer(encode(bias, "float32"), in_appendix)),
        Tensor("y", "float32", (1, 3), Buffer()),
    ]
    graph = Subgraph("main", tensors, [0], [3], [Operator(OperatorCode("FULLY_CONNECTED"), [0, 1, 2], [3], options)])
    interpreter = interpreter_module.Interpreter(model_content=write(Model([graph])))
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.array([[1, 2]], np.float32))
    interpreter.invoke()
    assert interpreter.get_tensor(3).tolist() == [[6, 0, 0]]


@pytest.mark.skipif(not SHARED_MODELS.is_dir(), reason="no folder of real models beside the checkout")
def test_real_models_come_back_byte_for_byte() -> None:
    """What the writer makes of a file is a fixpoint, and its constants are those of the file."""
    for path in sorted(SHARED_MODELS.glob("*.tflite")):
        data = path.read_bytes()
        try:
            model = load(data)
        except ModelError as error:
            assert "version 2" in str(error), path.name
            continue
        written = write(model)
        back = read(written)
        assert write(back) == written, path.name
        for graph, original in zip(back.subgraphs, model.subgraphs, strict=True):
            for tensor, before in zip(graph.tensors, original.tensors, strict=True):
                values, expected = constant(tensor), constant(before)
                assert (values is None) == (expected is None)
                assert values is None or expected is None or np.array_equal(values, expected, equal_nan=values.dtype.kind == "f")
