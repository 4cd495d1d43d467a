// base/diag_codes.h - every code that a finding can have, with one sentence for docs/reference/diagnostics.md.
// A test looks for codes in the sources that are not here, and for codes here that nobody uses.
#ifndef RKI_DIAG_CODES_H
#define RKI_DIAG_CODES_H

typedef struct rki_diag_code {
    const char *code, *meaning;
} rki_diag_code;

// clang-format off
#define RKI_DIAG_CODES \
    { "admin-token", "Who may command the engine over TCP is not said, or anybody can read the token that says so." }, \
    { "aggregate-arguments", "An aggregate function gets the wrong number or kind of arguments." }, \
    { "aggregate-call", "A value of `compute` is not one call of an aggregate function." }, \
    { "aggregate-many", "A kernel has more than 256 aggregates." }, \
    { "aggregate-repeated", "A column stands twice in `by`." }, \
    { "aggregate-type", "A column of this type cannot be grouped by or aggregated." }, \
    { "aggregate-unknown", "There is no aggregate function of this name." }, \
    { "alert-kind", "A key of an alert on metrics stands in one on data, or the other way round." }, \
    { "alert-label", "A label or an annotation of an alert has a name that it cannot have." }, \
    { "alert-name", "The name of an alert has a form that names cannot have, or two alerts have the same name and labels." }, \
    { "alert-template", "`{{ .. }}` in a label or an annotation is not written right." }, \
    { "call-unanswered", "No `reply` kernel can be reached by the requests of a `call`." }, \
    { "cast-array", "A fixed array cannot be cast yet." }, \
    { "column-duplicate", "Two columns would have the same name." }, \
    { "column-name", "A column's name is empty." }, \
    { "column-twice", "A column is named twice in one list." }, \
    { "column-type", "The operator cannot work on a column of this type." }, \
    { "column-unknown", "The kernel's input has no column of this name." }, \
    { "columns-empty", "A list of columns names none." }, \
    { "columns-many", "JSON lines have more different keys than there can be columns; name those that are wanted in `paths`." }, \
    { "csv-array", "CSV has no place for a column of fixed arrays." }, \
    { "csv-dialect", "The delimiter and the quote of a CSV file exclude each other." }, \
    { "csv-header", "The header of a CSV file cannot be read or does not fit the others." }, \
    { "csv-schema", "A schema for a CSV file has no columns." }, \
    { "cycle-blocks", "Kernels read each other in a circle in which every queue makes its producer wait: it would stand still." }, \
    { "cycle-schema", "Kernels that feed each other in a circle need a topic whose columns are declared." }, \
    { "dead-letter", "The kernel named in `dead_letter` cannot take dead letters." }, \
    { "dead-letter-loop", "A kernel behind the dead-letter target cannot send its own bad rows there." }, \
    { "dead-letter-none", "`on_error: dead_letter` without a `dead_letter` target of the pipeline." }, \
    { "dedupe-type", "A column of this type cannot be a key." }, \
    { "delivery-level", "`engine.delivery` asks for more than a kernel can keep." }, \
    { "device-unsupported", "A kernel with `place: gpu` does what a device cannot do." }, \
    { "env-missing", "An environment variable that has no default is not set." }, \
    { "exec-argv", "The arguments of a command are not what a command can have." }, \
    { "exec-denied", "The operator starts a command, and nobody has allowed it: `engine.allow_exec`, `--allow-exec`." }, \
    { "exec-env", "A name or a value that no environment of a command can have." }, \
    { "exec-format", "Options of a command that do not go with its `format`, or that this needs." }, \
    { "expr-args", "A function gets an argument of the wrong type or value." }, \
    { "expr-column", "The expression names a column that is not there." }, \
    { "expr-function", "There is no function of this name." }, \
    { "expr-limit", "The expression is too long or nested too deeply." }, \
    { "expr-literal", "A number or text in the expression is not written right." }, \
    { "expr-meta", "There is no `meta.` value of this name here." }, \
    { "expr-null", "A comparison or sum with null is always null; use `is_null(x)` or `??`." }, \
    { "expr-regex", "A regular expression is wrong." }, \
    { "expr-syntax", "The expression is not complete, or has something where it cannot stand." }, \
    { "expr-type", "Values of these types do not go together, or the result is not of the type that is needed here." }, \
    { "expr-var", "The pipeline has no variable of this name." }, \
    { "extract-groups", "The pattern has no named group, so it makes no column." }, \
    { "field-useless", "A field of a kernel means nothing for its operator." }, \
    { "file-open", "A file cannot be opened." }, \
    { "findings-cut", "There were more findings than are shown (1,000)." }, \
    { "findings-lost", "Memory ran out while findings were collected, so some are missing." }, \
    { "from-missing", "A kernel that needs an input has no `from`." }, \
    { "from-off", "Every kernel that this one reads is disabled." }, \
    { "from-sink", "A sink has no output that could be read." }, \
    { "from-twice", "A kernel reads the same output twice." }, \
    { "from-unknown", "`from` names no kernel of the pipeline." }, \
    { "group-key", "Members of one group have different orders or keys, so a key would not stay with one member." }, \
    { "group-order", "Members of a group share messages, so they cannot be promised an order between them." }, \
    { "group-start", "A member of a group asks for retained messages, which are not shared." }, \
    { "group-topic", "Members of one group subscribe to different patterns." }, \
    { "group-unknown", "`types` names a group that the pattern does not have." }, \
    { "id", "A name has a form that names cannot have." }, \
    { "include-cycle", "A file includes itself, perhaps through others." }, \
    { "include-none", "A pattern of `include` matches no file." }, \
    { "include-open", "An included file cannot be opened." }, \
    { "include-outside", "An included file is not below the folder of the pipeline's file." }, \
    { "input-empty", "The input has nothing to take columns or types from." }, \
    { "input-missing", "An input file is not there now; its types are checked when the pipeline starts." }, \
    { "input-pipe", "A pipe cannot be read twice: once for its types, once for its rows." }, \
    { "input-unreadable", "An input file is there and cannot be read." }, \
    { "internal", "A mistake in rkpipe itself; please report it." }, \
    { "interp-expr", "`${..}` in an expression; use `var.x`, so that a value cannot change the expression." }, \
    { "interp-here", "This kind of `${..}` is not filled in at this place." }, \
    { "interp-key", "`${..}` in a key; only values are filled in." }, \
    { "interp-list", "A list as a part of a text." }, \
    { "interp-syntax", "`${..}` is not written right; a literal `${` is `$${`." }, \
    { "interp-text", "A value that is filled in is not UTF-8 text." }, \
    { "kernels-none", "The pipeline has no kernels." }, \
    { "key-missing", "A key that is needed is not there." }, \
    { "key-twice", "A key stands twice in one mapping." }, \
    { "key-unknown", "The mapping has no key of this name." }, \
    { "limit-anchors", "More anchors than a file can have." }, \
    { "limit-bytes", "A file, or all of them with what is filled in, is too large." }, \
    { "limit-columns", "A schema has more columns than there can be." }, \
    { "limit-depth", "Values are nested too deeply." }, \
    { "limit-include", "Includes are nested too deeply." }, \
    { "limit-nodes", "The pipeline has too many values after aliases and templates are expanded." }, \
    { "limit-ports", "A kernel has more ports than it can have." }, \
    { "limit-scalar", "A value is longer than a value can be." }, \
    { "listen-address", "There is no address or path like this to listen on." }, \
    { "listen-format", "Options of a source to which clients send that do not go with its `format`, or that this needs." }, \
    { "listen-mode", "The rights of a socket's file are not an octal number." }, \
    { "lookup-column", "A column of a lookup's table is not there, is there twice, or has the name of an input column." }, \
    { "lookup-key", "The key of a lookup is empty, or is not of one type in the input and in the table." }, \
    { "lookup-repeated", "Rows of a lookup's table have a key that an earlier row has." }, \
    { "lookup-table", "The table of a lookup cannot be read." }, \
    { "memory", "Memory ran out." }, \
    { "no-memory", "Memory ran out." }, \
    { "not-supported", "This is known, and not supported yet." }, \
    { "not-yet", "This is known, and not supported yet." }, \
    { "notify-matcher", "A condition on labels in `notify` is not written right, or its label cannot be one." }, \
    { "notify-receiver", "A route names a receiver that there is not, or no route names one that there is." }, \
    { "notify-route", "The route at the top of `notify` has conditions, and it takes every alert." }, \
    { "notify-url", "The URL of a receiver, or a field of its requests, cannot be one." }, \
    { "op-unknown", "There is no operator of this name." }, \
    { "opt-choice", "An option does not have one of the words that it can have." }, \
    { "opt-empty", "A key has no value." }, \
    { "opt-missing", "An option that the operator needs is not there." }, \
    { "opt-range", "A value is smaller or larger than it can be." }, \
    { "opt-type", "A value is not of the type that is needed." }, \
    { "opt-unknown", "The operator has no option of this name." }, \
    { "order-key", "`order: key` needs `partition_by`." }, \
    { "order-which", "A kernel reads topics with different orders and does not say which one it wants." }, \
    { "param-missing", "A template's parameter that is needed has no value." }, \
    { "param-unknown", "The template has no parameter of this name." }, \
    { "path-syntax", "A path into JSON is not written right." }, \
    { "port-name", "A name that cannot be the name of a port." }, \
    { "port-unknown", "The kernel has no output port of this name." }, \
    { "port-which", "The kernel has several output ports, and it is not said which one is meant." }, \
    { "promql-args", "A function or an aggregation of an alert's expression gets the wrong number or kind of arguments." }, \
    { "promql-function", "There is no function of this name in an alert's expression." }, \
    { "promql-limit", "An alert's expression is too long, nested too deeply, or looks back too far." }, \
    { "promql-metric", "An alert's expression names a metric that the engine does not have." }, \
    { "promql-regex", "A regular expression of an alert is none that Prometheus reads." }, \
    { "promql-syntax", "An alert's expression is not complete, or has something where it cannot stand." }, \
    { "promql-type", "Values of these types do not go together in an alert's expression." }, \
    { "promql-units", "An alert's expression compares, adds or subtracts what is of unlike units: seconds and bytes." }, \
    { "publish-sink", "A sink has no output to publish." }, \
    { "queue-no-spill", "What may spill is limited, and no queue of the kernel spills." }, \
    { "queue-rounded", "A queue's capacity is a power of two, so another number is rounded up." }, \
    { "reload-fixed", "A reload changes a setting that only holds from the start of the engine." }, \
    { "reload-start", "A kernel that a reload adds or replaces cannot start." }, \
    { "reload-state", "A reload changes a kernel in a way that what it has kept does not fit." }, \
    { "reload-unsupported", "A reload changes something that cannot be changed while it runs yet." }, \
    { "replay-columns", "Stored dead letters have no such column as the kernel reads now, or of another type." }, \
    { "replicas-one", "A kernel is asked to have several replicas, and can have only one where it stands." }, \
    { "replicas-single", "A kernel is asked to have several replicas, and something else that the file says of it allows one only." }, \
    { "replicas-stateful", "A kernel that keeps state can have replicas only with `partition_by`." }, \
    { "reply-unasked", "No request can reach a `reply` kernel." }, \
    { "restart-impossible", "A new instance of this kernel could not go on where the one was that failed." }, \
    { "retry-error", "`errors` of `retry` names none, or one that the operator does not know." }, \
    { "route-default", "Port `default` takes what no condition took, so it has none itself." }, \
    { "route-empty", "`ports` names no port." }, \
    { "schema-unknown", "No schema has this name." }, \
    { "secret-file", "The file of a secret store is not a mapping of keys to texts." }, \
    { "secret-here", "A secret stands where others could see it: in the arguments or the environment of a command, a label, the name of a topic, an annotation." }, \
    { "secret-missing", "The secret store has no such key." }, \
    { "secret-path", "A store that reads the environment has been given a path." }, \
    { "secret-store", "There is no secret store of this name." }, \
    { "select-empty", "`select` names no column." }, \
    { "series-text", "A series of a test, or its values, are not in the notation of promtool." }, \
    { "set-path", "The left side of `--set` is no path of keys." }, \
    { "sort-empty", "There is nothing to sort by." }, \
    { "sort-type", "A column of this type has no order." }, \
    { "source-endless", "A source that never ends in a job that is to end." }, \
    { "source-field", "A source has no input, so this key means nothing there." }, \
    { "source-from", "A source reads no other kernel." }, \
    { "start-nothing", "A subscription asks for retained messages, and there can be none." }, \
    { "subscribe-covered", "A subscription gets nothing, because one before it in the same kernel takes all." }, \
    { "subscribe-twice", "A kernel has two subscriptions with the same pattern." }, \
    { "subscribe-unreached", "No kernel publishes what a subscription matches." }, \
    { "template-op", "A kernel with `use` gets its operator from the template." }, \
    { "template-unknown", "No template has this name." }, \
    { "template-use", "A template cannot use another template." }, \
    { "test-alert", "An alert is not in the state that a test expects." }, \
    { "test-at", "A test asks for a moment that it does not reach." }, \
    { "test-column", "A row or a list of a test names a column that is not there." }, \
    { "test-contains", "No row is like one that a test expects." }, \
    { "test-count", "There are more or fewer rows than a test expects; or its `count` is no number of rows." }, \
    { "test-equals", "Other rows came than a test expects." }, \
    { "test-input", "A test's rows, and where they go, do not go together." }, \
    { "test-kernel", "A test names a kernel that the pipeline does not have." }, \
    { "test-mock", "A mock has neither an operator nor rows, or both, or is of another kind than the kernel." }, \
    { "test-outside", "A source would read from outside in a test: it needs rows or a mock." }, \
    { "test-rows", "Rows of a test are not a list of mappings, or their file is not one of rows." }, \
    { "test-run", "The run of a test failed, or should have." }, \
    { "test-source", "Rows of a test go to a kernel that is no source, or that has others." }, \
    { "test-target", "What a test expects is of something that gives no rows." }, \
    { "test-twice", "Two tests of a file have the same name." }, \
    { "test-types", "The columns of a kernel are not known in a test." }, \
    { "test-value", "A value of a test's row is not of the type of its column." }, \
    { "test-where", "The condition of a test is not true for every row." }, \
    { "topic-dots", "A pattern has dots between its levels; the levels of a topic are split at `/`." }, \
    { "topic-empty", "A topic has no text." }, \
    { "topic-engine", "Only the engine publishes to topics that begin with `$`." }, \
    { "topic-foreign", "A wildcard of another system; here `*` is one level and `#`, last only, all below." }, \
    { "topic-hash", "`#` stands before other levels; it is possible only at the end." }, \
    { "topic-level-empty", "A level of a topic is empty: a `/` at the beginning, at the end, or two in a row." }, \
    { "topic-limit", "A topic is longer, or has more levels or more values in it, than a topic can have." }, \
    { "topic-part", "An entry of `topics` speaks about some of the topics that a template makes, and they share their settings." }, \
    { "topic-partial", "A wildcard is only a part of a level of a pattern; it can only be a whole one." }, \
    { "topic-schema", "What a kernel publishes does not fit the columns that the topic declares." }, \
    { "topic-template", "`${..}` in a topic that is published to is not written right." }, \
    { "topic-text", "A topic has characters that cannot be in one." }, \
    { "topic-tie", "Two entries of `topics` speak about a topic, and neither is more specific." }, \
    { "topic-unheard", "Nobody subscribes to what a kernel publishes." }, \
    { "topic-wildcard", "The name of a topic has a wildcard in it; a message goes to one topic." }, \
    { "type-array", "A fixed array is not possible here." }, \
    { "type-unknown", "There is no type of this name." }, \
    { "unite-types", "Inputs of one kernel have a column of the same name and of types that do not go together." }, \
    { "unused-output", "Nobody reads the output of a kernel, so its rows are dropped." }, \
    { "var-cycle", "A variable is part of its own value." }, \
    { "var-default", "A required variable has a default, which is never used." }, \
    { "var-enum", "A variable does not have one of the values that it can have." }, \
    { "var-missing", "A required variable has no value; give it with `--var` or `RKPIPE_VAR_NAME`." }, \
    { "var-none", "A variable is used and has no value." }, \
    { "var-type", "A variable's value is not of its type." }, \
    { "var-unknown", "No variable has this name." }, \
    { "version", "The file is of a version that this rkpipe does not read." }, \
    { "yaml-alias", "An alias has no anchor above it." }, \
    { "yaml-cycle", "An alias stands inside the value that it names." }, \
    { "yaml-documents", "A file with several YAML documents; a pipeline is one." }, \
    { "yaml-empty", "The file is empty." }, \
    { "yaml-encoding", "The file is not UTF-8." }, \
    { "yaml-key", "A key that cannot be one: empty, or not a plain text." }, \
    { "yaml-merge", "`<<` takes a mapping, or a list of mappings." }, \
    { "yaml-syntax", "The text is not YAML." }, \
    { "yaml-tag", "A YAML tag that is not allowed here." },

// clang-format on

#endif
