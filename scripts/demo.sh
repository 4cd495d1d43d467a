#!/usr/bin/env bash
# The worked example on what this machine has: the package index that apt keeps (or, without one, the packages that are
# installed). usage: demo.sh RKPIPE
set -euo pipefail
rkpipe=$1
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
out=build/demo
mkdir -p "$out"
if [ "$(apt-cache dumpavail 2>/dev/null | head -c 4096 | wc -c)" -gt 0 ]; then
    apt-cache dumpavail | awk -f "$root/scripts/packages_csv.awk" >"$out/packages.csv"
    origin="the package index of apt"
else
    awk -f "$root/scripts/packages_csv.awk" /var/lib/dpkg/status >"$out/packages.csv"
    origin="the packages installed here"
fi
echo
echo "== The data: $(($(wc -l <"$out/packages.csv") - 1)) rows, $origin"
head -n 3 "$out/packages.csv" | cut -c 1-110
echo
echo "== The pipeline: examples/packages/packages.yaml"
sed -n '/^kernels:/,$p' "$root/examples/packages/packages.yaml" | head -n 12
echo "   .."
echo
echo "\$ rkpipe check packages.yaml --var in=packages.csv --var out=."
"$rkpipe" check examples/packages/packages.yaml --var in=build/demo/packages.csv --var out=build/demo
echo
echo "\$ rkpipe run packages.yaml --var in=packages.csv --var out=."
"$rkpipe" run examples/packages/packages.yaml --var in=build/demo/packages.csv --var out=build/demo
echo
echo "== The sections with the most packages: sections.csv"
head -n 6 "$out/sections.csv" | column -s, -t 2>/dev/null || head -n 6 "$out/sections.csv"
echo
echo "== The largest packages: largest.csv"
head -n 6 "$out/largest.csv" | cut -c 1-100
cat <<TXT

What to try next:
  rkpipe plan  examples/packages/packages.yaml --var in=build/demo/packages.csv --var out=build/demo    how it runs, and why
  rkpipe graph examples/packages/packages.yaml --var in=build/demo/packages.csv --var out=build/demo --format mermaid
  rkpipe eval "round(1234.567 * 0.029 + 0.30, 2)"
  rkpipe list ops; rkpipe describe aggregate
  rkpipe new mine --template csv-filter && rkpipe check mine.yaml
(rkpipe is ${rkpipe#"$root"/})
TXT
