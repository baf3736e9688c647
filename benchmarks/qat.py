"""What quantization-aware training gains on real models, as Markdown tables.

usage: python -m benchmarks.qat FOLDER [--only resnet | mnist] [--epochs 100] [--activation-bits 8 | 16]
FOLDER holds models/ and data/; needs the test extra.

resnet: ResNet8 as MLPerf Tiny has it, made anew as a Keras model, trains on 500 unlabelled images, moved and mirrored at random, to give
the logits of the float model. "plain" are ranges of the same images without any training. Accuracy is that of files run by LiteRT on 2000
other images, but for "trained": that is the Keras model. "same class" says how often the file, packed and with its int4 codes in int8
tensors, gives the class that training does, rounded as in the file, and as trained; qcore.qat.check. "as float" says how often the files
of "plain" and "file" give that of the float model.

mnist: one small convolutional model, from the same weights and on the same batches, on every backend of Keras that is installed; what
ranges differ by is in parts of their widths.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from keras import layers as L

import qcore
from qcore.qat import FakeQuant, calibrate, check, export, quantize_model
from qcore.schema import constant

Samples = np.ndarray[Any, np.dtype[np.float32]]
BATCH = 25


def resnet8(path: Path) -> Any:
    """The Keras model that computes what the file does."""
    graph = qcore.load(path).subgraphs[0]
    tensors: dict[int, Any] = {}
    image = tensors[graph.inputs[0]] = keras.Input(graph.tensors[graph.inputs[0]].shape[1:], name="image")
    for operator in graph.operators:
        read = [tensors.get(i) for i in operator.inputs]
        arrays = [constant(graph.tensors[i]) for i in operator.inputs]
        options = operator.options.fields if operator.options is not None else {}
        if operator.name == "CONV_2D":
            stride, padding = (options["stride_h"], options["stride_w"]), options["padding"].lower()
            layer = L.Conv2D(arrays[1].shape[0], arrays[1].shape[1:3], stride, padding)
        elif operator.name == "FULLY_CONNECTED":
            layer = L.Dense(len(arrays[1]), name="logits")
        elif operator.name == "AVERAGE_POOL_2D":
            layer = L.AveragePooling2D((options["filter_height"], options["filter_width"]))
        else:
            layer = {"ADD": L.Add, "RESHAPE": L.Flatten, "SOFTMAX": L.Softmax}[operator.name]()
        computed = layer(read if operator.name == "ADD" else read[0])
        if layer.weights:
            layer.set_weights([np.moveaxis(arrays[1], 0, -1), arrays[2]])
        tensors[operator.outputs[0]] = L.ReLU()(computed) if options.get("fused_activation_function") == "RELU" else computed
    return keras.Model(image, tensors[graph.outputs[0]])


def views(images: Samples, rng: np.random.Generator) -> Samples:
    """Each image moved by up to 3 pixels, and mirrored or not."""
    padded = np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
    rows, columns = images.shape[1:3]
    cuts = [image[a : a + rows, b : b + columns] for image, (a, b) in zip(padded, rng.integers(0, 7, (len(images), 2)), strict=True)]
    return np.stack([cut[:, ::-1] if mirrored else cut for cut, mirrored in zip(cuts, rng.integers(0, 2, len(images)), strict=True)])


def divergence(wanted: Any, computed: Any) -> Any:
    """Kullback-Leibler divergence of the classes that two rows of logits give."""
    of_wanted, of_computed = keras.ops.log_softmax(wanted), keras.ops.log_softmax(computed)
    return keras.ops.sum(keras.ops.exp(of_wanted) * (of_wanted - of_computed), axis=-1)


def distil(model: Any, quantized: Any, images: Samples, rate: float, epochs: int, rng: np.random.Generator) -> None:
    """Trains a quantized model to give a model's logits."""
    teacher = keras.Model(model.input, model.get_layer("logits").output)
    student = keras.Model(quantized.input, quantized.get_layer("logits_codes").output)
    schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * len(images) // BATCH)
    student.compile(keras.optimizers.Adam(schedule), divergence)
    for _ in range(epochs):
        seen = rng.permutation(views(images, rng))
        student.fit(seen, teacher.predict(seen, batch_size=BATCH, verbose=0), batch_size=BATCH, verbose=0)


def run(content: bytes, samples: Samples) -> Samples:
    """LiteRT's outputs, a row for each sample."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    rows = []
    for sample in samples:
        interpreter.set_tensor(source, sample[np.newaxis])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(target).reshape(-1))
    return np.array(rows)


def right(outputs: Samples, labels: Any) -> str:
    """The part of the rows whose greatest number is in the right place."""
    return f"{np.mean(outputs.argmax(axis=1) == labels):.4f}"


def resnet(folder: Path, epochs: int, activation_bits: int) -> None:
    """The table of ResNet8."""
    images = np.load(folder / "data" / "cifar10_train_jpeg_calib500.npz")["x"].astype(np.float32)
    test = np.load(folder / "data" / "cifar10_test_jpeg_2000.npz")
    x, labels = test["x"].astype(np.float32), test["y"].reshape(-1)
    print("| weights | float | plain | trained | file | as float | packed: same class | in int8: same class | max LSB | seconds | bytes |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for bits, rate, passes in ((8, 1e-5, max(epochs // 25, 1)), (4, 1e-4, epochs), (3, 1e-4, epochs)):
        keras.utils.set_random_seed(0)
        model = resnet8(folder / "models" / "mlperf_tiny__pretrainedResnet.tflite")
        quantized = quantize_model(model, weight_bits=bits, activation_bits=activation_bits)
        calibrate(quantized, np.split(images, len(images) // BATCH))
        plain = export(quantized).to_bytes()
        start = time.perf_counter()
        distil(model, quantized, images, rate, passes, np.random.default_rng(0))
        seconds = time.perf_counter() - start
        file, wide = export(quantized), export(quantized, packed=False)
        checks = [check(quantized, exported, x[:500]) for exported in (file, wide)]
        computed = [keras.ops.convert_to_numpy(m.predict(x, batch_size=200, verbose=0)) for m in (model, quantized)]
        outputs = [computed[0], run(plain, x), computed[1], run(file.to_bytes(), x)]
        accuracy = [right(each, labels) for each in outputs]
        alike = ", ".join(right(each, outputs[0].argmax(axis=1)) for each in (outputs[1], outputs[3]))
        same = [f"{each.agreement:.3f}, {each.agreement_as_trained:.3f}" for each in checks]
        most = max(each.max_lsb for each in checks)
        row = [f"int{bits}", *accuracy, alike, *same, str(most), f"{seconds:.0f}", str(len(file.to_bytes()))]
        print("|", " | ".join(row), "|", flush=True)


def small_model() -> Any:
    """A convolutional model for digits, with weights that no backend draws for itself."""
    x = keras.Input((28, 28, 1), name="image")
    y = L.ReLU()(L.BatchNormalization(momentum=0.9)(L.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)))
    y = L.ReLU(6.0)(L.BatchNormalization(momentum=0.9)(L.DepthwiseConv2D(3, padding="same", use_bias=False)(y)))
    y = L.AveragePooling2D(2)(L.Conv2D(16, 3, padding="same", activation="relu")(y))
    model = keras.Model(x, L.Dense(10, activation="softmax")(L.Flatten()(y)))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, L.Conv2D | L.DepthwiseConv2D | L.Dense):
            layer.kernel.assign(rng.normal(0, np.sqrt(2 / np.prod(layer.kernel.shape[:-1])), layer.kernel.shape))
    return model


def digits(folder: Path) -> tuple[Samples, Any]:
    """Images, and what they show."""
    data = np.load(folder / "data" / "mnist_t10k_even.npz")
    return data["x"][..., np.newaxis].astype(np.float32) / 255, data["y"].astype(np.int32)


def train_digits(folder: Path, path: Path) -> None:
    """Trains on Keras' backend, saves the file, and prints ranges."""
    x, y = (part[:3000] for part in digits(folder))
    quantized = quantize_model(small_model())
    schedule = keras.optimizers.schedules.CosineDecay(1e-3, 3 * len(x) // 50)
    quantized.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
    quantized.fit(x, y, batch_size=50, epochs=3, shuffle=False, verbose=0)
    qcore.save(export(quantized), path)
    print(json.dumps([layer.range for layer in quantized.layers if isinstance(layer, FakeQuant)]))


def mnist(folder: Path) -> None:
    """The table of backends."""
    x, y = (part[3000:] for part in digits(folder))
    print("| backend | accuracy of the file | ranges differ by | seconds |")
    print("|---|---|---|---|")
    first: Any = None
    for backend in ("tensorflow", "jax", "torch"):
        if importlib.util.find_spec(backend) is None:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            path, start = Path(scratch) / "digits.tflite", time.perf_counter()
            command = [sys.executable, "-m", "benchmarks.qat", str(folder), "--train", str(path)]
            done = subprocess.run(command, env=os.environ | {"KERAS_BACKEND": backend}, stdout=subprocess.PIPE, text=True, check=True)
            seconds = time.perf_counter() - start
            ranges = np.array(json.loads(done.stdout.splitlines()[-1]))
            first = ranges if first is None else first
            apart = (np.abs(ranges - first).max(axis=1) / np.diff(first)[:, 0]).max()
            print(f"| {backend} | {right(run(path.read_bytes(), x), y)} | {apart:.5f} | {seconds:.0f} |", flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=("resnet", "mnist"))
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--activation-bits", type=int, choices=(8, 16), default=8)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.train is not None:
        train_digits(args.folder, args.train)
        return
    if args.only != "mnist":
        resnet(args.folder, args.epochs, args.activation_bits)
    if args.only != "resnet":
        mnist(args.folder)


if __name__ == "__main__":
    main()
