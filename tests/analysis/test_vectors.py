"""Test vectors: that they hold what kernels need, in files that other languages read, and that a layer written in C from them agrees."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.analysis.vectors.header import comment, header, integer, real
from qcore.analysis.vectors.parameters import Told, tell
from qcore.errors import InputError, UnsupportedError
from qcore.kernels.opdef import Node, Operand
from qcore.kernels.registry import OPERATORS
from qcore.model import Model, Quantization
from qcore.numerics import fixed_point
from qcore.numerics.fixed_point import Requantizer
from tests.calibration.models import loop
from tests.conformance.harness import T, one_operator, run_qcore

COMPILER = shutil.which("cc")
DIGITS = Path(qcore.__file__).parent / "data" / "digits_int8.tflite"
EQUATIONS = Path(qcore.__file__).parents[1] / "docs" / "quantization.md"


def filter_of(shape: tuple[int, ...], scale: object, axis: int) -> T:
    return T("int8", shape, scale, axis=axis, value=np.random.default_rng(1).integers(-127, 128, shape))


def bias_of(count: int) -> T:
    return T("int32", (count,), 0.1, value=np.random.default_rng(2).integers(-20000, 20000, count))


def layers() -> dict[str, Model]:
    """Layers with strides, dilation, padding that filters reach into from all sides, several scales, and zero points of all kinds."""
    scales = np.array([0.01, 0.02, 0.004, 0.013], np.float32)
    conv = {"padding": "SAME", "stride_h": 2, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 2}
    depthwise = {"padding": "SAME", "stride_h": 1, "stride_w": 2, "depth_multiplier": 2, "fused_activation_function": "RELU6"}
    return {
        "CONV_2D": one_operator(
            "CONV_2D", [T("int8", (2, 5, 6, 3), 0.1, -128), filter_of((4, 3, 2, 3), scales, 0), bias_of(4)],
            [T("int8", (2, 3, 6, 4), 0.3, 5)], conv,
        ),
        "CONV_2D of taps that only meet padding": one_operator(
            "CONV_2D", [T("int8", (1, 2, 2, 1), 0.1, 7), filter_of((1, 7, 7, 1), 0.01, 0), bias_of(1)], [T("int8", (1, 2, 2, 1), 0.3, 5)],
            {"padding": "SAME", "stride_h": 1, "stride_w": 1},
        ),
        "DEPTHWISE_CONV_2D": one_operator(
            "DEPTHWISE_CONV_2D", [T("int8", (1, 4, 5, 2), 0.1, 3), filter_of((1, 3, 3, 4), scales, 3), bias_of(4)],
            [T("int8", (1, 4, 3, 4), 0.05, -9)], depthwise,
        ),
        "FULLY_CONNECTED": one_operator(
            "FULLY_CONNECTED", [T("int8", (3, 7), 0.1, 127), filter_of((4, 7), scales, 0), bias_of(4)], [T("int8", (3, 4), 0.2, 1)]
        ),
        "ADD": one_operator(
            "ADD", [T("int8", (2, 30), 0.1, -128), T("int8", (2, 30), 0.037, 127)], [T("int8", (2, 30), 0.06, 4)],
            {"fused_activation_function": "RELU"},
        ),
    }  # fmt: skip


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler named cc")
@pytest.mark.parametrize("name", layers())
def test_layer_written_in_c_from_the_header_gives_every_accumulator_and_output(name: str, tmp_path: Path) -> None:
    path = qcore.vectors(layers()[name], 0, count=3).save(tmp_path, "c")
    program = tmp_path / "layer"
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wno-unused-function"]
    source = Path(__file__).with_name("layers.c")
    subprocess.run([str(COMPILER), *strict, f'-DHEADER="{path}"', str(source), "-o", str(program), "-lm"], check=True)
    result = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler named cc")
@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
def test_headers_of_a_whole_model_compile_together_without_a_warning(arithmetic: str, tmp_path: Path) -> None:
    model = qcore.load(DIGITS)
    operators = [i for i, operator in enumerate(model.subgraphs[0].operators) if operator.name not in ("SHAPE", "STRIDED_SLICE", "PACK")]
    paths = [qcore.vectors(model, i, arithmetic=arithmetic, count=0).save(tmp_path, "c") for i in operators]
    lines = [f'#include "{path.name}"\n' for path in (*paths, *paths)]  # twice: guards
    (tmp_path / "all.c").write_text("".join(lines) + "int main(void) { return 0; }\n")
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
    subprocess.run([str(COMPILER), *strict, str(tmp_path / "all.c")], check=True)


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler named cc")
@pytest.mark.parametrize(
    "model",
    [
        one_operator("LOGICAL_OR", [T("bool", (3,)), T("bool", (3,))], [T("bool", (3,))]),
        one_operator(
            "TRANSPOSE_CONV",
            [
                T("int32", (4,), value=np.array([1, 4, 4, 2])),
                T("int8", (2, 2, 2, 3), 0.1, axis=0, value=np.ones((2, 2, 2, 3))),
                T("int8", (1, 2, 2, 3), 0.1),
            ],
            [T("int8", (1, 4, 4, 2), 0.1)],
            {"padding": "SAME", "stride_h": 2, "stride_w": 2},
        ),
        one_operator("ELU", [T("float32", (3,))], [T("float32", (3,))]),
        one_operator("FULLY_CONNECTED", [T("float32", (1, 8)), filter_of((4, 8), 0.1, 0)], [T("float32", (1, 4))]),
    ],
    ids=lambda model: model.subgraphs[0].operators[0].name,
)
def test_headers_of_other_operators_and_types_compile(model: Model, tmp_path: Path) -> None:
    path = qcore.vectors(model, 0).save(tmp_path, "c")
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
    subprocess.run([str(COMPILER), *strict, "-x", "c", "-include", str(path), "/dev/null"], check=True)


def test_a_header_that_no_compiler_would_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qcore.analysis.vectors.header.MOST_NUMBERS", 100)
    with pytest.raises(UnsupportedError, match=r"ADD .*expected at most 100; the format npz does"):
        header(qcore.vectors(layers()["ADD"], 0))


def test_outputs_are_those_of_the_interpreter_for_every_case() -> None:
    model = layers()["CONV_2D"]
    found = qcore.vectors(model, 0, arithmetic="xnnpack", count=2)
    for inputs, output in zip(found["input"], found["output"], strict=True):
        np.testing.assert_array_equal(run_qcore(model, [inputs], arithmetic="xnnpack")[0], output)


def test_first_case_is_what_the_operator_found_in_the_models_run_on_the_inputs_given() -> None:
    image = np.full((1, 8, 8, 1), 0.5, np.float32)
    found = qcore.vectors(DIGITS.read_bytes(), 1, image)
    interpreter = qcore.Interpreter(model_path=str(DIGITS), experimental_preserve_all_tensors=True)
    interpreter.run(image)
    operator = interpreter.model.subgraphs[0].operators[1]
    np.testing.assert_array_equal(found["input"][0], interpreter.get_tensor(operator.inputs[0]))
    np.testing.assert_array_equal(found["output"][0], interpreter.get_tensor(operator.outputs[0]))


def test_cases_reach_both_ends_of_the_codes_and_real_zero() -> None:
    found = qcore.vectors(layers()["ADD"], 0)
    names = [*found.cases]
    assert names == ["model", "low", "high", "zero", "low_high", "high_low", "random0"]
    ends = {name: (set(found["input1"][k].flat), set(found["input2"][k].flat)) for k, name in enumerate(names)}
    assert ends["low"] == ({-128}, {-128})
    assert ends["high"] == ({127}, {127})
    assert ends["zero"] == ({-128}, {127})
    assert ends["low_high"] == ({-128}, {127})
    assert ends["high_low"] == ({127}, {-128})


def test_accumulators_requantized_are_the_outputs_in_tiles_and_without_them() -> None:
    shape = (1, 150, 150, 2)  # more outputs than a tile of the kernel has
    model = one_operator(
        "CONV_2D", [T("int8", shape, 0.1, 2), filter_of((16, 3, 3, 2), 0.01, 0), bias_of(16)], [T("int8", (1, 150, 150, 16), 0.3)],
        {"padding": "SAME", "stride_h": 1, "stride_w": 1},
    )  # fmt: skip
    found = qcore.vectors(model, 0, count=0)
    requantize = fixed_point.DoubleRounding(found["multiplier"], found["shift"])
    np.testing.assert_array_equal(np.clip(requantize(found["accumulator"]), -128, 127), found["output"])


def test_tables_come_with_the_integers_that_they_were_made_of() -> None:
    found = qcore.vectors(one_operator("QUANTIZE", [T("int8", (4,), 0.1, 3)], [T("int8", (4,), 0.3, -5)]), 0)
    assert found["table"].shape == (256,)
    assert (found.parameters["input_zero_point"], found.parameters["output_zero_point"]) == (3, -5)
    assert (found.parameters["multiplier"], found.parameters["shift"]) == qcore.quantize_multiplier(
        float(np.float64(np.float32(0.1)) / np.float64(np.float32(0.3)))
    )
    np.testing.assert_array_equal(found["table"][found["input"].view(np.uint8)], found["output"])
    assert found["accumulator"].tolist()[1] == [-131] * 4


def test_names_that_would_be_alike_say_what_they_belong_to() -> None:
    found = qcore.vectors(one_operator("LEAKY_RELU", [T("int8", (4,), 0.1)], [T("int8", (4,), 0.1)], {"alpha": 0.1}), 0)
    assert {"identity_multiplier", "identity_shift", "alpha_multiplier", "alpha_shift"} <= found.parameters.keys()


def test_operators_of_floats_have_inputs_and_outputs_alone() -> None:
    found = qcore.vectors(one_operator("EXP", [T("float32", (2, 3))], [T("float32", (2, 3))]), 0, count=2)
    assert found.parameters == {}
    assert found.accumulator is None
    np.testing.assert_allclose(found["output"], np.exp(found["input"]), rtol=1e-6)
    assert "0x" in header(found)


def test_positions_and_sizes_computed_at_run_time_stay_as_the_model_had_them() -> None:
    model = one_operator("GATHER", [T("int8", (3, 2), 0.1), T("int32", (2,))], [T("int8", (2, 2), 0.1)])
    found = qcore.vectors(model, 0, [np.zeros((3, 2), np.int8), np.array([2, 0], np.int32)])
    assert {tuple(row) for row in found["input2"]} == {(2, 0)}


@pytest.mark.parametrize("format", ["npz", "c"])
def test_manifest_says_arithmetic_rounding_by_name_and_equation_shapes_and_layouts(format: str, tmp_path: Path) -> None:
    path = qcore.vectors(layers()["DEPTHWISE_CONV_2D"], 0).save(tmp_path / "new", format)
    manifest = json.loads((tmp_path / "new" / "op000_depthwise_conv_2d.json").read_text())
    assert manifest["file"] == path.name
    assert manifest["arithmetic"] == "reference"
    assert manifest["rounding"] == [{"rule": "DoubleRounding", "equation": 15, "parameters": ["multiplier", "shift"]}]
    assert manifest["options"]["fused_activation_function"] == "RELU6"
    tensors = {t["role"]: t for t in manifest["tensors"]}
    assert tensors["filter"]["layout"] == "1HWC"
    assert tensors["filter"]["shape"] == [1, 3, 3, 4]
    assert tensors["filter"]["quantized_dimension"] == 3
    assert tensors["input"]["zero_point"] == [3]
    assert manifest["parameters"]["depth_multiplier"] == 2
    assert manifest["parameters"]["multiplier"] == {"dtype": "int32", "shape": [4]}
    assert path.name in (tmp_path / "new" / "README.md").read_text()


def test_archives_hold_what_the_vectors_hold(tmp_path: Path) -> None:
    found = qcore.vectors(layers()["FULLY_CONNECTED"], 0)
    with np.load(found.save(tmp_path)) as archive:
        assert set(archive) == set(found.arrays)
        for name, array in found.arrays.items():
            np.testing.assert_array_equal(archive[name], array)


def test_equations_of_rounding_rules_are_those_their_docstrings_and_the_page_of_equations_name() -> None:
    rules = [
        rule for rule in vars(fixed_point).values() if isinstance(rule, type) and issubclass(rule, Requantizer) and "equation" in vars(rule)
    ]
    rules = [rule for rule in rules if isinstance(rule.__dict__["equation"], int)]
    assert len(rules) == 6
    for rule in rules:
        assert f"equation ({rule.equation})" in (rule.__doc__ or "")
        assert re.search(rf"\*\*\({rule.equation}\)\*\*.*`{rule.__name__}`", EQUATIONS.read_text())


@pytest.mark.parametrize("name", [n for n, d in OPERATORS.items() if "int8" in d.types and d.inputs == (1, 1)])
def test_parameters_of_every_operator_of_one_int8_input_can_be_told(name: str) -> None:
    q = Quantization(np.array([1 / 256], np.float32), np.array([-128], np.int64))
    operand = Operand("x", "int8", (1, 4, 4, 4), q)
    options = {"padding": "SAME", "filter_height": 2, "filter_width": 2, "stride_h": 1, "stride_w": 1, "fused_activation_function": "NONE"}
    extra = {"beta": 1.0, "alpha": 0.5, "approximate": False, "block_size": 2, "squeeze_dims": None, "num": 4, "axis": 3, "values_count": 1}
    try:
        step = OPERATORS[name].ready(Node(name, name, (operand,), (operand,), options | extra))
    except (qcore.QCoreError, KeyError):
        pytest.skip("takes other shapes or options")
    assert isinstance(tell(step), Told)


@pytest.mark.parametrize(
    ("value", "text"), [(5, "5"), (-(2**31), "(-2147483647 - 1)"), (2**31, "2147483648LL"), (-(2**63), "(-9223372036854775807LL - 1)")]
)
def test_integers_are_written_as_c_reads_them(value: int, text: str) -> None:
    assert integer(value) == text


def test_reals_are_exact() -> None:
    for value in (np.float32(0.1), np.float32(1), np.float64(1e-300), np.float32(16)):
        assert float.fromhex(real(value).removesuffix("f")) == float(value)
    assert real(np.float32(np.inf)) == "INFINITY"


def test_no_name_in_a_file_ends_a_comment_or_its_line() -> None:
    for line in comment("a */ b /* c \\*\\/ \n#error " + "d" * 300).splitlines():
        assert line.startswith("/* ")
        assert line.endswith(" */")
        assert not {"*/", "/*", "\\"} & {line[3:-3][i : i + n] for n in (1, 2) for i in range(len(line))}


def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    add = layers()["ADD"]
    with pytest.raises(InputError, match=r"operator 7"):
        qcore.vectors(add, 7)
    with pytest.raises(InputError, match="seed is -1"):
        qcore.vectors(add, 0, seed=-1)
    with pytest.raises(InputError, match="count is -1"):
        qcore.vectors(add, 0, count=-1)
    with pytest.raises(InputError, match="format is 'h'"):
        qcore.vectors(add, 0).save(tmp_path, "h")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="README"):
        (tmp_path / "README").write_text("")
        qcore.vectors(add, 0).save(tmp_path / "README")
    with pytest.raises(UnsupportedError, match=r"SHAPE \(op 4.*constants alone"):
        qcore.vectors(qcore.load(DIGITS), 4)


def test_an_operator_whose_values_say_its_outputs_shape_has_the_models_own_case() -> None:
    model = one_operator("UNIQUE", [T("float32", (4,))], [T("float32", (4,)), T("int32", (4,))], {"idx_out_type": "int32"})
    found = qcore.vectors(model, 0, np.array([3, 1, 3, 1], np.float32))
    assert list(found.cases) == ["model"]
    np.testing.assert_array_equal(found["output1"], [[3, 1]])


def test_operators_with_state_begin_with_it_clean_and_those_that_run_subgraphs_are_refused() -> None:
    def state(depth: int, dtype: str, scale: float) -> T:
        return T(dtype, (1, depth), scale, is_variable=True)

    inputs = [
        T("int8", (1, 3), 0.1), T("int8", (2, 3), 0.01, value=np.ones((2, 3))), T("int16", (2, 2), 0.01, value=np.ones((2, 2))),
        T("int32", (2,), 0.001, value=np.zeros(2)), state(4, "int16", 0.01),
    ]  # fmt: skip
    options = {"rank": 1, "fused_activation_function": "RELU"}
    found = qcore.vectors(one_operator("SVDF", inputs, [T("int8", (1, 2), 0.1, -128)], options), 0)
    assert not found["state"][0].any()
    with pytest.raises(UnsupportedError, match="WHILE.*subgraphs that it runs"):
        qcore.vectors(loop(), 0)
