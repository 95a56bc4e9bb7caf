#!/usr/bin/env bash
# Install nnsym 0.2.0 for the VNN-LIB solver database: afterwards `nnsym-vnnlib` is on PATH.
#
# A virtual environment of its own, so that nothing of the system's Python changes. Needs Python 3.11 or newer with venv,
# and an index of packages. Where the index offers torch for CPUs apart, name that one: PIP_EXTRA_INDEX_URL=...
#
#   NNSYM_SOURCE   what to install, by default the released package; a checkout or an archive for tries
#   NNSYM_HOME     where the environment goes, by default /opt/nnsym, or ~/.local/share/nnsym without the right to write there
#   NNSYM_BIN      a folder on PATH for the command, by default /usr/local/bin, or ~/.local/bin
set -euo pipefail

version=0.2.0
python=${PYTHON:-python3}
source=${NNSYM_SOURCE:-nnsym==$version}

writable() { mkdir -p "$1" 2>/dev/null && [ -w "$1" ]; }
home=${NNSYM_HOME:-/opt/nnsym}
writable "$home" || home=$HOME/.local/share/nnsym
bin=${NNSYM_BIN:-/usr/local/bin}
writable "$bin" || bin=$HOME/.local/bin
mkdir -p "$home" "$bin"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  { echo "nnsym needs Python 3.11 or newer; $python is $("$python" --version 2>&1)" >&2; exit 1; }
"$python" -m venv "$home/$version"
"$home/$version/bin/python" -m pip install --quiet --disable-pip-version-check "$source"
ln -sf "$home/$version/bin/nnsym-vnnlib" "$bin/nnsym-vnnlib"

[ "$("$bin/nnsym-vnnlib" --name)" = nnsym ]
[ "$("$bin/nnsym-vnnlib" --version)" = "$version" ] ||
  { echo "this is nnsym $("$bin/nnsym-vnnlib" --version), expected $version" >&2; exit 1; }
case ":$PATH:" in
  *":$bin:"*) ;;
  *) echo "put $bin on PATH" >&2 ;;
esac
