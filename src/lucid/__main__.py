"""`python -m lucid` shows what computes here."""

from . import show_config

if __name__ == "__main__":
    show_config()
