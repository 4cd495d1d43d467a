"$RKPIPE" run "$PIPELINES/enrich.yaml" --var in=orders.csv --var table=countries.csv --var out=known.csv --var rest=unknown.csv "$@"
