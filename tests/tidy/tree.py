# The tree as the tidy tests see it: tracked files, or all files when there is no git.
import os
import subprocess
from pathlib import Path

ROOT = Path(os.environ.get("TURNPIKE_SOURCE_DIR", Path(__file__).resolve().parents[2]))
CODE = (".cpp", ".h", ".cu", ".cuh")
PLANTED = "tests/tidy/planted/"


def walk():
    skipped = {".git", "build", ".turnpike", "__pycache__"}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in skipped]
        for name in names:
            yield str((Path(folder) / name).relative_to(ROOT))


def files():
    """Paths relative to ROOT, sorted, without the planted faults."""
    command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        listed = done.stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        listed = list(walk())
    return sorted(path for path in listed
                  if path and not path.startswith(PLANTED) and (ROOT / path).is_file())


def code(*suffixes):
    return [path for path in files() if path.endswith(suffixes or CODE)]


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")
