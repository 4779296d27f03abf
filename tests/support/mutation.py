"""Breaks a copy of the code on purpose, to see whether the tests notice."""

import pathlib
import shutil
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[2]


def copy_tracked(directory):
    """All files that git knows, as they are in the work tree."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, check=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        target = pathlib.Path(directory) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (TOP / name).is_file():
            shutil.copy(TOP / name, target)


def mutate(name, path, old, new, verdict):
    """Puts `new` in the place of `old` while verdict() builds and tests. Whether that notices: it says how, or None."""
    original = path.read_text()
    if original.count(old) != 1:
        print(f"STALE     {name}: {path.name} does not have that code once", flush=True)
        return False
    path.write_text(original.replace(old, new))
    try:
        found = verdict()
    finally:
        path.write_text(original)
    print(f"{'SURVIVED ' if found is None else 'found    '} {name}{'' if found is None else ': ' + found}", flush=True)
    return found is not None
