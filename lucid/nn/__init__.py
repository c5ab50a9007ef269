"""Layers, losses and initialisation."""

from . import functional as functional
