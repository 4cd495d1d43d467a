"$RKPIPE" run "$PIPELINES/jsonl-extract.yaml" --var in=app.jsonl --var out=errors.jsonl "$@"
