"""The statistics of TensorFlow's QuantizationDebugger are among a comparison's."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator

import numpy as np
import pytest

from qcore.analysis import compare

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_cumulative_errors_are_those_of_the_debuggers_whole_model_verification() -> None:
    """The debugger takes means over samples of what it measures of each, and runs TensorFlow Lite's default kernels.

    Without that option it gives each float operator the dequantized inputs of the quantized one, which shows the errors of weights and
    rounding but not those of the inputs' quantization; the first operator's figures are the same either way.
    """
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow")
    from tensorflow.lite.python import convert

    tf.keras.utils.set_random_seed(1)
    x = given = tf.keras.Input((8, 8, 3))
    x = tf.keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    y = tf.keras.layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    y = tf.keras.layers.Conv2D(8, 1)(y)
    x = tf.keras.layers.GlobalAveragePooling2D()(tf.keras.layers.Add()([x, y]))
    keras = tf.keras.Model(given, tf.keras.layers.Softmax()(tf.keras.layers.Dense(10)(x)))
    data = np.random.default_rng(0).normal(size=(4, 1, 8, 8, 3)).astype(np.float32)

    def samples() -> Iterator[list[np.ndarray]]:
        return ([sample] for sample in data)

    converter = tf.lite.TFLiteConverter.from_keras_model(keras)
    float_model = converter.convert()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    int8_model = converter.convert()
    converter._experimental_calibrate_only = True
    debugged = convert.mlir_quantize(converter.convert(), fully_quantize=False, enable_numeric_verify=True, enable_whole_model_verify=True)
    debugger = tf.lite.experimental.QuantizationDebugger(quant_debug_model_content=debugged, debug_dataset=samples)
    debugger.run()
    dump = io.StringIO()
    debugger.layer_statistics_dump(dump)
    theirs = list(csv.DictReader(io.StringIO(dump.getvalue())))

    each = [compare(float_model, int8_model, [sample], arithmetic="xnnpack").operators for sample in data]
    ours = [rows for rows in zip(*each, strict=True) if rows[0].operator != "QUANTIZE"]
    assert [row["op_name"] for row in theirs] == [rows[0].operator for rows in ours]
    assert len(ours) == 7
    for row, rows in zip(theirs, ours, strict=True):
        assert float(row["scale"]) == pytest.approx(rows[0].scale, rel=1e-6)
        # Float sums in another order move values by parts of a millionth, and the mean of errors of both signs by more.
        for name, tolerance in (("mean_squared_error", 1e-4), ("max_abs_error", 1e-4), ("mean_error", 1e-2)):
            metric = np.mean([getattr(r.cumulative, name) for r in rows])
            assert metric == pytest.approx(float(row[name]), rel=tolerance, abs=1e-7)
