"$RKPIPE" run "$PIPELINES/log-summary.yaml" --var in=dpkg.log --var out=days.csv "$@"
