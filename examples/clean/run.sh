"$RKPIPE" run "$PIPELINES/clean.yaml" --var in=raw.csv --var out=clean.csv --var dead=rejected.csv "$@"
cp "$PIPELINES/clean.yaml" .
"$RKPIPE" test clean.yaml >tests.txt
rm clean.yaml
