// base/address.c - see address.h.
#include "base/address.h"

#include <arpa/inet.h>
#include <rkpipe/num.h>

bool rki_address_split(rkp_str s, rkp_str *host, uint16_t *port)
{
    size_t n = s.n;
    uint64_t v;
    while (n && s.p[n - 1] >= '0' && s.p[n - 1] <= '9')
        n--;
    if (n == s.n || n < 2 || s.p[n - 1] != ':' || !rkp_parse_u64(s.p + n, s.n - n, &v) || v > 65535)
        return false;
    *host = (rkp_str){ s.p, n - 1 };
    *port = (uint16_t)v;
    if (host->p[0] == '[' && host->p[host->n - 1] == ']' && host->n > 2)
        *host = (rkp_str){ host->p + 1, host->n - 2 };
    else if (memchr(host->p, ':', host->n) || memchr(host->p, '[', host->n))
        return false;
    if (rkp_str_is(*host, "localhost"))
        *host = RKP_STR("127.0.0.1");
    return !memchr(host->p, '/', host->n);
}

bool rki_address_is_local(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}
