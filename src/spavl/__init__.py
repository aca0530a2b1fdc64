"""spavl: nightly safety-preference data and aligned vision-language models."""

__version__ = "0.1.0"
