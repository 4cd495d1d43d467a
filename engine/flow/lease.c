// flow/lease.c - the persisted bound of stamps.
#include "flow/lease.h"

#include "flow/keep.h"
#include <inttypes.h>
#include <stdio.h>

static const char file[] = "clock", head[] = "rkpipe clock 1";

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static rkp_status write_limit(rki_lease *l, uint64_t base, uint64_t now_us, char err[RKP_FILE_ERR])
{
    uint64_t limit = larger((now_us + RKI_LEASE_US) << 12, base + ((uint64_t)RKI_LEASE_ROOM_US << 12));
    char text[40];
    rkp_status st;

    if (limit < larger(base, l->limit)) {
        snprintf(err, RKP_FILE_ERR, "the clock is at the end of its range");
        return RKP_IO;
    }
    snprintf(text, sizeof text, "limit %" PRIu64 "\n", limit);
    st = rki_keep_write(l->dir, file, head, rkp_str_of(text), err);
    if (st == RKP_OK)
        // L1, to L2 in rki_lease_limit: whoever gives out stamps below it does so after it is on the disk.
        __atomic_store_n(&l->limit, limit, __ATOMIC_RELEASE);
    return st;
}

// "limit N\n", and nothing else.
static bool read_limit(const rki_buf *b, uint64_t *limit)
{
    uint64_t v = 0;
    size_t i = 6;

    if (b->n < 8 || memcmp(b->p, "limit ", 6) != 0 || b->p[b->n - 1] != '\n')
        return false;
    for (; i < b->n - 1; i++) {
        unsigned digit = (unsigned char)b->p[i] - (unsigned)'0';

        if (digit > 9 || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *limit = v;
    return true;
}

rkp_status rki_lease_open(rki_lease *l, int dir, uint64_t now_us, char err[RKP_FILE_ERR])
{
    uint64_t upper = 0;
    rkp_status st;
    rki_buf b;

    *l = (rki_lease){ .dir = dir };
    rki_buf_init(&b);
    st = rki_keep_read(dir, file, head, &b, err);
    if (st == RKP_OK && !read_limit(&b, &upper)) {
        snprintf(err, RKP_FILE_ERR, "'%s' in the data folder is damaged", file);
        st = RKP_IO;
    }
    rki_buf_fini(&b);
    if (st != RKP_OK && st != RKP_UNAVAILABLE)
        return st;
    l->start = larger(now_us << 12, upper);
    return write_limit(l, l->start, now_us, err);
}

rkp_status rki_lease_renew(rki_lease *l, uint64_t now_us, char err[RKP_FILE_ERR])
{
    uint64_t limit = l->limit, wanted = __atomic_load_n(&l->wanted, __ATOMIC_RELAXED); // relaxed: see rki_lease_tick

    if (wanted < limit && (now_us + RKI_LEASE_US - RKI_LEASE_NEXT_US) << 12 <= limit)
        return RKP_OK;
    return write_limit(l, larger(l->start, wanted), now_us, err);
}
