// opt_types.c - the types of options: each an object with parse, print and schema.
#include "spec/opt.h"
#include "spec/spec.h"
#include "spec/value.h"

#include <stdio.h>
#include <stdlib.h>

#define SCALARS   "{\"type\":[\"string\",\"number\",\"boolean\"]}"
#define EXPR      "{\"type\":[\"string\",\"number\",\"boolean\"],\"not\":{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\"}}"
#define TYPE_NAME "(string|bytes|bool|timestamp|json|[iu](8|16|32|64)|f32|f64)(\\\\[[0-9]+\\\\])?\\\\??"

static void print_word(const rkp_opt *row, const void *field, struct rki_json *out)
{
    const rkp_word *w = field;

    (void)row;
    if (w->p)
        rki_json_str(out, rkp_word_str(*w));
    else
        rki_json_null(out);
}

// The members of a constant schema object, given as its text.
static void members(rki_json *j, const char *key, const char *json)
{
    rki_json_key(j, key);
    rki_json_raw(j, rkp_str_of(json));
}

// ---- texts

static rkp_status parse_string(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    if (!rki_opt_scalar(c, row, n, "a text"))
        return RKP_INVALID;
    *(rkp_word *)field = rki_node_word(n);
    return RKP_OK;
}

static void schema_string(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    members(out, "type", "[\"string\",\"number\",\"boolean\"]");
}

const rkp_opt_type rkp_string = { "string", sizeof(rkp_word), parse_string, print_word, schema_string };

static rkp_status parse_path(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    if (!rki_opt_scalar(c, row, n, "a path"))
        return RKP_INVALID;
    if (n->text.n == 0)
        return rki_opt_refuse(c, row, n, "a path", NULL);
    if (n->text.n >= 4096) {
        rkp_diag(c->diags, RKP_ERROR, n->at, "opt-range", "'%s' is longer than a path can be", row->name);
        return RKP_INVALID;
    }
    *(rkp_word *)field = rki_node_word(n);
    return RKP_OK;
}

static void schema_path(const rkp_opt *row, struct rki_json *out)
{
    schema_string(row, out);
    members(out, "minLength", "1");
}

const rkp_opt_type rkp_path = { "path", sizeof(rkp_word), parse_path, print_word, schema_path };

static rkp_status parse_char(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    char v = 0;

    if (!rki_opt_scalar(c, row, n, "one character"))
        return RKP_INVALID;
    if (n->text.n == 1)
        v = n->text.p[0];
    else if (rkp_str_is(n->text, "\\t") || rkp_str_is(n->text, "tab"))
        v = '\t';
    if (n->text.n > 1 && !v)
        return rki_opt_refuse(c, row, n, "one ASCII character", NULL);
    if (v == 0 || (v < 0x20 && v != '\t') || v == 0x7f)
        return rki_opt_refuse(c, row, n, "one ASCII character", NULL);
    *(char *)field = v;
    return RKP_OK;
}

static void print_char(const rkp_opt *row, const void *field, struct rki_json *out)
{
    (void)row;
    rki_json_str(out, (rkp_str){ field, *(const char *)field ? 1u : 0u });
}

static void schema_char(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    members(out, "anyOf",
            "[{\"type\":\"string\",\"pattern\":\"^([\\\\t -~]|\\\\\\\\t|tab)$\"},{\"type\":\"integer\",\"minimum\":0,"
            "\"maximum\":9},{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\"}]");
}

const rkp_opt_type rkp_char = { "character", sizeof(char), parse_char, print_char, schema_char };

// ---- numbers

// A number, or true and false, is written without quotes.
static bool bare(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, const char *want)
{
    if (n->plain || n->filled)
        return true;
    rkp_diag(c->diags, RKP_ERROR, n->at, "opt-type", "'%s' needs %s, not the text %s", row->name, want,
             rki_node_shown(c->arena, n));
    rkp_diag_hint(c->diags, "remove the quotes");
    return false;
}

// What parsers say when the text was not taken.  The bounds are those of the row, when it has some.
static rkp_status not_taken(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, rki_verdict v, const char *want,
                            const char *hint)
{
    if (v == RKI_VALUE_FORM)
        return rki_opt_refuse(c, row, n, want, hint);
    rkp_diag(c->diags, RKP_ERROR, n->at, "opt-range", "%s is out of range for '%s'", rki_node_shown(c->arena, n),
             row->name);
    if (hint)
        rkp_diag_hint(c->diags, "%s", hint);
    return RKP_INVALID;
}

static const char *of_unit(const rkp_opt *row)
{
    return row->unit ? row->unit : "";
}

static rkp_status in_bounds(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, double v)
{
    const char *gap = row->unit ? " " : "";

    if (!row->bounded || (v >= row->min && v <= row->max))
        return RKP_OK;
    if (v < row->min)
        rkp_diag(c->diags, RKP_ERROR, n->at, "opt-range", "'%s' must be at least %.15g%s%s, not %s", row->name,
                 row->min, gap, of_unit(row), rki_node_shown(c->arena, n));
    else
        rkp_diag(c->diags, RKP_ERROR, n->at, "opt-range", "'%s' must be at most %.15g%s%s, not %s", row->name, row->max,
                 gap, of_unit(row), rki_node_shown(c->arena, n));
    return RKP_INVALID;
}

static rkp_status parse_uint(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    const char *hint;
    uint64_t x = 0;
    rki_verdict v;

    if (!rki_opt_scalar(c, row, n, "a whole number"))
        return RKP_INVALID;
    v = rki_value_uint(n->text, &x, &hint);
    if (v != RKI_VALUE_OK)
        return not_taken(c, row, n, v, "a whole number", hint);
    if (!bare(c, row, n, "a whole number"))
        return RKP_INVALID;
    if (in_bounds(c, row, n, (double)x) != RKP_OK)
        return RKP_INVALID;
    *(uint64_t *)field = x;
    return RKP_OK;
}

static rkp_status parse_int(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    const char *hint;
    int64_t x = 0;
    rki_verdict v;

    if (!rki_opt_scalar(c, row, n, "a whole number"))
        return RKP_INVALID;
    v = rki_value_int(n->text, &x, &hint);
    if (v != RKI_VALUE_OK)
        return not_taken(c, row, n, v, "a whole number", hint);
    if (!bare(c, row, n, "a whole number"))
        return RKP_INVALID;
    if (in_bounds(c, row, n, (double)x) != RKP_OK)
        return RKP_INVALID;
    *(int64_t *)field = x;
    return RKP_OK;
}

static rkp_status parse_float(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    const char *hint;
    double x = 0;
    rki_verdict v;

    if (!rki_opt_scalar(c, row, n, "a number"))
        return RKP_INVALID;
    v = rki_value_float(n->text, &x, &hint);
    if (v != RKI_VALUE_OK)
        return not_taken(c, row, n, v, "a number", hint);
    if (!bare(c, row, n, "a number"))
        return RKP_INVALID;
    if (in_bounds(c, row, n, x) != RKP_OK)
        return RKP_INVALID;
    *(double *)field = x;
    return RKP_OK;
}

static rkp_status parse_bool(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    static const char *const names[] = { "true", "false", NULL }, want[] = "true or false";
    const char *hint, *near = NULL;
    char did[32];
    bool b = false;
    rki_verdict v;

    if (!rki_opt_scalar(c, row, n, want))
        return RKP_INVALID;
    v = rki_value_bool(n->text, &b, &hint);
    if (v != RKI_VALUE_OK && !hint)
        near = rki_opt_nearest(c->diags, n->text, names);
    if (near)
        snprintf(did, sizeof did, "did you mean '%s'?", near);
    if (v != RKI_VALUE_OK)
        return not_taken(c, row, n, v, want, near ? did : hint);
    if (!bare(c, row, n, want))
        return RKP_INVALID;
    *(bool *)field = b;
    return RKP_OK;
}

static void print_uint(const rkp_opt *row, const void *field, struct rki_json *out)
{
    (void)row;
    rki_json_u64(out, *(const uint64_t *)field);
}

static void print_int(const rkp_opt *row, const void *field, struct rki_json *out)
{
    (void)row;
    rki_json_i64(out, *(const int64_t *)field);
}

static void print_float(const rkp_opt *row, const void *field, struct rki_json *out)
{
    (void)row;
    rki_json_f64(out, *(const double *)field);
}

static void print_bool(const rkp_opt *row, const void *field, struct rki_json *out)
{
    (void)row;
    rki_json_bool(out, *(const bool *)field);
}

// A bound as a number that reads back the same.
static void bound_text(char to[40], double v)
{
    snprintf(to, 40, "%.15g", v);
    if (strtod(to, NULL) != v)
        snprintf(to, 40, "%.17g", v);
}

// {"type":"integer","minimum":..,"maximum":..}; without bounds of the row those of the type, which may be NULL
static void numeric(const rkp_opt *row, struct rki_json *out, const char *type, const char *least, const char *most)
{
    char text[160], min[40], max[40];

    if (row->bounded) {
        bound_text(min, row->min);
        bound_text(max, row->max);
        least = min;
        most = max;
    }
    snprintf(text, sizeof text, "{\"type\":\"%s\"%s%s%s%s}", type, least ? ",\"minimum\":" : "", least ? least : "",
             most ? ",\"maximum\":" : "", most ? most : "");
    rki_schema_or_var(out, text);
}

static void schema_uint(const rkp_opt *row, struct rki_json *out)
{
    numeric(row, out, "integer", "0", "18446744073709551615");
}

static void schema_int(const rkp_opt *row, struct rki_json *out)
{
    numeric(row, out, "integer", "-9223372036854775808", "9223372036854775807");
}

static void schema_float(const rkp_opt *row, struct rki_json *out)
{
    numeric(row, out, "number", NULL, NULL);
}

static void schema_bool(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    rki_schema_or_var(out, "{\"type\":\"boolean\"}");
}

const rkp_opt_type rkp_uint = { "whole number", sizeof(uint64_t), parse_uint, print_uint, schema_uint };
const rkp_opt_type rkp_int = { "integer", sizeof(int64_t), parse_int, print_int, schema_int };
const rkp_opt_type rkp_float = { "number", sizeof(double), parse_float, print_float, schema_float };
const rkp_opt_type rkp_bool = { "true or false", sizeof(bool), parse_bool, print_bool, schema_bool };

// ---- numbers with a unit: quoted or not

static rkp_status parse_ratio(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    static const char want[] = "a share such as 0.05 or 5%";
    const char *hint;
    double x = 0;
    rki_verdict v;

    if (!rki_opt_scalar(c, row, n, want))
        return RKP_INVALID;
    v = rki_value_ratio(n->text, &x, &hint);
    if (v != RKI_VALUE_OK)
        return not_taken(c, row, n, v, want, hint);
    if (in_bounds(c, row, n, x) != RKP_OK)
        return RKP_INVALID;
    *(double *)field = x;
    return RKP_OK;
}

static rkp_status parse_rate(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    static const char want[] = "a rate such as 200/s or 5k/s";
    const char *hint;
    double x = 0;
    rki_verdict v;

    if (!rki_opt_scalar(c, row, n, want))
        return RKP_INVALID;
    v = rki_value_rate(n->text, &x, &hint);
    if (v != RKI_VALUE_OK)
        return not_taken(c, row, n, v, want, hint);
    if (in_bounds(c, row, n, x) != RKP_OK)
        return RKP_INVALID;
    *(double *)field = x;
    return RKP_OK;
}

static void duration_text(char to[40], uint64_t v)
{
    static const struct {
        const char *name;
        uint64_t scale;
    } units[] = { { "d", 86400000000000 }, { "h", 3600000000000 }, { "m", 60000000000 },
                  { "s", 1000000000 },     { "ms", 1000000 },      { "us", 1000 } };

    snprintf(to, 40, "0");
    for (size_t i = 0; v && i < sizeof units / sizeof *units; i++)
        if (v % units[i].scale == 0 || i == 5) {
            snprintf(to, 40, "%llu%s", (unsigned long long)(v / units[i].scale), units[i].name);
            return;
        }
}

// Returns false when the text is a plain number of bytes.
static bool size_text(char to[40], uint64_t v)
{
    static const char *const names[] = { "", "KiB", "MiB", "GiB", "TiB" };
    size_t i = 0;

    for (; v && v % 1024 == 0 && i < 4; i++)
        v /= 1024;
    snprintf(to, 40, "%llu%s", (unsigned long long)v, names[i]);
    return i > 0;
}

void rki_opt_bound(const rkp_opt *row, double v, char to[40])
{
    if (row->type == &rkp_duration)
        duration_text(to, (uint64_t)v);
    else if (row->type == &rkp_size)
        size_text(to, (uint64_t)v);
    else
        snprintf(to, 40, "%.15g", v);
}

// Bounds are in the unit of the field: nanoseconds, bytes.
static rkp_status scaled_bounds(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, uint64_t v)
{
    bool low = (double)v < row->min;
    char bound[40];

    if (!row->bounded || (!low && (double)v <= row->max))
        return RKP_OK;
    rki_opt_bound(row, low ? row->min : row->max, bound);
    rkp_diag(c->diags, RKP_ERROR, n->at, "opt-range", "'%s' must be at %s %s, not %s", row->name,
             low ? "least" : "most", bound, rki_node_shown(c->arena, n));
    return RKP_INVALID;
}

static rkp_status parse_duration(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    static const char want[] = "a duration such as 500ms or 5s";
    const char *hint;
    uint64_t x = 0;
    rki_verdict v;

    if (!rki_opt_scalar(c, row, n, want))
        return RKP_INVALID;
    v = rki_value_duration(n->text, &x, &hint);
    if (v != RKI_VALUE_OK)
        return not_taken(c, row, n, v, want, hint);
    if (scaled_bounds(c, row, n, x) != RKP_OK)
        return RKP_INVALID;
    *(uint64_t *)field = x;
    return RKP_OK;
}

static rkp_status parse_size(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    static const char want[] = "a size such as 64KiB or 10MB";
    const char *hint;
    uint64_t x = 0;
    rki_verdict v;

    if (!rki_opt_scalar(c, row, n, want))
        return RKP_INVALID;
    v = rki_value_size(n->text, &x, &hint);
    if (v != RKI_VALUE_OK)
        return not_taken(c, row, n, v, want, hint);
    if (scaled_bounds(c, row, n, x) != RKP_OK)
        return RKP_INVALID;
    *(uint64_t *)field = x;
    return RKP_OK;
}

static void print_duration(const rkp_opt *row, const void *field, struct rki_json *out)
{
    char text[40];

    (void)row;
    duration_text(text, *(const uint64_t *)field);
    rki_json_z(out, text);
}

static void print_size(const rkp_opt *row, const void *field, struct rki_json *out)
{
    uint64_t v = *(const uint64_t *)field;
    char text[40];

    (void)row;
    if (size_text(text, v))
        rki_json_z(out, text);
    else
        rki_json_u64(out, v);
}

// What follows, as patterns of texts: JSON, so each backslash is written four times.
#define SIGN    "(\\\\+|-(?![0-9.]*[1-9]))?" // '-' before a zero only
#define DECIMAL "([0-9]+\\\\.?[0-9]*|\\\\.[0-9]+)"
#define POWER   "[eE][-+]?[0-9]+"

// anyOf: a number of that type within the bounds, a text of that pattern, or one that holds ${..}.  No number when it
// has no type; a text without a digit but 0 is none when the least is above 0.
static void or_text(const rkp_opt *row, struct rki_json *out, const char *type, double max, const char *pattern)
{
    double least = row->bounded && row->min > 0 ? row->min : 0, most = row->bounded ? row->max : max;
    char text[512], lo[40], hi[40], cap[60] = "";

    bound_text(lo, least);
    bound_text(hi, most);
    if (most > 0)
        snprintf(cap, sizeof cap, ",\"maximum\":%s", hi);
    rki_json_key(out, "anyOf");
    rki_json_array(out);
    if (type) {
        snprintf(text, sizeof text, "{\"type\":\"%s\",\"minimum\":%s%s}", type, lo, cap);
        rki_json_raw(out, rkp_str_of(text));
    } else if (least == 0) {
        rki_json_raw(out, RKP_STR("{\"const\":0}"));
    }
    snprintf(text, sizeof text, "{\"type\":\"string\",\"pattern\":\"%s^%s$|\\\\$\\\\{\"}",
             least > 0 ? "^(?=[^1-9]*[1-9])" : "", pattern);
    rki_json_raw(out, rkp_str_of(text));
    rki_json_end_array(out);
}

static void schema_ratio(const rkp_opt *row, struct rki_json *out)
{
    or_text(
        row, out, "number", 1,
        SIGN
        "(0*(100(\\\\.0*)?|[0-9]{1,2}(\\\\.[0-9]*)?|\\\\.[0-9]+) *%|0*1(\\\\.0*)?|0+(\\\\.[0-9]*)?|\\\\.[0-9]+|" DECIMAL
            POWER "( *%)?)");
}

static void schema_rate(const rkp_opt *row, struct rki_json *out)
{
    or_text(row, out, "number", 0, SIGN DECIMAL "(" POWER ")?[kMG]?(/[smhd])?");
}

// Units from the largest to the smallest, or one with a fraction.
static void schema_duration(const rkp_opt *row, struct rki_json *out)
{
    or_text(row, out, NULL, 0,
            "(0|[0-9]+\\\\.[0-9]+(us|ms|s|m|h|d)|(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?([0-9]+us)?)");
}

static void schema_size(const rkp_opt *row, struct rki_json *out)
{
    or_text(row, out, "integer", 9223372036854775807.0, "([0-9]+B?|[0-9]+(\\\\.[0-9]+)?(kB|[KMGT]i?B))");
}

const rkp_opt_type rkp_ratio = { "share", sizeof(double), parse_ratio, print_float, schema_ratio };
const rkp_opt_type rkp_rate = { "rate", sizeof(double), parse_rate, print_float, schema_rate };
const rkp_opt_type rkp_duration = { "duration", sizeof(uint64_t), parse_duration, print_duration, schema_duration };
const rkp_opt_type rkp_size = { "size", sizeof(uint64_t), parse_size, print_size, schema_size };

// ---- choice

static rkp_status parse_choice(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    const char *names[64 + 1], *near;
    char list[400];
    size_t count = 0, at = 0;
    bool is_null = false;

    for (const rkp_choice *o = row->choices; o->name && count < 64; o++)
        names[count++] = o->name;
    names[count] = NULL;
    for (size_t i = 0; i < count && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s",
                               i == 0           ? ""
                               : i + 1 == count ? " or "
                                                : ", ",
                               names[i]);
    for (const rkp_choice *o = row->choices; o->name; o++) // `on_missing: null` is the choice of that name
        is_null |= strcmp(o->name, "null") == 0 && n->kind == RKI_SCALAR && !n->bad && rkp_str_is(n->text, "null");
    if (!is_null && !rki_opt_scalar(c, row, n, list))
        return RKP_INVALID;
    for (const rkp_choice *o = row->choices; o->name; o++) {
        if (!rkp_str_is(n->text, o->name))
            continue;
        if (o->value == RKI_NOT_YET) {
            rkp_diag(c->diags, RKP_ERROR, n->at, "not-supported", "'%s: %s' is not supported yet", row->name, o->name);
            return RKP_INVALID;
        }
        *(int *)field = o->value;
        return RKP_OK;
    }
    rkp_diag(c->diags, RKP_ERROR, n->at, "opt-choice", "'%s' is %s, not %s", row->name, list,
             rki_node_shown(c->arena, n));
    near = rki_opt_nearest(c->diags, n->text, names);
    if (near)
        rkp_diag_hint(c->diags, "did you mean '%s'?", near);
    return RKP_INVALID;
}

static void print_choice(const rkp_opt *row, const void *field, struct rki_json *out)
{
    for (const rkp_choice *o = row->choices; o->name; o++)
        if (o->value == *(const int *)field) {
            rki_json_z(out, o->name);
            return;
        }
    rki_json_null(out);
}

static void schema_choice(const rkp_opt *row, struct rki_json *out)
{
    rki_json_key(out, "anyOf");
    rki_json_array(out);
    rki_json_object(out);
    rki_json_key(out, "enum");
    rki_json_array(out);
    for (const rkp_choice *o = row->choices; o->name; o++)
        if (o->value != RKI_NOT_YET)
            rki_json_z(out, o->name);
    for (const rkp_choice *o = row->choices; o->name; o++)
        if (strcmp(o->name, "null") == 0)
            rki_json_null(out);
    rki_json_end_array(out);
    rki_json_end_object(out);
    rki_json_raw(out, RKP_STR("{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\"}"));
    rki_json_end_array(out);
}

const rkp_opt_type rkp_choice_type = { "choice", sizeof(int), parse_choice, print_choice, schema_choice };

// ---- expressions

// The text without the blanks and line ends around it (a block scalar ends with one).
static rkp_status expr_word(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, rkp_word *out)
{
    rkp_str t = n->text;
    size_t lead = 0;

    if (!rki_opt_scalar(c, row, n, "an expression"))
        return RKP_INVALID;
    while (t.n && strchr(" \t\r\n", t.p[t.n - 1]))
        t.n--;
    while (lead < t.n && strchr(" \t\r\n", t.p[lead]))
        lead++;
    if (t.n == lead)
        return rki_opt_refuse(c, row, n, "an expression", NULL);
    *out = rki_node_word(n);
    if (t.n != n->text.n || lead) {
        out->at = rki_node_part(n, lead, t.n - lead);
        out->n = t.n - lead;
        out->p = rki_dup(c->arena, t.p + lead, out->n);
        if (!out->p)
            return RKP_NOMEM;
    }
    return RKP_OK;
}

static rkp_status parse_expr(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    return expr_word(c, row, n, field);
}

static void schema_expr(const rkp_opt *row, struct rki_json *out)
{
    schema_string(row, out);
    members(out, "not", "{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\"}");
}

const rkp_opt_type rkp_expr_text = { "expression", sizeof(rkp_word), parse_expr, print_word, schema_expr };

// ---- maps

// Walks a mapping into pairs; `each` sets the value.
static rkp_status parse_pairs(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, rkp_pairs *out, const char *want,
                              rkp_status (*each)(rkp_opt_ctx *, const rkp_opt *, const rkp_node *, rkp_word *))
{
    rkp_status st = RKP_OK;
    rkp_pair *v;
    size_t i = 0;

    if (n->kind == RKI_SCALAR && rki_node_is_null(n))
        return rki_opt_scalar(c, row, n, want) ? RKP_OK : RKP_INVALID;
    if (n->kind != RKI_MAP)
        return rki_opt_refuse(c, row, n, want, NULL);
    v = rki_array(c->arena, n->n, sizeof *v);
    if (!v)
        return RKP_NOMEM;
    for (const rkp_node *k = n->child; k; k = k->next) {
        rkp_opt named = *row;

        named.name = k->key.p; // findings name the entry
        v[i].key = k->key;
        if (each(c, &named, k, &v[i++].val) != RKP_OK)
            st = RKP_INVALID;
    }
    if (st == RKP_OK)
        *out = (rkp_pairs){ v, i, n->at };
    return st;
}

static void print_pairs(const rkp_opt *row, const void *field, struct rki_json *out)
{
    const rkp_pairs *p = field;

    (void)row;
    rki_json_object(out);
    for (size_t i = 0; i < p->n; i++) {
        rki_json_key_str(out, rkp_word_str(p->v[i].key));
        rki_json_str(out, rkp_word_str(p->v[i].val));
    }
    rki_json_end_object(out);
}

static rkp_status parse_expr_map(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    return parse_pairs(c, row, n, field, "a mapping of names to expressions", expr_word);
}

static void schema_expr_map(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    members(out, "type", "\"object\"");
    members(out, "propertyNames", "{\"not\":{\"pattern\":\"\\\\$\\\\{\"}}");
    members(out, "additionalProperties", EXPR);
}

const rkp_opt_type rkp_expr_map = { "expressions by name", sizeof(rkp_pairs), parse_expr_map, print_pairs,
                                    schema_expr_map };

static rkp_status string_word(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, rkp_word *out)
{
    return parse_string(c, row, n, out);
}

static rkp_status parse_word_map(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    return parse_pairs(c, row, n, field, "a mapping of names to texts", string_word);
}

static void schema_word_map(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    members(out, "type", "\"object\"");
    members(out, "propertyNames", "{\"not\":{\"pattern\":\"\\\\$\\\\{\"}}");
    members(out, "additionalProperties", SCALARS);
}

const rkp_opt_type rkp_word_map = { "texts by name", sizeof(rkp_pairs), parse_word_map, print_pairs, schema_word_map };

static rkp_status type_of(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, rkp_type *out)
{
    static const char *const names[] = { "string", "bytes", "bool", "timestamp", "json", "i8",  "i16", "i32",
                                         "i64",    "u8",    "u16",  "u32",       "u64",  "f32", "f64", NULL };
    static const rki_foreign words[] = {
        { "int", "write i64" },
        { "integer", "write i64" },
        { "long", "write i64" },
        { "bigint", "write i64" },
        { "int64", "write i64" },
        { "int32", "write i32" },
        { "uint64", "write u64" },
        { "uint32", "write u32" },
        { "float", "write f64" },
        { "double", "write f64" },
        { "float64", "write f64" },
        { "float32", "write f32" },
        { "number", "write f64" },
        { "real", "write f64" },
        { "decimal", "write f64" },
        { "text", "write string" },
        { "str", "write string" },
        { "varchar", "write string" },
        { "utf8", "write string" },
        { "boolean", "write bool" },
        { "datetime", "write timestamp" },
        { "date", "write timestamp" },
        { "time", "write timestamp" },
        { "binary", "write bytes" },
        { "blob", "write bytes" },
        { "object", "write json" },
        { "any", "write json" },
        { "struct", "write json" },
        { 0 },
    };
    const char *near;
    rkp_str stem;

    if (!rki_opt_scalar(c, row, n, "a column type"))
        return RKP_INVALID;
    if (rkp_type_parse(n->text, out))
        return RKP_OK;
    rkp_diag(c->diags, RKP_ERROR, n->at, "type-unknown", "column '%s' has no type %s", row->name,
             rki_node_shown(c->arena, n));
    for (stem = n->text; stem.n && strchr("?]", stem.p[stem.n - 1]); stem.n--)
        ;
    for (const rki_foreign *w = words; w->word; w++)
        if (rkp_str_is(stem, w->word)) {
            rkp_diag_hint(c->diags, "%s", w->hint);
            return RKP_INVALID;
        }
    near = rki_opt_nearest(c->diags, n->text, names);
    if (near)
        rkp_diag_hint(c->diags, "did you mean '%s'?", near);
    else
        rkp_diag_hint(c->diags, "the types are string bytes bool timestamp json i8..i64 u8..u64 f32 f64, arrays as "
                                "f32[8], '?' after it for nullable");
    return RKP_INVALID;
}

static rkp_status type_word(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, rkp_word *out)
{
    rkp_type t;

    *out = rki_node_word(n);
    return type_of(c, row, n, &t);
}

static rkp_status parse_type_map(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    return parse_pairs(c, row, n, field, "a mapping of columns to types", type_word);
}

static void schema_type_map(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    members(out, "type", "\"object\"");
    members(out, "propertyNames", "{\"not\":{\"pattern\":\"\\\\$\\\\{\"}}");
    members(out, "additionalProperties", "{\"type\":\"string\",\"pattern\":\"^" TYPE_NAME "$|\\\\$\\\\{\"}");
}

const rkp_opt_type rkp_type_map = { "types by column", sizeof(rkp_pairs), parse_type_map, print_pairs,
                                    schema_type_map };

// ---- lists

static rkp_status parse_word_list(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    rkp_status st = RKP_OK;
    rkp_word *v;
    size_t i = 0;

    if (n->kind == RKI_MAP)
        return rki_opt_refuse(c, row, n, "a list of texts", NULL);
    v = rki_array(c->arena, n->kind == RKI_LIST ? n->n : 1, sizeof *v);
    if (!v)
        return RKP_NOMEM;
    if (n->kind == RKI_SCALAR) {
        st = parse_string(c, row, n, &v[i++]);
    } else {
        for (const rkp_node *k = n->child; k; k = k->next) {
            if (k->kind == RKI_SCALAR && rki_node_is_null(k)) {
                rkp_diag(c->diags, RKP_ERROR, k->at, "opt-empty", "an entry of '%s' has no value", row->name);
                if (k->text.n)
                    rkp_diag_hint(c->diags, "quote '%.*s' if the text is meant", RKP_STR_ARG(k->text));
                st = RKP_INVALID;
            } else if (k->kind != RKI_SCALAR) {
                st = rki_opt_refuse(c, row, k, "texts in its list", NULL);
            } else if (k->bad) {
                st = RKP_INVALID;
            } else {
                v[i++] = rki_node_word(k);
            }
        }
    }
    if (st == RKP_OK)
        *(rkp_words *)field = (rkp_words){ v, i, n->at };
    return st;
}

static void print_word_list(const rkp_opt *row, const void *field, struct rki_json *out)
{
    const rkp_words *w = field;

    (void)row;
    rki_json_array(out);
    for (size_t i = 0; i < w->n; i++)
        rki_json_str(out, rkp_word_str(w->v[i]));
    rki_json_end_array(out);
}

static void schema_word_list(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    members(out, "anyOf", "[" SCALARS ",{\"type\":\"array\",\"items\":" SCALARS "}]");
}

const rkp_opt_type rkp_word_list = { "list", sizeof(rkp_words), parse_word_list, print_word_list, schema_word_list };

static rkp_status parse_name_pairs(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    rkp_words names = { 0 };
    rkp_pair *v;
    rkp_status st;

    if (n->kind == RKI_MAP)
        return parse_pairs(c, row, n, field, "a name, a list of names, or a mapping of names to names", string_word);
    st = parse_word_list(c, row, n, &names);
    if (st != RKP_OK)
        return st;
    v = rki_array(c->arena, names.n ? names.n : 1, sizeof *v);
    if (!v)
        return RKP_NOMEM;
    for (size_t i = 0; i < names.n; i++)
        v[i] = (rkp_pair){ names.v[i], names.v[i] };
    *(rkp_pairs *)field = (rkp_pairs){ v, names.n, names.at };
    return RKP_OK;
}

static void schema_name_pairs(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    members(out, "anyOf",
            "[" SCALARS ",{\"type\":\"array\",\"items\":" SCALARS
            "},{\"type\":\"object\",\"additionalProperties\":" SCALARS "}]");
}

const rkp_opt_type rkp_name_pairs = { "names or pairs of names", sizeof(rkp_pairs), parse_name_pairs, print_pairs,
                                      schema_name_pairs };

// ---- schemas of columns

rkp_status rki_opt_columns(rkp_opt_ctx *c, const rkp_node *map, rkp_schema *out)
{
    rkp_status st = RKP_OK;
    rkp_field *f;
    uint32_t i = 0;

    if (map->n > 4096) {
        rkp_diag(c->diags, RKP_ERROR, map->at, "limit-columns", "a schema of more than 4096 columns");
        return RKP_INVALID;
    }
    f = rki_array(c->arena, map->n, sizeof *f);
    if (!f)
        return RKP_NOMEM;
    for (const rkp_node *k = map->child; k; k = k->next) {
        rkp_opt named = { .name = k->key.p };

        f[i].name = rkp_word_str(k->key);
        if (type_of(c, &named, k, &f[i++].type) != RKP_OK)
            st = RKP_INVALID;
    }
    if (st == RKP_OK)
        *out = (rkp_schema){ i, f };
    return st;
}

static rkp_status parse_schema_use(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    const char *names[256 + 1], *near;
    const rki_named_schema *found;
    rkp_schema_use *use = field;
    size_t count = 0;
    rkp_schema *own;
    rkp_status st;

    if (n->kind == RKI_MAP) {
        own = rki_alloc(c->arena, sizeof *own);
        if (!own)
            return RKP_NOMEM;
        st = rki_opt_columns(c, n, own);
        if (st == RKP_OK)
            *use = (rkp_schema_use){ own, { 0 } };
        return st;
    }
    if (!rki_opt_scalar(c, row, n, "the name of a schema or a mapping of columns to types"))
        return RKP_INVALID;
    found = c->spec ? rki_schema_named(c->spec, n->text) : NULL;
    if (found) {
        *use = (rkp_schema_use){ &found->schema, rki_node_word(n) };
        return RKP_OK;
    }
    for (size_t i = 0; c->spec && i < c->spec->n_schemas && count < 256; i++)
        names[count++] = c->spec->schemas[i].name.p;
    names[count] = NULL;
    rkp_diag(c->diags, RKP_ERROR, n->at, "schema-unknown", "no schema is named %s", rki_node_shown(c->arena, n));
    near = rki_opt_nearest(c->diags, n->text, names);
    if (near)
        rkp_diag_hint(c->diags, "did you mean '%s'?", near);
    else
        rkp_diag_hint(c->diags, "declare it under 'schemas:', or write the columns here: {name: type}");
    return RKP_INVALID;
}

static void print_schema_use(const rkp_opt *row, const void *field, struct rki_json *out)
{
    const rkp_schema_use *use = field;

    (void)row;
    if (use->name.p) {
        rki_json_str(out, rkp_word_str(use->name));
        return;
    }
    if (!use->schema) {
        rki_json_null(out);
        return;
    }
    rki_json_object(out);
    for (uint32_t i = 0; i < use->schema->n; i++) {
        char text[RKP_TYPE_TEXT];

        rki_json_key_str(out, use->schema->f[i].name);
        rki_json_str(out, (rkp_str){ text, rkp_type_print(text, use->schema->f[i].type) });
    }
    rki_json_end_object(out);
}

static void schema_schema_use(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    members(out, "anyOf",
            "[{\"type\":\"string\"},{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\",\"pattern\":"
            "\"^" TYPE_NAME "$|\\\\$\\\\{\"}}]");
}

const rkp_opt_type rkp_schema_name = { "schema", sizeof(rkp_schema_use), parse_schema_use, print_schema_use,
                                       schema_schema_use };

// ---- objects

// One object; a scalar stands for its short key.
static rkp_status one_object(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *to)
{
    rkp_opt_ctx inner = *c;
    rkp_str owner = rki_printf(c->arena, "'%s'", row->name);
    rkp_node map = { .kind = RKI_MAP, .at = n->at, .n = 1 }, only;

    if (!owner.p)
        return RKP_NOMEM;
    inner.owner = owner.p;
    inner.free_x = false;
    inner.foreign = NULL;
    inner.other = NULL;
    inner.meant = NULL;
    inner.short_for = NULL;
    inner.foreign_means = NULL;
    if (n->kind == RKI_SCALAR && rki_node_is_null(n))
        return rki_opt_scalar(c, row, n, "") ? RKP_OK : RKP_INVALID;
    if (n->kind == RKI_SCALAR && row->short_key) {
        only = *n;
        only.key = (rkp_word){ row->short_key, strlen(row->short_key), n->at };
        only.key_at = n->at;
        only.next = NULL;
        inner.short_for = row->name;
        map.child = &only;
        n = &map;
    }
    if (n->kind != RKI_MAP)
        return rki_opt_refuse(
            c, row, n,
            row->short_key ? rki_printf(c->arena, "a mapping or only its '%s'", row->short_key).p : "a mapping", NULL);
    return rki_opts_apply(&inner, row->sub, n, n->key_at.line ? n->key_at : n->at, to);
}

static rkp_status parse_object(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    return one_object(c, row, n, field);
}

static void print_object(const rkp_opt *row, const void *field, struct rki_json *out)
{
    rki_opts_print(row->sub, field, out);
}

// The schema of one object, or of its short form.
static void object_form(const rkp_opt *row, struct rki_json *out)
{
    if (row->short_key) {
        rki_json_object(out);
        rki_json_key(out, "anyOf");
        rki_json_array(out);
        rki_opt_schema(rki_opts_find(row->sub, rkp_str_of(row->short_key)), out);
    }
    rki_opts_schema(row->sub, out);
    if (row->short_key) {
        rki_json_end_array(out);
        rki_json_end_object(out);
    }
}

static void schema_object(const rkp_opt *row, struct rki_json *out)
{
    rki_json_key(out, "allOf");
    rki_json_array(out);
    object_form(row, out);
    rki_json_end_array(out);
}

const rkp_opt_type rkp_object = { "mapping", 0, parse_object, print_object, schema_object };

static rkp_status parse_objects(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    size_t count = n->kind == RKI_LIST ? n->n : 1, i = 0;
    rkp_status st = RKP_OK;
    char *v;

    v = rki_array(c->arena, count, row->sub_size);
    if (!v)
        return RKP_NOMEM;
    if (n->kind != RKI_LIST)
        st = one_object(c, row, n, v);
    for (const rkp_node *k = n->kind == RKI_LIST ? n->child : NULL; k; k = k->next) {
        rkp_status one = one_object(c, row, k, v + row->sub_size * i++);

        st = one == RKP_OK ? st : one;
    }
    *(rkp_objects_of *)field = (rkp_objects_of){ v, count, n->at }; // also what is right of one that is wrong
    return st;
}

static void print_objects(const rkp_opt *row, const void *field, struct rki_json *out)
{
    const rkp_objects_of *o = field;

    rki_json_array(out);
    for (size_t i = 0; i < o->n; i++)
        rki_opts_print(row->sub, (const char *)o->v + i * row->sub_size, out);
    rki_json_end_array(out);
}

static void schema_objects(const rkp_opt *row, struct rki_json *out)
{
    rki_json_key(out, "anyOf");
    rki_json_array(out);
    object_form(row, out);
    rki_json_object(out);
    members(out, "type", "\"array\"");
    rki_json_key(out, "items");
    object_form(row, out);
    rki_json_end_object(out);
    rki_json_end_array(out);
}

const rkp_opt_type rkp_objects = { "list of mappings", sizeof(rkp_objects_of), parse_objects, print_objects,
                                   schema_objects };
