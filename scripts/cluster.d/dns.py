"""The cluster's DNS: answers for Services from the API server (Debian has no CoreDNS).

Known: SERVICE.NAMESPACE.svc.cluster.local (a cluster address, or every ready address of a headless
Service) and HOSTNAME.SERVICE.NAMESPACE.svc.cluster.local. Any other name goes to the server given
with --forward, and does not exist when none is given: a quick no, where a resolver that cannot be
reached would stall its callers for many seconds.
"""

import logging
import select
import socket
import socketserver
import struct
import threading

from kubernetes_api import API, arguments, mirror

ZONE = "cluster.local"
ANSWER_TTL_SECONDS = 5
FORWARD_SECONDS = 2
ADDRESSES_MAX = 25  # what fits in a UDP answer of 512 bytes, whatever the name's length
MESSAGE_BYTES_MAX = 4096
QUERIES_AT_ONCE_MAX = 64
TYPE_A = 1
REFUSED_FORMAT, SERVER_FAILURE, NO_SUCH_NAME = 1, 2, 3


class Malformed(Exception):
    pass


class Zone:
    """The names of the cluster's Services, rebuilt whenever a Service or its endpoints change."""

    def __init__(self, kubeconfig):
        self._changed = threading.Event()
        self._services, self._endpoints = mirror(
            API(kubeconfig), self._changed, "/api/v1/services", "/api/v1/endpoints"
        )
        self._names = self._build()
        threading.Thread(target=self._follow, daemon=True).start()

    def addresses(self, name):
        """The addresses of a name, or None where there is no such name."""
        return self._names.get(name)

    def _follow(self):
        while True:
            self._changed.wait()
            self._changed.clear()
            self._names = self._build()

    def _build(self):
        names = {}
        for service in self._services.objects():
            names |= self._service_names(service)
        return names

    def _service_names(self, service):
        metadata, spec = service["metadata"], service["spec"]
        name = f"{metadata['name']}.{metadata['namespace']}.svc.{ZONE}"
        address = spec.get("clusterIP")
        if address and address != "None":
            return {name: [address]}
        found, names = [], {}
        endpoints = self._endpoints.get(metadata["name"], metadata["namespace"]) or {}
        for subset in endpoints.get("subsets") or []:
            for entry in subset.get("addresses") or []:
                found.append(entry["ip"])
                if entry.get("hostname"):
                    names[f"{entry['hostname']}.{name}"] = [entry["ip"]]
        return {name: found, **names}


def parse_question(query):
    """The name, the type and the end of a query's one question."""
    if len(query) < 12 or struct.unpack_from("!H", query, 4)[0] != 1:
        raise Malformed
    labels, place = [], 12
    while True:
        if place >= len(query):
            raise Malformed
        length = query[place]
        place += 1
        if length == 0:
            break
        if length > 63 or place + length > len(query):
            raise Malformed
        labels.append(query[place : place + length].decode("latin-1").lower())
        place += length
    if place + 4 > len(query):
        raise Malformed
    return ".".join(labels), struct.unpack_from("!H", query, place)[0], place + 4


def reply(query, question_end, code, addresses=()):
    """An answer that repeats the question and holds the addresses (RFC 1035, 4.1)."""
    recursion_desired = query[2] & 0x01
    flags = 0x8480 | recursion_desired << 8 | code
    questions = 1 if question_end > 12 else 0
    header = query[:2] + struct.pack("!5H", flags, questions, len(addresses), 0, 0)
    record = struct.pack("!3HIH", 0xC00C, TYPE_A, 1, ANSWER_TTL_SECONDS, 4)
    records = b"".join(record + socket.inet_aton(address) for address in addresses)
    return header + query[12:question_end] + records


def forward(query, server):
    """The other server's answer to the same query; a failure when it gives none in time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((server, 53))
        asking.send(query)
        if select.select([asking], [], [], FORWARD_SECONDS)[0]:
            return asking.recv(MESSAGE_BYTES_MAX)
    raise TimeoutError


def answer(query, zone, forward_to):
    try:
        name, kind, end = parse_question(query)
    except Malformed:
        return reply(query.ljust(12, b"\0"), 12, REFUSED_FORMAT)
    addresses = zone.addresses(name)
    if addresses is not None:
        return reply(query, end, 0, addresses[:ADDRESSES_MAX] if kind == TYPE_A else ())
    if forward_to and not name.endswith(ZONE):
        try:
            return forward(query, forward_to)
        except OSError:
            return reply(query, end, SERVER_FAILURE)
    return reply(query, end, NO_SUCH_NAME)


class BoundedThreads(socketserver.ThreadingMixIn):
    """A thread a query, so that a slow forward holds up nobody, and no more than the limit."""

    daemon_threads = True
    allow_reuse_address = True
    slots = threading.BoundedSemaphore(QUERIES_AT_ONCE_MAX)

    def process_request(self, request, client_address):
        if self.slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)  # the client asks again

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.slots.release()


class UDPServer(BoundedThreads, socketserver.UDPServer):
    max_packet_size = MESSAGE_BYTES_MAX


class TCPServer(BoundedThreads, socketserver.TCPServer):
    pass


def handlers(zone, forward_to):
    class UDPHandler(socketserver.BaseRequestHandler):
        def handle(self):
            query, replying = self.request
            if len(query) >= 2:
                replying.sendto(answer(query, zone, forward_to), self.client_address)

    class TCPHandler(socketserver.StreamRequestHandler):
        timeout = FORWARD_SECONDS

        def handle(self):
            prefix = self.rfile.read(2)
            if len(prefix) == 2:
                length = struct.unpack("!H", prefix)[0]
                query = self.rfile.read(min(length, MESSAGE_BYTES_MAX))
                if len(query) >= 2:
                    message = answer(query, zone, forward_to)
                    self.wfile.write(struct.pack("!H", len(message)) + message)

    return UDPHandler, TCPHandler


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--address", required=True, help="where to listen, on port 53")
    parser.add_argument("--forward", help="the DNS server for names outside the cluster")
    options = parser.parse_args()
    zone = Zone(options.kubeconfig)
    udp_handler, tcp_handler = handlers(zone, options.forward)
    stream = TCPServer((options.address, 53), tcp_handler)
    threading.Thread(target=stream.serve_forever, daemon=True).start()
    logging.info("answering on %s", options.address)
    UDPServer((options.address, 53), udp_handler).serve_forever()


if __name__ == "__main__":
    main()
