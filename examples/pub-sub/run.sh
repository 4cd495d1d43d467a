"$RKPIPE" run "$PIPELINES/pub-sub.yaml" --var in=readings.csv --var forecast=forecast.csv --var out=. "$@"
