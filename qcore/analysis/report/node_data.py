"""Errors by operator for Model Explorer, which colours the operators of a graph by such a file.

Source: google-ai-edge/model-explorer `src/server/package/src/model_explorer/node_data_builder.py#GraphNodeData` for the format, and
`src/builtin-adapter/direct_flatbuffer_to_json_graph_convert.cc` for the names of graphs and nodes.
"""

from __future__ import annotations

import json
import math
from typing import Any

from qcore.analysis.comparison import Comparison, View
from qcore.analysis.sides import entry
from qcore.model import Model

THRESHOLDS = ((10, "#67000d", "#ffffff"), (20, "#cb181d", "#ffffff"), (30, "#fc9272", "#000000"), (40, "#fee0d2", "#000000"))
"""Decibels up to which a colour goes, with that of the text on it: the darker, the worse. Above the last there is none."""


def node_data(comparison: Comparison, quantized_model: Model, by: View = "isolated", signature: str | None = None) -> str:
    """SQNR in dB by operator, as a node data file of Model Explorer for the quantized model.

    An operator of several outputs has the least of theirs; one without error, or not measured, has no entry.

    Args:
        comparison: of that model.
        quantized_model: names the graph.
        by: the view whose SQNR it is.
        signature: whose subgraphs were compared; None for the first ones.

    Returns:
        JSON: by graph, by number of an operator in it, its value.

    Raises:
        InputError: the model has no such signature.
    """
    results: dict[str, Any] = {}
    for row in comparison.operators:
        metrics = row.metrics(by)
        if metrics is not None and math.isfinite(metrics.sqnr_db):
            value = min(round(metrics.sqnr_db, 2), results.get(str(row.index), {"value": math.inf})["value"])
            results[str(row.index)] = {"value": value}
    graph = {
        "name": f"qcore: {by} SQNR (dB)",
        "results": results,
        "thresholds": [{"value": value, "bgColor": background, "textColor": text} for value, background, text in THRESHOLDS],
    }
    subgraph, _ = entry(quantized_model, signature)
    return json.dumps({graph_name(quantized_model, subgraph): graph}, indent=2)


def graph_name(model: Model, subgraph: int) -> str:
    """What Model Explorer calls a subgraph."""
    entered = (s.key for s in model.signatures or [] if s.subgraph_index == subgraph)
    return model.subgraphs[subgraph].name or next(entered, "") or ("main" if subgraph == 0 else f"subgraph_{subgraph}")
