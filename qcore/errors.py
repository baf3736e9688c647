"""What qcore raises on purpose.

Every message says what, where, got and expected, for example
``CONV_2D (op 7, output 'block1/Relu'): filter has 64 input channels, input has 32``.
"""


class QCoreError(ValueError):
    """Base of all errors of qcore; a ``ValueError``, which is what code written for TensorFlow Lite catches."""


class ModelError(QCoreError):
    """The file or its graph is wrong."""


class UnsupportedError(QCoreError):
    """An operator, type or option that qcore does not do; the message names it and what qcore does instead."""


class InputError(QCoreError):
    """What the caller passed is wrong."""


class QuantizationError(QCoreError):
    """Values or ranges that cannot be quantized as asked."""


class InternalError(QCoreError):
    """A fault of qcore itself, met while it handled a model; its cause is chained.

    No input should lead here: the tests that damage files on purpose treat it as a failure.
    """
