#!/bin/sh
# Installs what the tests of this folder compare with, at the versions of each package-lock.json.
set -eu
cd "$(dirname "$0")"
for dir in . yaml_language_server otlp; do
    (cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund)
done
