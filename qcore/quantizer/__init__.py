"""Quantizing whole models."""
