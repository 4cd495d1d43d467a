#!/bin/sh
# The schema that editors use and `rkpipe check` agree; the rules are in agree.js. usage: agree.sh RKPIPE SOURCE_DIR [-v]
set -eu
command -v node >/dev/null 2>&1 || { echo "skipped: node is not installed"; exit 77; }
"$1" schema | cmp -s - "$2/schemas/pipeline.schema.json" || { echo "schemas/ is not fresh: run ./dev doc"; exit 1; }
exec node "$(dirname "$0")/agree.js" "$@"
