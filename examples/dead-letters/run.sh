"$RKPIPE" run "$PIPELINES/dead-letters.yaml" --var "in=day-*.csv" --var out=. "$@"
