"""Accumulators: what they can reach and did reach, channel by channel."""
