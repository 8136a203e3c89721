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

# What can be set of every pod, and of the container that it is for.
POD_SETTINGS = {
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "shop", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "topologySpreadConstraints": [{"maxSkew": 1}],
    "priorityClassName": "high",
    "extraEnv": [{"name": "EXTRA", "value": "1"}],
    "extraEnvFrom": [{"secretRef": {"name": "smtp"}}],
    "extraVolumes": [{"name": "more", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    "initContainers": [{"name": "first", "image": "a"}],
    "sidecars": [{"name": "beside", "image": "b"}],
    "podLabels": {"team": "tea"},
    "podAnnotations": {"note": "x"},
    "terminationGracePeriodSeconds": 7,
}
