"""Dynamic volumes: a folder of the node for each claim of a storage class of ours.

A claim is served at once, or with WaitForFirstConsumer as soon as the scheduler has chosen a node
for its pod. The volume is of the kind `local`, to which the kubelet applies a pod's fsGroup. When
the claim is gone and the reclaim policy is Delete, the folder is removed, then the volume.
"""

import logging
import os
import re
import shutil
import stat
import threading

from kubernetes_api import API, APIError, arguments, mirror

PROVISIONER = "storeplane.dev/local-path"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
CLAIMS = "/api/v1/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
RETRY_SECONDS = 1
# The folder's name is part of a path that root removes: nothing else may stand in it.
FOLDER_NAME = re.compile(r"pvc-[0-9a-f-]{36}")


class Provisioner:
    def __init__(self, api, folder, node):
        self._api = api
        self._folder = os.path.realpath(folder)
        self._node = node
        self._changed = threading.Event()
        self._claims, self._volumes, self._classes = mirror(
            api, self._changed, CLAIMS, VOLUMES, CLASSES
        )

    def run(self):
        failed = True
        while True:
            # After a failure the same work is tried again though nothing has changed.
            self._changed.wait(RETRY_SECONDS if failed else None)
            self._changed.clear()
            failed = not self._work()

    def _work(self):
        """Serves every claim and removes every volume that is due; false if any failed."""
        done = True
        for action, items in ((self._provide, self._claims), (self._reclaim, self._volumes)):
            for item in items.objects():
                try:
                    action(item)
                except (APIError, OSError) as error:
                    logging.error("%s: %s", item["metadata"]["name"], error)
                    done = False
        return done

    def _provide(self, claim):
        metadata, spec = claim["metadata"], claim["spec"]
        storage_class = self._classes.get(spec.get("storageClassName") or "")
        if not self._is_due(claim, storage_class):
            return
        name = f"pvc-{metadata['uid']}"
        path = self._path(name)
        os.makedirs(path, exist_ok=True)
        # Pods run as whatever user their image says; who may enter the folder above is root only.
        os.chmod(path, 0o777)
        try:
            self._api.call("POST", VOLUMES, self._volume(name, path, claim, storage_class))
        except APIError as error:
            if error.status != 409:
                raise
            return
        logging.info("volume %s for %s/%s", name, metadata["namespace"], metadata["name"])

    def _is_due(self, claim, storage_class):
        if storage_class is None or storage_class["provisioner"] != PROVISIONER:
            return False
        if claim["spec"].get("volumeName") or claim["metadata"].get("deletionTimestamp"):
            return False
        if self._volumes.get(f"pvc-{claim['metadata']['uid']}"):
            return False
        if storage_class.get("volumeBindingMode") == "WaitForFirstConsumer":
            return claim["metadata"].get("annotations", {}).get(SELECTED_NODE) == self._node
        return True

    def _volume(self, name, path, claim, storage_class):
        metadata, spec = claim["metadata"], claim["spec"]
        host = {"key": "kubernetes.io/hostname", "operator": "In", "values": [self._node]}
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
            "spec": {
                "capacity": {"storage": spec["resources"]["requests"]["storage"]},
                "accessModes": spec["accessModes"],
                "persistentVolumeReclaimPolicy": storage_class["reclaimPolicy"],
                "storageClassName": storage_class["metadata"]["name"],
                "volumeMode": "Filesystem",
                "local": {"path": path},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [host]}]}},
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": metadata["namespace"],
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                },
            },
        }

    def _reclaim(self, volume):
        metadata, spec = volume["metadata"], volume["spec"]
        if metadata.get("annotations", {}).get(PROVISIONED_BY) != PROVISIONER:
            return
        if volume["status"].get("phase") != "Released" or metadata.get("deletionTimestamp"):
            return
        if spec["persistentVolumeReclaimPolicy"] != "Delete":
            return
        path = self._path(metadata["name"])
        if os.path.lexists(path):
            remove_folder(path)
        try:
            self._api.call("DELETE", f"{VOLUMES}/{metadata['name']}")
        except APIError as error:
            if error.status != 404:
                raise
        logging.info("removed volume %s and its folder", metadata["name"])

    def _path(self, name):
        if not FOLDER_NAME.fullmatch(name):
            raise OSError(f"refusing a volume of the name {name!r}")
        return os.path.join(self._folder, name)


def remove_folder(path):
    """Removes the folder; a pod that still has it mounted, or a link in its place, is an error."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        raise OSError(f"{path} is no folder")
    with open("/proc/self/mountinfo") as mounts:
        name = os.path.basename(path)
        if any(name in line.split()[3] or path == line.split()[4] for line in mounts):
            raise OSError(f"{path} is still mounted")
    shutil.rmtree(path)


def main():
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True, help="where the volumes' folders are made")
    parser.add_argument("--node", required=True, help="the node's name")
    options = parser.parse_args()
    os.makedirs(options.folder, mode=0o711, exist_ok=True)
    Provisioner(API(options.kubeconfig), options.folder, options.node).run()


if __name__ == "__main__":
    main()
