#!/bin/sh
# Installs what the tests of this folder compare with, at the versions of package-lock.json.
set -eu
cd "$(dirname "$0")"
npm ci --ignore-scripts --no-audit --no-fund
