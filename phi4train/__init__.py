"""Staged training for models of the Phi-4-Mini and Phi-4-Multimodal family."""

__version__ = "0.1.0"
