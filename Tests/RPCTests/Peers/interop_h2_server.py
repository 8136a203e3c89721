"""A server of the interoperability tests by way of h2, which misbehaves as it is told: goaway,
rst_after_header, rst_during_data, rst_after_data, ping, max_streams, refused_stream, goaway_unseen,
rst_no_error, hang_up, goaway_at_once, no_status, http_503, compression, retry, pushback, goes_on,
silent, deaf.

Prints its port; answers "report" on its standard input with what it has seen, and ends with it.
"""

import gzip
import socket
import sys
import threading

import testing_messages as t
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (DataReceived, PingAckReceived, RequestReceived, SettingsAcknowledged, StreamEnded,
                       StreamReset, WindowUpdated)  # fmt: skip
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

BEHAVIOUR = sys.argv[1]
PING = b"pingpong"


class Seen:
    """What all connections saw together."""

    lock = threading.Lock()
    connections = calls = attempts_told = ping_answers = most_streams = 0

    @classmethod
    def count(cls, **changes):
        with cls.lock:
            for name, change in changes.items():
                setattr(cls, name, getattr(cls, name) + change)


def report():
    return (f"connections={Seen.connections} calls={Seen.calls} told={Seen.attempts_told} "
            f"pings={Seen.ping_answers} streams={Seen.most_streams}")


class Connection:
    def __init__(self, client):
        self.client = client
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.bodies, self.heads, self.queued = {}, {}, {}
        self.refused = False
        Seen.count(connections=1)

    def serve(self):
        self.h2.initiate_connection()
        if BEHAVIOUR == "max_streams":
            self.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        if BEHAVIOUR == "silent":
            # What the client sends is read, and not answered.
            while self.client.recv(65536):
                pass
            return
        if BEHAVIOUR == "goaway_at_once":
            self.h2.close_connection(last_stream_id=0)
        self.flush()
        if BEHAVIOUR == "deaf":
            return threading.Event().wait()
        while data := self.client.recv(65536):
            for event in self.h2.receive_data(data):
                self.handle(event)
                if BEHAVIOUR == "hang_up" and isinstance(event, SettingsAcknowledged):
                    return
            self.flush()

    def flush(self):
        for stream in list(self.queued):
            self.send_queued(stream)
        self.client.sendall(self.h2.data_to_send())

    def handle(self, event):
        if isinstance(event, RequestReceived):
            self.began(event.stream_id, dict(event.headers))
        elif isinstance(event, DataReceived):
            self.bodies[event.stream_id] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self.answer(event.stream_id)
        elif isinstance(event, StreamReset):
            self.queued.pop(event.stream_id, None)
            self.heads.pop(event.stream_id, None)
        elif isinstance(event, PingAckReceived):
            Seen.count(ping_answers=1)
        else:
            assert not isinstance(event, WindowUpdated) or event.delta > 0

    def began(self, stream, head):
        self.bodies[stream], self.heads[stream] = b"", head
        Seen.count(calls=1)
        with Seen.lock:
            Seen.most_streams = max(Seen.most_streams, len(self.heads))
        if "grpc-previous-rpc-attempts" in head:
            Seen.count(attempts_told=int(head["grpc-previous-rpc-attempts"]))
        # The first connection does not serve its first call, and says so.
        if Seen.calls == 1 and BEHAVIOUR == "refused_stream":
            self.h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
            del self.heads[stream]
        if Seen.calls == 1 and BEHAVIOUR == "goaway_unseen":
            self.h2.close_connection(last_stream_id=0)
            self.flush()
            self.client.shutdown(socket.SHUT_WR)

    def ping(self):
        if BEHAVIOUR == "ping":
            self.h2.ping(PING)
            self.client.sendall(self.h2.data_to_send())

    def answer(self, stream):
        head = self.heads.get(stream)
        if head is None:
            return
        if self.failed_once(stream):
            return
        self.ping()
        fields = [(":status", "503" if BEHAVIOUR == "http_503" else "200"),
                  ("content-type", "text/html" if BEHAVIOUR == "http_503" else "application/grpc")]
        if BEHAVIOUR == "compression":
            fields += [("grpc-encoding", "gzip")]
        self.h2.send_headers(stream, fields, end_stream=BEHAVIOUR == "http_503")
        self.ping()
        if BEHAVIOUR == "http_503":
            return
        if BEHAVIOUR == "rst_after_header":
            return self.h2.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
        if BEHAVIOUR == "rst_no_error":
            return self.h2.reset_stream(stream, ErrorCodes.NO_ERROR)
        body, status = self.response(head, self.bodies[stream])
        if BEHAVIOUR == "rst_during_data":
            self.h2.send_data(stream, body[:len(body) // 2][:16384])
            return self.h2.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
        self.queued[stream] = (body, [("grpc-status", str(status))])
        self.send_queued(stream)

    def failed_once(self, stream):
        """Whether the call is one to fail without headers, for a client that retries."""
        if BEHAVIOUR == "goes_on" and Seen.calls % 2:
            self.go_on_after_status(stream)
            return True
        if BEHAVIOUR not in ("retry", "pushback") or Seen.calls > 2:
            return False
        trailers = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "14")]
        if BEHAVIOUR == "pushback":
            trailers += [("grpc-retry-pushback-ms", "1" if Seen.calls == 1 else "-1")]
        self.h2.send_headers(stream, trailers, end_stream=True)
        del self.heads[stream]
        return True

    def go_on_after_status(self, stream):
        """A status that does not end the stream, and what might be taken for an answer."""
        fields = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "14")]
        self.h2.send_headers(stream, fields)
        room = self.h2.local_flow_control_window(stream)
        body = framed(t.SimpleResponse(payload=t.payload(1)), False) * 1000
        self.h2.send_data(stream, body[:min(room, 16384)])
        self.h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        del self.heads[stream]

    def send_queued(self, stream):
        body, trailers = self.queued[stream]
        while body:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room == 0:
                break
            self.h2.send_data(stream, body[:room])
            body = body[room:]
            self.ping()
        self.queued[stream] = (body, trailers)
        if not body:
            del self.queued[stream]
            self.finish(stream, trailers)

    def finish(self, stream, trailers):
        self.heads.pop(stream, None)
        if BEHAVIOUR == "rst_after_data":
            return self.h2.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
        if BEHAVIOUR == "no_status":
            return self.h2.end_stream(stream)
        self.h2.send_headers(stream, trailers, end_stream=True)
        if BEHAVIOUR == "goaway":
            self.h2.close_connection(last_stream_id=stream)

    def response(self, head, body):
        """The framed messages of the answer, and its status."""
        name = head[":path"].rpartition("/")[2]
        request_type, _ = t.types_of(name)
        requests = []
        while body:
            length, flag = int.from_bytes(body[1:5], "big"), bool(body[0])
            data, body = body[5:5 + length], body[5 + length:]
            if flag and head.get("grpc-encoding") != "gzip":
                return b"", 13
            request = request_type.FromString(gzip.decompress(data) if flag else data)
            if name != "StreamingOutputCall" and request.HasField("expect_compressed"):
                if request.expect_compressed.value != flag:
                    return b"", 3
            requests.append(request)
        accepts = "gzip" in head.get("grpc-accept-encoding", "")
        if name == "StreamingInputCall":
            size = sum(len(request.payload.body) for request in requests)
            return framed(t.InputResponse(aggregated_payload_size=size), False), 0
        if name == "StreamingOutputCall":
            return b"".join(
                framed(t.OutputResponse(payload=t.payload(wanted.size)),
                       accepts and wanted.compressed.value)
                for wanted in requests[0].response_parameters), 0
        response = t.SimpleResponse(payload=t.payload(requests[0].response_size))
        return framed(response, accepts and requests[0].response_compressed.value), 0


def framed(message, compressed):
    data = message.SerializeToString()
    data = gzip.compress(data) if compressed else data
    return bytes([compressed]) + len(data).to_bytes(4, "big") + data


def serve(client):
    with client:
        try:
            Connection(client).serve()
        except (OSError, ProtocolError):
            pass


def accept(listener):
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=[client], daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=accept, args=[listener], daemon=True).start()
print(listener.getsockname()[1], flush=True)
for _ in sys.stdin:
    print(report(), flush=True)
