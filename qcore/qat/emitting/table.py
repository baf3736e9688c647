"""The layers and operations of Keras that become operators of TensorFlow Lite: by class, what adds them, and what they become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from qcore.qat.emitting import activations, merging, movement, normalization, pooling, weighted, wrapping
from qcore.qat.emitting import operations as ops


@dataclass(frozen=True)
class Row:
    """emit: adds what the layer or operation computes. becomes: its operators, in words; "activation" stands for those of its function."""

    emit: Callable[..., Any]
    becomes: str


_CONV = "{}, with the bias and a BatchNormalization folded into it; activation"
_SEQUENCE = "RESHAPE, {}, RESHAPE"
_NOTHING = "nothing"
_TRAINING = """
    Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianDropout AlphaDropout GaussianNoise ActivityRegularization Identity"""
_AUGMENTATION = """
    RandomFlip RandomRotation RandomZoom RandomTranslation RandomContrast RandomBrightness RandomShear RandomErasing RandomHue
    RandomSaturation RandomSharpness RandomGrayscale RandomInvert RandomPosterization RandomColorJitter RandomColorDegeneration
    RandomGaussianBlur RandomPerspective RandomElasticTransform AugMix RandAugment"""

LAYERS = MappingProxyType(
    {
        "Conv1D": Row(weighted.conv, _SEQUENCE.format(_CONV.format("CONV_2D")) + "; causal padding is a PAD"),
        "Conv2D": Row(weighted.conv, _CONV.format("CONV_2D")),
        "DepthwiseConv1D": Row(weighted.depthwise_conv, _SEQUENCE.format(_CONV.format("DEPTHWISE_CONV_2D"))),
        "DepthwiseConv2D": Row(weighted.depthwise_conv, _CONV.format("DEPTHWISE_CONV_2D")),
        "SeparableConv1D": Row(weighted.separable_conv, _SEQUENCE.format("DEPTHWISE_CONV_2D, CONV_2D") + "; activation"),
        "SeparableConv2D": Row(weighted.separable_conv, "DEPTHWISE_CONV_2D, CONV_2D; activation"),
        "Conv1DTranspose": Row(weighted.conv_transpose, _SEQUENCE.format("TRANSPOSE_CONV") + "; activation"),
        "Conv2DTranspose": Row(weighted.conv_transpose, _CONV.format("TRANSPOSE_CONV") + "; dilation_rate 1"),
        "Dense": Row(weighted.dense, _CONV.format("FULLY_CONNECTED")),
        "BatchNormalization": Row(normalization.batch_normalization, "MUL, ADD, where no operator before takes them"),
        "LayerNormalization": Row(
            normalization.layer_normalization, "MEAN, SUB, SQUARED_DIFFERENCE, MEAN, ADD, RSQRT, MUL, MUL, ADD; no rms_scaling"
        ),
        "GroupNormalization": Row(normalization.group_normalization, "RESHAPE, as LayerNormalization, RESHAPE"),
        "RMSNormalization": Row(normalization.rms_normalization, "SQUARE, MEAN, ADD, RSQRT, MUL, MUL"),
        "UnitNormalization": Row(normalization.unit_normalization, "SQUARE, SUM, RSQRT, MINIMUM, MUL"),
        "Rescaling": Row(normalization.rescaling, "MUL, ADD, where no operator behind takes them"),
        "Normalization": Row(normalization.normalization, "SUB, MUL"),
        "MaxPooling1D": Row(pooling.windows("MAX_POOL_2D"), _SEQUENCE.format("MAX_POOL_2D")),
        "MaxPooling2D": Row(pooling.windows("MAX_POOL_2D"), "MAX_POOL_2D"),
        "AveragePooling1D": Row(pooling.windows("AVERAGE_POOL_2D"), _SEQUENCE.format("AVERAGE_POOL_2D")),
        "AveragePooling2D": Row(pooling.windows("AVERAGE_POOL_2D"), "AVERAGE_POOL_2D"),
        **{f"GlobalMaxPooling{n}D": Row(pooling.everything("REDUCE_MAX"), "REDUCE_MAX") for n in (1, 2, 3)},
        **{f"GlobalAveragePooling{n}D": Row(pooling.everything("MEAN"), "MEAN") for n in (1, 2, 3)},
        "Activation": Row(activations.activation, "activation"),
        "ReLU": Row(activations.relu_layer, "RELU, RELU6, RELU_0_TO_1 or LEAKY_RELU; MINIMUM; with a threshold GREATER, SELECT_V2"),
        "LeakyReLU": Row(activations.leaky_relu_layer, "LEAKY_RELU"),
        "PReLU": Row(activations.prelu, "PRELU"),
        "ELU": Row(activations.elu_layer, "ELU; with an alpha RELU, SUB, ELU, MUL, ADD"),
        "Softmax": Row(activations.softmax_layer, "SOFTMAX, between TRANSPOSE for another axis than the last; no mask"),
        "Add": Row(merging.merge("ADD"), "ADD"),
        "Subtract": Row(merging.merge("SUB"), "SUB"),
        "Multiply": Row(merging.merge("MUL"), "MUL"),
        "Maximum": Row(merging.merge("MAXIMUM"), "MAXIMUM"),
        "Minimum": Row(merging.merge("MINIMUM"), "MINIMUM"),
        "Average": Row(merging.average, "ADD, MUL"),
        "Concatenate": Row(merging.concatenate, "CONCATENATION"),
        "Dot": Row(merging.dot, "RESHAPE, BATCH_MATMUL, RESHAPE; of 2 or 3 dimensions, no normalize"),
        "Flatten": Row(movement.flatten, "RESHAPE"),
        "Reshape": Row(movement.reshape, "RESHAPE"),
        "Permute": Row(movement.permute, "TRANSPOSE"),
        "RepeatVector": Row(movement.repeat_vector, "RESHAPE, TILE"),
        **{f"ZeroPadding{n}D": Row(movement.zero_padding, "PAD") for n in (1, 2, 3)},
        **{f"Cropping{n}D": Row(movement.cropping, "STRIDED_SLICE") for n in (1, 2, 3)},
        "UpSampling1D": Row(movement.upsampling_sequence, _SEQUENCE.format("RESIZE_NEAREST_NEIGHBOR")),
        "UpSampling2D": Row(movement.upsampling, "RESIZE_NEAREST_NEIGHBOR or RESIZE_BILINEAR"),
        "Resizing": Row(movement.resizing, "RESIZE_NEAREST_NEIGHBOR or RESIZE_BILINEAR; no cropping, padding and antialias"),
        "CenterCrop": Row(movement.center_crop, "STRIDED_SLICE; of images that are no smaller"),
        "Embedding": Row(movement.embedding, "GATHER; no mask_zero"),
        "TimeDistributed": Row(wrapping.time_distributed, "RESHAPE, the layer, RESHAPE"),
        **{name: Row(wrapping.nothing, _NOTHING) for name in _TRAINING.split()},
        **{name: Row(wrapping.nothing_real, _NOTHING) for name in _AUGMENTATION.split()},
        "FakeQuant": Row(wrapping.fake_quant, "QUANTIZE, DEQUANTIZE, with the range learned"),
        "QuantizedKernel": Row(wrapping.quantized_kernel, "the layer, with its kernel rounded"),
    }
)
"""Layers, by the name of their class."""

OPERATIONS = MappingProxyType(
    {
        "Absolute": Row(ops.unary("ABS"), "ABS"),
        "Add": Row(ops.binary("ADD"), "ADD"),
        "Amax": Row(ops.reduction("REDUCE_MAX"), "REDUCE_MAX"),
        "Amin": Row(ops.reduction("REDUCE_MIN"), "REDUCE_MIN"),
        "Argmax": Row(ops.arg_max, "ARG_MAX; along an axis, no keepdims"),
        "AveragePool": Row(ops.pool("AVERAGE_POOL_2D"), "AVERAGE_POOL_2D"),
        "BatchNorm": Row(ops.batch_norm, "MUL, ADD"),
        "BroadcastTo": Row(ops.broadcast_to, "BROADCAST_TO"),
        "Cast": Row(ops.cast, "CAST"),
        "Celu": Row(ops.function("celu", "alpha"), "as the activation celu"),
        "Clip": Row(ops.clip, "RELU_N1_TO_1, or MINIMUM, MAXIMUM"),
        "Concatenate": Row(ops.concatenate, "CONCATENATION"),
        "Conv": Row(ops.conv, "CONV_2D; of images"),
        "Cos": Row(ops.unary("COS"), "COS"),
        "DepthwiseConv": Row(ops.conv, "DEPTHWISE_CONV_2D; of images"),
        "Divide": Row(ops.divide, "DIV, or MUL"),
        "Elu": Row(ops.function("elu", "alpha"), "as the activation elu"),
        "Equal": Row(ops.comparison("EQUAL"), "EQUAL"),
        "Exp": Row(ops.unary("EXP"), "EXP"),
        "ExpandDims": Row(ops.expand_dims, "RESHAPE"),
        "Floor": Row(ops.unary("FLOOR"), "FLOOR"),
        "Gelu": Row(ops.function("gelu", "approximate"), "GELU"),
        "GetItem": Row(ops.get_item, "STRIDED_SLICE, RESHAPE"),
        "Glu": Row(ops.function("glu", "axis"), "as the activation glu"),
        "Greater": Row(ops.comparison("GREATER"), "GREATER"),
        "GreaterEqual": Row(ops.comparison("GREATER_EQUAL"), "GREATER_EQUAL"),
        "HardSigmoid": Row(ops.function("hard_sigmoid"), "as the activation hard_sigmoid"),
        "HardSilu": Row(ops.function("hard_silu"), "HARD_SWISH"),
        "HardTanh": Row(ops.function("hard_tanh"), "RELU_N1_TO_1"),
        "LayerNorm": Row(ops.layer_norm, "as LayerNormalization"),
        "LeakyRelu": Row(ops.function("leaky_relu", "negative_slope"), "LEAKY_RELU"),
        "Less": Row(ops.comparison("LESS"), "LESS"),
        "LessEqual": Row(ops.comparison("LESS_EQUAL"), "LESS_EQUAL"),
        "Log": Row(ops.unary("LOG"), "LOG"),
        "LogSigmoid": Row(ops.function("log_sigmoid"), "as the activation log_sigmoid"),
        "LogSoftmax": Row(ops.function("log_softmax", "axis"), "LOG_SOFTMAX"),
        "Matmul": Row(ops.matmul, "FULLY_CONNECTED by a constant, else BATCH_MATMUL"),
        "Max": Row(ops.reduction("REDUCE_MAX"), "REDUCE_MAX"),
        "Maximum": Row(ops.binary("MAXIMUM"), "MAXIMUM"),
        "MaxPool": Row(ops.pool("MAX_POOL_2D"), "MAX_POOL_2D"),
        "Mean": Row(ops.reduction("MEAN"), "MEAN"),
        "Min": Row(ops.reduction("REDUCE_MIN"), "REDUCE_MIN"),
        "Minimum": Row(ops.binary("MINIMUM"), "MINIMUM"),
        "Multiply": Row(ops.binary("MUL"), "MUL"),
        "Negative": Row(ops.unary("NEG"), "NEG"),
        "Normalize": Row(ops.norm, "SQUARE, SUM, RSQRT, MINIMUM, MUL"),
        "NotEqual": Row(ops.comparison("NOT_EQUAL"), "NOT_EQUAL"),
        "Pad": Row(ops.pad, "PAD, PADV2 or MIRROR_PAD"),
        "Power": Row(ops.power, "MUL or POW"),
        "Relu": Row(ops.function("relu"), "RELU"),
        "Relu6": Row(ops.function("relu6"), "RELU6"),
        "Repeat": Row(ops.repeat, "RESHAPE, TILE, RESHAPE"),
        "Reshape": Row(ops.reshape, "RESHAPE"),
        "Resize": Row(ops.resize, "RESIZE_NEAREST_NEIGHBOR or RESIZE_BILINEAR"),
        "RMSNorm": Row(ops.rms_norm, "as RMSNormalization"),
        "Rsqrt": Row(ops.unary("RSQRT"), "RSQRT"),
        "Selu": Row(ops.function("selu"), "as the activation selu"),
        "Sigmoid": Row(ops.function("sigmoid"), "LOGISTIC"),
        "Sign": Row(ops.unary("SIGN"), "SIGN"),
        "Silu": Row(ops.function("silu"), "LOGISTIC, MUL"),
        "Sin": Row(ops.unary("SIN"), "SIN"),
        "Softmax": Row(ops.function("softmax", "axis"), "SOFTMAX"),
        "Softplus": Row(ops.function("softplus"), "as the activation softplus"),
        "Softsign": Row(ops.function("softsign"), "as the activation softsign"),
        "Split": Row(ops.split, "SPLIT or SPLIT_V"),
        "Sqrt": Row(ops.unary("SQRT"), "SQRT"),
        "Square": Row(ops.unary("SQUARE"), "SQUARE"),
        "Squeeze": Row(ops.squeeze, "RESHAPE"),
        "Stack": Row(ops.stack, "PACK"),
        "StopGradient": Row(wrapping.nothing, _NOTHING),
        "Subtract": Row(ops.binary("SUB"), "SUB"),
        "Sum": Row(ops.reduction("SUM"), "SUM"),
        "Swapaxes": Row(ops.swap_axes, "TRANSPOSE"),
        "Take": Row(ops.take, "GATHER"),
        "Tanh": Row(ops.unary("TANH"), "TANH"),
        "Tile": Row(ops.tile, "TILE"),
        "Transpose": Row(ops.transpose, "TRANSPOSE"),
        "TrueDivide": Row(ops.divide, "DIV, or MUL"),
        "Unstack": Row(ops.unstack, "UNPACK"),
        "Var": Row(ops.variance, "MEAN, SQUARED_DIFFERENCE, MEAN"),
        "Where": Row(ops.where, "SELECT_V2"),
    }
)
"""Operations of ``keras.ops``, by the name of their class."""
