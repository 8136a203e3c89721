"""Writes an OCI image archive of one layer, as `ctr images import` reads it.

The same layer and configuration give the same bytes, so the digest tells whether a node has it.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import tarfile

BLOCK_BYTES = 1 << 20
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


def file_digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return "sha256:" + digest.hexdigest()


def blob(value):
    """The bytes of a JSON value and their descriptor's digest and size."""
    data = json.dumps(value, sort_keys=True).encode()
    return data, {"digest": "sha256:" + hashlib.sha256(data).hexdigest(), "size": len(data)}


def blob_path(descriptor):
    return "blobs/" + descriptor["digest"].replace(":", "/")


def write(name, layer, output, settings):
    """Writes the archive; returns the digest of the manifest, which is the image's identity."""
    layer_descriptor = {"digest": file_digest(layer), "size": os.path.getsize(layer)}
    config, config_descriptor = blob(
        {
            "architecture": ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [layer_descriptor["digest"]]},
        }
    )
    manifest, manifest_descriptor = blob(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, **config_descriptor},
            "layers": [{"mediaType": LAYER_TYPE, **layer_descriptor}],
        }
    )
    index, _ = blob(
        {
            "schemaVersion": 2,
            "manifests": [
                {
                    "mediaType": MANIFEST_TYPE,
                    **manifest_descriptor,
                    "annotations": {
                        "io.containerd.image.name": name,
                        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
                    },
                }
            ],
        }
    )
    with tarfile.open(output, "w") as archive:
        add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        add(archive, "index.json", index)
        add(archive, blob_path(config_descriptor), config)
        add(archive, blob_path(manifest_descriptor), manifest)
        archive.add(layer, blob_path(layer_descriptor))
    return manifest_descriptor["digest"]


def add(archive, path, data):
    entry = tarfile.TarInfo(path)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the image's full name with its tag")
    parser.add_argument("layer", help="a tar archive of its root")
    parser.add_argument("output")
    parser.add_argument("settings", type=json.loads, help='JSON: {"Entrypoint": [...], ...}')
    options = parser.parse_args()
    print(write(options.name, options.layer, options.output, options.settings))


if __name__ == "__main__":
    main()
