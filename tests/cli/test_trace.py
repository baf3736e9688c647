"""``qcore trace``: its table, JSON and files; ``qcore run --trace`` writes the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.cli.main import main
from tests.quantizer.builder import Builder

DIGITS = str(Path(qcore.__file__).parent / "data" / "digits_int8.tflite")
RESHAPED = "sequential_1/flatten_1/Reshape"


def test_the_table_has_a_line_for_each_operator(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", DIGITS, "--arithmetic", "xnnpack"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("xnnpack arithmetic")
    for part in ("serving_default_image:0", "DEPTHWISE_CONV_2D", "1x8x8x16", "-128..127"):
        assert part in out


def test_a_tensor_shows_its_codes_and_real_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", DIGITS, "--tensor", RESHAPED, "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["tensors"]
    codes = np.array(entry["elements"])
    assert (entry["name"], entry["producer"], codes.shape) == (RESHAPED, "RESHAPE (op 7)", (1, 512))
    np.testing.assert_allclose(entry["real"], entry["scale"][0] * (codes - entry["zero_point"][0]), rtol=1e-6)
    assert main(["trace", DIGITS, "--tensor", RESHAPED]) == 0
    assert f"{RESHAPED} int8[1x512]" in capsys.readouterr().out


def test_files_hold_every_tensor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As an archive by name or as a folder; and the folder is what ``qcore run --trace`` writes."""
    assert main(["trace", DIGITS, "-o", str(tmp_path / "all.npz"), "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)["tensors"]
    with np.load(tmp_path / "all.npz") as archive:
        assert set(archive) == {entry["name"] for entry in entries}
    assert main(["trace", DIGITS, "-o", str(tmp_path / "a")]) == 0
    assert main(["run", DIGITS, "--trace", str(tmp_path / "b")]) == 0
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "b").iterdir())
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_tensors_may_have_any_name(tmp_path: Path) -> None:
    """Also those of arguments that NumPy's own function has."""
    b = Builder()
    x, y = b.input("file", (2,)), b.tensor("../allow_pickle", (2,))
    b.op("NEG", [x], y)
    qcore.save(b.model(y), tmp_path / "m.tflite")
    assert main(["trace", str(tmp_path / "m.tflite"), "-o", str(tmp_path / "t.npz")]) == 0
    with np.load(tmp_path / "t.npz") as archive:
        assert set(archive) == {"file", "../allow_pickle"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.tflite"], "missing.tflite"),
        ([DIGITS, "--tensor", "none"], "--tensor none: the run has no such tensor"),
        ([DIGITS, "-o", "/nowhere/t.npz"], "/nowhere/t.npz"),
        ([DIGITS, "-o", __file__ + "/t"], "t"),
        ([DIGITS, "--seed", "-1"], "--seed is -1"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
