"""The version, which pyproject.toml says too; a test compares them."""

VERSION = "0.1.0"
