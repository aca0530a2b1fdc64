"""Why a poison is let through today, by its name: what docs/drill.md says beside it."""

from __future__ import annotations

REASONS: dict[str, str] = {}
