"$RKPIPE" run "$PIPELINES/clean.yaml" --var in=raw.csv --var out=clean.csv --var dead=rejected.csv "$@"
