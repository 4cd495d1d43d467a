"$RKPIPE" run packages.yaml --var in=packages.csv --var out=. "$@"
