"""``tune``: it keeps to its limit, says what it did in rules that do it again, and chooses only what kernels run. On the bundled digits."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.analysis.tuning import Tuning, tune
from qcore.analysis.tuning.choices import Choice, Move, Space
from qcore.analysis.tuning.choosing import divide
from qcore.analysis.tuning.composing import Bank
from qcore.analysis.tuning.deciding import Limit, next_trials
from qcore.analysis.tuning.measuring import Bench, Job
from qcore.analysis.tuning.plot import draw
from qcore.analysis.tuning.result import Point
from qcore.analysis.tuning.search import sensitivity, walk
from qcore.errors import InputError, QuantizationError
from qcore.model import OPTIONAL, Model
from tests.conformance.harness import run_qcore, run_tflite
from tests.quantizer.builder import Builder

DATA = Path(qcore.__file__).parent / "data"
FLOAT = qcore.load(DATA / "digits_float.tflite")
QUICK: dict[str, Any] = {"metric": "sqnr", "accuracy": None}


def digits() -> tuple[np.ndarray, np.ndarray]:
    with np.load(DATA / "digits.npz") as data:
        return data["images"][..., np.newaxis] / np.float32(16), data["labels"]


@pytest.fixture(scope="module")
def at_30_db() -> Tuning:
    return tune(FLOAT, digits()[0], max_loss=0.001, **QUICK)


@pytest.fixture(scope="module")
def space() -> Space:
    plain = qcore.quantize_model(FLOAT, "int8", digits()[0][:20])
    return Space.of(FLOAT, plain, ("int4", "int8", "float32"), ("int8", "int16"))


@pytest.fixture(scope="module")
def bench() -> Bench:
    images = digits()[0]
    return Bench(Job(FLOAT, qcore.calibrate(FLOAT, images[:20]), Bank(), list(images[20:36])))


def test_the_smallest_file_that_loses_no_more_is_found(at_30_db: Tuning) -> None:
    found = at_30_db
    assert found.met
    assert found.chosen.loss <= 0.001
    assert found.chosen.bytes == len(found.model.to_bytes())
    assert all(point.loss > 0.001 for point in found.points if point.bytes < found.chosen.bytes)
    assert len({one.chosen for one in found.operators}) > 1


def test_the_loss_is_that_of_the_model_on_the_samples_that_did_not_calibrate(at_30_db: Tuning) -> None:
    images = digits()[0]
    _, held_out, _ = divide(images, None, None, "sqnr")
    found = qcore.evaluate(at_30_db.model, held_out, metric="sqnr", reference=FLOAT)
    assert found.value == pytest.approx(at_30_db.evaluation.value)
    assert at_30_db.chosen.loss == pytest.approx(10 ** (-found.value / 10))


def test_the_best_file_of_a_size_is_found(at_30_db: Tuning) -> None:
    smallest = at_30_db.points[0]
    found = tune(FLOAT, digits()[0], max_bytes=smallest.bytes + 200, **QUICK)
    assert smallest.bytes < found.chosen.bytes == len(found.model.to_bytes()) <= smallest.bytes + 200
    assert found.chosen.loss < smallest.loss
    assert found.met


@pytest.mark.parametrize("accuracy", [None, ["bias_correction"]])
def test_the_rules_make_the_model_again(accuracy: Any) -> None:
    calibration, images = digits()[0][:20], digits()[0][20:60]
    found = tune(FLOAT, images, calibration=calibration, max_loss=0.001, metric="sqnr", accuracy=accuracy, trials=2)
    rules = qcore.Rules.from_json(found.rules.to_json())
    again = qcore.quantize_model(FLOAT, "int8", calibration, rules=rules, accuracy=accuracy, runnable=True)
    assert again.to_bytes() == found.model.to_bytes()
    assert found.chosen.final


class Pickling(Executor):
    """Does the work at once, with what it is given and gives pickled, as processes have it."""

    def __init__(self) -> None:
        self.calls = 0

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        self.calls += 1
        work, given, named = pickle.loads(pickle.dumps((work, given, named)))
        future: Future[Any] = Future()
        future.set_result(pickle.loads(pickle.dumps(work(*given, **named))))
        return future


def test_an_executor_changes_nothing(at_30_db: Tuning) -> None:
    executor = Pickling()
    found = tune(FLOAT, digits()[0], max_loss=0.001, executor=executor, **QUICK)
    assert executor.calls > 1
    assert found.model.to_bytes() == at_30_db.model.to_bytes()
    assert found.as_dict() == at_30_db.as_dict()


def test_labels_are_those_of_the_held_out_samples() -> None:
    images, labels = digits()
    fitted, held_out, known = divide(images, labels, None, "top1")
    assert (len(fitted), len(held_out)) == (50, 50)
    places = [next(i for i, image in enumerate(images) if np.array_equal(image, one)) for one in held_out]
    assert known == [labels[i] for i in places]
    assert not any(np.array_equal(one, other) for one in fitted for other in held_out)
    assert divide(images, labels, images[:5], "top1")[2] == list(labels)


def test_operators_that_hand_on_codes_are_one_region(space: Space) -> None:
    """Pooling and reshaping stand between a convolution and FULLY_CONNECTED: int16 helps only from the one to the other."""
    operators = [[space.names[name] for name in region.operators] for region in space.regions]
    joined = [names for names in operators if "MAX_POOL_2D" in names or "RESHAPE" in names]
    assert joined == [["CONV_2D", "MAX_POOL_2D", "SHAPE", "RESHAPE", "FULLY_CONNECTED"]]


def test_no_int4_weights_stand_beside_int16_activations_where_no_kernel_reads_both(space: Space) -> None:
    everywhere = replace(space.narrowest, wide=frozenset(range(len(space.regions))))
    assert [(one.operator, space.label(everywhere, place)) for place, one in enumerate(space.weighted)] == [
        ("CONV_2D", "int16x4"),
        ("DEPTHWISE_CONV_2D", "int16x8"),
        ("CONV_2D", "int16x4"),
        ("FULLY_CONNECTED", "int16x4"),
    ]


def test_rules_name_operators_that_are_not_int8(space: Space) -> None:
    names = [one.name for one in space.weighted]
    rules = space.rules(Choice(("int8", "float32", "int4", "int8")))
    assert rules.rules == (qcore.Rule(False, "DEPTHWISE_CONV_2D", names[1]), qcore.Rule(True, "CONV_2D", names[2], weight_type="int4"))
    assert space.rules(space.throughout("int8")) == qcore.Rules()


@pytest.mark.parametrize(
    ("weights", "wide"),
    [
        (("int8", "int8", "int4", "int4"), ()),
        (("int4", "int8", "int4", "int8"), (0, 1)),
        (("int4", "int4", "int4", "int4"), (0, 1, 2, 3)),
        (("int8", "float32", "int4", "int8"), (0,)),
        (("float32", "int4", "float32", "int8"), (3,)),
    ],
    ids=str,
)
def test_every_choice_runs_and_gives_the_integers_of_tensorflow_lite(space: Space, weights: Any, wide: tuple[int, ...]) -> None:
    images = digits()[0]
    model = qcore.quantize_model(FLOAT, "int8", images[:20], rules=space.rules(Choice(weights, frozenset(wide))), runnable=True)
    for image in images[20:25, np.newaxis]:
        ours, theirs = run_qcore(model, [image], arithmetic="xnnpack"), run_tflite(model, [image], "AUTO")
        # Where an operator computes in floats, the order of its sums may move a code.
        tolerance = 2 / 256 if "float32" in weights else 0
        np.testing.assert_allclose(ours[0], theirs[0], rtol=0, atol=tolerance)


def test_noise_of_a_type_is_what_it_changes_while_all_else_is_int8(space: Space, bench: Bench) -> None:
    known = sensitivity(space, bench, lambda count: None)
    for place, noise in enumerate(known.weights):
        choices = [Move(place, kind).applied(space.throughout("int8")) for kind in ("float32", "int4")]
        real, narrow = bench.measure([space.rules(choice) for choice in choices])
        assert noise == {
            "int4": bench.power(real.outputs, narrow.outputs),
            "int8": bench.power(real.outputs, known.plain.outputs),
            "float32": 0.0,
        }
        assert noise["int4"] > noise["int8"]


def test_the_way_starts_narrow_and_each_step_is_wider_and_fits(space: Space, bench: Bench) -> None:
    known = sensitivity(space, bench, lambda count: None)
    steps = list(walk(space, bench, known, max_bytes=known.plain.bytes))
    assert steps[0].choice == space.narrowest
    assert all(step.measured.bytes <= known.plain.bytes for step in steps)
    for step, wider in pairwise(steps):
        assert wider.choice in [move.applied(step.choice) for move in space.moves(step.choice)]
    assert steps[-1].noise < steps[0].noise


def test_types_that_are_not_offered_are_not_chosen() -> None:
    found = tune(FLOAT, digits()[0], max_loss=1e-4, activations=("int8",), **QUICK)
    assert {one.chosen for one in found.operators} <= {"int4", "int8"}
    assert found.activations == ()
    assert not any(rule.quantize is False for point in found.points for rule in point.rules.rules)


def test_a_limit_that_cannot_be_met_gives_the_file_that_loses_least_and_says_so() -> None:
    with pytest.warns(UserWarning, match="no file loses at most 0.0; the one that loses least, .* has 13584 bytes; with float32 among"):
        found = tune(FLOAT, digits()[0], max_loss=0.0, weights=("int8",), activations=("int8",), **QUICK)
    assert not found.met
    assert found.chosen.loss == min(point.loss for point in found.points)
    assert "this one loses least" in str(found)


def test_float_is_the_last_resort() -> None:
    found = tune(FLOAT, digits()[0], max_loss=0.0, weights=("int8", "float32"), activations=("int8",), **QUICK)
    assert found.met
    assert found.chosen.loss == 0


def without_biases() -> Model:
    """Three FULLY_CONNECTED."""
    b, random = Builder(), np.random.default_rng(0)
    last, depth = b.input("x", (1, 64)), 64
    for name, units in (("h", 32), ("k", 32), ("y", 8)):
        weights = b.constant(f"w{name}", random.standard_t(4, size=(units, depth)) / np.sqrt(depth))
        output, depth = b.tensor(name, (1, units)), units
        b.op("FULLY_CONNECTED", [last, weights, OPTIONAL], output, fused_activation_function="NONE" if name == "y" else "RELU")
        last = output
    return b.model(last)


@pytest.mark.filterwarnings("ignore:accuracy. the model as quantized was closest")
def test_biases_that_recovery_adds_count() -> None:
    model, random = without_biases(), np.random.default_rng(3)
    samples = [(random.normal(size=(1, 64)) + 0.5).astype(np.float32) for _ in range(80)]
    options: dict[str, Any] = {"metric": "sqnr", "accuracy": ["bias_correction", "gptq"], "activations": ("int8",)}
    found = tune(model, samples, max_bytes=5632, **options)
    assert found.chosen.final
    assert found.chosen.bytes == len(found.model.to_bytes()) <= 5632
    with pytest.raises(QuantizationError, match="max_bytes is 5332, but the smallest file has 5392 bytes"):
        tune(model, samples, max_bytes=5332, **options)


def test_a_size_that_cannot_be_met_is_refused_with_the_smallest() -> None:
    with pytest.raises(QuantizationError, match="max_bytes is 5000, but the smallest file has 10640 bytes"):
        tune(FLOAT, digits()[0], max_bytes=5000)


def test_shares_that_are_as_far_apart_as_allowed_keep_to_the_limit() -> None:
    """1 - 0.98 is a little more than 0.02 in binary."""
    assert Limit(0.02, None).holds(Point(1, 0.98, 1 - 0.98, 0.1, qcore.Rules(), True))


@pytest.mark.parametrize(
    ("held", "left", "expected"),
    [
        ({4: True, 2: False}, 2, [3]),
        ({6: True}, 2, [1, 3]),
        ({6: True}, 0, []),
        ({5: True, 4: False}, 2, []),
        ({2: False, 3: False}, 2, [6, 9]),
        ({2: False, 3: False}, 0, [9]),
        ({9: False}, 1, []),
        ({0: True}, 2, []),
    ],
)
def test_trials_close_in_on_the_limit_and_go_to_the_end_where_nothing_holds_it(
    held: dict[int, bool], left: int, expected: list[int]
) -> None:
    assert next_trials(held, 10, left) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "expected either max_loss or max_bytes"),
        ({"max_loss": 0.1, "max_bytes": 1}, "expected either max_loss or max_bytes"),
        ({"max_loss": -0.1}, "max_loss is -0.1"),
        ({"max_loss": float("nan")}, "max_loss is nan"),
        ({"max_bytes": 1.5}, "max_bytes is 1.5"),
        ({"max_loss": 0.1, "trials": 0}, "trials is 0, expected a whole number of at least 1"),
        ({"max_loss": 0.1, "weights": ("int4",)}, "weights is .*expected a list of 'int8' and others of int4, int8, float32"),
        ({"max_loss": 0.1, "weights": None}, "weights is None"),
        ({"max_loss": 0.1, "weights": [["int4"], "int8"]}, "weights is "),
        ({"max_loss": 0.1, "activations": "int8"}, "activations is 'int8'"),
        ({"max_loss": 0.1, "metric": "top1"}, "metric top1 needs labels"),
        ({"max_loss": 0.1, "labels": [1, 2]}, "got 2 labels for 100 samples"),
        ({"max_loss": 0.1, "calibration": []}, "100 samples and 0 that calibrate"),
        ({"max_loss": 0.1, "accuracy": "best"}, "accuracy: got 'best'"),
        ({"max_loss": 0.1, "accuracy": 5}, "accuracy: got 5"),
        ({"max_loss": 0.1, "output": "logits"}, "output is 'logits', which names 0 of the model's outputs"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tune(FLOAT, digits()[0], **arguments)


def test_a_sample_that_does_not_fit_is_named_by_its_place() -> None:
    images = digits()[0].copy()
    images[3, 2, 2] = np.nan
    with pytest.raises(InputError, match="sample 3, .*NaN"):
        tune(FLOAT, images, max_loss=0.1)


def test_there_is_nothing_to_lose_where_the_float_model_has_no_figure() -> None:
    b = Builder()
    x, y = b.input("x", (1, 4)), b.tensor("y", (1, 2))
    b.op("FULLY_CONNECTED", [x, b.constant("w", np.zeros((2, 4))), OPTIONAL], y)
    with pytest.raises(InputError, match="the float model has sqnr nan"):
        tune(b.model(y), [np.ones((1, 4), np.float32)] * 4, max_loss=0.1, metric="sqnr")


def test_numbers_of_numpy_are_numbers() -> None:
    found = tune(FLOAT, digits()[0], max_bytes=np.int64(11000), trials=np.int32(1), **QUICK)
    assert found.chosen.bytes <= 11000


def test_what_is_quantized_already_has_nothing_to_choose() -> None:
    images = digits()[0]
    with pytest.raises(QuantizationError, match="no operator of the model has float weights"):
        tune(qcore.quantize_model(FLOAT, "int8", images[:10]), images, max_loss=0.1)


def test_weights_of_half_width_are_tuned_like_others() -> None:
    images = digits()[0]
    half = qcore.quantize_model(FLOAT, "float16")
    found = tune(half, images, max_loss=0.001, **QUICK)
    assert {one.chosen for one in found.operators} == {"int4", "int8"}
    again = qcore.quantize_model(half, "int8", divide(images, None, None, "sqnr")[0], rules=found.rules, runnable=True)
    assert again.to_bytes() == found.model.to_bytes()


def two_heads() -> Model:
    """x -> FULLY_CONNECTED -> h; two more with the same weights read h, and a variable keeps it."""
    b, random = Builder(), np.random.default_rng(0)
    x, h, p, q, v = b.input("x", (1, 8)), *(b.tensor(name, (1, 8)) for name in "hpq"), b.tensor("v", ())
    b.tensors[v].dtype = "resource"
    shared = b.constant("shared", random.normal(size=(8, 8)))
    b.op("FULLY_CONNECTED", [x, b.constant("w", random.normal(size=(8, 8))), b.constant("b", random.normal(size=8))], h)
    b.op("VAR_HANDLE", [], v, container="", shared_name="kept")
    b.op("ASSIGN_VARIABLE", [v, h], h)
    b.operators[-1].outputs = []
    for output in (p, q):
        b.op("FULLY_CONNECTED", [h, shared, b.constant(f"b{output}", random.normal(size=8))], output)
    return b.model(p, q)


def test_weights_that_operators_share_have_one_type() -> None:
    model, random = two_heads(), np.random.default_rng(1)
    samples = [random.normal(size=(1, 8)).astype(np.float32) for _ in range(20)]
    found = tune(model, samples, calibration=samples, max_loss=0.001, output="q", activations=("int8",), **QUICK)
    assert [one.name for one in found.operators] == ["h", "p"]
    kinds = {tensor.name: tensor.dtype for tensor in found.model.subgraphs[0].tensors}
    assert [one.chosen for one in found.operators] == [kinds["w"], kinds["shared"]]
    assert found.evaluation.value == qcore.evaluate(found.model, samples, metric="sqnr", reference=model, output="q").value


def test_one_sample_cannot_calibrate_and_be_held_out() -> None:
    with pytest.raises(InputError, match="got 1 samples and 0 that calibrate"):
        tune(FLOAT, digits()[0][:1], max_loss=0.1)


def test_the_front_has_no_point_that_a_smaller_one_beats(at_30_db: Tuning) -> None:
    front = at_30_db.front
    assert [point.loss for point in front] == sorted((point.loss for point in front), reverse=True)
    assert at_30_db.chosen in front


def test_the_chart_is_drawn(at_30_db: Tuning, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(at_30_db, tmp_path / "pareto.svg")
    assert "loss (sqnr)" in (tmp_path / "pareto.svg").read_text() or (tmp_path / "pareto.svg").stat().st_size > 1000
    with pytest.raises(InputError, match="plot"):
        draw(at_30_db, tmp_path / "pareto.unknown")
