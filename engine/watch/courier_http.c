// courier_http.c - notices by HTTP or HTTPS (post.h).
#include "watch/post.h"

#include <stdio.h>
#include <stdlib.h>

static rki_sent http_send(void *self, rkp_str body, const rki_send_stop *stop, char why[RKI_SEND_WHY])
{
    rki_answer a = { .body = NULL }; // what it answers is of no interest

    rki_post_send(self, body, stop, &a);
    if (a.status >= 200 && a.status < 300)
        return RKI_SENT;
    snprintf(why, RKI_SEND_WHY, "%s", a.why);
    if (!a.status)
        return a.never ? RKI_SEND_REFUSED : RKI_SEND_AGAIN;
    return a.status >= 500 || a.status == 408 || a.status == 429 ? RKI_SEND_AGAIN : RKI_SEND_REFUSED;
}

static void http_close(void *self)
{
    rki_post_free(self);
}

// An Alertmanager is given by its address; /api/v2/alerts is its door.
static char *url_of(const rki_way *w)
{
    static const char door[] = "/api/v2/alerts";
    size_t n = w->url.n;
    rki_buf b;

    rki_buf_init(&b);
    if (w->kind != RKI_WAY_ALERTMANAGER) {
        rki_put(&b, w->url.p, n);
        return rki_buf_take(&b, NULL);
    }
    while (n && w->url.p[n - 1] == '/')
        n--;
    rki_put(&b, w->url.p, n);
    if (n < sizeof door - 1 || memcmp(w->url.p + n - (sizeof door - 1), door, sizeof door - 1) != 0)
        rki_putz(&b, door);
    return rki_buf_take(&b, NULL);
}

bool rki_courier_http(const rki_way *w, const char *version, rki_courier *out)
{
    char *url = url_of(w);
    const rki_post_args args = {
        .url = { url, url ? strlen(url) : 0 }, .headers = &w->headers, .version = version, .timeout_ms = w->timeout_ms
    };

    *out = (rki_courier){ http_send, http_close, url ? rki_post_new(&args) : NULL };
    free(url);
    return out->self != NULL;
}
