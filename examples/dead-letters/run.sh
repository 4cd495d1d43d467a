"$RKPIPE" run "$PIPELINES/dead-letters.yaml" --var "in=day-*.csv" --var out=. "$@"
"$RKPIPE" dlq list --format csv | cut -d, -f1-3 | sort # without the times
