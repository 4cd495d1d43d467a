// schema.c - the JSON Schema of a pipeline file (draft 07, which editors read), from the rows that check it.
// What `op` says decides what `with` may hold, so each operator is one if/then of the kernel's schema.
#include "spec/load.h"

#define ID "^[A-Za-z_][A-Za-z0-9_-]{0,62}$"

static void z(rki_json *j, const char *key, const char *text)
{
    rki_json_put_z(j, key, text);
}

static void raw(rki_json *j, const char *key, const char *json)
{
    rki_json_key(j, key);
    rki_json_raw(j, rkp_str_of(json));
}

static void open(rki_json *j, const char *key)
{
    rki_json_key(j, key);
    rki_json_object(j);
}

// {"type": "object", "propertyNames": an id (of `topics`: any pattern), "additionalProperties": ...  left open
static void open_ids(rki_json *j, const rkp_opt *row)
{
    open(j, row->name);
    z(j, "description", row->help);
    z(j, "type", "object");
    if (strcmp(row->name, "topics") != 0)
        raw(j, "propertyNames", "{\"pattern\":\"" ID "\"}");
    raw(j, "minProperties", strcmp(row->name, "kernels") == 0 ? "1" : "0");
    rki_json_key(j, "additionalProperties");
}

static void settings(rki_json *j)
{
    rki_json_object(j);
    rki_json_key(j, "anyOf");
    rki_json_array(j);
    rki_json_raw(j, RKP_STR("{\"type\":[\"string\",\"number\",\"boolean\",\"array\"]}"));
    rki_json_object(j);
    rki_json_key(j, "allOf");
    rki_json_array(j);
    rki_opts_schema(rki_setting_rows, j);
    rki_json_raw(j, RKP_STR("{\"properties\":{\"enum\":{\"type\":\"array\"}}}"));
    rki_json_end_array(j);
    rki_json_end_object(j);
    rki_json_end_array(j);
    rki_json_end_object(j);
}

static void secrets(rki_json *j)
{
    rki_json_object(j);
    rki_json_key(j, "allOf");
    rki_json_array(j);
    rki_opts_schema(rki_secret_rows, j);
    rki_json_raw(j, RKP_STR("{\"if\":{\"properties\":{\"type\":{\"enum\":[\"file\",\"dir\"]}},\"required\":[\"type\"]},"
                            "\"then\":{\"required\":[\"path\"]}}"));
    rki_json_raw(j, RKP_STR("{\"if\":{\"properties\":{\"type\":{\"const\":\"env\"}},\"required\":[\"type\"]},"
                            "\"then\":{\"properties\":{\"path\":false}}}"));
    rki_json_end_array(j);
    rki_json_end_object(j);
}

static void schemas(rki_json *j)
{
    static const rkp_opt columns = { .name = "columns", .type = &rkp_type_map, .help = "columns and their types" };

    rki_json_object(j);
    rki_json_key(j, "anyOf");
    rki_json_array(j);
    rki_opt_schema(&columns, j);
    rki_json_raw(j, RKP_STR("{\"type\":\"object\",\"properties\":{\"file\":{\"type\":\"string\"}},\"required\":["
                            "\"file\"],\"additionalProperties\":false}"));
    rki_json_end_array(j);
    rki_json_end_object(j);
}

static void templates(rki_json *j)
{
    rki_json_object(j);
    z(j, "type", "object");
    raw(j, "additionalProperties", "false");
    raw(j, "required", "[\"kernel\"]");
    open(j, "properties");
    open(j, "params");
    z(j, "type", "object");
    raw(j, "propertyNames", "{\"pattern\":\"" ID "\"}");
    rki_json_key(j, "additionalProperties");
    settings(j);
    rki_json_end_object(j);
    raw(j, "kernel", "{\"$ref\":\"#/definitions/kernel\"}");
    rki_json_end_object(j);
    rki_json_end_object(j);
}

static void kernels(rki_json *j)
{
    rki_json_raw(j, RKP_STR("{\"$ref\":\"#/definitions/kernel\"}"));
}

static void topics(rki_json *j)
{
    rki_opts_schema(rki_topic_rows, j);
}

// Keys whose values the rows do not describe.
static const struct {
    const char *key;
    void (*each)(rki_json *); // schema of one entry, by id; NULL: `json`
    const char *json;
} special[] = {
    { "vars", settings, NULL },
    { "secrets", secrets, NULL },
    { "schemas", schemas, NULL },
    { "topics", topics, NULL },
    { "templates", templates, NULL },
    { "kernels", kernels, NULL },
    { "include", NULL, "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"items\":{\"type\":\"string\"}}]}" },
    { 0 },
};

// A mapping with at least one key.
static void not_empty(const rkp_opt *row, rki_json *j)
{
    open(j, row->name);
    z(j, "description", row->help);
    raw(j, "minProperties", "1");
    row->type->schema(row, j);
    rki_json_end_object(j);
}

static void tests(const rkp_opt *row, rki_json *j)
{
    open(j, row->name);
    z(j, "description", row->help);
    z(j, "type", "array");
    rki_json_key(j, "items");
    rki_opts_schema(rki_test_rows, j);
    rki_json_end_object(j);
}

static void top_row(const rkp_opt *row, rki_json *j)
{
    size_t i = 0;

    while (special[i].key && strcmp(special[i].key, row->name) != 0)
        i++;
    if (strcmp(row->name, "dead_letter") == 0) {
        not_empty(row, j);
    } else if (strcmp(row->name, "tests") == 0) {
        tests(row, j);
    } else if (strcmp(row->name, "name") == 0) {
        open(j, row->name);
        z(j, "description", row->help);
        raw(j, "type", "[\"string\",\"number\",\"boolean\"]");
        z(j, "pattern", "^([A-Za-z0-9_-][A-Za-z0-9_.-]{0,62})?$|\\$\\{");
        rki_json_end_object(j);
    } else if (strcmp(row->name, "defaults") == 0) {
        rki_json_key(j, row->name);
        rki_opts_schema(rki_defaults_rows, j);
    } else if (!special[i].key) {
        rki_json_key(j, row->name);
        rki_opt_schema(row, j);
    } else if (special[i].each) {
        open_ids(j, row);
        special[i].each(j);
        rki_json_end_object(j);
    } else {
        raw(j, row->name, special[i].json);
    }
}

static bool needs_options(const rkp_op *op)
{
    for (const rkp_opt *o = op->opts; o && o->name; o++)
        if (o->required && !o->not_yet)
            return true;
    return false;
}

// The options.  The keys of an option `ports` name outputs.
static void with(const rkp_op *op, rki_json *j)
{
    if (!op->ports || !rki_opts_find(op->opts, RKP_STR("ports"))) {
        rki_opts_schema(op->opts, j);
        return;
    }
    rki_json_object(j);
    rki_json_key(j, "allOf");
    rki_json_array(j);
    rki_opts_schema(op->opts, j);
    rki_json_raw(j, RKP_STR("{\"properties\":{\"ports\":{\"propertyNames\":{\"pattern\":\"" ID "\"}}}}"));
    rki_json_end_array(j);
    rki_json_end_object(j);
}

static void one_op(const rkp_op *op, rki_json *j)
{
    rki_json_object(j);
    open(j, "if");
    open(j, "properties");
    open(j, "op");
    z(j, "const", op->name);
    rki_json_end_object(j);
    rki_json_end_object(j);
    raw(j, "required", "[\"op\"]");
    rki_json_end_object(j);
    open(j, "then");
    if (needs_options(op))
        raw(j, "required", "[\"with\"]");
    open(j, "properties");
    rki_json_key(j, "with");
    with(op, j);
    if (op->kind == RKP_SOURCE) {
        raw(j, "from", "false");
        raw(j, "queue", "false");
        raw(j, "batch", "false");
        raw(j, "partition_by", "false");
        raw(j, "order", "false");
    }
    rki_json_end_object(j);
    rki_json_end_object(j);
    rki_json_end_object(j);
}

static void op_names(const rkp_op *const *ops, rki_json *j)
{
    open(j, "op");
    z(j, "description", "the operator it runs");
    rki_json_key(j, "anyOf");
    rki_json_array(j);
    rki_json_object(j);
    rki_json_key(j, "enum");
    rki_json_array(j);
    for (; *ops; ops++)
        if (!((*ops)->traits & RKP_NOT_YET))
            rki_json_z(j, (*ops)->name);
    rki_json_end_array(j);
    rki_json_end_object(j);
    rki_json_raw(j, RKP_STR("{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\"}"));
    rki_json_end_array(j);
    rki_json_end_object(j);
}

static void kernel(const rkp_op *const *ops, rki_json *j)
{
    open(j, "kernel");
    z(j, "type", "object");
    raw(j, "additionalProperties", "false");
    raw(j, "oneOf", "[{\"required\":[\"op\"]},{\"required\":[\"use\"]}]");
    open(j, "properties");
    op_names(ops, j);
    raw(j, "with", "{\"type\":\"object\",\"description\":\"the operator's options\"}");
    raw(j, "use", "{\"type\":\"string\",\"description\":\"a template\"}");
    raw(j, "args", "{\"type\":\"object\",\"description\":\"the template's parameters\"}");
    for (const rkp_opt *r = rki_kernel_rows; r->name; r++) {
        if (strcmp(r->name, "op") == 0 || strcmp(r->name, "with") == 0)
            continue;
        if (strcmp(r->name, "batch") == 0) {
            not_empty(r, j);
            continue;
        }
        rki_json_key(j, r->name);
        rki_opt_schema(r, j);
    }
    rki_json_end_object(j);
    rki_json_key(j, "allOf");
    rki_json_array(j);
    for (; *ops; ops++)
        if (!((*ops)->traits & RKP_NOT_YET))
            one_op(*ops, j);
    rki_json_end_array(j);
    rki_json_end_object(j);
}

void rki_spec_schema(const rkp_op *const *ops, rki_buf *out)
{
    rki_json json, *j = &json;

    rki_json_init(j, out, 1);
    rki_json_object(j);
    z(j, "$schema", "http://json-schema.org/draft-07/schema#");
    z(j, "title", "rkpipe pipeline");
    z(j, "type", "object");
    raw(j, "additionalProperties", "false");
    raw(j, "patternProperties", "{\"^x-\":{}}");
    raw(j, "required", "[\"version\"]");
    raw(j, "anyOf", "[{\"required\":[\"kernels\"]},{\"required\":[\"include\"]}]");
    open(j, "properties");
    for (const rkp_opt *r = rki_top_rows; r->name; r++)
        top_row(r, j);
    rki_json_end_object(j);
    open(j, "definitions");
    kernel(ops, j);
    rki_json_key(j, "route");
    rki_opts_schema(rki_route_rows, j);
    rki_json_end_object(j);
    rki_json_end_object(j);
    rki_putc(out, '\n');
}
