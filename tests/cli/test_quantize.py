"""``qcore quantize``: the models that it writes, its table and chart, and how it fails. Runs on the bundled digits."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.cli.data import DataSet, Inputs, Scaling
from qcore.cli.main import main
from qcore.cli.quantize import VARIANTS
from tests.calibration.models import one_input, two_inputs, two_signatures
from tests.quantizer.trained import trained

DATA = Path(qcore.__file__).parent / "data"
FLOAT, DIGITS = str(DATA / "digits_float.tflite"), str(DATA / "digits.npz")
CALIBRATED = ["--calibration", DIGITS, "--scale", "1/16", "--calibration-samples", "20"]


def quantize(*arguments: str) -> int:
    return main(["quantize", FLOAT, *arguments])


def report(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def digits() -> tuple[np.ndarray, np.ndarray]:
    with np.load(DIGITS) as data:
        return data["images"], data["labels"]


def expected(mode: str = "int8", **options: object) -> bytes:
    model, (images, _) = qcore.load(FLOAT), digits()
    statistics = qcore.calibrate(model, images[:20, ..., np.newaxis] / 16)
    return qcore.quantize_model(model, mode, statistics, **options).to_bytes()  # type: ignore[arg-type]


def test_it_writes_what_quantize_model_gives(tmp_path: Path) -> None:
    assert quantize("-o", str(tmp_path / "int8.tflite"), *CALIBRATED) == 0
    assert (tmp_path / "int8.tflite").read_bytes() == expected()


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--mode", "float16"], {"mode": "float16"}),
        (["--mode", "dynamic_range", "--min-elements", "0", "--no-per-channel"], {"min_elements": 0, "per_channel": False}),
        (["--mode", "weight_only", "--weight-type", "int4", "--block-size", "32"], {"weight_type": "int4", "block_size": 32}),
        (["--mode", "int16x8", "--bias-type", "int32", "--output-type", "int16"], {"bias_type": "int32", "output_type": "int16"}),
        (["--input-type", "uint8", "--no-float-fallback", "--no-per-channel-dense"], {"input_type": "uint8", "per_channel_dense": False}),
        (["--mode", "dynamic_range", "--convention", "ai-edge"], {"convention": "ai-edge"}),
    ],
)
def test_every_option_of_quantize_model_is_an_argument(arguments: list[str], options: dict, tmp_path: Path) -> None:
    mode = arguments[1] if arguments[0] == "--mode" else "int8"
    assert quantize("-o", str(tmp_path / "out.tflite"), *CALIBRATED, *arguments) == 0
    assert (tmp_path / "out.tflite").read_bytes() == expected(**{"mode": mode, **options})


def test_ranges_come_from_the_graph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    qcore.save(trained(), tmp_path / "trained.tflite")
    arguments = ["quantize", str(tmp_path / "trained.tflite"), "--ranges", "graph", "-o", str(tmp_path / "int8.tflite")]
    assert main(arguments) == 0
    assert (tmp_path / "int8.tflite").read_bytes() == qcore.quantize_model(
        qcore.load(tmp_path / "trained.tflite"), ranges="graph"
    ).to_bytes()
    assert quantize("--ranges", "graph", *CALIBRATED) == 2
    assert "ranges='graph': no operator of the model rounds" in capsys.readouterr().err


def test_rules_come_from_a_file(tmp_path: Path) -> None:
    rules = qcore.Rules((qcore.Rule(False, operator="SOFTMAX"),))
    (tmp_path / "rules.json").write_text(rules.to_json())
    assert quantize("-o", str(tmp_path / "out.tflite"), *CALIBRATED, "--rules", str(tmp_path / "rules.json")) == 0
    assert (tmp_path / "out.tflite").read_bytes() == expected(rules=rules)


def test_the_calibration_method_is_the_callers_choice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = set()
    for arguments in (["minmax"], ["percentile"], ["percentile", "--percentile", "90"]):
        assert quantize("-o", str(tmp_path / "out.tflite"), *CALIBRATED, "--method", *arguments) == 0
        written.add((tmp_path / "out.tflite").read_bytes())
    assert len(written) == 3
    capsys.readouterr()
    assert quantize(*CALIBRATED, "--convention", "ai-edge", "--json") == 0
    assert report(capsys)["calibration"] == {"samples": 20, "method": "moving_average"}


def test_statistics_are_kept_and_serve_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without samples, for another mode, and with another method."""
    kept = str(tmp_path / "statistics.npz")
    assert quantize(*CALIBRATED, "--save-statistics", kept) == 0
    assert quantize("--statistics", kept, "-o", str(tmp_path / "int8.tflite")) == 0
    assert (tmp_path / "int8.tflite").read_bytes() == expected()
    assert quantize("--statistics", kept, "--mode", "int16x8", "-o", str(tmp_path / "int16x8.tflite")) == 0
    assert (tmp_path / "int16x8.tflite").read_bytes() == expected("int16x8")
    capsys.readouterr()
    assert quantize("--statistics", kept, "--method", "mse", "--json") == 0
    assert report(capsys)["calibration"] == {"samples": 20, "method": "mse"}
    assert quantize("--statistics", kept, *CALIBRATED) == 2


def test_all_modes_are_compared_with_the_float_model_and_written_to_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--all-modes", "-o", str(tmp_path / "models"), *CALIBRATED, "--evaluate", DIGITS, "--evaluate-samples", "40"]
    assert quantize(*arguments, "--json") == 0
    result = report(capsys)
    assert [row["name"] for row in result["models"]] == ["float", *VARIANTS]
    assert (result["calibration"], result["samples"]) == ({"samples": 20, "method": "minmax"}, 40)
    images, labels = digits()
    for row in result["models"]:
        assert row["bytes"] == Path(row["file"]).stat().st_size
        interpreter = qcore.Interpreter(row["file"])
        outputs = [next(iter(interpreter.run(image[np.newaxis, ..., np.newaxis] / np.float32(16)).values())) for image in images[:40]]
        assert row["correct"] == np.sum(np.argmax(outputs, axis=-1).ravel() == labels[:40])
        assert row["accuracy"] == row["correct"] / 40
        assert row["agreement"] > 0.9
    uint8 = qcore.load(tmp_path / "models" / "digits_float_int8_uint8_io.tflite").subgraphs[0]
    assert {uint8.tensors[i].dtype for i in (*uint8.inputs, *uint8.outputs)} == {"uint8"}
    assert quantize(*arguments) == 0
    out = capsys.readouterr().out
    for part in ("of float", "accuracy", "agreement", "int8_uint8_io", "100.0%", "calibrated on 20 samples (minmax)", "run on 40 samples"):
        assert part in out


def test_without_samples_or_output_the_table_shows_sizes_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert quantize("--mode", "float16") == 0
    assert capsys.readouterr().out.split("\n")[0].split() == ["model", "size", "of", "float"]


def test_the_chart_is_drawn(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="looks into the chart with Pillow")
    pytest.importorskip("matplotlib", reason="draws")
    assert quantize(*CALIBRATED, "--evaluate", DIGITS, "--evaluate-samples", "5", "--plot", str(tmp_path / "out.png")) == 0
    with image.open(tmp_path / "out.png") as chart:
        assert chart.width > chart.height > 200


def test_a_chart_without_matplotlib_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert quantize("--mode", "float16", "--plot", "out.png") == 2
    assert capsys.readouterr().err == "error: --plot: needs matplotlib: pip install 'qcore[plot]'\n"


def test_the_float_model_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "m.tflite"
    shutil.copy(FLOAT, model)
    (tmp_path / "link.tflite").symlink_to(model)
    for output in ("m.tflite", "link.tflite"):
        assert main(["quantize", str(model), "--mode", "float16", "-o", str(tmp_path / output)]) == 2
        assert "is the model itself" in capsys.readouterr().err
    assert model.read_bytes() == Path(FLOAT).read_bytes()


def test_what_stays_float32_against_the_callers_wish_is_a_warning_of_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = qcore.Rules((qcore.Rule(False, operator="SOFTMAX"),))
    (tmp_path / "rules.json").write_text(rules.to_json())
    arguments = ["--mode", "int16x8", "--output-type", "int16", "--rules", str(tmp_path / "rules.json")]
    assert quantize(*CALIBRATED, *arguments) == 0
    err = capsys.readouterr().err
    assert err.startswith("warning: quantize_model: these stay float32: output ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs calibration"),
        (["--calibration", DIGITS], "holds uint8 for the float32 input"),
        (["--calibration", "missing.npz"], "missing.npz"),
        (["--calibration", FLOAT], "cannot read"),
        ([*CALIBRATED[:4], "--calibration-samples", "0"], "0 samples asked for"),
        (["--mode", "float16", "--zero-point", "3"], "--zero-point: it needs --scale"),
        (["--mode", "float16", "--signature", "nix"], "--signature: no signature 'nix'"),
        (["--mode", "float16", "--input-type", "int8"], "expected one of 'float32'"),
        (["--mode", "float16", "--rules", "missing.json"], "--rules missing.json"),
        (["--mode", "float16", "-o", "nowhere/out.tflite"], "there is no folder nowhere"),
        (["--mode", "float16", "--evaluate", DIGITS, "--scale", "1", "--labels", "nix"], "has no labels 'nix'"),
        (["--mode", "float16", "--plot", "out.unknown"], "--plot out.unknown"),
        (["--all-modes", "--block-size", "32"], "block_size: got 32 for int8 weights"),
        (["--all-modes", "--input-type", "int8"], "--all-modes: --input-type does not apply"),
        (["--all-modes", "-o", __file__], "--output"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert quantize(*arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def data_set(path: Path, model: qcore.Model, scaling: Scaling | None = None, **options: object) -> DataSet:
    return DataSet("--evaluate", path, Inputs.of(model, None, scaling), **options)  # type: ignore[arg-type]


def test_data_for_float_inputs_are_scaled_and_take_the_inputs_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[[0, 255], [51, 102]]], np.uint8))
    (sample,) = data_set(tmp_path / "x.npy", one_input((1, 4)), Scaling(2 / 255, -1))
    assert sample[0].dtype == np.float32
    np.testing.assert_allclose(sample[0], [[-1, 1, -0.6, -0.2]], rtol=1e-6)


def test_arrays_go_to_inputs_by_name_and_labels_are_found(tmp_path: Path) -> None:
    a, b, labels = np.ones((3, 4)), np.zeros((3, 1, 4)), np.arange(3)
    for names in ({"a": a, "b": b}, {"second": b, "first": a}):
        np.savez(tmp_path / "x.npz", y=labels, **names)
        data = data_set(tmp_path / "x.npz", two_inputs(), count=2)
        assert [[array.mean() for array in sample] for sample in data] == [[1, 0]] * 2
        assert data.known_labels(None).tolist() == data.known_labels("y").tolist() == [0, 1]  # type: ignore[union-attr]


def test_labels_have_any_name_or_a_file_of_their_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.ones((3, 4)), truth=np.arange(3))
    np.save(tmp_path / "labels.npy", np.arange(3) + 5)
    assert data_set(tmp_path / "x.npz", one_input(), labels="truth").known_labels("truth").tolist() == [0, 1, 2]  # type: ignore[union-attr]
    np.save(tmp_path / "x.npy", np.ones((3, 4)))
    data = data_set(tmp_path / "x.npy", one_input(), count=2)
    assert data.known_labels(str(tmp_path / "labels.npy")).tolist() == [5, 6]  # type: ignore[union-attr]
    assert data.known_labels(None) is None


def test_a_folder_holds_a_sample_in_each_file(tmp_path: Path) -> None:
    for number in range(3):
        np.savez(tmp_path / f"{number}.npz", b=np.zeros(4), a=np.full(4, number))
    data = data_set(tmp_path, two_inputs(), Scaling(2, 0))
    assert len(data) == 3
    assert [[array.mean() for array in sample] for sample in data] == [[0, 0], [2, 0], [4, 0]]


def test_a_signature_names_the_inputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **{"in": np.ones((2, 4))})
    assert len(DataSet("", tmp_path / "x.npz", Inputs.of(two_signatures(), "negate", None))) == 2


@pytest.mark.parametrize(
    ("arrays", "model", "message"),
    [
        ({"x": np.ones((3, 4)), "z": np.ones((3, 4))}, one_input(), "holds x, z; expected labels and an array for each input: x"),
        ({"a": np.ones((3, 4))}, two_inputs(), "holds a; expected labels and an array for each input: first, second"),
        ({"a": np.ones((3, 4)), "b": np.ones((2, 4))}, two_inputs(), r"arrays of shape \[3, 4\], \[2, 4\]"),
        ({"x": np.ones(())}, one_input(), r"arrays of shape \[\]"),
        ({"x": np.ones((0, 4))}, one_input(), r"arrays of shape \[0, 4\]"),
        ({"x": np.ones((3, 4)), "y": np.arange(2)}, one_input(), r"labels of shape \[2\] for 3 samples"),
        ({"y": np.arange(2)}, one_input(), "holds nothing"),
        ({"arr_0": np.ones((3, 4)), "arr_1": np.ones((3, 4))}, one_input(), "holds 2 arrays, the model has 1 inputs"),
    ],
)
def test_data_that_do_not_fit_are_refused(arrays: dict, model: qcore.Model, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(qcore.InputError, match=message):
        data_set(tmp_path / "x.npz", model).known_labels(None)
