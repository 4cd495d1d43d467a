"$RKPIPE" run packages.yaml --var in=packages.csv --var out=. "$@"
"$RKPIPE" test . >tests.txt
