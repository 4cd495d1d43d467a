#include "any_batch.h"

#include <setjmp.h>
#include <stdarg.h>
// after the above
#include <cmocka.h>

const rkp_field any_fields[ANY_COLUMNS] = {
    { { "b", 1 }, { .kind = RKP_BOOL, .nullable = 1 } },
    { { "i8", 2 }, { .kind = RKP_I8, .nullable = 1 } },
    { { "i16", 3 }, { .kind = RKP_I16, .nullable = 1 } },
    { { "i32", 3 }, { .kind = RKP_I32, .nullable = 1 } },
    { { "i64", 3 }, { .kind = RKP_I64, .nullable = 1 } },
    { { "u8", 2 }, { .kind = RKP_U8, .nullable = 1 } },
    { { "u16", 3 }, { .kind = RKP_U16, .nullable = 1 } },
    { { "u32", 3 }, { .kind = RKP_U32, .nullable = 1 } },
    { { "u64", 3 }, { .kind = RKP_U64, .nullable = 1 } },
    { { "f32", 3 }, { .kind = RKP_F32, .nullable = 1 } },
    { { "f64", 3 }, { .kind = RKP_F64, .nullable = 1 } },
    { { "ts", 2 }, { .kind = RKP_TIMESTAMP, .nullable = 1 } },
    { { "s", 1 }, { .kind = RKP_STRING, .nullable = 1 } },
    { { "by", 2 }, { .kind = RKP_BYTES, .nullable = 1 } },
    { { "js", 2 }, { .kind = RKP_JSON, .nullable = 1 } },
    { { "f32x3", 5 }, { .kind = RKP_F32, .nullable = 1, .len = 3 } },
    { { "u8x5", 4 }, { .kind = RKP_U8, .len = 5 } },
    { { "", 0 }, { .kind = RKP_I64 } },
};
const rkp_schema any_schema = { ANY_COLUMNS, any_fields };

uint64_t any_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

size_t any_width(rkp_type t)
{
    return rkp_kind_width(t.kind) * (t.len ? t.len : 1);
}

rkp_batch *any_batch(rkp_pool *p, uint32_t rows, uint64_t seed, unsigned nulls)
{
    static const char words[] = "caf\xc3\xa9 au lait, \"a quoted one\", and a text that is longer than a view";
    rkp_batch *b = rkp_batch_new(p, &any_schema, ANY_COLUMNS, 0);

    assert_non_null(b);
    b->rows = rows;
    b->in_bytes = seed;
    for (uint32_t c = 0; c < ANY_COLUMNS; c++) {
        rkp_type t = any_fields[c].type;
        uint8_t *valid = NULL;

        if (nulls && t.nullable) {
            valid = rkp_batch_alloc(b, (rows + 7) / 8);
            for (uint32_t i = 0; i < rows; i++)
                any_random(&seed) % nulls ? rkp_bit_set(valid, i) : rkp_bit_clear(valid, i);
        }
        if (rkp_kind_is_view(t.kind)) {
            rkp_str *v = rkp_batch_alloc(b, rows * sizeof *v);

            for (uint32_t i = 0; i < rows; i++) {
                uint64_t r = any_random(&seed);

                v[i] = valid && !rkp_bit(valid, i) ? (rkp_str){ NULL, 0 } : (rkp_str){ words + 6, r % 50 };
                if (t.kind == RKP_BYTES && v[i].p)
                    v[i] = (rkp_str){ words + 4, 1 + r % 20 }; // begins inside of a character
            }
            assert_int_equal(rkp_col_set_strs(b, c, t, v, rows), RKP_OK);
        } else {
            size_t n = t.kind == RKP_BOOL ? (rows + 7) / 8 : rows * any_width(t);
            uint8_t *v = rkp_batch_alloc(b, n);

            for (size_t i = 0; i < n; i++)
                v[i] = (uint8_t)any_random(&seed);
            rkp_col_set_values(b, c, t, v, valid, rows);
        }
    }
    return b;
}
