"""Writes Sources/Contracts from proto/. Run by scripts/generate, inside its virtual environment."""

import argparse
import pathlib
import shutil

from contracts import c_output, descriptors, swift_messages, swift_services
from contracts.model import Model

TEMPLATES = pathlib.Path(__file__).parent / "contracts" / "templates"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("proto", type=pathlib.Path, help="the folder of the .proto files")
    parser.add_argument("output", type=pathlib.Path, help="the folder to write, replaced whole")
    options = parser.parse_args()

    files = descriptors.read(options.proto)
    model = Model([file for file in files.file if descriptors.is_generated(file)])
    shutil.rmtree(options.output, ignore_errors=True)
    c_output.write(files, model, options.output / "C")
    write_swift(model, options.output / "Swift")


def write_swift(model, folder):
    folder.mkdir(parents=True)
    (folder / "Namespaces.swift").write_text(swift_messages.namespaces(model))
    for file in model.files:
        stem = f"{file.namespace}.{pathlib.PurePath(file.name).stem}"
        if file.messages or file.enums:
            (folder / f"{stem}.swift").write_text(swift_messages.file(file))
        if file.services:
            (folder / f"{stem}.services.swift").write_text(swift_services.file(file))
    for template in sorted(TEMPLATES.glob("*.swift")):
        header = swift_messages.HEADER.format(source=f"scripts/contracts/templates/{template.name}")
        (folder / template.name).write_text(header + "\n" + template.read_text())


if __name__ == "__main__":
    main()
