"$RKPIPE" run "$PIPELINES/kernel-to-kernel.yaml" --var in=transactions.csv --var out=. "$@"
