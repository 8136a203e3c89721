"""Renders and checks the charts with Helm's own engine (libhelm_c), no cluster needed."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import yaml
from helm_python import Chart, HelmError, _native, parse_set_string, parse_set_string_values

ROOT = Path(__file__).resolve().parents[2]
STORE_CHART = ROOT / "helm" / "ecommerce-store"
PLATFORM_CHART = ROOT / "helm" / "storeplane"

OLDEST_KUBERNETES = "v1.20.2"
CURRENT_KUBERNETES = "v1.34.0"

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """What one render of a chart gave."""

    texts: dict[str, str]
    notes: str
    objects: list[Manifest]

    def all(self, kind: str) -> list[Manifest]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str) -> Manifest:
        found = [each for each in self.all(kind) if each["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} objects {kind}/{name}"
        return found[0]

    def pod_templates(self) -> Iterator[tuple[str, Manifest]]:
        """(KIND/NAME, pod template) of every workload."""
        for each in self.objects:
            spec = each.get("spec", {})
            if each["kind"] == "CronJob":
                spec = spec["jobTemplate"]["spec"]
            if "template" in spec:
                yield f"{each['kind']}/{each['metadata']['name']}", spec["template"]


def render(
    chart: Path,
    values: Manifest | None = None,
    *,
    release: str = "store",
    namespace: str = "store-a",
    kubernetes: str = CURRENT_KUBERNETES,
    api_versions: tuple[str, ...] = (),
) -> Rendered:
    """Renders `chart`. Raises HelmError with Helm's message for bad values.

    The SDK's own render() lacks the Kubernetes version, which its library takes.
    """
    options = {
        "name": release,
        "namespace": namespace,
        "kube_version": kubernetes,
        "api_versions": list(api_versions),
    }
    with Chart.load(chart) as loaded:
        answer = _native.call_string(
            "helm_render", loaded._raw(), json.dumps(values or {}), json.dumps(options)
        )
    texts: dict[str, str] = json.loads(answer)
    notes = "".join(text for name, text in texts.items() if name.endswith("NOTES.txt"))
    objects = [
        each
        for name, text in sorted(texts.items())
        if name.endswith(".yaml")
        for each in yaml.safe_load_all(text)
        if each is not None
    ]
    return Rendered(texts, notes, objects)


def merged(*layers: Manifest) -> Manifest:
    """Values files laid over each other as `helm -f A -f B` does."""
    result: Manifest = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, dict) and isinstance(result.get(key), dict):
                result[key] = merged(result[key], value)
            else:
                result[key] = value
    return result


def values_file(path: Path) -> Manifest:
    return yaml.safe_load(path.read_text()) or {}


def main() -> int:
    # A reader that stops early, as head does, is no error.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    parser = argparse.ArgumentParser(
        prog="helm-template", description="Renders a chart as `helm template` does."
    )
    parser.add_argument("chart", type=Path, help="chart's folder, for example helm/ecommerce-store")
    parser.add_argument("-f", "--values", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--set-string", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("-n", "--namespace", default="default")
    parser.add_argument("--release", default="store", help="release's name (default: store)")
    parser.add_argument("--kube-version", default=CURRENT_KUBERNETES, metavar="VERSION")
    parser.add_argument("--api-versions", action="append", default=[], metavar="GROUP/VERSION")
    parser.add_argument("--notes", action="store_true", help="print the notes too")
    arguments = parser.parse_args()
    try:
        values = merged(
            *(values_file(path) for path in arguments.values),
            *(parse_set_string(each) for each in arguments.set),
            *(parse_set_string_values(each) for each in arguments.set_string),
        )
        rendered = render(
            arguments.chart,
            values,
            release=arguments.release,
            namespace=arguments.namespace,
            kubernetes=arguments.kube_version,
            api_versions=tuple(arguments.api_versions),
        )
    except (HelmError, OSError, yaml.YAMLError) as error:
        print(f"helm-template: {error}", file=sys.stderr)
        return 1
    for name, text in sorted(rendered.texts.items()):
        if name.endswith(".yaml") and text.strip():
            print(f"---\n# Source: {name}\n{text.strip()}")
    if arguments.notes:
        print(rendered.notes, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
