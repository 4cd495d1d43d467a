// pubsub_zmq SUBSCRIBERS MESSAGES PER_FRAME [HWM]: ZeroMQ's inproc PUB/SUB, one publishing thread and a thread for each
// subscriber: messages of 64 bytes, PER_FRAME of them in one frame (1: as ZeroMQ is meant to be used, it gathers messages
// by itself; 32: gathered by hand, as rkpipe's batches are).  Prints deliveries and what they took.
//
// A subscription is a prefix, so that is what messages begin with; the publisher is XPUB, which tells when all
// subscribers are there, and does not drop (NODROP) but waits when HWM frames (default 1,000, as ZeroMQ has it; 0:
// without limit) have not been taken yet.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

enum { MESSAGE = 64, MOST_SUBS = 16, MOST_PER_FRAME = 32, SEQ_AT = 32 };

static const char address[] = "inproc://bench", topic[] = "plant/site1/temp", prefix[] = "plant/";
static void *context;
static uint64_t messages;
static int hwm = 1000;

struct sub {
    pthread_t thread;
    uint64_t wrong, end_ns;
};

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void must(int rc, const char *what)
{
    if (rc < 0) {
        fprintf(stderr, "pubsub_zmq: %s: %s\n", what, zmq_strerror(zmq_errno()));
        exit(1);
    }
}

static void *subscribe(void *arg)
{
    struct sub *s = arg;
    void *socket = zmq_socket(context, ZMQ_SUB);
    uint64_t next = 0;
    zmq_msg_t m;
    must(socket ? 0 : -1, "socket");
    must(zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof hwm), "hwm");
    must(zmq_setsockopt(socket, ZMQ_SUBSCRIBE, prefix, sizeof prefix - 1), "subscribe");
    must(zmq_connect(socket, address), "connect");
    must(zmq_msg_init(&m), "message");
    while (next < messages) {
        const char *p;
        int n = zmq_msg_recv(&m, socket, 0);
        must(n, "receive");
        p = zmq_msg_data(&m);
        for (int i = 0; i < n; i += MESSAGE) {
            uint64_t seq;
            memcpy(&seq, p + i + SEQ_AT, sizeof seq);
            s->wrong += seq != next++;
        }
    }
    s->end_ns = now_ns();
    zmq_msg_close(&m);
    zmq_close(socket);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct sub subs[MOST_SUBS];
    static char frame[MOST_PER_FRAME * MESSAGE];
    int n_subs = argc > 3 ? (int)strtol(argv[1], NULL, 10) : 0, one = 1;
    int per_frame = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 0;
    uint64_t begin, end = 0, wrong = 0;
    void *pub;
    char hello[sizeof prefix];
    if (n_subs < 1 || n_subs > MOST_SUBS || per_frame < 1 || per_frame > MOST_PER_FRAME) {
        fprintf(stderr, "usage: pubsub_zmq SUBSCRIBERS MESSAGES PER_FRAME [HWM]\n");
        return 64;
    }
    messages = strtoull(argv[2], NULL, 10) / (unsigned)per_frame * (unsigned)per_frame;
    hwm = argc > 4 ? (int)strtol(argv[4], NULL, 10) : hwm;
    context = zmq_ctx_new();
    pub = zmq_socket(context, ZMQ_XPUB);
    must(pub ? 0 : -1, "socket");
    must(zmq_setsockopt(pub, ZMQ_XPUB_NODROP, &one, sizeof one), "nodrop");
    must(zmq_setsockopt(pub, ZMQ_XPUB_VERBOSE, &one, sizeof one), "verbose");
    must(zmq_setsockopt(pub, ZMQ_SNDHWM, &hwm, sizeof hwm), "hwm");
    must(zmq_bind(pub, address), "bind");
    for (int i = 0; i < n_subs; i++)
        must(-pthread_create(&subs[i].thread, NULL, subscribe, &subs[i]), "thread");
    for (int i = 0; i < n_subs; i++)
        must(zmq_recv(pub, hello, sizeof hello, 0), "subscription");
    for (int i = 0; i < per_frame; i++)
        memcpy(frame + i * MESSAGE, topic, sizeof topic);
    begin = now_ns();
    for (uint64_t at = 0; at < messages; at += (unsigned)per_frame) {
        for (int i = 0; i < per_frame; i++) {
            uint64_t seq = at + (unsigned)i;
            memcpy(frame + i * MESSAGE + SEQ_AT, &seq, sizeof seq);
        }
        must(zmq_send(pub, frame, (size_t)per_frame * MESSAGE, 0), "send");
    }
    for (int i = 0; i < n_subs; i++) {
        pthread_join(subs[i].thread, NULL);
        wrong += subs[i].wrong;
        end = subs[i].end_ns > end ? subs[i].end_ns : end;
    }
    zmq_close(pub);
    zmq_ctx_term(context);
    printf("{\"deliveries\":%llu,\"ns\":%llu,\"m_per_s\":%.4f,\"wrong\":%llu}\n",
           (unsigned long long)messages * (unsigned)n_subs, (unsigned long long)(end - begin),
           (double)messages * n_subs / (double)(end - begin) * 1e3, (unsigned long long)wrong);
    return wrong != 0;
}
