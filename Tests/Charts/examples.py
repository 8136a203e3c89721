"""Values that renders of the charts start from."""

from __future__ import annotations

STORE = {
    "store": {"id": "0198c1d2", "name": "Tea & Cups", "host": "tea.example.com"},
    "existingSecret": "store-credentials",
}

EVERYTHING = {
    "rbac": {"create": True},
    "wpCron": {"enabled": True},
    "podDisruptionBudget": {"enabled": True},
    "autoscaling": {"enabled": True},
    "metrics": {"enabled": True, "serviceMonitor": {"enabled": True}},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]},
    "ingress": {"tls": {"enabled": True, "acmeHttp01Solver": True}},
    "wordpress": {"persistence": {"accessModes": ["ReadWriteMany"]}},
}

MEDUSA = {"engine": "medusa", "medusa": {"image": {"repository": "tea/medusa", "tag": "1"}}}

MEDUSA_EVERYTHING = {**EVERYTHING, **MEDUSA}
