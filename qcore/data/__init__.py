"""The bundled digit classifier and its images; made by examples/train_digits.py."""
