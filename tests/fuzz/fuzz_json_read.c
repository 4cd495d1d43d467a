// Any text as JSON: what is read, printed and read again is the same, and the printer's JSON is read.
#include "base/json.h"
#include "base/json_read.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print(const rki_json_node *n, rki_json *to)
{
    switch (n->kind) {
    case RKI_JSON_NULL:
        rki_json_null(to);
        break;
    case RKI_JSON_BOOL:
        rki_json_bool(to, rki_json_true(n));
        break;
    case RKI_JSON_NUMBER:
        rki_json_raw(to, n->text);
        break;
    case RKI_JSON_STRING:
        rki_json_str(to, n->text);
        break;
    case RKI_JSON_LIST:
    case RKI_JSON_MAP:
        if (n->kind == RKI_JSON_LIST)
            rki_json_array(to);
        else
            rki_json_object(to);
        for (const rki_json_node *c = n->child; c; c = c->next) {
            if (n->kind == RKI_JSON_MAP)
                rki_json_key_str(to, c->key);
            print(c, to);
        }
        if (n->kind == RKI_JSON_LIST)
            rki_json_end_array(to);
        else
            rki_json_end_object(to);
        break;
    }
}

static bool read_and_print(rkp_str text, rki_buf *to)
{
    rki_arena a;
    rki_json j;
    const rki_json_node *n;

    rki_arena_init(&a);
    rki_json_init(&j, to, 0);
    n = rki_json_read(&a, text);
    if (n)
        print(n, &j);
    rki_arena_fini(&a);
    return n != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    rki_buf once, twice;

    memcpy(text, data, size); // its end is the sanitizer's to watch
    rki_buf_init(&once);
    rki_buf_init(&twice);
    if (read_and_print((rkp_str){ text, size }, &once)) {
        if (!read_and_print((rkp_str){ once.p, once.n }, &twice) || once.n != twice.n ||
            memcmp(once.p, twice.p, once.n) != 0)
            abort();
    }
    rki_buf_fini(&once);
    rki_buf_fini(&twice);
    free(text);
    return 0;
}
