// type.c - one row per kind; parsing and printing of types walk that table.
#include <rkpipe/type.h>

static const struct kind_row {
    const char *name;
    uint8_t width;
} kinds[RKP_N_KINDS] = {
    [RKP_BOOL] = { "bool", 0 },      [RKP_I8] = { "i8", 1 },        [RKP_I16] = { "i16", 2 },
    [RKP_I32] = { "i32", 4 },        [RKP_I64] = { "i64", 8 },      [RKP_U8] = { "u8", 1 },
    [RKP_U16] = { "u16", 2 },        [RKP_U32] = { "u32", 4 },      [RKP_U64] = { "u64", 8 },
    [RKP_F32] = { "f32", 4 },        [RKP_F64] = { "f64", 8 },      [RKP_TIMESTAMP] = { "timestamp", 8 },
    [RKP_STRING] = { "string", 16 }, [RKP_BYTES] = { "bytes", 16 }, [RKP_JSON] = { "json", 16 },
};

enum { ARRAY_MAX = 65536 };

size_t rkp_kind_width(unsigned kind)
{
    return kind < RKP_N_KINDS ? kinds[kind].width : 0;
}

const char *rkp_kind_name(unsigned kind)
{
    return kind < RKP_N_KINDS ? kinds[kind].name : "?";
}

bool rkp_kind_from_name(rkp_str name, unsigned *out)
{
    for (unsigned k = 0; k < RKP_N_KINDS; k++) {
        if (rkp_str_is(name, kinds[k].name)) {
            *out = k;
            return true;
        }
    }
    return false;
}

// Arrays hold values of a fixed width: a bitmap or views per element would be a second layout for no use yet.
static bool kind_in_arrays(unsigned kind)
{
    return kinds[kind].width && !rkp_kind_is_view(kind);
}

bool rkp_type_parse(rkp_str text, rkp_type *out)
{
    rkp_type t = { 0 };
    unsigned kind;
    size_t n = text.n, open;

    if (n && text.p[n - 1] == '?') {
        t.nullable = 1;
        n--;
    }
    for (open = 0; open < n && text.p[open] != '['; open++)
        ;
    if (!rkp_kind_from_name((rkp_str){ text.p, open }, &kind))
        return false;
    t.kind = (uint8_t)kind;
    if (open < n) {
        uint32_t len = 0;

        if (!kind_in_arrays(kind) || n - open < 3 || text.p[n - 1] != ']' || text.p[open + 1] == '0')
            return false;
        for (size_t i = open + 1; i < n - 1; i++) {
            if (text.p[i] < '0' || text.p[i] > '9')
                return false;
            len = len * 10 + (uint32_t)(text.p[i] - '0');
            if (len > ARRAY_MAX)
                return false;
        }
        t.len = len;
    }
    *out = t;
    return true;
}

size_t rkp_type_print(char *to, rkp_type t)
{
    const char *name = rkp_kind_name(t.kind);
    size_t n = strlen(name);

    memcpy(to, name, n);
    if (t.len) {
        char digits[10];
        size_t d = 0;

        for (uint32_t v = t.len; v; v /= 10)
            digits[d++] = (char)('0' + v % 10);
        to[n++] = '[';
        while (d)
            to[n++] = digits[--d];
        to[n++] = ']';
    }
    if (t.nullable)
        to[n++] = '?';
    to[n] = 0;
    return n;
}

int rkp_schema_find(const rkp_schema *s, rkp_str name)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (rkp_str_eq(s->f[i].name, name))
            return (int)i;
    return -1;
}
