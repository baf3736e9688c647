"""How two models differ: in structure, numbers and values."""
