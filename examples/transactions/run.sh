"$RKPIPE" run "$PIPELINES/csv-filter.yaml" --var in=transactions.csv --var out=large.csv "$@"
