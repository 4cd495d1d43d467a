// Any bytes as what a client of read.http sends: the same requests come out of it whatever the pieces it comes in, no body
// is larger than it may be, and what is refused is refused for good.
#include "../../operators/read/http_in.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_BODY = 300 };

struct outcome {
    unsigned requests, heads;
    uint64_t hash;
    int last;
};

static void run(const uint8_t *data, size_t size, size_t step, size_t room, struct outcome *o)
{
    http_in h = { .max_body = MAX_BODY, .room = room };
    size_t at = 0;
    int rc = HTTP_MORE;
    *o = (struct outcome){ .hash = 14695981039346656037u };
    while ((at < size || rc == HTTP_HEAD) && rc < 400) {
        size_t n = size - at < step ? size - at : step, used = 0;
        char *copy = malloc(n + 1); // its end is the sanitizer's to watch
        if (!copy)
            abort();
        memcpy(copy, data + at, n);
        rc = http_in_feed(&h, copy, n, &used);
        free(copy);
        if (used > n || h.n_body > h.max_body || h.n_body > h.room || (rc == HTTP_MORE && used != n) ||
            rc == HTTP_NOMEM)
            abort();
        at += used;
        o->heads += rc == HTTP_HEAD;
        if (rc == HTTP_ROOM) {
            if (h.room == MAX_BODY)
                abort();
            h.room = MAX_BODY;
        } else if (rc == HTTP_WHOLE) {
            o->requests++;
            for (size_t i = 0; i < h.n_body; i++)
                o->hash = (o->hash ^ (uint8_t)h.body[i]) * 1099511628211u;
            o->hash = (o->hash ^ h.n_body) * 1099511628211u;
            if (h.r.has_length ? h.r.body != h.n_body : h.n_body && !h.r.chunked)
                abort();
            http_in_next(&h);
            h.room = room;
        }
    }
    o->last = rc == HTTP_ROOM || rc == HTTP_HEAD ? HTTP_MORE : rc;
    http_in_fini(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = { 1, 2, 7, 64, SIZE_MAX };
    struct outcome first, o;
    if (size > 12000) // a head that is too large is refused where it is noticed
        return 0;
    run(data, size, 3, MAX_BODY, &first);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (size_t room = 0; room <= MAX_BODY; room += 100) {
            run(data, size, steps[i], room, &o);
            if (o.requests != first.requests || o.heads != first.heads || o.hash != first.hash || o.last != first.last)
                abort();
        }
    return 0;
}
