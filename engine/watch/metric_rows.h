// watch/metric_rows.h - the list of metrics: X(ID, name, type, unit, labels, help), in the order in which they are shown.
//
//   Owns     -
//   Threads  -
//   Fails    -
//   Limits   -
//   Cost     -
//
// Names and units as Prometheus wants them: base units in the name, `_total` at the end of counters, `_info` for facts whose value is 1.
// Labels are separated by blanks; `label_*` stands for the pipeline's own labels of a kernel.  Help begins in lower case and has no full stop.
#ifndef RKI_METRIC_ROWS_H
#define RKI_METRIC_ROWS_H

#define RKI_METRIC_ROWS(X)                                                                                             \
    X(ENGINE_INFO, "rkpipe_engine_info", GAUGE, NONE, "version backend", "the engine that runs; always 1")             \
    X(PIPELINE_INFO, "rkpipe_pipeline_info", GAUGE, NONE, "pipeline mode delivery",                                    \
      "the pipeline that runs; always 1")                                                                              \
    X(PIPELINE_STATE, "rkpipe_pipeline_state", GAUGE, NONE, "state",                                                   \
      "1 for the state that the pipeline is in (running, draining, ending), 0 for the others")                         \
    X(WORKERS, "rkpipe_workers", GAUGE, COUNT, "", "threads that run kernels")                                         \
    X(KERNEL_INFO, "rkpipe_kernel_info", GAUGE, NONE, "kernel operator kind label_*",                                  \
      "a kernel, its operator, and its labels in the pipeline file; always 1")                                         \
    X(KERNEL_STATE, "rkpipe_kernel_state", GAUGE, NONE, "kernel state",                                                \
      "1 for the state that the kernel is in, 0 for the others")                                                       \
    X(KERNEL_RESTARTS, "rkpipe_kernel_restarts_total", COUNTER, COUNT, "kernel", "new instances after a failure")      \
    X(KERNEL_FAILURES, "rkpipe_kernel_failures_total", COUNTER, COUNT, "kernel",                                       \
      "failures of supervised instances (restart:)")                                                                   \
    X(KERNEL_RETRIES, "rkpipe_kernel_retries_total", COUNTER, COUNT, "kernel", "further attempts (retry:)")            \
    X(KERNEL_BATCHES, "rkpipe_kernel_batches_total", COUNTER, BATCHES, "kernel",                                       \
      "batches taken, or polls of a source")                                                                           \
    X(KERNEL_IN_ROWS, "rkpipe_kernel_in_rows_total", COUNTER, ROWS, "kernel", "rows taken, or read by a source")       \
    X(KERNEL_OUT_ROWS, "rkpipe_kernel_out_rows_total", COUNTER, ROWS, "kernel", "rows given on")                       \
    X(KERNEL_ABSORBED_ROWS, "rkpipe_kernel_absorbed_rows_total", COUNTER, ROWS, "kernel",                              \
      "rows that became part of something else: written by a sink, or aggregated")                                     \
    X(KERNEL_REJECTED_ROWS, "rkpipe_kernel_rejected_rows_total", COUNTER, ROWS, "kernel",                              \
      "bad rows, whatever became of them")                                                                             \
    X(KERNEL_REPLAYED_ROWS, "rkpipe_kernel_replayed_rows_total", COUNTER, ROWS, "kernel",                              \
      "stored dead letters that the kernel got again from this run, part of its rows in")                              \
    X(KERNEL_IN_BYTES, "rkpipe_kernel_in_bytes_total", COUNTER, BYTES, "kernel",                                       \
      "bytes of input that the rows taken stand for")                                                                  \
    X(KERNEL_OUT_BYTES, "rkpipe_kernel_out_bytes_total", COUNTER, BYTES, "kernel",                                     \
      "bytes of input that the rows given on stand for, or bytes written by a sink")                                   \
    X(DROPPED_ROWS, "rkpipe_dropped_rows_total", COUNTER, ROWS, "kernel reason",                                       \
      "rows that end at this kernel: left out by a filter, bad, or without room in its queue")                         \
    X(DEAD_LETTER_ROWS, "rkpipe_dead_letter_rows_total", COUNTER, ROWS, "kernel reason",                               \
      "rows that went wrong at this kernel and were dead-lettered")                                                    \
    X(DEAD_STORE_BYTES, "rkpipe_dead_letter_store_bytes", GAUGE, BYTES, "", "bytes of dead letters on disk")           \
    X(DEAD_STORE_LIMIT, "rkpipe_dead_letter_store_limit_bytes", GAUGE, BYTES, "",                                      \
      "bytes that the store of dead letters may have (dead_letter.store.bytes)")                                       \
    X(KERNEL_BUSY, "rkpipe_kernel_busy_seconds_total", COUNTER, SECONDS, "kernel",                                     \
      "time at work, of all replicas; what it waits for inside of a step counts")                                      \
    X(KERNEL_BATCH_TIME, "rkpipe_kernel_batch_seconds", HISTOGRAM, SECONDS, "kernel", "time at work on one batch")     \
    X(SINK_LATENCY, "rkpipe_sink_latency_seconds", HISTOGRAM, SECONDS, "kernel",                                       \
      "time from the arrival of a batch at its source until a sink has written it")                                    \
    X(BATCH_FLUSHES, "rkpipe_batch_flushes_total", COUNTER, BATCHES, "kernel reason",                                  \
      "batches made by 'batch', by what made them complete")                                                           \
    X(EDGE_SENT_ROWS, "rkpipe_edge_sent_rows_total", COUNTER, ROWS, "from to topic kind",                              \
      "rows given to an edge, whatever became of them")                                                                \
    X(EDGE_RECEIVED_ROWS, "rkpipe_edge_received_rows_total", COUNTER, ROWS, "from to topic kind",                      \
      "rows that the consumer has taken from an edge")                                                                 \
    X(EDGE_OVERFLOWED_ROWS, "rkpipe_edge_overflowed_rows_total", COUNTER, ROWS, "from to topic kind policy",           \
      "rows that found no room and were dropped or dead-lettered, by the queue's policy")                              \
    X(EDGE_SPILLED_ROWS, "rkpipe_edge_spilled_rows_total", COUNTER, ROWS, "from to topic kind",                        \
      "rows that waited on disk (overflow: spill)")                                                                    \
    X(EDGE_SPILL_BYTES, "rkpipe_edge_spill_bytes", GAUGE, BYTES, "from to topic kind",                                 \
      "bytes on disk of what waits for this edge, and of what checkpoints still need")                                 \
    X(EDGE_SPILL_MESSAGES, "rkpipe_edge_spill_messages", GAUGE, MESSAGES, "from to topic kind",                        \
      "messages on disk that are not done with")                                                                       \
    X(EDGE_FILTERED_ROWS, "rkpipe_edge_filtered_rows_total", COUNTER, ROWS, "from to topic kind",                      \
      "rows that the subscription's 'where' left out")                                                                 \
    X(EDGE_WAITS, "rkpipe_edge_waits_total", COUNTER, COUNT, "from to topic kind",                                     \
      "how often the producer had to wait for room")                                                                   \
    X(EDGE_BLOCKED, "rkpipe_edge_blocked_seconds_total", COUNTER, SECONDS, "from to topic kind",                       \
      "time that producers waited for room, of all replicas")                                                          \
    X(EDGE_MESSAGES, "rkpipe_edge_queue_messages", GAUGE, MESSAGES, "from to topic kind", "messages in the queue now") \
    X(EDGE_CAPACITY, "rkpipe_edge_queue_capacity_messages", GAUGE, MESSAGES, "from to topic kind",                     \
      "messages that the queue has room for")                                                                          \
    X(EDGE_BYTES, "rkpipe_edge_queue_bytes", GAUGE, BYTES, "from to topic kind", "bytes in the queue now")             \
    X(EDGE_LIMIT, "rkpipe_edge_queue_limit_bytes", GAUGE, BYTES, "from to topic kind",                                 \
      "bytes that the queue has room for")                                                                             \
    X(TOPIC_ROWS, "rkpipe_topic_published_rows_total", COUNTER, ROWS, "topic kernel",                                  \
      "rows published, whether or not anybody subscribes")                                                             \
    X(TOPIC_MESSAGES, "rkpipe_topic_published_messages_total", COUNTER, MESSAGES, "topic kernel",                      \
      "messages published, before they are divided among subscribers")                                                 \
    X(TOPIC_SUBSCRIBERS, "rkpipe_topic_subscribers", GAUGE, COUNT, "topic kernel",                                     \
      "kernels that what is published reaches")                                                                        \
    X(HLC_DRIFT, "rkpipe_hlc_drift_seconds", GAUGE, SECONDS, "",                                                       \
      "how far the wall clock is ahead of the engine's (below 0: behind)")                                             \
    X(HLC_LATE, "rkpipe_hlc_late_messages_total", COUNTER, MESSAGES, "from to topic kind",                             \
      "order hlc: messages delivered after a larger stamp (on_skew: release)")                                         \
    X(HLC_EXCLUDED, "rkpipe_hlc_excluded_total", COUNTER, COUNT, "from to topic kind",                                 \
      "order hlc: how often the consumer went on without a slow producer (on_skew: exclude)")                          \
    X(HLC_LAG, "rkpipe_hlc_watermark_lag_seconds", GAUGE, SECONDS, "from to topic kind",                               \
      "order hlc: age of the edge's clock floor, before which nothing more can come")                                  \
    X(CKPT_COUNT, "rkpipe_checkpoints_total", COUNTER, COUNT, "", "checkpoints committed by this process")             \
    X(CKPT_FAILURES, "rkpipe_checkpoint_failures_total", COUNTER, COUNT, "", "checkpoints that could not be kept")     \
    X(CKPT_DURATION, "rkpipe_checkpoint_duration_seconds", HISTOGRAM, SECONDS, "",                                     \
      "time from asking for a checkpoint until its manifest was on disk")                                              \
    X(CKPT_TIMESTAMP, "rkpipe_checkpoint_last_timestamp_seconds", GAUGE, SECONDS, "",                                  \
      "when the last checkpoint was committed, since 1970")                                                            \
    X(CKPT_AGE, "rkpipe_checkpoint_age_seconds", GAUGE, SECONDS, "",                                                   \
      "time since the last checkpoint was committed, or since the start")                                              \
    X(GENERATION, "rkpipe_config_generation", GAUGE, COUNT, "", "number of the pipeline version that runs")            \
    X(RELOADS, "rkpipe_config_reload_total", COUNTER, COUNT, "outcome",                                                \
      "reloads and rollbacks that were asked for, by what came of them")                                               \
    X(RELOAD_OK, "rkpipe_config_last_reload_successful", GAUGE, NONE, "",                                              \
      "1 when the last reload was applied, or there was none")                                                         \
    X(RELOAD_TIMESTAMP, "rkpipe_config_last_reload_success_timestamp_seconds", GAUGE, SECONDS, "",                     \
      "when the pipeline that runs was put in place, since 1970")                                                      \
    X(RELOAD_PAUSE, "rkpipe_config_reload_pause_seconds", GAUGE, SECONDS, "",                                          \
      "how long kernels that the last reload replaced stood, at most")                                                 \
    X(ALERT_MESSAGES, "rkpipe_alert_messages_total", COUNTER, COUNT, "outcome",                                        \
      "changes of alerts for those who subscribe to $alerts: published, or dropped because they are too slow")         \
    X(NOTIFICATIONS, "rkpipe_notifications_total", COUNTER, COUNT, "receiver kind outcome",                            \
      "notifications of receivers since the last reload: sent, or failed; the latter are told again")                  \
    X(OTLP_REQUESTS, "rkpipe_otlp_requests_total", COUNTER, COUNT, "signal outcome",                                   \
      "requests to the OpenTelemetry collector, by what came of them: sent, or failed for good")                       \
    X(OTLP_LOST, "rkpipe_otlp_lost_total", COUNTER, COUNT, "signal reason",                                            \
      "data points or spans that the collector did not get: no room for them, a request that failed for good, "        \
      "or rejected by it")                                                                                             \
    X(MEMORY_USED, "rkpipe_memory_used_bytes", GAUGE, BYTES, "pool",                                                   \
      "memory in use: batches on their way, state of operators")                                                       \
    X(MEMORY_LIMIT, "rkpipe_memory_limit_bytes", GAUGE, BYTES, "pool", "the pool's part of engine.memory_limit")       \
    X(MEMORY_PEAK, "rkpipe_memory_peak_bytes", GAUGE, BYTES, "pool", "the most that was in use at once")               \
    X(PROCESS_CPU, "process_cpu_seconds_total", COUNTER, SECONDS, "",                                                  \
      "total user and system CPU time spent in seconds")                                                               \
    X(PROCESS_RESIDENT, "process_resident_memory_bytes", GAUGE, BYTES, "", "resident memory size in bytes")            \
    X(PROCESS_VIRTUAL, "process_virtual_memory_bytes", GAUGE, BYTES, "", "virtual memory size in bytes")               \
    X(PROCESS_FDS, "process_open_fds", GAUGE, COUNT, "", "number of open file descriptors")                            \
    X(PROCESS_MAX_FDS, "process_max_fds", GAUGE, COUNT, "", "maximum number of open file descriptors")                 \
    X(PROCESS_START, "process_start_time_seconds", GAUGE, SECONDS, "",                                                 \
      "start time of the process since unix epoch in seconds")

#endif
