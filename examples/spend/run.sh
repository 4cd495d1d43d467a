"$RKPIPE" run "$PIPELINES/group-by.yaml" --var in=transactions.csv --var out=accounts.csv --var by=country "$@"
