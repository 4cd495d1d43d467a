// row_text.c - see row_text.h.
#include "data/row_text.h"

#include <rkpipe/num.h>

enum { MAX_TEXT = 64 * 1024 };

// Value i of a dense column that is not null.
static void value_json(rki_json *j, const rkp_col *c, size_t i)
{
    const void *v = c->values;
    char text[RKP_TIMESTAMP_TEXT];

    switch (c->type.kind) {
    case RKP_BOOL:
        rki_json_bool(j, rkp_bit(v, i));
        break;
    case RKP_I8:
        rki_json_i64(j, ((const int8_t *)v)[i]);
        break;
    case RKP_I16:
        rki_json_i64(j, ((const int16_t *)v)[i]);
        break;
    case RKP_I32:
        rki_json_i64(j, ((const int32_t *)v)[i]);
        break;
    case RKP_I64:
        rki_json_i64(j, ((const int64_t *)v)[i]);
        break;
    case RKP_U8:
        rki_json_u64(j, ((const uint8_t *)v)[i]);
        break;
    case RKP_U16:
        rki_json_u64(j, ((const uint16_t *)v)[i]);
        break;
    case RKP_U32:
        rki_json_u64(j, ((const uint32_t *)v)[i]);
        break;
    case RKP_U64:
        rki_json_u64(j, ((const uint64_t *)v)[i]);
        break;
    case RKP_F32:
        rki_json_f64(j, (double)((const float *)v)[i]);
        break;
    case RKP_F64:
        rki_json_f64(j, ((const double *)v)[i]);
        break;
    case RKP_TIMESTAMP:
        rki_json_str(j, (rkp_str){ text, rkp_print_timestamp(text, ((const int64_t *)v)[i]) });
        break;
    default:
        rki_json_str(j, rkp_view_str(c, (uint32_t)i));
        break;
    }
}

static void column_json(rki_json *j, const rkp_col *c)
{
    if (rkp_col_is_null(c, 0)) {
        rki_json_null(j);
        return;
    }
    if (!c->type.len) {
        value_json(j, c, 0);
        return;
    }
    rki_json_array(j);
    for (size_t i = 0; i < c->type.len; i++)
        value_json(j, c, i);
    rki_json_end_array(j);
}

void rki_row_json(rki_json *j, rkp_batch *mem, const rkp_batch *b, uint32_t row)
{
    rkp_errs errs = { 0 };
    size_t start = j->out->n;

    rki_json_object(j);
    for (uint32_t c = 0; b->schema && c < b->n_cols && j->out->n - start < MAX_TEXT; c++) {
        rkp_col one;

        rki_json_key_str(j, b->schema->f[c].name);
        rkp_errs_clear(&errs);
        if (rkp_col_flat(mem, b, c, &row, 1, &one, &errs) != RKP_OK)
            rki_json_null(j);
        else if (errs.n && b->cols[c].rep == RKP_TEXT)
            rki_json_str(j, rkp_col_raw(&b->cols[c], row));
        else
            column_json(j, &one);
    }
    rki_json_end_object(j);
    rkp_errs_fini(&errs);
}

// Quoted where a reader could take it for something else.
void rki_put_csv(rki_buf *out, rkp_str s)
{
    bool quote = false;
    for (size_t i = 0; i < s.n && !quote; i++)
        quote = s.p[i] == ',' || s.p[i] == '"' || s.p[i] == '\n' || s.p[i] == '\r';
    if (!quote) {
        rki_put(out, s.p, s.n);
        return;
    }
    rki_putc(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            rki_putc(out, '"');
        rki_putc(out, s.p[i]);
    }
    rki_putc(out, '"');
}

void rki_row_csv(rkp_batch *mem, const rkp_batch *b, uint32_t row, rki_buf *out)
{
    rkp_type text = { .kind = RKP_STRING, .nullable = 1 };
    rkp_errs errs = { 0 };
    for (uint32_t c = 0; c < b->n_cols; c++) {
        rkp_col one, cast;
        rki_putc(out, ',');
        rkp_errs_clear(&errs);
        if (b->cols[c].type.len || rkp_col_flat(mem, b, c, &row, 1, &one, &errs) != RKP_OK)
            continue;
        if (errs.n && b->cols[c].rep == RKP_TEXT) {
            rki_put_csv(out, rkp_col_raw(&b->cols[c], row));
            continue;
        }
        if (!rkp_kind_is_view(one.type.kind)) {
            if (rkp_col_cast(mem, &one, 1, text, &cast, &errs) != RKP_OK)
                continue;
            one = cast;
        }
        if (!rkp_col_is_null(&one, rkp_col_row(&one, 0)))
            rki_put_csv(out, rkp_view_str(&one, rkp_col_row(&one, 0)));
    }
    rkp_errs_fini(&errs);
}
