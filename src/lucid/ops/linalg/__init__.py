"""Linear algebra, one subject a file; `lucid.linalg` exports it."""
