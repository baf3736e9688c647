"""``qcore explain``: its tables, its JSON, and how it fails. Runs on the bundled digits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import qcore
from qcore.analysis.explaining import explain
from qcore.cli.main import main

INT8 = str(Path(qcore.__file__).parent / "data" / "digits_int8.tflite")


@pytest.fixture
def image(tmp_path: Path) -> str:
    file = tmp_path / "x.npy"
    np.save(file, np.random.default_rng(3).integers(-128, 128, (1, 8, 8, 1)).astype(np.int8))
    return str(file)


def test_the_table_tells_the_way_of_an_element(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", INT8, "--op", "0", "--element", "0,0,4,5", "--input", image]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("CONV_2D (op 0, output 'sequential_1/re_lu_1/Relu6') [0, 0, 4, 5] = ")
    for part in ("3 of them in padding", "bits of int32 to spare", "reference: kernels.conv.convolve_quantized", "exact numbers", "(22)"):
        assert part in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 100


def test_json_is_what_explain_finds(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--op", "2", "--element", "0,1,2,3", "--input", image, "--arithmetic", "xnnpack", "--full", "--json"]
    assert main(["explain", INT8, *options]) == 0
    found = explain(INT8, np.load(image), op=2, element=(0, 1, 2, 3), arithmetic="xnnpack")
    assert capsys.readouterr().out == found.to_json(full=True) + "\n"
    assert len(json.loads(found.to_json(full=True))["products"]) == 16


def test_full_shows_every_product(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", INT8, "--op", "2", "--element", "0,1,2,3", "--input", image, "--full"]) == 0
    out = capsys.readouterr().out
    assert all(f"[0, 1, 2, {channel}]" in out for channel in range(16))


def test_random_inputs_follow_from_the_seed(capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for seed in ("1", "1", "2"):
        assert main(["explain", INT8, "--op", "0", "--element", "0,4,4,5", "--seed", seed, "--json"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--op", "0", "--element", "0,0,x"], "expected whole numbers with commas between them"),
        (["--op", "0", "--element", "0,0"], "there is no element [0, 0]"),
        (["--op", "99", "--element", "0"], "the model has"),
        (["--op", "0", "--element", "0,0,0,0", "--output", "3"], "there is no output 3"),
    ],
)
def test_what_is_not_there_is_one_line(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", INT8, *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
