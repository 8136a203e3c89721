"""Rules that the pods and Services of both charts keep."""

from __future__ import annotations

from rendering import Manifest, Rendered


def assert_restricted(rendered: Rendered) -> None:
    """Kubernetes' restricted profile, and a read-only image besides."""
    checked = 0
    for name, template in rendered.pod_templates():
        spec = template["spec"]
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True and pod["runAsUser"] > 0, name
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        assert "sysctls" not in pod, name
        assert spec["enableServiceLinks"] is False, name
        for volume in spec.get("volumes", []):
            kinds = set(volume) - {"name"}
            assert kinds <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}, name
        for container in containers(template):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            }, name
            assert {"cpu", "memory"} <= set(container["resources"]["limits"]), name
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
            checked += 1
    assert checked > 0


def assert_ports_name_protocols(rendered: Rendered) -> None:
    """Server-side apply merges ports by port and protocol and refuses one without."""
    for service in rendered.all("Service"):
        for port in service["spec"]["ports"]:
            assert port["protocol"] == "TCP", service["metadata"]["name"]
    for name, template in rendered.pod_templates():
        for container in template["spec"]["containers"]:
            for port in container.get("ports", []):
                assert port["protocol"] == "TCP", name


def assert_volatile_labels_stay_out(rendered: Rendered) -> None:
    for name, template in rendered.pod_templates():
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(
            template["metadata"]["labels"]
        ), name
    for each in rendered.objects:
        selector = each["spec"].get("selector", {}) if "spec" in each else {}
        assert "helm.sh/chart" not in str(selector), each["metadata"]["name"]


def assert_mounts_have_volumes(rendered: Rendered) -> None:
    for name, template in rendered.pod_templates():
        volumes = {each["name"] for each in template["spec"].get("volumes", [])}
        used = {
            mount["name"]
            for container in containers(template)
            for mount in container.get("volumeMounts", [])
        }
        assert used == volumes, name


def assert_services_reach_pods(rendered: Rendered) -> None:
    """Each Service selects one workload and targets ports that it has."""
    for service in rendered.all("Service"):
        wanted = service["spec"]["selector"].items()
        selected = [
            template
            for _, template in rendered.pod_templates()
            if wanted <= template["metadata"]["labels"].items()
        ]
        assert len(selected) == 1, service["metadata"]["name"]
        ports = {
            port["name"]
            for container in selected[0]["spec"]["containers"]
            for port in container["ports"]
        }
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports, service["metadata"]["name"]


def containers(template: Manifest) -> list[Manifest]:
    """Every container of a pod, those that run before the others included."""
    return template["spec"]["containers"] + template["spec"].get("initContainers", [])


def container(rendered: Rendered, kind: str, name: str) -> Manifest:
    """The main container of a workload."""
    template = rendered.one(kind, name)["spec"]["template"]
    return next(each for each in template["spec"]["containers"] if each["name"] == name)


def environment(main: Manifest) -> dict[str, object]:
    """Variables by name: the value, or where it comes from."""
    names = [each["name"] for each in main["env"]]
    assert len(names) == len(set(names))
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in main["env"]}
