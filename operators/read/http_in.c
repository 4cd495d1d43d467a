// http_in: see http_in.h.
#include "http_in.h"

#include <stdlib.h>

enum { KEEP = 4096 }; // of a head's memory, between requests

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool grow(char **p, size_t *cap, size_t want, size_t most)
{
    size_t to = *cap ? *cap : 1024;
    char *q;
    if (want <= *cap)
        return true;
    while (to < want)
        to *= 2;
    if (to > most)
        to = most;
    q = realloc(*p, to);
    if (!q)
        return false;
    *p = q;
    *cap = to;
    return true;
}

static int take_head(http_in *h, const char *p, size_t n, size_t *used)
{
    size_t skip = 0, had, k, end;
    int status;
    if (h->n_head == 0) // empty lines between requests
        while (skip < n && (p[skip] == '\r' || p[skip] == '\n'))
            skip++;
    *used = skip;
    if (skip == n)
        return HTTP_MORE;
    if (h->n_head == 0 && !is_letter(p[skip]))
        return 400; // another protocol: no need to wait for the end of it
    had = h->n_head;
    k = n - skip < RKP_HTTP_HEAD_BYTES - had ? n - skip : RKP_HTTP_HEAD_BYTES - had;
    if (!grow(&h->head, &h->cap_head, had + k, RKP_HTTP_HEAD_BYTES))
        return HTTP_NOMEM;
    memcpy(h->head + had, p + skip, k);
    h->n_head += k;
    end = rkp_http_head_end(h->head, h->n_head, &h->seen);
    if (end == 0) {
        *used = skip + k;
        if (h->n_head < RKP_HTTP_HEAD_BYTES)
            return HTTP_MORE;
        return memchr(h->head, '\n', RKP_HTTP_LINE_BYTES) ? 431 : 414;
    }
    *used = skip + end - had;
    h->n_head = end;
    status = rkp_http_parse(h->head, end, &h->r);
    if (status)
        return status;
    h->parsed = true;
    return !h->r.chunked && h->r.body > h->max_body ? 413 : HTTP_HEAD;
}

static int put_body(http_in *h, const char *p, size_t n)
{
    size_t want = h->n_body + n;
    if (want > h->max_body)
        return 413;
    if (want > h->room)
        return HTTP_ROOM;
    if (!grow(&h->body, &h->cap_body, h->r.has_length && h->r.body <= h->room ? h->r.body : want, h->max_body))
        return HTTP_NOMEM;
    if (n)
        memcpy(h->body + h->n_body, p, n);
    h->n_body = want;
    return HTTP_MORE;
}

int http_in_feed(http_in *h, const char *p, size_t n, size_t *used)
{
    int rc = HTTP_MORE, end = 0;
    size_t k;
    *used = 0;
    if (!h->parsed)
        return take_head(h, p, n, used);
    if (!h->r.chunked) {
        k = h->r.body - h->n_body < n ? h->r.body - h->n_body : n;
        rc = put_body(h, p, k);
        if (rc == HTTP_MORE)
            *used = k;
        h->whole = rc == HTTP_MORE && h->n_body == h->r.body;
        return h->whole ? HTTP_WHOLE : rc;
    }
    while (rc == HTTP_MORE && end == 0 && *used < n) {
        rkp_http_chunks before = h->chunks;
        rkp_str data;
        end = rkp_http_dechunk(&h->chunks, p + *used, n - *used, &k, &data);
        if (end < 0)
            return 400;
        rc = put_body(h, data.p, data.n);
        if (rc == HTTP_ROOM)
            h->chunks = before; // these bytes come again
        else
            *used += k;
    }
    h->whole = rc == HTTP_MORE && end == 1;
    return h->whole ? HTTP_WHOLE : rc;
}

void http_in_next(http_in *h)
{
    if (h->cap_head > KEEP) {
        free(h->head);
        h->head = NULL;
        h->cap_head = 0;
    }
    free(h->body);
    h->body = NULL;
    h->n_body = h->cap_body = h->n_head = h->seen = 0;
    h->parsed = h->whole = false;
    h->chunks = (rkp_http_chunks){ 0 };
}

bool http_in_idle(const http_in *h)
{
    return !h->parsed && h->n_head == 0;
}

void http_in_fini(http_in *h)
{
    free(h->head);
    free(h->body);
    h->head = h->body = NULL;
}
