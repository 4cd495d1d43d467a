#!/usr/bin/env bash
# Writes docs/reference/ and schemas/ from the tables of the binary. usage: doc.sh RKPIPE
set -euo pipefail
rkpipe=$1
cd "$(dirname "$0")/.."
rm -f docs/reference/operators/*.md
mkdir -p docs/reference schemas
"$rkpipe" describe --all docs/reference
"$rkpipe" schema >schemas/pipeline.schema.json.tmp
mv schemas/pipeline.schema.json.tmp schemas/pipeline.schema.json
git status --short docs/reference schemas >&2 || true
echo "docs/reference and schemas are written"
