"""The ingress controller: writes the proxy's configuration from the cluster's Ingress objects.

The proxy is HAProxy in a pod of the namespace `ingress`; this program shares a folder with it,
writes haproxy.cfg there and asks its master process to reload. Requests go to the ready endpoints
of a Service directly, so a pod that becomes ready or goes away counts within a fraction of a
second. Where an Ingress has a tls section its hosts are served all the same, over plain HTTP.
"""

import ipaddress
import logging
import os
import re
import socket
import threading
import time

from kubernetes_api import API, APIError, arguments, mirror

CLASSES = {"storeplane", "nginx"}
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
# One change seldom comes alone: what follows within this time is done with the same reload.
GATHER_SECONDS = 0.05
RETRY_SECONDS = 0.3
MASTER_SECONDS_MAX = 5
ROUTES_MAX = 5000
# What may stand between single quotes in HAProxy's configuration and be part of a URL's path.
PATH = re.compile(r"/[A-Za-z0-9._~!$&()*+,;=:@%/-]*")
HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?")

HEAD = """\
# Written by the ingress controller; changes here are lost.
global
  log stdout format raw local0 notice
  maxconn 2000
  nbthread 1
  hard-stop-after 30s
defaults
  mode http
  log global
  option dontlog-normal
  option forwardfor
  option redispatch 1
  retries 3
  retry-on conn-failure empty-response
  timeout connect 2s
  timeout client 60s
  timeout http-request 10s
  timeout http-keep-alive 15s
  timeout server 300s
  timeout tunnel 1h
frontend http
  bind :8080
  http-request set-var(txn.host) req.hdr(host),field(1,:),lower
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
"""
TAIL = """\
  default_backend unknown_host
backend unknown_host
  http-request return status 404 content-type text/plain \
lf-string "No Ingress of this cluster names %[var(txn.host)]%[path].\\n"
"""


def is_ours(ingress):
    name = ingress["spec"].get("ingressClassName")
    if name is None:
        name = ingress["metadata"].get("annotations", {}).get(CLASS_ANNOTATION, "storeplane")
    return name in CLASSES


def routes_of(ingress):
    """Yields (host or "", path, is exact, namespace, backend) for each path of the rules."""
    namespace, spec = ingress["metadata"]["namespace"], ingress["spec"]
    for rule in spec.get("rules") or []:
        for entry in (rule.get("http") or {}).get("paths") or []:
            exact = entry.get("pathType") == "Exact"
            yield rule.get("host", ""), entry.get("path") or "/", exact, namespace, entry["backend"]
    if spec.get("defaultBackend"):
        yield "", "/", False, namespace, spec["defaultBackend"]


def precedence(route):
    """Exact hosts before wildcards before none, exact paths before prefixes, longest first."""
    host, path, exact, *_ = route
    return (host == "", host.startswith("*."), host, not exact, -len(path), path)


def conditions(host, path, exact):
    """The conditions of a route, one for each way to match it."""
    if host.startswith("*."):
        # A wildcard stands for one label.
        name = f"{{ var(txn.host) -m reg '^[^.]+{re.escape(host[1:])}$' }} "
    else:
        name = f"{{ var(txn.host) -m str '{host}' }} " if host else ""
    if exact:
        return [f"{name}{{ path -m str '{path}' }}"]
    stem = path.rstrip("/")
    if not stem:
        return [f"{name}{{ path_beg / }}"]
    return [f"{name}{{ path -m str '{stem}' }}", f"{name}{{ path_beg '{stem}/' }}"]


def endpoint_addresses(service, endpoints, wanted):
    """The "address:port" of each ready endpoint of a Service's port, given by number or name."""
    chosen = [
        port
        for port in (service or {}).get("spec", {}).get("ports") or []
        if port["port"] == wanted.get("number") or port.get("name") == wanted.get("name", 0)
    ]
    found = []
    for port in chosen:
        for subset in (endpoints or {}).get("subsets") or []:
            for offered in subset.get("ports") or []:
                if offered.get("name") == port.get("name"):
                    for entry in subset.get("addresses") or []:
                        address = ipaddress.ip_address(entry["ip"])
                        found.append(f"{address}:{offered['port']}")
    return sorted(found)


def render(ingresses, services, endpoints):
    """The whole configuration. `services` and `endpoints` look one up by (name, namespace)."""
    routes = sorted(
        (route for ingress in ingresses if is_ours(ingress) for route in routes_of(ingress)),
        key=precedence,
    )
    rules, backends = [], {}
    for host, path, exact, namespace, backend in routes[:ROUTES_MAX]:
        target = backend.get("service")
        valid = PATH.fullmatch(path) and (not host or HOST.fullmatch(host))
        if not target or not valid:
            logging.warning("left out: %s%s in %s", host, path, namespace)
            continue
        port = target["port"]
        name = f"{namespace}_{target['name']}_{port.get('number') or port.get('name')}"
        rules += [f"  use_backend {name} if {one}" for one in conditions(host, path, exact)]
        backends[name] = endpoint_addresses(
            services(target["name"], namespace), endpoints(target["name"], namespace), port
        )
    if len(routes) > ROUTES_MAX:
        logging.error("%d routes; only %d are served", len(routes), ROUTES_MAX)
    lines = [HEAD.rstrip("\n"), *rules, TAIL.rstrip("\n")]
    for name, addresses in sorted(backends.items()):
        lines.append(f"backend {name}")
        lines += [f"  server {one.replace(':', '_')} {one}" for one in addresses]
    return "\n".join(lines) + "\n"


class Proxy:
    """The configuration file and the master socket of the proxy in its pod."""

    def __init__(self, folder):
        self._path = os.path.join(folder, "haproxy.cfg")
        self._master = os.path.join(folder, "master.sock")
        self._current = None
        self._loaded = False

    def use(self, configuration):
        """Puts the configuration in force; false if the proxy could not be told yet."""
        if configuration != self._current:
            self.write(configuration)
            self._current, self._loaded = configuration, False
        if not self._loaded:
            self._loaded = self._reload()
        return self._loaded

    def write(self, configuration):
        with open(self._path + ".new", "w") as file:
            file.write(configuration)
        os.replace(self._path + ".new", self._path)

    def _reload(self):
        try:
            with socket.socket(socket.AF_UNIX) as master:
                master.settimeout(MASTER_SECONDS_MAX)
                master.connect(self._master)
                master.sendall(b"reload\n")
                master.recv(4096)
            return True
        except OSError as error:
            # The pod is not there yet: it reads the file when it starts, but perhaps an older one.
            logging.info("the proxy does not listen yet (%s)", error)
            return False


def publish_address(api, ingresses, address):
    """Writes the address into the status of each Ingress that lacks it."""
    wanted = {"loadBalancer": {"ingress": [{"ip": address}]}}
    for ingress in ingresses:
        if not is_ours(ingress) or ingress.get("status") == wanted:
            continue
        metadata = ingress["metadata"]
        path = INGRESSES.replace("/ingresses", f"/namespaces/{metadata['namespace']}/ingresses")
        try:
            api.call(
                "PATCH",
                f"{path}/{metadata['name']}/status",
                {"status": wanted},
                "application/merge-patch+json",
            )
        except (APIError, OSError) as error:
            logging.warning("status of %s: %s", metadata["name"], error)


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True, help="the folder shared with the proxy's pod")
    parser.add_argument("--address", required=True, help="the address to publish")
    parser.add_argument("--write-empty", action="store_true", help="only write a first file")
    options = parser.parse_args()
    proxy = Proxy(options.folder)
    if options.write_empty:
        proxy.write(render([], None, None))
        return
    api, changed = API(options.kubeconfig), threading.Event()
    ingresses, services, endpoints = mirror(
        api, changed, INGRESSES, "/api/v1/services", "/api/v1/endpoints"
    )
    told = False
    while True:
        changed.wait(None if told else RETRY_SECONDS)
        time.sleep(GATHER_SECONDS)
        changed.clear()
        told = proxy.use(render(ingresses.objects(), services.get, endpoints.get))
        publish_address(api, ingresses.objects(), options.address)


if __name__ == "__main__":
    main()
