"""``quantize_model``: one call from a float model to a quantized one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Literal, get_args

from qcore.calibration import Method, Statistics, calibrate
from qcore.calibration.samples import Samples, iterate
from qcore.errors import InputError
from qcore.kernels.opdef import Arithmetic
from qcore.model import Model
from qcore.quantizer.ai_edge_specification import ACTIVATIONS
from qcore.quantizer.ai_edge_static import quantize_static
from qcore.quantizer.ai_edge_weights import quantize_weights_alone
from qcore.quantizer.dynamic_range import quantize_dynamic_range
from qcore.quantizer.float16 import quantize_float16
from qcore.quantizer.graph import copy_model, finish
from qcore.quantizer.graph_ranges import carries_ranges
from qcore.quantizer.int8 import quantize_int8, simplify_interface
from qcore.quantizer.int8_constants import widened
from qcore.quantizer.int16x8 import quantize_int16x8
from qcore.quantizer.io_types import set_io_types
from qcore.quantizer.mixed_activations import quantize_mixed
from qcore.quantizer.narrow_weights import narrow_tables, narrow_weights
from qcore.quantizer.options import Options, Ranges
from qcore.quantizer.recovery.recover import Accuracy, Quantized, read_methods, recover, same_operators
from qcore.quantizer.rules import Rule, Rules
from qcore.quantizer.versions import set_versions
from qcore.quantizer.weight_only import quantize_weight_only
from qcore.schema.check import check

Mode = Literal["float16", "dynamic_range", "int8", "int16x8", "weight_only"]
Convention = Literal["tensorflow", "ai-edge"]

CALIBRATIONS: Mapping[str, tuple[Method, Arithmetic]] = MappingProxyType(
    {"tensorflow": ("minmax", "builtin"), "ai-edge": ("moving_average", "xnnpack")}
)
"""How each convention calibrates: method, and whose kernels."""

_BLOCK = 32
"""Kernels take blocks of multiples of this."""

_AI_EDGE_BLOCKS = (32, 64, 128, 256)

_MIN_ELEMENTS = MappingProxyType({"tensorflow": Options().min_elements, "ai-edge": 0})

_INTERFACES = MappingProxyType({"int8": ("float32", "int8", "uint8"), "int16x8": ("float32", "int16")})
"""Types of inputs and outputs, by the modes that have a choice."""

CALIBRATED = ("int8", "int16x8")
_WEIGHTS = ("dynamic_range", "weight_only")
MODES_OF = MappingProxyType(
    {
        "float_fallback": CALIBRATED,
        "per_channel": (*CALIBRATED, *_WEIGHTS),
        "per_channel_dense": (*CALIBRATED, *_WEIGHTS),
        "min_elements": _WEIGHTS,
        "weight_type": (*CALIBRATED, *_WEIGHTS),
        "block_size": (*CALIBRATED, *_WEIGHTS),
        "bias_type": ("int16x8",),
        "runnable": CALIBRATED,
        "rules": get_args(Mode),
        "ranges": CALIBRATED,
        "accuracy": (*CALIBRATED, *_WEIGHTS),
    }
)
"""The modes that each option applies to."""


def quantize_model(
    model: Model,
    mode: Mode = "int8",
    calibration: Any = None,
    *,
    convention: Convention = "tensorflow",
    input_type: Literal["float32", "int8", "uint8", "int16"] | None = None,
    output_type: Literal["float32", "int8", "uint8", "int16"] | None = None,
    float_fallback: bool = True,
    per_channel: bool = True,
    per_channel_dense: bool = True,
    min_elements: int | None = None,
    weight_type: Literal["int8", "int4"] = "int8",
    block_size: int | None = None,
    bias_type: Literal["int32", "int64"] = "int64",
    runnable: bool = False,
    rules: Rules | Iterable[Rule] = (),
    ranges: Literal["graph"] | None = None,
    accuracy: Accuracy = None,
    samples: Samples | None = None,
    progress: bool = False,
) -> Model:
    """Quantize a float model as TensorFlow Lite's converter does, or as litert-quantizer.

    Args:
        model: any float model; it is not changed.
        mode: "float16": constants at half width. "dynamic_range": int8 weights, activations quantized as kernels run. "int8": weights and
            activations, from calibrated ranges. "int16x8": int16 activations, int8 weights. "weight_only": integer weights,
            computation in float32.
        calibration: for "int8" and "int16x8": ``Statistics`` that ``qcore.calibrate`` gathered on this model, or samples to gather
            them from. None takes the ranges that the model's tensors carry, as those of TensorFlow's calibrator do. With "int8", fake
            quantization in the graph, as training leaves it behind, always decides about the tensors that it stands on, and may be all
            there is. Other modes need none.
        convention: whose rules. "tensorflow": TensorFlow Lite's converter. "ai-edge": the recipes of litert-quantizer, formerly
            ai-edge-quantizer; samples are then calibrated with method "moving_average". docs/conversion.md compares them.
        input_type: of the quantized model's real-valued inputs; None is "float32", but with "ai-edge" the type of activations. "int8"
            has "float32", "int8" and "uint8", "int16x8" has "float32" and "int16". An input that operators read in floating point stays
            float32, with a warning that names it; with "ai-edge" it is dequantized for them.
        output_type: likewise, of its outputs.
        float_fallback: operators that have no integer kernel compute in float32; otherwise they are refused, each by name, and so are
            inputs and outputs that stay float32 against ``input_type`` and ``output_type``. Loops hand on float32 with it, without it
            codes.
        per_channel: a scale for each output channel of weights, where kernels take that.
        per_channel_dense: so for FULLY_CONNECTED too.
        min_elements: smaller weights stay float32 ("dynamic_range" and "weight_only"); None is 1024, with "ai-edge" 0.
        weight_type: of weights, in all modes but "float16". "int4" packs them into half the bytes, wherever kernels take that beside the
            activations of the mode; other operators keep int8. docs/int4.md says which. ``rules`` can choose for each operator.
        block_size: for int4 weights: a scale for each run of so many elements, a multiple of 32, of each row that FULLY_CONNECTED and
            EMBEDDING_LOOKUP read; in "int8" and "int16x8" EMBEDDING_LOOKUP alone. "ai-edge" takes 32, 64, 128 or 256; in "weight_only" and
            "dynamic_range" it refuses rows that blocks do not divide, and leaves the weights of other operators as they are.
        bias_type: of "int16x8"; DEPTHWISE_CONV_2D has int64 always, since it has no kernel for int32.
        runnable: of "int8" and "int16x8", convention "tensorflow". False: what TensorFlow's quantizer writes, also where TensorFlow Lite
            does not run it; a warning for each reason names the operators. True: such operators stay in floating point, or get scales
            that kernels can compute with; docs/conversion.md lists them.
        rules: which operators stay in floating point; see ``Rule``.
        ranges: of "int8" and "int16x8", convention "tensorflow". "graph": fake quantization in the graph, as training leaves it behind,
            has all ranges, which are kept exactly, and weights keep the codes that training saw. A tensor that lacks one is refused by
            name, unless ``calibration`` has it. None: operators whose ranges are not known stay in floating point.
        accuracy: "max", or names of methods that choose weights and biases so that the model computes what the float one does on
            samples: "mse_ranges", "bias_correction", "least_squares", "weight_scales", "gptq", "coordinate_descent"; docs/accuracy.md
            says what each does. A method is kept where it does not hurt samples that are held out. None: what the convention's own
            quantizer writes.
        samples: for ``accuracy``, as ``qcore.calibrate`` takes them; None takes those given as ``calibration``. They are kept in memory.
        progress: show progress bars on standard error, of calibration and of ``accuracy``.

    Returns:
        A new model.

    Raises:
        InputError: an argument that is wrong, or does not apply to the mode.
        QuantizationError: the model cannot be quantized as asked.
        ModelError: the model is inconsistent.
    """
    if not isinstance(model, Model):
        raise InputError(f"quantize_model: got {type(model).__name__} for a model, expected what qcore.load gives")
    _require_choice("mode", mode, get_args(Mode))
    _require_choice("convention", convention, get_args(Convention))
    interface = _INTERFACES.get(mode, ("float32",))
    default_type = ACTIVATIONS.get(mode, "float32") if convention == "ai-edge" else "float32"
    input_dtype = default_type if input_type is None else input_type
    output_dtype = default_type if output_type is None else output_type
    min_elements = _MIN_ELEMENTS[convention] if min_elements is None else min_elements
    _require_choice(f"mode {mode!r}: input_type", input_dtype, interface)
    _require_choice(f"mode {mode!r}: output_type", output_dtype, interface)
    options = Options(
        per_channel, per_channel_dense, float_fallback, min_elements, weight_type, block_size, bias_type, runnable, Rules.of(rules), ranges
    )
    _check_options(options, mode, convention)
    methods = read_methods(accuracy)
    check(model)
    given: list[Any] = []
    if methods:
        if mode not in MODES_OF["accuracy"]:
            raise InputError(f"quantize_model: accuracy does not apply to mode {mode!r}; it does to {', '.join(MODES_OF['accuracy'])}")
        if ranges == "graph":
            raise InputError("quantize_model: accuracy does not go with ranges='graph', where training has chosen weights and ranges")
        source = calibration if samples is None else samples
        if source is None or isinstance(source, Ranges):
            raise InputError("quantize_model: accuracy needs samples, as calibration or as samples")
        given = list(iterate(source))
        calibration = given if calibration is source else calibration
    elif samples is not None:
        raise InputError("quantize_model: samples are for accuracy, which is not asked for")
    known = _ranges(model, mode, calibration, options, convention, progress) if mode in CALIBRATED else None
    source = model if mode == "float16" else widened(model)

    def quantize(ranges: Ranges | None) -> Quantized:
        edited = copy_model(source)
        origins = {copy: own for own, copy in same_operators(source, edited)}
        if mode in CALIBRATED:
            narrow_tables(edited, options)
        _quantize(edited, mode, convention, ranges, options, input_dtype, output_dtype)
        if mode in CALIBRATED:
            narrow_weights(source, edited, origins, options)
        finish(edited)
        set_versions(edited)
        return Quantized(edited, origins)

    return recover(source, quantize, known, given, methods, progress) if methods else quantize(known).model


def _quantize(
    edited: Model, mode: Mode, convention: Convention, ranges: Ranges | None, options: Options, input_dtype: str, output_dtype: str
) -> None:
    """Quantizes a copy of the caller's model in place."""
    if convention == "ai-edge" and ranges is None:
        quantize_weights_alone(edited, mode, options)
    elif mode == "float16":
        quantize_float16(edited, options)
    elif mode == "dynamic_range":
        quantize_dynamic_range(edited, options)
    elif mode == "weight_only":
        quantize_weight_only(edited, options)
    else:
        assert ranges is not None
        if convention == "ai-edge":
            quantize_static(edited, mode, ranges, options, input_dtype, output_dtype)
        elif mode == "int8":
            emulating = quantize_mixed(edited, ranges, options) if options.rules.is_mixed else quantize_int8(edited, ranges, options)
            set_io_types(edited, input_dtype, output_dtype, options.float_fallback)
            simplify_interface(edited, emulating)
        else:
            quantize_int16x8(edited, ranges, options)
            set_io_types(edited, input_dtype, output_dtype, options.float_fallback)


def _ranges(model: Model, mode: str, calibration: Any, options: Options, convention: Convention, progress: bool) -> Ranges:
    if options.ranges == "graph" and not carries_ranges(model):
        raise InputError("quantize_model: ranges='graph': no operator of the model rounds real numbers to codes, as FAKE_QUANT does")
    if calibration is None:
        ranges = Statistics.from_model(model)
        by_graph = options.ranges == "graph" or (mode == "int8" and convention == "tensorflow")
        if ranges.tensors or (by_graph and carries_ranges(model)):
            return ranges
        raise InputError(
            f"quantize_model: mode {mode!r} needs calibration, Statistics from qcore.calibrate or samples to gather them from, "
            "since the model carries no ranges"
        )
    if not isinstance(calibration, Ranges):
        method, arithmetic = CALIBRATIONS[convention]
        return calibrate(model, calibration, method, arithmetic=arithmetic, progress=progress)
    if isinstance(calibration, Statistics):
        calibration.check(model)
    return calibration


def _require_choice(what: str, value: Any, choices: Iterable[Any]) -> None:
    if not isinstance(value, str | bool | None) or value not in choices:
        raise InputError(f"quantize_model: {what}: got {value!r}, expected one of {', '.join(map(repr, choices))}")


def _check_options(options: Options, mode: str, convention: str) -> None:
    for name in ("float_fallback", "per_channel", "per_channel_dense", "runnable"):
        _require_choice(name, getattr(options, name), (True, False))
    _require_choice("weight_type", options.weight_type, ("int8", "int4"))
    _require_choice("ranges", options.ranges, ("graph", None))
    _require_choice("bias_type", options.bias_type, ("int32", "int64"))
    if not isinstance(options.min_elements, int) or options.min_elements < 0:
        raise InputError(f"quantize_model: min_elements: got {options.min_elements!r}, expected a number of elements")
    size, narrow = options.block_size, "int4" in (options.weight_type, *(rule.weight_type for rule in options.rules.rules))
    if size is not None and (not narrow or not isinstance(size, int) or size <= 0 or size % _BLOCK):
        raise InputError(
            f"quantize_model: block_size: got {size!r} for {options.weight_type} weights, expected a multiple of {_BLOCK} for int4"
        )
    if convention == "ai-edge" and size not in (None, *_AI_EDGE_BLOCKS):
        raise InputError(f"quantize_model: convention 'ai-edge': block_size: got {size}, expected one of {_AI_EDGE_BLOCKS}")
    if convention == "ai-edge" and options.bias_type != Options().bias_type:
        raise InputError("quantize_model: convention 'ai-edge': bias_type: got 'int32', but biases of mode 'int16x8' are int64")
    if convention == "ai-edge" and options.runnable:
        raise InputError("quantize_model: runnable=True does not apply to convention 'ai-edge'; it does to 'tensorflow'")
    if options.ranges == "graph" and convention == "ai-edge":
        raise InputError("quantize_model: ranges='graph' does not apply to convention 'ai-edge'; it does to 'tensorflow'")
    if options.rules.is_mixed and (mode, convention) != ("int8", "tensorflow"):
        raise InputError(f"quantize_model: a rule says activation_type, which does not apply to mode {mode!r} of convention {convention!r}")
    if options.rules.is_mixed and not options.float_fallback:
        raise InputError("quantize_model: float_fallback=False does not apply to rules that say activation_type 'int16'")
    default = Options(min_elements=_MIN_ELEMENTS[convention])
    for option in (option for option in fields(Options) if option.name in MODES_OF):
        given, modes = getattr(options, option.name), MODES_OF[option.name]
        if given != getattr(default, option.name) and mode not in modes:
            raise InputError(f"quantize_model: {option.name}={given!r} does not apply to mode {mode!r}; it does to {', '.join(modes)}")
