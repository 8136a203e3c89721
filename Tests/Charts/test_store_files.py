"""The scripts that the store chart brings along, run for real."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from rendering import STORE_CHART

FILES = STORE_CHART / "files"


class Volumes:
    """An image's copy of WordPress, and the two volumes that it is laid out on."""

    def __init__(self, root: Path):
        self.source, self.core, self.content = (root / each for each in ("src", "core", "content"))
        for folder in (self.source / "wp-content/themes/one", self.core, self.content):
            folder.mkdir(parents=True)
        (self.source / "wp-content/themes/one/style.css").write_text("one")
        for name in ("index.php", ".htaccess", "wp-config-docker.php"):
            (self.source / name).write_text(name)
        (self.source / "wp-includes").mkdir()
        (self.source / "wp-includes/version.php").write_text("6.0")

    def prepare(self) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "SOURCE": str(self.source),
            "CORE": str(self.core),
            "CONTENT": str(self.content),
        }
        subprocess.run(["sh", str(FILES / "prepare.sh")], env=environment, check=True)

    def content_files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.content)): path.read_text()
            for path in self.content.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def volumes(tmp_path):
    return Volumes(tmp_path)


def test_a_first_start_lays_out_core_and_content(volumes):
    (volumes.content / "lost+found").mkdir()
    volumes.prepare()
    assert (volumes.core / ".htaccess").read_text() == ".htaccess"
    assert (volumes.core / "wp-config.php").read_text() == "wp-config-docker.php"
    health = (FILES / "health.php").read_text()
    assert (volumes.core / "storeplane-health.php").read_text() == health
    assert list((volumes.core / "wp-content").iterdir()) == [], "the volume is mounted over it"
    assert volumes.content_files() == {"themes/one/style.css": "one"}


def test_a_new_image_brings_its_core_and_leaves_the_content(volumes):
    volumes.prepare()
    (volumes.source / "wp-includes/version.php").write_text("6.1")
    (volumes.source / "wp-content/themes/one/style.css").write_text("newer")
    (volumes.content / "themes/one/style.css").write_text("changed by the shop")
    volumes.prepare()
    assert (volumes.core / "wp-includes/version.php").read_text() == "6.1"
    assert volumes.content_files() == {"themes/one/style.css": "changed by the shop"}


def test_what_a_shop_removed_stays_away(volumes):
    volumes.prepare()
    (volumes.content / "themes/one/style.css").unlink()
    volumes.prepare()
    assert volumes.content_files() == {}


def test_content_of_another_origin_is_left_alone(volumes):
    (volumes.content / "uploads").mkdir()
    (volumes.content / "uploads/a.txt").write_text("restored")
    volumes.prepare()
    assert volumes.content_files() == {"uploads/a.txt": "restored"}


def test_a_copy_cut_short_is_made_again(volumes):
    (volumes.content / ".storeplane-unfinished").touch()
    (volumes.content / "themes/one").mkdir(parents=True)
    (volumes.content / "themes/one/style.css").write_text("o")
    volumes.prepare()
    assert volumes.content_files() == {"themes/one/style.css": "one"}


def test_what_a_restore_left_goes(volumes):
    volumes.prepare()
    left = volumes.content / ".storeplane-restore/files/uploads"
    left.mkdir(parents=True)
    (left / "a.php").write_text("<?php")
    volumes.prepare()
    assert volumes.content_files() == {"themes/one/style.css": "one"}
    assert not (volumes.content / ".storeplane-restore").exists()


def test_what_a_restore_left_is_no_content(volumes):
    (volumes.content / ".storeplane-restore").mkdir()
    volumes.prepare()
    assert volumes.content_files() == {"themes/one/style.css": "one"}


def test_an_image_without_a_configuration_is_refused(volumes):
    (volumes.source / "wp-config-docker.php").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        volumes.prepare()
