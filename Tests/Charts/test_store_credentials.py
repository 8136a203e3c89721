"""Where the store's credentials come from, and who sees which."""

from __future__ import annotations

import base64
import json
import subprocess

import pytest

import common
from rendering import STORE_CHART, merged

SECRET_KEYS = {
    "mariadb-root-password",
    "mariadb-password",
    "wordpress-admin-user",
    "wordpress-admin-password",
    *(
        f"wordpress-{use}-{kind}"
        for use in ("auth", "secure-auth", "logged-in", "nonce")
        for kind in ("key", "salt")
    ),
}


def test_no_secret_is_rendered_with_an_existing_secret(store, everything):
    for values in (everything, {"credentials": {"delivery": "env"}}):
        rendered = store(merged(values, {"existingSecret": "from-outside"}))
        assert rendered.all("Secret") == []
        for template in rendered.texts.values():
            assert "store-credentials" not in template
        referenced = set()
        for _, template in rendered.pod_templates():
            for volume in template["spec"].get("volumes", []):
                if "secret" in volume:
                    assert volume["secret"]["secretName"] == "from-outside"
                    referenced |= {item["key"] for item in volume["secret"]["items"]}
            for each in template["spec"]["containers"]:
                for variable in each.get("env", []):
                    source = variable.get("valueFrom", {}).get("secretKeyRef")
                    if source:
                        assert source["name"] == "from-outside"
                        referenced.add(source["key"])
                    elif variable["name"].split("_")[-1] in ("PASSWORD", "KEY", "SALT"):
                        pytest.fail(f"{variable['name']} has a literal value")
        # The administrator's password is the set-up's alone.
        assert referenced == SECRET_KEYS - {"wordpress-admin-user", "wordpress-admin-password"}


@pytest.mark.parametrize("delivery", ["file", "env"])
def test_a_pod_gets_no_more_credentials_than_it_needs(store, delivery):
    rendered = store({"credentials": {"delivery": delivery}})
    wordpress = common.environment(common.container(rendered, "Deployment", "wordpress"))
    mariadb = common.environment(common.container(rendered, "StatefulSet", "mariadb"))
    suffix = "_FILE" if delivery == "file" else ""
    assert f"WORDPRESS_DB_PASSWORD{suffix}" in wordpress
    assert f"MARIADB_ROOT_PASSWORD{suffix}" in mariadb
    assert "root" not in json.dumps(list(wordpress.values())).replace("rootPath", "")
    assert "wordpress-" not in json.dumps(list(mariadb.values()))
    if delivery == "file":
        files = rendered.one("Deployment", "wordpress")["spec"]["template"]["spec"]["volumes"]
        paths = {
            f"/run/secrets/store/{item['path']}"
            for volume in files
            if "secret" in volume
            for item in volume["secret"]["items"]
        }
        named = {value for key, value in wordpress.items() if key.endswith("_FILE")}
        assert named == paths


def test_a_standalone_install_generates_credentials(store):
    secret = store({"existingSecret": ""}).one("Secret", "store-credentials")
    assert set(secret["data"]) == SECRET_KEYS
    decoded = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    generated = [value for key, value in decoded.items() if key != "wordpress-admin-user"]
    assert all(len(value) == 40 and value.isalnum() for value in generated)
    assert len(set(generated)) == len(generated)
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.parametrize("policy", ["retain", "delete"])
def test_data_and_credentials_share_one_policy(store, policy):
    rendered = store({"existingSecret": "", "dataPolicy": policy})
    kept = rendered.all("PersistentVolumeClaim") + rendered.all("Secret")
    assert len(kept) == 3
    for each in kept:
        annotation = each["metadata"].get("annotations", {}).get("helm.sh/resource-policy")
        assert annotation == ("keep" if policy == "retain" else None)
    assert "volumeClaimTemplates" not in rendered.one("StatefulSet", "mariadb")["spec"]


def test_scripts_parse(store, tmp_path):
    """The shell in the ConfigMaps parses, and passes the password by the environment alone."""
    script = store().one("ConfigMap", "mariadb")["data"]["ready.sh"]
    subprocess.run(["sh", "-n"], input=script.encode(), check=True)
    fake = tmp_path / "mariadb"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$MYSQL_PWD" "$*" >&2\n')
    fake.chmod(0o755)
    (tmp_path / "password").write_text("s3cret")
    result = subprocess.run(
        ["sh", "-s"],
        input=script.encode(),
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "MARIADB_PASSWORD_FILE": str(tmp_path / "password"),
            "MARIADB_USER": "wordpress",
            "MARIADB_DATABASE": "shop",
        },
        capture_output=True,
        check=True,
    )
    password, arguments = result.stderr.decode().splitlines()
    assert password == "s3cret" and "s3cret" not in arguments


def test_the_readme_lists_the_keys_of_the_secret():
    text = (STORE_CHART / "README.md").read_text()
    for key in SECRET_KEYS:
        assert f"`{key}`" in text, key
