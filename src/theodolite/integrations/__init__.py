"""Other people's trainers and trackers; each is imported only when its module is."""

from __future__ import annotations
