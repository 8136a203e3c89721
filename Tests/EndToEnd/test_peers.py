"""Internal services call ours with any gRPC client, if their certificate is one that may."""

from __future__ import annotations

import importlib
import time

import grpc
import jwt
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from installation import STORE_SECONDS_MAX

SERVICES = {
    "provisioner": {"storeplane.provisioner.v1.StoreService",
                    "storeplane.provisioner.v1.OperationService",
                    "storeplane.provisioner.v1.ClusterService",
                    "storeplane.provisioner.v1.BackupService"},
    "config": {"storeplane.config.v1.TenantService", "storeplane.config.v1.SettingsService",
               "storeplane.config.v1.SecretService"},
    "audit": {"storeplane.audit.v1.AuditService"},
}
EVERY_SERVICE = {
    "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}


@pytest.fixture
def connect(installation):
    """A channel to one of our services with the certificate of another."""
    channels = []

    def open_channel(service: str, identity: str | None = "operator"):
        tls = installation.state / "tls"
        pair = {}
        if identity:
            pair = {"private_key": (tls / f"{identity}.key").read_bytes(),
                    "certificate_chain": (tls / f"{identity}.crt").read_bytes()}
        credentials = grpc.ssl_channel_credentials((tls / "ca.crt").read_bytes(), **pair)
        address = f"localhost:{installation.port(service)}"
        channels.append(grpc.secure_channel(address, credentials))
        return channels[-1]

    yield open_channel
    for channel in channels:
        channel.close()


@pytest.mark.parametrize("service", SERVICES)
def test_reflection_lists_what_a_service_offers(connect, service):
    database = ProtoReflectionDescriptorDatabase(connect(service))
    assert set(database.get_services()) == SERVICES[service] | EVERY_SERVICE
    for name in SERVICES[service]:
        assert DescriptorPool(database).FindServiceByName(name).methods


@pytest.mark.parametrize("service", SERVICES)
def test_without_a_certificate_nothing_is_answered(connect, service):
    with pytest.raises(grpc.FutureTimeoutError):
        grpc.channel_ready_future(connect(service, identity=None)).result(timeout=3)


@pytest.mark.parametrize("service", SERVICES)
def test_an_identity_that_the_policy_does_not_name_is_refused(connect, service, contracts):
    method, request = {
        "provisioner": ("storeplane.provisioner.v1.StoreService/ListStores", b""),
        "config": ("storeplane.config.v1.SecretService/AccessSecret", b""),
        "audit": ("storeplane.audit.v1.AuditService/ListEvents", b""),
    }[service]
    call = connect(service, identity="operator").unary_unary(f"/{method}")
    with pytest.raises(grpc.RpcError) as refused:
        call(request, timeout=10)
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert "spiffe://storeplane/operator" in refused.value.details()


def caller_token(installation, audience: str, tenant: str) -> str:
    """What the gateway says for whom it calls."""
    now = int(time.time())
    claims = {
        "iss": "storeplane-gateway", "aud": audience, "sub": "tester", "tenant": tenant,
        "roles": ["member"], "iat": now, "exp": now + 60,
    }
    headers = {"typ": "storeplane-caller+jwt", "kid": installation.signing_key_id()}
    return jwt.encode(claims, installation.signing_key(), algorithm="ES256", headers=headers)


def test_a_store_is_watched_as_a_stream(installation, connect, contracts):
    messages = importlib.import_module("storeplane.provisioner.v1.store_pb2")
    services = importlib.import_module("storeplane.provisioner.v1.store_pb2_grpc")
    stores = services.StoreServiceStub(connect("provisioner", identity="gateway"))

    def metadata(tenant: str):
        token = caller_token(installation, "provisioner", tenant)
        return [("authorization", f"Bearer {token}")]

    installation.create("watched")
    try:
        request = messages.WatchStoreRequest(store="watched")
        stream = stores.WatchStore(request, timeout=STORE_SECONDS_MAX, metadata=metadata("main"))
        states = [messages.Store.State.Name(store.state) for store in until_ready(messages, stream)]
        assert states[-1] == "STATE_READY"
        assert "STATE_PROVISIONING" in states

        with pytest.raises(grpc.RpcError) as absent:
            next(stores.WatchStore(request, timeout=10, metadata=metadata("other")))
        assert absent.value.code() == grpc.StatusCode.NOT_FOUND
    finally:
        installation.delete("watched")


def until_ready(messages, stream):
    for store in stream:
        yield store
        if store.state in (messages.Store.STATE_READY, messages.Store.STATE_FAILED):
            stream.cancel()
            return
