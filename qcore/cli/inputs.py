"""Input values for a run: from arrays and images in files, or random."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from qcore.errors import InputError
from qcore.kernels.opdef import Array
from qcore.model import Model, Tensor
from qcore.runtime.interpreter import Interpreter
from qcore.runtime.real_values import random_elements, to_elements

IMAGES = (".png", ".jpg", ".jpeg", ".bmp")


def read_inputs(interpreter: Interpreter, files: list[str], image_range: tuple[float, float], seed: int) -> dict[int, Array]:
    """Elements for every input by tensor number, and the interpreter allocated for their shapes.

    Args:
        interpreter: of the model to run; inputs are resized to the arrays given.
        files: ``FILE`` or ``NAME=FILE``; unnamed ones go to the inputs in order. An .npz holds arrays by input name.
        image_range: real values of black and white, for images given to float inputs.
        seed: of the random values for inputs that no file gives.

    Raises:
        InputError: a file cannot be read, or does not fit the input; the seed is negative.
        QCoreError: the model cannot be run with inputs of these shapes.
    """
    details = interpreter.get_input_details()
    tensors = interpreter.model.subgraphs[0].tensors
    names = [d["name"] for d in details]
    given: dict[str, Array] = {}
    for entry in files:
        name, separator, file = entry.partition("=")
        if not separator or name not in names:
            name, file = "", entry
        if Path(file).suffix == ".npz":
            given.update(read_npz(Path(file), names))
            continue
        if not name:
            free = [n for n in names if n not in given]
            if not free:
                raise InputError(f"--input {entry}: the model has only {len(names)} inputs: {', '.join(names)}")
            name = free[0]
        index = details[names.index(name)]["index"]
        given[name] = read_file(Path(file), tensors[index], image_range)
    for d in details:
        if d["name"] in given:
            array = fitted(given[d["name"]], tuple(d["shape"]))
            given[d["name"]] = array
            interpreter.resize_tensor_input(d["index"], array.shape)
    interpreter.allocate_tensors()
    rng = generator(seed)
    elements = {}
    for d in interpreter.get_input_details():
        tensor = tensors[d["index"]]
        elements[d["index"]] = to_elements(tensor, given[d["name"]]) if d["name"] in given else random_elements(tensor, d["shape"], rng)
    return elements


def generator(seed: int) -> np.random.Generator:
    """Of random inputs.

    Raises:
        InputError: the seed is negative.
    """
    if seed < 0:
        raise InputError(f"--seed is {seed}, expected at least 0")
    return np.random.default_rng(seed)


def fitted(array: Array, shape: tuple[int, ...]) -> Array:
    """The array in the input's shape where only dimensions of size 1 are missing or too many, or the input is one row; else as it is."""
    given, wanted = ([n for n in dimensions if n != 1] for dimensions in (array.shape, shape))
    return array.reshape(shape) if wanted in (given, [array.size]) else array


def read_npz(path: Path, names: list[str]) -> dict[str, Array]:
    """Arrays by input name; an archive of one array needs no name where the model has one input."""
    arrays: dict[str, Array] = read_arrays("--input", path, archive=True)
    if len(arrays) == 1 and len(names) == 1:
        return {names[0]: next(iter(arrays.values()))}
    unknown = sorted(set(arrays) - set(names))
    if unknown:
        raise InputError(f"--input {path}: holds {', '.join(unknown)}, the model's inputs are {', '.join(names)}")
    return arrays


def read_file(path: Path, tensor: Tensor, image_range: tuple[float, float]) -> Array:
    """The array of an .npy file, or an image's pixels as the input wants them."""
    if path.suffix.lower() == ".npy":
        array: Array = read_arrays("--input", path, archive=False)
        return array
    if path.suffix.lower() in IMAGES:
        return read_image(path, tensor, image_range)
    raise InputError(f"--input {path}: expected a file that ends in .npy, .npz or {', '.join(IMAGES)}")


def read_arrays(option: str, path: Path, archive: bool) -> Any:
    """The arrays of an archive by name, or the one array of an .npy file.

    option: how messages call the file.

    Raises:
        InputError: it cannot be read, or is the other kind of file.
    """
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            content = dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else loaded
    except OSError as error:
        raise InputError(f"{option} {path}: {error.strerror or error}") from error
    except Exception as error:  # damaged archives raise errors of zipfile, zlib and more
        raise InputError(f"{option} {path}: not an array file that can be read: {error}") from error
    if isinstance(content, dict) != archive:
        raise InputError(f"{option} {path}: expected {'arrays by name' if archive else 'a single array'}, as the file's name says")
    return content


def read_image(path: Path, tensor: Tensor, image_range: tuple[float, float]) -> Array:
    """An image, resized to the input's height and width, in its channels (1: grey, 3: RGB).

    An 8-bit input takes pixels as its codes, black the least: that is what its quantization says whenever the model was trained on
    images. A float input takes pixels spread over image_range.
    """
    try:
        from PIL import Image
    except ImportError:
        raise InputError(f"--input {path}: reading images needs Pillow: pip install 'qcore[images]'") from None
    if len(tensor.shape) != 4 or tensor.shape[3] not in (1, 3) or tensor.dtype not in ("uint8", "int8", "float32"):
        raise InputError(
            f"--input {path}: input '{tensor.name}' is {tensor.dtype}{list(tensor.shape)}, an image needs float32, int8 or uint8 "
            "[1, height, width, 1 or 3]"
        )
    _, height, width, channels = tensor.shape
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"--input {path}: not an image that can be read: {error}") from error
    pixels = pixels.reshape(1, height, width, channels)
    if tensor.dtype == "uint8":
        return pixels
    if tensor.dtype == "int8":
        return (pixels.astype(np.int16) - 128).astype(np.int8)
    low, high = image_range
    return (low + pixels.astype(np.float32) * ((high - low) / 255)).astype(np.float32)


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that say what a model is run on; ``inputs_of`` reads them."""
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="an input's value, by name or in order: .npy, .npz (arrays by input name), .png or .jpg; random where left out",
    )
    parser.add_argument(
        "--image-range",
        nargs=2,
        type=float,
        default=(0.0, 1.0),
        metavar=("LOW", "HIGH"),
        help="real values of black and white in float inputs (default 0 1)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of random inputs (default 0)")


def inputs_of(model: Model, args: argparse.Namespace) -> list[Array]:
    """Elements for each input of a model's first subgraph, in order.

    Raises:
        QCoreError: as for ``read_inputs``.
    """
    elements = read_inputs(Interpreter(model_content=model), args.input, tuple(args.image_range), args.seed)
    return [elements[i] for i in model.subgraphs[0].inputs]
