"""Generates the contracts: protobuf-c's C, Swift values and services, and the descriptor set."""
