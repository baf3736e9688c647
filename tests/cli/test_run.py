"""The commands: what they print and write, and how they fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qcore import run
from qcore.cli.main import main

DIGITS = Path(run.__file__).parent / "data" / "digits_int8.tflite"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "digit.npy"
    with np.load(DIGITS.parent / "digits.npz") as data:
        np.save(path, data["images"][1][np.newaxis, ..., np.newaxis] / np.float32(16))
    return path


def report(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_without_a_model_the_bundled_digits_are_classified(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([]) == 0
    out = capsys.readouterr().out
    assert "of 100 digits right" in out
    assert run.main(["--json"]) == 0
    result = report(capsys)
    assert len(result["answers"]) == len(result["labels"]) == 100
    assert result["accuracy"] >= 0.95


def test_an_array_is_quantized_and_classified(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([str(DIGITS), "--input", str(image), "--json"]) == 0
    (output,) = report(capsys)["outputs"].values()
    with np.load(DIGITS.parent / "digits.npz") as data:
        assert int(np.argmax(output["values"])) == data["labels"][1]


def test_tables_show_inputs_outputs_top_classes_time_and_memory(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([str(DIGITS), "--input", str(image), "--top", "3", "--repeat", "2"]) == 0
    out = capsys.readouterr().out
    assert "inputs" in out
    assert "top 3 of" in out
    assert "of 2 invokes; memory" in out


def test_random_inputs_depend_on_the_seed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    results = []
    for seed in ("1", "1", "2"):
        run.main([str(DIGITS), "--seed", seed, "--json"])
        results.append(report(capsys)["outputs"])
    assert results[0] == results[1]
    assert results[0] != results[2]


def test_outputs_and_trace_are_written(tmp_path: Path, image: Path) -> None:
    assert run.main([str(DIGITS), "--input", str(image), "--output", str(tmp_path / "y.npz"), "--trace", str(tmp_path / "trace")]) == 0
    index = json.loads((tmp_path / "trace" / "index.json").read_text())["tensors"]
    with np.load(tmp_path / "y.npz") as outputs:
        (name,) = outputs.files
        entry = next(e for e in index if e["name"] == name)
        np.testing.assert_array_equal(np.load(tmp_path / "trace" / entry["file"]), outputs[name])
    assert entry["producer"].startswith("SOFTMAX")
    assert all((tmp_path / "trace" / e["file"]).exists() for e in index)


def test_an_image_file_gives_an_8_bit_input_its_pixels_as_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = pytest.importorskip("PIL.Image", reason="reading images needs Pillow")
    with np.load(DIGITS.parent / "digits.npz") as data:
        pixels, label = data["images"][1], data["labels"][1]
    image.fromarray((pixels * 15.9375).astype(np.uint8)).save(tmp_path / "digit.png")
    assert run.main([str(DIGITS), "--input", str(tmp_path / "digit.png"), "--json"]) == 0
    (output,) = report(capsys)["outputs"].values()
    assert int(np.argmax(output["values"])) == label


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.tflite"], "missing.tflite"),
        ([str(DIGITS), "--input", "missing.npy"], "missing.npy"),
        ([str(DIGITS), "--input", __file__], "expected a file that ends in .npy"),
        ([str(DIGITS), "--repeat", "0"], "--repeat is 0"),
        ([__file__], "error: "),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_a_wrong_shape_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 8, 8, 3), np.float32))
    assert run.main([str(DIGITS), "--input", str(tmp_path / "x.npy")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("name", ["x.npz", "x.npy"])
def test_a_damaged_array_file_is_an_error(name: str, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez_compressed(tmp_path / "whole.npz", np.load(image))
    whole = (tmp_path / "whole.npz").read_bytes()
    middle = len(whole) // 3
    damaged = [whole[:n] for n in (0, 4, middle, len(whole) - 1)] + [whole[:middle] + b"\xff" * 16 + whole[middle + 16 :]]
    for content in damaged:
        (tmp_path / name).write_bytes(content)
        assert run.main([str(DIGITS), "--input", str(tmp_path / name)]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: --input {tmp_path / name}: ")
        assert err.count("\n") == 1


def test_an_array_file_is_what_its_name_says(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.npz").write_bytes(image.read_bytes())
    np.savez(tmp_path / "y.npz", np.load(image))
    (tmp_path / "y.npz").rename(tmp_path / "y.npy")
    for name, message in (("x.npz", "expected arrays by name"), ("y.npy", "expected a single array")):
        assert run.main([str(DIGITS), "--input", str(tmp_path / name)]) == 2
        assert message in capsys.readouterr().err


def test_inspect_shows_operators_tensors_and_quantization(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(DIGITS)]) == 0
    out = capsys.readouterr().out
    for part in ("CONV_2D", "DEPTHWISE_CONV_2D", "padding=SAME", "scales", "zero point -128", "operators", "tensors"):
        assert part in out
    assert main(["inspect", str(DIGITS), "--json"]) == 0
    (graph,) = report(capsys)["subgraphs"]
    assert graph["operators"][0]["operator"] == "CONV_2D"
    assert graph["operators"][0]["supported"] is True


def test_the_module_and_the_command_are_the_same() -> None:
    for command in (["-m", "qcore.run"], ["-m", "qcore", "run"]):
        result = subprocess.run([sys.executable, *command, "missing.tflite"], capture_output=True, text=True, check=False)
        assert result.returncode == 2
        assert result.stderr.startswith("error: ")
