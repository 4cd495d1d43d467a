// What the queues of tests/bench/queue.c have in common: 64-byte messages from one thread to another, in bursts.
#ifndef QUEUE_H
#define QUEUE_H

#include <stdint.h>

enum { QUEUE_SLOTS = 1024 };

struct message {
    uint64_t word[8];
};

struct queue_kind {
    const char *name;
    void *(*make)(void);
    void (*drop)(void *q);
    unsigned (*push)(void *q, const struct message *m, unsigned n); // how many found room
    unsigned (*pop)(void *q, struct message *m, unsigned n);        // how many there were
};

#ifdef __cplusplus
extern "C" {
#endif
extern const struct queue_kind queue_boost;
#ifdef __cplusplus
}
#endif

#endif
