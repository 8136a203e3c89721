"""Fixtures of the charts' tests."""

from __future__ import annotations

from typing import Any

import pytest

from examples import EVERYTHING, STORE
from rendering import STORE_CHART, Rendered, merged, render


@pytest.fixture
def store():
    """Renders the store chart with the given values over the basic ones."""

    def renderer(values: dict[str, Any] | None = None, **options: Any) -> Rendered:
        return render(STORE_CHART, merged(STORE, values or {}), **options)

    return renderer


@pytest.fixture
def everything() -> dict[str, Any]:
    """Values that switch on whatever the store chart has."""
    return EVERYTHING
