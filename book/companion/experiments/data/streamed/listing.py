"""Which images lie in which class folder, and the two layouts of Tiny-ImageNet."""

import os
from pathlib import Path

from companion.experiments.data.streamed.file_list import Folder
from ugradsl_core.errors import DataError

ANNOTATIONS = "val_annotations.txt"
# those of torchvision's ImageFolder, whose import would cost more memory than a million paths
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def class_folders(part: Path, root: Path, name: str, inner: str = "") -> list[Folder]:
    """The images of ``part/<class>/`` or of ``part/<class>/<group>/``, all sorted by name.

    Hidden files and files without an image's extension are left out. A group is known by its
    name: folders of the same name in two classes are one group.

    Args:
        part: the folder whose folders are the classes.
        root: the folder that paths are relative to.
        name: of the data set, for messages.
        inner: a folder between each class and its images, which is not a group.

    Raises:
        DataError: no class folders, an empty one, groups in some classes only, or a folder that
            cannot be listed.
    """
    classes, images = _listed(part, name)
    if not classes:
        inside = "images alone" if images else "nothing"
        raise DataError(f"{name}: {part} should hold one folder for each class; found {inside}")
    found: list[Folder] = []
    for title in classes:
        folder = part / title / inner
        groups, images = _listed(folder, name)
        if groups and images:
            raise DataError(
                f"{name}: class folder {folder} should hold images, or one folder for each group; "
                "found both"
            )
        if not groups and not images:
            raise DataError(f"{name}: class folder {folder} holds no images")
        for group in groups:
            deeper, images = _listed(folder / group, name)
            if deeper or not images:
                inside = "folders" if deeper else "none"
                raise DataError(
                    f"{name}: group folder {folder / group} should hold images; found {inside}"
                )
            where = (folder / group).relative_to(root).as_posix()
            found.append(Folder.of(where, images, title, group))
        if not groups:
            where = folder.relative_to(root).as_posix()
            found.append(Folder.of(where, images, title, None))
    return found


def _listed(folder: Path, name: str) -> tuple[list[str], list[str]]:
    """Sorted names of the folders and of the images in a folder."""
    folders, images = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    folders.append(entry.name)
                elif entry.name.lower().endswith(EXTENSIONS):
                    images.append(entry.name)
    except OSError as error:
        raise DataError(f"{name}: {folder} cannot be listed ({error.strerror})") from error
    return sorted(folders), sorted(images)


def tiny_imagenet_parts(root: Path, name: str) -> tuple[list[Folder], list[Folder]]:
    """Training and validation folders of Tiny-ImageNet, as ImageFolder or as in its archive.

    The archive has ``train/<wnid>/images/`` and one folder ``val/images/`` with the classes in
    ``val/val_annotations.txt``.

    Raises:
        DataError: a folder or a file is missing or empty, or the annotations do not fit.
    """
    train = root / "train"
    classes, _ = _listed(train, name)
    original = bool(classes) and (train / classes[0] / "images").is_dir()
    training = class_folders(train, root, name, "images" if original else "")
    if (root / "val" / ANNOTATIONS).is_file():
        return training, _annotated(root / "val", root, name)
    return training, class_folders(root / "val", root, name)


def _annotated(part: Path, root: Path, name: str) -> list[Folder]:
    """The images of ``part/images`` by the classes in the annotations: ``<file> <wnid> …``."""
    listed = part / ANNOTATIONS
    by_class: dict[str, list[str]] = {}
    for number, line in enumerate(listed.read_text("utf-8").splitlines(), start=1):
        fields = line.split()
        if len(fields) < 2:
            raise DataError(
                f"{name}: {listed}, line {number}: should be a file and its class; found {line!r}"
            )
        by_class.setdefault(fields[1], []).append(fields[0])
    _, images = _listed(part / "images", name)
    annotated = {image for members in by_class.values() for image in members}
    for image in sorted(annotated.symmetric_difference(images)):
        lacks = f"has no line in {ANNOTATIONS}" if image in images else "is missing"
        raise DataError(f"{name}: {part / 'images' / image} {lacks}")
    where = (part / "images").relative_to(root).as_posix()
    return [Folder.of(where, sorted(by_class[title]), title, None) for title in sorted(by_class)]
