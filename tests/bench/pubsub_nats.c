// pubsub_nats URL SUBSCRIBERS MESSAGES: a nats-server on the loopback, one connection that publishes and one for each
// subscriber with a wildcard: messages of 64 bytes.  Prints deliveries and what they took.
//
// NATS drops what a client does not take in time, so the publisher waits while the slowest subscriber is WINDOW messages
// behind.  Subscribers take messages in NATS's own threads, by callback.
#include <nats/nats.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MESSAGE = 64, MOST_SUBS = 16, WINDOW = 65536 };

static uint64_t messages;

struct sub {
    natsConnection *conn;
    natsSubscription *sub;
    _Alignas(64) _Atomic uint64_t got;
    uint64_t wrong;
    _Atomic uint64_t end_ns;
};
static struct sub subs[MOST_SUBS];

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void must(natsStatus st, const char *what)
{
    if (st != NATS_OK) {
        fprintf(stderr, "pubsub_nats: %s: %s\n", what, natsStatus_GetText(st));
        exit(1);
    }
}

static void take(natsConnection *c, natsSubscription *sub, natsMsg *m, void *arg)
{
    struct sub *s = arg;
    uint64_t seq, n = atomic_load_explicit(&s->got, memory_order_relaxed);
    (void)c;
    (void)sub;
    memcpy(&seq, natsMsg_GetData(m), sizeof seq);
    s->wrong += seq != n || natsMsg_GetDataLength(m) != MESSAGE;
    natsMsg_Destroy(m);
    if (n + 1 == messages)
        atomic_store(&s->end_ns, now_ns());
    atomic_store_explicit(&s->got, n + 1, memory_order_release);
}

static uint64_t slowest(int n)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < n; i++) {
        uint64_t got = atomic_load_explicit(&subs[i].got, memory_order_acquire);
        least = got < least ? got : least;
    }
    return least;
}

static natsConnection *connection(const char *url)
{
    natsOptions *o = NULL;
    natsConnection *c = NULL;
    must(natsOptions_Create(&o), "options");
    must(natsOptions_SetURL(o, url), "url");
    must(natsConnection_Connect(&c, o), "connect");
    natsOptions_Destroy(o);
    return c;
}

int main(int argc, char **argv)
{
    int n = argc == 4 ? (int)strtol(argv[2], NULL, 10) : 0;
    struct timespec nap = { .tv_nsec = 50000 };
    uint64_t begin, end = 0, wrong = 0;
    char data[MESSAGE] = { 0 };
    natsConnection *pub;
    if (n < 1 || n > MOST_SUBS) {
        fprintf(stderr, "usage: pubsub_nats URL SUBSCRIBERS MESSAGES\n");
        return 64;
    }
    messages = strtoull(argv[3], NULL, 10);
    must(nats_Open(-1), "open");
    pub = connection(argv[1]);
    for (int i = 0; i < n; i++) {
        subs[i].conn = connection(argv[1]);
        must(natsConnection_Subscribe(&subs[i].sub, subs[i].conn, "plant.*.temp", take, &subs[i]), "subscribe");
        must(natsSubscription_SetPendingLimits(subs[i].sub, -1, -1), "limits");
        must(natsConnection_Flush(subs[i].conn), "flush");
    }
    begin = now_ns();
    for (uint64_t i = 0; i < messages; i++) {
        memcpy(data, &i, sizeof i);
        must(natsConnection_Publish(pub, "plant.site1.temp", data, sizeof data), "publish");
        while (i % 1024 == 0 && i - (slowest(n) < i ? slowest(n) : i) > WINDOW)
            nanosleep(&nap, NULL);
    }
    must(natsConnection_Flush(pub), "flush");
    while (slowest(n) < messages)
        nanosleep(&nap, NULL);
    for (int i = 0; i < n; i++) {
        uint64_t at = atomic_load(&subs[i].end_ns);
        end = at > end ? at : end;
        wrong += subs[i].wrong;
    }
    for (int i = 0; i < n; i++) {
        natsSubscription_Destroy(subs[i].sub);
        natsConnection_Destroy(subs[i].conn);
    }
    natsConnection_Destroy(pub);
    nats_Close();
    printf("{\"deliveries\":%llu,\"ns\":%llu,\"m_per_s\":%.4f,\"wrong\":%llu}\n",
           (unsigned long long)messages * (unsigned)n, (unsigned long long)(end - begin),
           (double)messages * n / (double)(end - begin) * 1e3, (unsigned long long)wrong);
    return wrong != 0;
}
