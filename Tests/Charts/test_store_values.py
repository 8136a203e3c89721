"""What the store chart refuses, and in which words."""

from __future__ import annotations

import pytest
from helm_python import HelmError, HelmValuesError

from examples import MEDUSA, STORE
from rendering import STORE_CHART, merged, render

REFUSED = [
    ({"engine": "magento"}, "engine"),
    ({"engin": "woocommerce"}, "engin"),
    ({"store": {"host": "Tea.Example.com"}}, "host"),
    ({"store": {"host": "tea.example.com/shop"}}, "host"),
    ({"store": {"host": "x'); system('id"}}, "host"),
    ({"store": {"host": "a" * 254}}, "host"),
    ({"store": {"name": ""}}, "name"),
    ({"store": {"id": "no spaces"}}, "id"),
    ({"store": {"url": "ftp://tea.example.com"}}, "url"),
    ({"store": {"url": "http://tea.example.com/'x"}}, "url"),
    ({"existingSecret": "Upper_Case"}, "existingSecret"),
    ({"credentials": {"delivery": "argument"}}, "delivery"),
    ({"dataPolicy": "forget"}, "dataPolicy"),
    ({"wordpress": {"replicas": 0}}, "replicas"),
    ({"wordpress": {"replicas": "two"}}, "replicas"),
    ({"wordpress": {"containerPort": 80}}, "containerPort"),
    ({"wordpress": {"image": {"pullPolicy": "Sometimes"}}}, "pullPolicy"),
    ({"wordpress": {"image": {"digest": "sha256:abc"}}}, "digest"),
    ({"wordpress": {"image": {"tag": "a b"}}}, "tag"),
    ({"wordpress": {"podSecurityContext": {"runAsUser": 0}}}, "runAsUser"),
    (
        {"wordpress": {"podSecurityContext": {"runAsUser": 1, "runAsNonRoot": False}}},
        "runAsNonRoot",
    ),
    ({"wordpress": {"persistence": {"size": "large"}}}, "size"),
    ({"wordpress": {"persistence": {"accessModes": ["ReadMostly"]}}}, "accessModes"),
    ({"wordpress": {"terminationGracePeriodSeconds": 3600}}, "terminationGracePeriodSeconds"),
    ({"wordpress": {"plugins": [{"slug": "a"}]}}, "plugins"),
    ({"wordpress": {"plugins": [{"slug": "../a", "source": "https://a.example/a.zip"}]}}, "slug"),
    ({"wordpress": {"php": {"ini": {"a\nb": "1"}}}}, "ini"),
    ({"wordpress": {"php": {"ini": {"memory_limit": "1M\nextension=x"}}}}, "memory_limit"),
    ({"wordpress": {"tablePrefix": "wp-"}}, "tablePrefix"),
    ({"woocommerce": {"pluginSource": "woocommerce.zip"}}, "pluginSource"),
    ({"mariadb": {"database": "a b"}}, "database"),
    ({"mariadb": {"user": "a'b"}}, "user"),
    ({"mariadb": {"configuration": {"x": "1\n[mariadbd]"}}}, "configuration"),
    ({"mariadb": {"password": "hunter2"}}, "password"),
    ({"medusa": {"containerPort": 80}}, "containerPort"),
    ({"medusa": {"image": {"repository": "Tea/Medusa"}}}, "repository"),
    ({"medusa": {"program": "medusa; id"}}, "program"),
    ({"medusa": {"migrationArguments": "--skip-links"}}, "migrationArguments"),
    ({"medusa": {"server": {"replicas": 0}}}, "replicas"),
    ({"medusa": {"worker": {"mode": "shared"}}}, "mode"),
    ({"medusa": {"cors": {"store": ["*"]}}}, "cors"),
    ({"medusa": {"podSecurityContext": {"runAsUser": 0}}}, "runAsUser"),
    ({"postgres": {"database": "a b"}}, "database"),
    ({"postgres": {"user": "a@b"}}, "user"),
    ({"postgres": {"password": "hunter2"}}, "password"),
    ({"redis": {"configuration": {"appendonly": "no\nrequirepass x"}}}, "configuration"),
    ({"ingress": {"extraHosts": ["*"]}}, "extraHosts"),
    ({"networkPolicy": {"ingressControllers": [{"podSelctor": {}}]}}, "podSelctor"),
    ({"networkPolicy": {"internet": {"ports": [0]}}}, "ports"),
    ({"resourceQuota": {"hard": {"pods": "many"}}}, "pods"),
    ({"autoscaling": {"targetCPUUtilizationPercentage": 0}}, "targetCPUUtilizationPercentage"),
]

REFUSED_TOGETHER = [
    ({"engine": "medusa"}, "medusa.image.repository"),
    ({**MEDUSA, "store": {"host": ""}}, "store.host is required"),
    ({**MEDUSA, "httpRoute": {"enabled": True}}, "httpRoute.parentRefs"),
    ({**MEDUSA, "autoscaling": {"enabled": True, "minReplicas": 4}}, "autoscaling.minReplicas"),
    ({"store": {"host": ""}}, "store.host is required"),
    ({"wordpress": {"replicas": 2}}, "ReadWriteMany"),
    ({"autoscaling": {"enabled": True}}, "ReadWriteMany"),
    (
        {"wordpress": {"replicas": 2, "persistence": {"enabled": False}}},
        "wordpress.persistence.enabled",
    ),
    (
        {
            "wordpress": {"persistence": {"accessModes": ["ReadWriteMany"]}},
            "autoscaling": {"enabled": True, "minReplicas": 4},
        },
        "autoscaling.minReplicas",
    ),
    (
        {"metrics": {"enabled": True}, "wordpress": {"apache": {"manageConfig": False}}},
        "wordpress.apache.manageConfig",
    ),
    ({"mariadb": {"enabled": False}}, "externalDatabase.host is required"),
    (
        {"mariadb": {"enabled": False}, "externalDatabase": {"host": "db.example.com"}},
        "externalDatabase.peers is required",
    ),
    (
        {
            "mariadb": {"enabled": False},
            "externalDatabase": {"host": "db.example.com"},
            "existingSecret": "",
        },
        "existingSecret is required",
    ),
    ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs"),
]


@pytest.mark.parametrize("values, field", REFUSED, ids=lambda each: str(each)[:60])
def test_the_schema_names_the_field(values, field):
    with pytest.raises(HelmValuesError, match="at '") as caught:
        render(STORE_CHART, merged(STORE, values))
    assert field in str(caught.value)


@pytest.mark.parametrize("values, words", REFUSED_TOGETHER, ids=lambda each: str(each)[:60])
def test_settings_that_only_fail_together_say_so(values, words):
    with pytest.raises(HelmError) as caught:
        render(STORE_CHART, merged(STORE, values))
    assert words in str(caught.value)
