"""Editing a model leaves a model: what hangs together follows or is refused, and bytes stay canonical."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore import edit
from qcore.errors import InputError, ModelError, QuantizationError
from qcore.model import Model, Quantization
from qcore.numerics import dequantize
from qcore.runtime.real_values import parameters
from qcore.schema import constant
from tests.conformance.harness import T, one_operator, run_qcore

DIGITS = Path(qcore.__file__).parent / "data" / "digits_int8.tflite"
IMAGE, FILTER, BIAS, SCORES = (
    "serving_default_image:0",
    "sequential_1/conv2d_1/convolution",
    "sequential_1/digit_1/BiasAdd",
    "StatefulPartitionedCall_1:0",
)


def digits() -> Model:
    return qcore.load(DIGITS)


def real(model: Model, name: str) -> np.ndarray:
    codes, params = constant(model.tensor(name)), parameters(model.tensor(name))
    assert codes is not None
    assert params is not None
    return dequantize(codes, params)


def test_a_tensor_is_found_by_its_name_alone() -> None:
    model = digits()
    assert model.tensor(FILTER).dtype == "int8"
    with pytest.raises(InputError, match=f"no tensor named 'sequential_1/conv2d_1/convolutio'; there is '{FILTER}'"):
        model.tensor(FILTER[:-1])
    with pytest.raises(InputError, match="subgraph 3 has no tensor named"):
        model.tensor(FILTER, subgraph=3)
    model.tensor(FILTER).name = BIAS
    with pytest.raises(InputError, match=f"subgraph 0 has 2 tensors named '{BIAS}': tensors \\[\\d+, \\d+\\]"):
        model.tensor(BIAS)


def test_constants_are_replaced_by_codes_or_by_real_values() -> None:
    model = digits()
    shape = model.tensor(FILTER).shape
    edit.set_constant(model, FILTER, np.full(shape, -7, np.int64))
    assert set(np.unique(constant(model.tensor(FILTER)))) == {-7}
    values = np.random.default_rng(0).normal(size=shape) * 0.1
    edit.set_constant(model, FILTER, values)
    scale = model.tensor(FILTER).quantization.scale.reshape(-1, 1, 1, 1)  # type: ignore[union-attr]
    assert (np.abs(real(model, FILTER) - np.clip(values, -128 * scale, 127 * scale)) <= 0.501 * scale).all()
    edit.check(model)


def test_what_shares_the_bytes_of_a_constant_keeps_them() -> None:
    model = digits()
    filter, other = model.tensor(FILTER), model.subgraphs[0].tensors[model.subgraphs[0].operators[1].inputs[1]]
    other.buffer = filter.buffer
    before = filter.buffer.data.copy()  # type: ignore[union-attr]
    edit.set_constant(model, FILTER, np.zeros(filter.shape, np.int8))
    np.testing.assert_array_equal(other.buffer.data, before)
    count = len(model.buffers)
    edit.set_constant(model, FILTER, np.ones(filter.shape, np.int8))
    assert len(qcore.load(model.to_bytes()).buffers) == count + 1


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("none", 0, "no tensor named 'none'"),
        (IMAGE, np.zeros((1, 8, 8, 1), np.int8), "is no constant"),
        (FILTER, np.zeros(3, np.int8), r"has shape \[16, 3, 3, 1\], got \[3\]"),
        (FILTER, np.full((16, 3, 3, 1), 200), "has values it cannot hold"),
    ],
)
def test_constants_that_do_not_fit_are_refused(name: str, values: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        edit.set_constant(digits(), name, values)  # type: ignore[arg-type]


def test_another_scale_lets_constants_and_biases_follow() -> None:
    """The filter and the bias keep their real values, and so the network its results, within steps of the coarser filter."""
    model = digits()
    operator = model.subgraphs[0].operators[0]
    bias = model.subgraphs[0].tensors[operator.inputs[2]].name
    before, old = (real(model, FILTER), real(model, bias)), model.tensor(FILTER).quantization
    assert old is not None
    edit.rescale(model, FILTER, old.scale * np.float32(1.5))
    edit.check(model)
    assert (np.abs(real(model, FILTER) - before[0]) <= 0.76 * old.scale.reshape(-1, 1, 1, 1)).all()
    np.testing.assert_allclose(real(model, bias), before[1], atol=float(model.tensor(bias).quantization.scale.max()))  # type: ignore[union-attr]
    edit.rescale(model, IMAGE, 0.005, -100)
    edit.check(model)
    assert (model.tensor(IMAGE).quantization.scale[0], model.tensor(IMAGE).quantization.zero_point[0]) == (np.float32(0.005), -100)  # type: ignore[union-attr]


def test_a_finer_scale_and_back_gives_the_same_bytes() -> None:
    """The range seen at training stays, too."""
    model = digits()
    image = model.tensor(IMAGE)
    assert image.quantization is not None
    image.quantization.min, image.quantization.max = np.float32([-1]), np.float32([1])
    before = model.to_bytes()
    for factor in (0.5, 2):
        edit.rescale(model, IMAGE, image.quantization.scale * np.float32(factor))
    assert model.to_bytes() == before


@pytest.mark.parametrize(
    ("name", "scale", "error", "message"),
    [
        (IMAGE, 0.0, InputError, "expected one above 0"),
        (IMAGE, [0.1, 0.2], InputError, "or one for each of 1 channels"),
        (IMAGE, 1e-12, QuantizationError, "would not fit int32"),
        ("sequential_1/flatten_1/Shape", 0.1, InputError, "is not quantized"),
    ],
)
def test_scales_that_nothing_can_be_quantized_with_are_refused(name: str, scale: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        edit.rescale(digits(), name, scale)  # type: ignore[arg-type]


def test_check_names_the_operator_whose_bias_has_another_scale() -> None:
    model = digits()
    q = model.tensor(IMAGE).quantization
    assert q is not None
    model.tensor(IMAGE).quantization = Quantization(q.scale * np.float32(1.001), q.zero_point)
    with pytest.raises(ModelError, match=r"^CONV_2D \(op 0, output .*bias .* has scale .*, expected input 'serving_default_image:0'"):
        edit.check(model)


def test_check_names_the_operator_that_moves_codes_between_unlike_tensors() -> None:
    model = digits()
    model.tensor("sequential_1/flatten_1/Reshape").quantization = Quantization(np.float32([0.05]), np.int64([-128]))
    with pytest.raises(ModelError, match=r"^RESHAPE \(op 7, .*scale 0.03.*, zero point -128, .*scale 0.05"):
        edit.check(model)


def test_check_finds_what_a_kernel_refuses(tmp_path: Path) -> None:
    """And nothing is written."""
    model = digits()
    model.subgraphs[0].operators[0].options.fields["stride_w"] = 0  # type: ignore[union-attr]
    with pytest.raises(ModelError, match=r"CONV_2D \(op 0.*stride"):
        edit.save(model, tmp_path / "out.tflite")
    assert list(tmp_path.iterdir()) == []


def test_quantized_models_are_consistent() -> None:
    edit.check(digits())
    edit.check(qcore.load(DIGITS.with_name("digits_float.tflite")))


def test_renamed_tensors_keep_their_place_in_signatures() -> None:
    model = digits()
    assert model.signatures is not None
    before = model.signatures[0].inputs
    edit.rename(model, IMAGE, "image")
    assert model.signatures[0].inputs == before
    assert qcore.Interpreter(model_content=model).get_input_details()[0]["name"] == "image"
    with pytest.raises(InputError, match=f"has a tensor '{FILTER}' already"):
        edit.rename(model, "image", FILTER)


def test_stripping_changes_no_result_and_leaves_the_interface() -> None:
    model = digits()
    stripped = edit.strip(model)
    assert model.metadata is not None
    assert (stripped.metadata, stripped.description) == (None, None)
    graph = stripped.subgraphs[0]
    assert {tensor.name for tensor in graph.tensors} == {IMAGE, SCORES, ""}
    assert len(stripped.to_bytes()) < len(model.to_bytes())
    image = np.random.default_rng(0).integers(-128, 128, (1, 8, 8, 1)).astype(np.int8)
    np.testing.assert_array_equal(run_qcore(stripped, [image]), run_qcore(model, [image]))
    assert edit.strip(stripped).to_bytes() == stripped.to_bytes()


def test_parts_can_be_stripped_alone() -> None:
    model = digits()
    model.tensor(FILTER).quantization.max = np.ones(16, np.float32)  # type: ignore[union-attr]
    found = qcore.diff(model, edit.strip(model, ["ranges"]))
    assert [(change.name, change.what) for change in found.structure] == [(FILTER, "range seen at training")]
    assert found.counts == {"structure": 1}
    with pytest.raises(InputError, match="strip: got 'weights', expected some of metadata, names, ranges, unused"):
        edit.strip(model, ["weights"])  # type: ignore[list-item]


@pytest.mark.parametrize("types", [("float32", "float32"), ("uint8", "uint8"), ("float32", "uint8"), ("uint8", None), (None, "float32")])
def test_types_of_inputs_and_outputs_change_without_a_result_changing(types: tuple) -> None:
    """And back again the operators are those of before, for codes that stand for the same real numbers."""
    model = digits()
    edited = edit.set_io_types(model, *types)
    edit.check(edited)
    with np.load(DIGITS.with_name("digits.npz")) as data:
        image = data["images"][:1, ..., np.newaxis] / np.float32(16)
    (before,), (after,) = (qcore.Interpreter(model_content=m).run(image).values() for m in (model, edited))
    np.testing.assert_array_equal(before, after)
    graph = edited.subgraphs[0]
    assert [graph.tensors[i].name for i in (*graph.inputs, *graph.outputs)] == [IMAGE, SCORES]
    assert [graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)] == [t or "int8" for t in types]
    back = edit.set_io_types(edited, "int8", "int8")
    assert [op.name for op in back.subgraphs[0].operators] == [op.name for op in model.subgraphs[0].operators]
    assert qcore.diff(model, back).counts == {}


def test_types_that_the_codes_inside_do_not_have_are_refused() -> None:
    with pytest.raises(QuantizationError, match=f"set_io_types: input '{IMAGE}' has other codes"):
        edit.set_io_types(digits(), "int16")
    with pytest.raises(InputError, match="got 'int4', expected one of float32, int8, uint8, int16"):
        edit.set_io_types(digits(), "int4")  # type: ignore[arg-type]
    real_input = one_operator("NEG", [T("float32", (2,))], [T("float32", (2,))])
    with pytest.raises(QuantizationError, match="is read in floating point by NEG"):
        edit.set_io_types(real_input, "int8")


def test_the_same_edit_gives_the_same_bytes() -> None:
    def edited() -> bytes:
        model = edit.set_io_types(digits(), "float32", "uint8")
        edit.rescale(model, FILTER, 0.01)
        return edit.strip(model).to_bytes()

    assert edited() == edited()
    assert qcore.load(edited()).to_bytes() == edited()
