"$RKPIPE" run "$PIPELINES/hello-kernel.yaml" "$@"
