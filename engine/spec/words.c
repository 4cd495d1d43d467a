// words.c - what people write who come from another engine, and the operators that are promised.
#include "spec/load.h"

#define KERNELS "a pipeline is written under 'kernels:', each with an 'op', and 'from' says whom it reads"

const rki_foreign rki_top_words[] = {
    // Redpanda Connect, Benthos
    { "input", "a source is a kernel with an op such as read.csv, under 'kernels:'" },
    { "output", "a sink is a kernel with an op such as write.csv, under 'kernels:'" },
    { "pipeline", KERNELS },
    { "processors", KERNELS },
    { "buffer", "each kernel has a 'queue'; 'defaults: {queue: ..}' sets it for all" },
    { "input_resources", "shared kernels are written under 'templates:'" },
    { "output_resources", "shared kernels are written under 'templates:'" },
    { "processor_resources", "shared kernels are written under 'templates:'" },
    { "cache_resources", "a table to look up in is the operator 'lookup'" },
    { "rate_limit_resources", "the operator 'throttle' limits rates" },
    { "http", "the admin socket is 'admin:'" },
    // Vector
    { "sources", "a source is a kernel with an op such as read.csv, under 'kernels:'" },
    { "transforms", "a transform is a kernel with an op such as map, under 'kernels:'" },
    { "sinks", "a sink is a kernel with an op such as write.csv, under 'kernels:'" },
    { "enrichment_tables", "a table to look up in is the operator 'lookup'" },
    { "data_dir", "it is 'engine: {data_dir: ..}'" },
    { "api", "the admin socket is 'admin:'" },
    { "secret", "stores of secrets are 'secrets:'" },
    { "acknowledgements", "it is 'engine: {delivery: ..}'" },
    // Fluent Bit, Fluentd, Logstash
    { "service", "settings of the engine are 'engine:' and 'run:'" },
    { "inputs", "a source is a kernel with an op such as read.csv, under 'kernels:'" },
    { "filters", "a filter is a kernel with the op filter, under 'kernels:'" },
    { "filter", "a filter is a kernel with the op filter, under 'kernels:'" },
    { "outputs", "a sink is a kernel with an op such as write.csv, under 'kernels:'" },
    { "parsers", "parsing is part of a source such as read.csv, or the operator 'extract'" },
    { "includes", "it is 'include: [..]'" },
    { "env", "the environment is ${NAME}; typed values are 'vars:'" },
    // Triton
    { "max_batch_size", "it is 'batch: {count: ..}' of a kernel" },
    { "dynamic_batching", "it is 'batch: {count: .., bytes: ..}' of a kernel" },
    { "instance_group", "it is 'replicas' of a kernel" },
    { "ensemble_scheduling", KERNELS },
    { "platform", "it is 'op' of a kernel" },
    { "backend", "it is 'engine: {backend: ..}'" },
    // Prometheus, Alertmanager, others
    { "global", "settings of the engine are 'engine:' and 'run:'" },
    { "scrape_configs", "series of the engine itself need no configuration" },
    { "rule_files", "alerts are 'alerts:', in this file or in one it includes" },
    { "apiVersion", "the file begins with 'version: 1'" },
    { "services", "a pipeline is written under 'kernels:'" },
    { 0 },
};

const rki_foreign rki_kernel_words[] = {
    { "uses", "a template is 'use'" },
    { "template", "a template is 'use'" },
    { "outputs", "the kernel that reads names this one in its 'from'" },
    { "output", "the kernel that reads names this one in its 'from'" },
    { "to", "the kernel that reads names this one in its 'from'" },
    { "next", "the kernel that reads names this one in its 'from'" },
    { "sink", "the kernel that reads names this one in its 'from'" },
    { "match", "whom a kernel reads is 'from'" },
    { "max_batch_size", "it is 'batch: {count: ..}' here" },
    { "batch_size", "it is 'batch: {count: ..}' here" },
    { "batching", "it is 'batch: {count: .., bytes: ..}' here" },
    { "dynamic_batching", "it is 'batch: {count: .., bytes: ..}' here" },
    { "batch_policy", "it is 'batch: {count: .., bytes: ..}' here" },
    { "capacity", "it is 'queue: {capacity: ..}' here" },
    { "overflow", "it is 'queue: {overflow: ..}' here" },
    { "when_full", "it is 'queue: {overflow: ..}' here" },
    { "key", "one key goes to one replica with 'partition_by'" },
    { "device", "it is 'place: {device: ..}' here" },
    { "gpu", "it is 'place: gpu' here" },
    { "name", "a kernel's name is the key that it stands under" },
    { "id", "a kernel's id is the key that it stands under" },
    { "label", "a kernel's name is the key that it stands under" },
    { "alias", "a kernel's name is the key that it stands under" },
    { "if", "rows are chosen by a kernel with the op filter" },
    { "condition", "rows are chosen by a kernel with the op filter" },
    { "topic", "topics are 'subscribe' and 'publish'" },
    { "topics", "topics are 'subscribe' and 'publish'" },
    { 0 },
};

bool rki_op_promised(rkp_str name)
{
    static const char *const names[] = {
        "read.csv",  "read.jsonl",  "read.lines",   "read.arrow", "read.exec",     "read.tcp",    "read.unix",
        "read.http", "generate",    "filter",       "map",        "extract",       "route",       "aggregate",
        "window",    "sort",        "limit",        "sample",     "dedupe",        "throttle",    "delay",
        "lookup",    "join",        "call",         "reply",      "score.xgboost", "score.onnx",  "score.mlp",
        "write.csv", "write.jsonl", "write.stdout", "write.null", "write.log",     "write.arrow", "write.exec",
        "fft",       "stencil",     "cuda.kernel",  NULL,
    };

    for (size_t i = 0; names[i]; i++)
        if (rkp_str_is(name, names[i]))
            return true;
    return false;
}

const char *rki_op_foreign(rkp_str name)
{
    static const rki_foreign words[] = {
        { "csv", "read.csv reads and write.csv writes them" },
        { "json", "read.jsonl reads and write.jsonl writes lines of JSON" },
        { "jsonl", "read.jsonl reads and write.jsonl writes lines of JSON" },
        { "ndjson", "read.jsonl reads and write.jsonl writes lines of JSON" },
        { "file", "read.csv, read.jsonl and read.lines read files; write.csv and write.jsonl write them" },
        { "stdin", "read.csv, read.jsonl and read.lines read standard input with path: \"-\"" },
        { "stdout", "it is write.stdout here" },
        { "console", "it is write.stdout here" },
        { "tail", "it is read.lines here" },
        { "blackhole", "it is write.null here" },
        { "null", "it is write.null here" },
        { "drop", "it is write.null here" },
        { "remap", "it is map here" },
        { "mapping", "it is map here" },
        { "bloblang", "it is map here" },
        { "vrl", "it is map here" },
        { "mutation", "it is map here" },
        { "record_modifier", "it is map here" },
        { "modify", "it is map here" },
        { "grep", "it is filter here" },
        { "where", "it is filter here" },
        { "switch", "it is route here" },
        { "group_by", "it is aggregate here" },
        { "reduce", "it is aggregate here" },
        { "uniq", "it is dedupe here" },
        { "head", "it is limit here" },
        { "rate_limit", "it is throttle here" },
        { "grok", "it is extract here" },
        { "parser", "it is extract here" },
        { "regex", "it is extract here" },
        { "demo_logs", "it is generate here" },
        { "dummy", "it is generate here" },
        { "http_server", "it is read.http here" },
        { 0 },
    };

    for (size_t i = 0; words[i].word; i++)
        if (rkp_str_is(name, words[i].word))
            return words[i].hint;
    return NULL;
}
