"""The store chart with the engine Medusa: its objects, credentials, scripts, and who reaches whom."""

from __future__ import annotations

import base64
import json
import os
import subprocess

import pytest

import common
from examples import MEDUSA, MEDUSA_EVERYTHING, POD_SETTINGS
from rendering import ROOT, STORE_CHART, merged, values_file
from test_store_network import connections

FILES = STORE_CHART / "files" / "medusa"
PROCESSES = ("medusa-server", "medusa-worker")
DATABASES = ("postgres", "redis")
POD_KEYS = {"medusa-cookie-secret", "medusa-jwt-secret", "postgres-password", "redis-password"}
SECRET_KEYS = POD_KEYS | {"medusa-admin-email", "medusa-admin-password"}


@pytest.fixture
def medusa(store):
    def renderer(values=None, **options):
        return store(merged(MEDUSA, values or {}), **options)

    return renderer


def workloads(rendered):
    """(name, main container) of everything that runs."""
    for name in PROCESSES:
        yield name, common.container(rendered, "Deployment", name)
    for name in DATABASES:
        yield name, common.container(rendered, "StatefulSet", name)


# Objects


def test_the_engine_brings_its_own_workloads_and_no_others(medusa):
    rendered = medusa()
    names = {
        kind: {each["metadata"]["name"] for each in rendered.all(kind)}
        for kind in ("Deployment", "StatefulSet", "Service", "PersistentVolumeClaim", "ConfigMap")
    }
    assert names == {
        "Deployment": set(PROCESSES),
        "StatefulSet": set(DATABASES),
        "Service": {"medusa-server", *DATABASES},
        "PersistentVolumeClaim": {"postgres-data", "redis-data"},
        "ConfigMap": {"medusa", "redis"},
    }
    assert {each["kind"] for each in rendered.objects} == set(names) | {
        "Ingress", "LimitRange", "NetworkPolicy", "ResourceQuota", "ServiceAccount",
    }  # fmt: skip


def test_server_and_worker_differ_in_their_mode_alone(medusa):
    server, worker = (
        common.container(medusa(), "Deployment", name) for name in PROCESSES
    )
    assert common.environment(server)["MEDUSA_WORKER_MODE"] == "server"
    assert common.environment(worker)["MEDUSA_WORKER_MODE"] == "worker"
    assert server["image"] == worker["image"] == "docker.io/tea/medusa:1"
    assert server["command"] == worker["command"] == ["node_modules/.bin/medusa", "start"]
    differing = {
        name
        for name, value in common.environment(server).items()
        if common.environment(worker)[name] != value
    }
    assert differing == {"MEDUSA_WORKER_MODE", "DISABLE_MEDUSA_ADMIN"}


def test_visitors_reach_the_server(medusa):
    rendered = medusa(MEDUSA_EVERYTHING)
    backend = rendered.one("Ingress", "store")["spec"]["rules"][0]["http"]["paths"][0]["backend"]
    assert backend == {"service": {"name": "medusa-server", "port": {"name": "http"}}}
    route = rendered.one("HTTPRoute", "store")["spec"]["rules"][0]["backendRefs"]
    assert route == [{"name": "medusa-server", "port": 80}]
    rendered.one("PodDisruptionBudget", "medusa-server")
    scaler = rendered.one("HorizontalPodAutoscaler", "medusa-server")["spec"]
    assert scaler["scaleTargetRef"]["name"] == "medusa-server"
    assert "replicas" not in rendered.one("Deployment", "medusa-server")["spec"]
    assert rendered.one("Deployment", "medusa-worker")["spec"]["replicas"] == 1


def test_medusa_is_told_its_address(medusa):
    for values, url in (
        ({}, "http://tea.example.com"),
        ({"ingress": {"tls": {"enabled": True}}}, "https://tea.example.com"),
    ):
        main = common.container(medusa(values), "Deployment", "medusa-server")
        told = common.environment(main)
        for name in ("MEDUSA_BACKEND_URL", "STORE_CORS", "ADMIN_CORS", "AUTH_CORS"):
            assert told[name] == url
    own = {"medusa": {"cors": {"store": "https://front.example.com"}}}
    told = common.environment(common.container(medusa(own), "Deployment", "medusa-server"))
    assert told["STORE_CORS"] == "https://front.example.com"
    assert told["ADMIN_CORS"] == "http://tea.example.com"


def test_probes_ask_for_health(medusa):
    for name in PROCESSES:
        main = common.container(medusa(), "Deployment", name)
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert main[kind]["httpGet"] == {"path": "/health", "port": "http"}
    own = {"tcpSocket": {"port": "http"}}
    rendered = medusa({"medusa": {"probes": {"readiness": own}}})
    assert common.container(rendered, "Deployment", "medusa-worker")["readinessProbe"] == own


def test_the_database_is_migrated_before_each_pod(medusa):
    rendered = medusa({"medusa": {"migrationArguments": ["--skip-links"]}})
    for name in PROCESSES:
        spec = rendered.one("Deployment", name)["spec"]["template"]["spec"]
        first = spec["initContainers"][0]
        assert first["command"] == ["node", "/etc/storeplane/medusa/migrate.cjs"]
        assert first["args"] == ["--skip-links"]
        assert common.environment(first) == common.environment(spec["containers"][0])


def test_every_image_can_be_overridden(medusa):
    image = {"registry": "mirror.local:5000", "repository": "x/y", "tag": "1"}
    images = {name: {"image": image} for name in ("medusa", *DATABASES)}
    for name, template in medusa({**images, "imagePullSecrets": [{"name": "pull"}]}).pod_templates():
        assert template["spec"]["imagePullSecrets"] == [{"name": "pull"}], name
        for each in common.containers(template):
            assert each["image"] == "mirror.local:5000/x/y:1", name


def test_settings_reach_the_pods(medusa):
    values = {name: POD_SETTINGS for name in ("medusa", *DATABASES)}
    rendered = medusa(values)
    for name, template in rendered.pod_templates():
        spec = template["spec"]
        main = spec["containers"][0]
        for key in (
            "nodeSelector",
            "tolerations",
            "affinity",
            "topologySpreadConstraints",
            "priorityClassName",
            "terminationGracePeriodSeconds",
        ):
            assert spec[key] == POD_SETTINGS[key], name
        assert common.environment(main)["EXTRA"] == "1"
        assert main["envFrom"] == POD_SETTINGS["extraEnvFrom"]
        assert POD_SETTINGS["extraVolumes"][0] in spec["volumes"]
        assert POD_SETTINGS["extraVolumeMounts"][0] in main["volumeMounts"]
        assert POD_SETTINGS["sidecars"][0] in spec["containers"]
        assert POD_SETTINGS["initContainers"][0] == spec["initContainers"][-1]
        assert template["metadata"]["labels"]["team"] == "tea"
        assert template["metadata"]["annotations"]["note"] == "x"


def test_settings_reach_the_databases(medusa):
    rendered = medusa(
        {
            "postgres": {"configuration": {"work_mem": "8MB"}},
            "redis": {"configuration": {"maxmemory": "64mb"}},
        }
    )
    arguments = common.container(rendered, "StatefulSet", "postgres")["args"]
    assert arguments[0] == "postgres"
    assert set(arguments[2::2]) == {"max_connections=100", "shared_buffers=128MB", "work_mem=8MB"}
    lines = rendered.one("ConfigMap", "redis")["data"]["redis.conf"].splitlines()
    assert "maxmemory 64mb" in lines and "appendonly yes" in lines
    before = medusa().one("StatefulSet", "redis")["spec"]["template"]["metadata"]["annotations"]
    after = rendered.one("StatefulSet", "redis")["spec"]["template"]["metadata"]["annotations"]
    assert before != after, "a change of the configuration restarts the pod"


def test_local_values_name_the_local_images(store):
    rendered = store(merged(values_file(STORE_CHART / "values-local.yaml"), {"engine": "medusa"}))
    recipes = (ROOT / "scripts/images.d").glob("*/recipe.sh")
    built = {
        line.removeprefix("image=")
        for recipe in recipes
        for line in recipe.read_text().splitlines()
        if line.startswith("image=")
    }
    for name, main in workloads(rendered):
        assert main["image"] in built, name
        assert main["imagePullPolicy"] == "Never", name


def test_the_notes_say_what_to_do(medusa):
    notes = medusa({"existingSecret": ""}).notes
    assert "deployment/medusa-server" in notes and "{.data.medusa-admin-password}" in notes


# Credentials


@pytest.mark.parametrize("delivery", ["file", "env"])
def test_a_pod_gets_no_more_credentials_than_it_needs(medusa, delivery):
    rendered = medusa({"existingSecret": "outside", "credentials": {"delivery": delivery}})
    assert rendered.all("Secret") == []
    needed = {
        "medusa-server": POD_KEYS,
        "medusa-worker": POD_KEYS,
        "postgres": {"postgres-password"},
        "redis": {"redis-password"},
    }
    for name, main in workloads(rendered):
        environment = common.environment(main)
        if delivery == "env":
            sources = [each["valueFrom"]["secretKeyRef"] for each in main["env"] if "valueFrom" in each]
            assert {each["name"] for each in sources} == {"outside"}
            got = {each["key"] for each in sources}
        else:
            kind = "Deployment" if name in PROCESSES else "StatefulSet"
            volumes = rendered.one(kind, name)["spec"]["template"]["spec"]["volumes"]
            (secret,) = (each["secret"] for each in volumes if "secret" in each)
            assert secret["secretName"] == "outside"
            got = {each["key"] for each in secret["items"]}
            named = {value for key, value in environment.items() if key.endswith("_FILE")}
            assert named == {f"/run/secrets/store/{key}" for key in got}
        assert got == needed[name]


def test_a_standalone_install_generates_credentials(medusa):
    secret = medusa({"existingSecret": ""}).one("Secret", "store-credentials")
    decoded = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert set(decoded) == SECRET_KEYS
    assert decoded.pop("medusa-admin-email") == "admin@tea.example.com"
    assert all(len(value) == 40 and value.isalnum() for value in decoded.values())
    assert len(set(decoded.values())) == len(decoded)


@pytest.mark.parametrize("policy", ["retain", "delete"])
def test_data_and_credentials_share_one_policy(medusa, policy):
    rendered = medusa({"existingSecret": "", "dataPolicy": policy})
    kept = rendered.all("PersistentVolumeClaim") + rendered.all("Secret")
    assert len(kept) == 3
    for each in kept:
        annotation = each["metadata"].get("annotations", {}).get("helm.sh/resource-policy")
        assert annotation == ("keep" if policy == "retain" else None)


def test_the_readme_lists_the_keys_of_the_secret():
    text = (STORE_CHART / "README.md").read_text()
    for key in SECRET_KEYS:
        assert f"`{key}`" in text, key


# Scripts, run for real


def addresses(tmp_path, **variables):
    """What a Node process is told after the credentials were read, and its environment's own text."""
    program = """
      const { readFileSync } = require('fs')
      const { DATABASE_URL, REDIS_URL, JWT_SECRET, COOKIE_SECRET } = process.env
      const shown = readFileSync('/proc/self/environ', 'utf8')
      console.log(JSON.stringify({ DATABASE_URL, REDIS_URL, JWT_SECRET, COOKIE_SECRET, shown }))
    """
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": "postgres://medusa@postgres:5432/medusa",
        "REDIS_URL": "redis://redis:6379",
        "NODE_OPTIONS": f"--require={FILES / 'credentials.cjs'}",
        **variables,
    }
    done = subprocess.run(
        ["node", "-e", program], env=environment, capture_output=True, text=True
    )
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


def test_credentials_are_read_from_files_and_stand_in_no_environment(tmp_path):
    names = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "JWT_SECRET", "COOKIE_SECRET")
    variables = {}
    for name in names:
        (tmp_path / name).write_text(f"{name}-s3cret\n")
        variables[f"{name}_FILE"] = str(tmp_path / name)
    told = addresses(tmp_path, **variables)
    assert "s3cret" not in told.pop("shown")
    assert told == {
        "DATABASE_URL": "postgres://medusa:POSTGRES_PASSWORD-s3cret@postgres:5432/medusa",
        "REDIS_URL": "redis://:REDIS_PASSWORD-s3cret@redis:6379",
        "JWT_SECRET": "JWT_SECRET-s3cret",
        "COOKIE_SECRET": "COOKIE_SECRET-s3cret",
    }


def test_credentials_may_be_variables(tmp_path):
    told = addresses(
        tmp_path, POSTGRES_PASSWORD="a b", REDIS_PASSWORD="c", JWT_SECRET="d", COOKIE_SECRET="e"
    )
    assert told["DATABASE_URL"] == "postgres://medusa:a%20b@postgres:5432/medusa"
    assert told["JWT_SECRET"] == "d"


def test_a_credential_that_is_missing_stops_the_process(tmp_path):
    assert "no-such-file" in addresses(tmp_path, POSTGRES_PASSWORD_FILE=str(tmp_path / "no-such-file"))
    assert "POSTGRES_PASSWORD" in addresses(tmp_path)


# In place of Medusa's client of Postgres; FAILURES are the codes that its first connections end with.
FAKE_POSTGRES = """
const { EventEmitter } = require('events')
const failures = process.env.FAILURES.split(' ').filter(Boolean)
exports.Client = class extends EventEmitter {
  connection = { stream: { unref() {} } }
  async connect() {
    const code = failures.shift()
    if (code) throw Object.assign(new Error(`no database: ${code}`), { code })
    if (process.env.IS_LOST) setTimeout(() => this.emit('error', new Error('reset')), 10)
  }
  async query(text) { console.log(text) }
}
"""


@pytest.fixture
def migrate(tmp_path):
    """Runs migrate.cjs in a project whose command prints its arguments, and may hang."""
    module = tmp_path / "node_modules" / "pg"
    module.mkdir(parents=True)
    (module / "index.js").write_text(FAKE_POSTGRES)
    command = "console.log(process.argv.slice(2).join(' '))\n"
    command += "if (process.env.IS_LOST) setInterval(() => {}, 1000)\n"
    command += "process.exitCode = Number(process.env.STATUS)\n"
    (tmp_path / "medusa.js").write_text(command)
    (tmp_path / "medusa").symlink_to("medusa.js")

    def run(failures="", **variables):
        return subprocess.run(
            ["node", FILES / "migrate.cjs", "--skip-links"],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "MEDUSA_PROGRAM": "./medusa",
                "FAILURES": failures,
                "STATUS": "0",
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=30,
        )

    return run


def test_a_migration_waits_for_the_database_and_takes_its_lock_first(migrate):
    done = migrate("ECONNREFUSED")
    assert done.returncode == 0
    waiting, lock, command = done.stdout.splitlines()
    assert waiting == "waiting for the database: no database: ECONNREFUSED"
    assert "pg_advisory_lock" in lock and command == "db:migrate --skip-links"


@pytest.mark.parametrize("code", ["28P01", "3D000"])
def test_a_migration_does_not_wait_for_what_stays(migrate, code):
    done = migrate(code)
    assert done.returncode == 1 and done.stdout == ""
    assert f"cannot be migrated: no database: {code}" in done.stderr


def test_a_migration_that_fails_fails_its_container(migrate):
    assert migrate(STATUS="3").returncode == 3


def test_a_migration_ends_when_its_lock_is_lost(migrate):
    done = migrate(IS_LOST="1")
    assert done.returncode == 1 and "connection to the database was lost" in done.stderr


@pytest.fixture
def fake_redis(tmp_path):
    """A redis-server that prints what it was given, and a redis-cli that answers as the test says."""
    (tmp_path / "redis-server").write_text('#!/bin/sh\necho "$@"\ncat\n')
    (tmp_path / "redis-cli").write_text('#!/bin/sh\necho "$@ $REDISCLI_AUTH" >&2\ncat "$ANSWER"\n')
    for name in ("redis-server", "redis-cli"):
        (tmp_path / name).chmod(0o755)
    (tmp_path / "redis.conf").write_text("appendonly yes\n")
    (tmp_path / "password").write_text("s3cret")
    script = (FILES / "redis.sh").read_text()
    script = script.replace("/etc/storeplane/redis/redis.conf", str(tmp_path / "redis.conf"))

    def run(*arguments, answer="PONG\n"):
        (tmp_path / "answer").write_text(answer)
        return subprocess.run(
            ["sh", "-s", *arguments],
            input=script,
            env={
                "PATH": f"{tmp_path}:/usr/bin:/bin",
                "REDIS_PASSWORD_FILE": str(tmp_path / "password"),
                "ANSWER": str(tmp_path / "answer"),
            },
            capture_output=True,
            text=True,
        )

    return run


def test_redis_gets_its_password_on_standard_input(fake_redis):
    started = fake_redis()
    assert started.returncode == 0
    arguments, *configuration = started.stdout.splitlines()
    assert arguments == "-" and configuration == ["appendonly yes", "requirepass s3cret"]


@pytest.mark.parametrize(
    "answer, status",
    [("PONG\n", 0), ("LOADING Redis is loading\n", 1), ("NOAUTH required.\n", 1), ("", 1)],
)
def test_redis_is_ready_when_it_serves(fake_redis, answer, status):
    asked = fake_redis("ready", answer=answer)
    assert asked.returncode == status
    assert asked.stderr == "-h 127.0.0.1 ping s3cret\n"


# Who reaches whom

SERVER, WORKER, POSTGRES, REDIS = (f"store-a/{each}" for each in (*PROCESSES, *DATABASES))
TO_THE_DATABASES = {
    (process, database, port, "TCP")
    for process in (SERVER, WORKER)
    for database, port in ((POSTGRES, 5432), (REDIS, 6379))
}
OUTWARD = {
    (process, address, port, "TCP")
    for process in (SERVER, WORKER)
    for address in ("internet", "internet-6")
    for port in (80, 443, 465, 587)
} | {
    (process, "kube-system/dns", 53, protocol)
    for process in (SERVER, WORKER)
    for protocol in ("TCP", "UDP")
}
FROM_THE_INGRESS = {
    ("ingress-nginx/controller", SERVER, 9000, "TCP"),
    ("traefik/traefik", SERVER, 9000, "TCP"),
}
DEFAULT = TO_THE_DATABASES | OUTWARD | FROM_THE_INGRESS


def test_a_store_is_open_to_its_ingress_its_databases_names_and_the_world(medusa):
    assert connections(medusa()) == DEFAULT


def test_everything_switched_on(medusa):
    assert connections(medusa(MEDUSA_EVERYTHING)) == DEFAULT | {
        ("ingress-nginx/controller", "store-a/solver", 8089, "TCP"),
        ("traefik/traefik", "store-a/solver", 8089, "TCP"),
    }


def test_no_peers_mean_nobody_never_everybody(medusa):
    closed = {
        "ingressControllers": [],
        "dnsServers": [],
        "internet": {"enabled": False},
    }
    assert connections(medusa({"networkPolicy": closed})) == TO_THE_DATABASES


def test_rules_can_be_added(medusa):
    more = {
        "extraIngress": [{"from": [{"ipBlock": {"cidr": "10.0.0.5/32"}}], "ports": [{"port": 9000}]}],
        "extraEgress": [{"to": [{"ipBlock": {"cidr": "192.168.1.10/32"}}], "ports": [{"port": 25}]}],
    }
    assert connections(medusa({"networkPolicy": more})) - DEFAULT == {
        ("node", SERVER, 9000, "TCP"),
        (SERVER, "office-network", 25, "TCP"),
        (WORKER, "office-network", 25, "TCP"),
    }


@pytest.mark.parametrize("removed", ["default-deny", *PROCESSES, *DATABASES])
def test_every_policy_matters(medusa, removed):
    rendered = medusa()
    rendered.objects[:] = [
        each
        for each in rendered.objects
        if (each["kind"], each["metadata"]["name"]) != ("NetworkPolicy", removed)
    ]
    assert connections(rendered) != DEFAULT


def test_policies_can_be_left_out(medusa):
    assert medusa({"networkPolicy": {"enabled": False}}).all("NetworkPolicy") == []
