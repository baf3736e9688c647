"""Accuracy recovery: constants of a quantized model chosen so that it computes what the float model does, from unlabelled samples.

``rows`` shows operators as matrix products, ``running`` what they read, ``moments`` what is kept of it, ``solve`` how constants follow,
``layers`` where they stand in a model, ``passes`` the walk over it, ``recover`` all of it for ``quantize_model``.
"""
