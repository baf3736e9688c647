"""``report``: what quantization did to a model, as one page to look at."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from qcore.analysis.report.building import build
from qcore.analysis.report.data import Report
from qcore.analysis.report.node_data import node_data
from qcore.analysis.report.observing import Observing
from qcore.analysis.report.page import to_html, to_json
from qcore.calibration.calibrating import read_model
from qcore.calibration.samples import NanPolicy, Samples
from qcore.kernels.opdef import Arithmetic, OpDef
from qcore.model import Model
from qcore.runtime.plan import Settings, require_arithmetic
from qcore.schema.files import write_whole

__all__ = ["Report", "gather", "node_data", "report", "to_html", "to_json"]

Source = Model | str | os.PathLike[str] | bytes


def report(
    float_model: Source,
    quantized_model: Source,
    samples: Samples | None,
    path: str | os.PathLike[str],
    *,
    signature: str | None = None,
    nan: NanPolicy = "raise",
    progress: bool = False,
    arithmetic: Arithmetic = "reference",
    custom_ops: Mapping[str, OpDef] | None = None,
) -> Report:
    """Write a page that shows what quantization did to a model: sizes, errors, histograms, worst channels, and what to do about them.

    The page is one HTML file that loads nothing. The same models and samples give the same bytes.

    Args:
        float_model: as for ``compare``.
        quantized_model: likewise.
        samples: likewise; None for a page without errors of activations.
        path: where to write it.
        signature: as for ``compare``.
        nan: likewise.
        progress: likewise.
        arithmetic: likewise.
        custom_ops: likewise.

    Returns:
        What the page shows, as plain data.

    Raises:
        InputError: an argument is wrong, the models do not correspond, a sample does not fit, or the file cannot be written.
        QCoreError: a model is wrong, or cannot run on a sample, which the message names.
    """
    found = gather(
        float_model, quantized_model, samples, signature=signature, nan=nan, progress=progress, arithmetic=arithmetic, custom_ops=custom_ops
    )
    write_whole("report", path, [to_html(found)])
    return found


def gather(
    float_model: Source,
    quantized_model: Source,
    samples: Samples | None,
    *,
    signature: str | None = None,
    nan: NanPolicy = "raise",
    progress: bool = False,
    arithmetic: Arithmetic = "reference",
    custom_ops: Mapping[str, OpDef] | None = None,
) -> Report:
    """What ``report`` shows, as plain data; arguments and errors are its own."""
    require_arithmetic("report", arithmetic)
    models = read_model(float_model), read_model(quantized_model)
    pair = Observing(*models, signature, nan, Settings(arithmetic, True, custom_ops=custom_ops or {}))
    comparison = None if samples is None else pair.take_all(samples, progress)
    return build(pair, models, (_file(float_model, models[0]), _file(quantized_model, models[1])), comparison)


def _file(source: Source, model: Model) -> tuple[str, int]:
    """Name, where it has one, and size in bytes."""
    if isinstance(source, str | os.PathLike):
        return Path(source).name, Path(source).stat().st_size
    return "", len(source) if isinstance(source, bytes) else len(model.to_bytes())
