"""Serves the stand-in for WooCommerce inside the cluster, as wordpress.org would serve the real one."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path

PLUGIN = Path(__file__).with_name("stand_in_plugin")
NAMESPACE = "storeplane-test-plugins"
IMAGE = "localhost/storeplane/wordpress:6.1"
ARCHIVE = "woocommerce.zip"
SOURCE = f"http://plugins.{NAMESPACE}.svc.cluster.local/{ARCHIVE}"


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as plugin:
        for file in PLUGIN.iterdir():
            plugin.write(file, f"woocommerce/{file.name}")
    return packed.getvalue()


def serve(kubectl) -> None:
    """Returns when the archive can be fetched."""
    phase = ("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "jsonpath={.status.phase}")
    if kubectl(*phase) == "Terminating":  # Of tests that have just ended.
        kubectl("wait", f"namespace/{NAMESPACE}", "--for=delete", "--timeout=180s")
    labels = {"app": "plugins"}
    metadata = {"name": "plugins", "namespace": NAMESPACE}
    container = {
        "name": "plugins", "image": IMAGE, "imagePullPolicy": "Never",
        "command": ["php", "-S", "0.0.0.0:8080", "-t", "/plugins"],
        "volumeMounts": [{"name": "plugins", "mountPath": "/plugins"}],
        "readinessProbe": {"httpGet": {"path": f"/{ARCHIVE}", "port": 8080}, "periodSeconds": 1},
    }
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
         "binaryData": {ARCHIVE: base64.b64encode(archive()).decode()}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "labels": labels},
         "spec": {"containers": [container], "terminationGracePeriodSeconds": 0,
                  "volumes": [{"name": "plugins", "configMap": {"name": "plugins"}}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata,
         "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}},
    ]
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    kubectl("apply", "-f", "-", given=json.dumps(listed))
    kubectl("wait", "-n", NAMESPACE, "pod/plugins", "--for=condition=Ready", "--timeout=60s")


def stop(kubectl) -> None:
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")
