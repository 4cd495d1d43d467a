// boost::lockfree::spsc_queue behind the interface of queue.h.
#include "queue.h"
#include <boost/lockfree/spsc_queue.hpp>
#include <new>

typedef boost::lockfree::spsc_queue<message, boost::lockfree::capacity<QUEUE_SLOTS>> queue;

static void *make()
{
    return new (std::nothrow) queue;
}
static void drop(void *q)
{
    delete static_cast<queue *>(q);
}
static unsigned push(void *q, const message *m, unsigned n)
{
    return n == 1 ? static_cast<queue *>(q)->push(*m) : unsigned(static_cast<queue *>(q)->push(m, n));
}
static unsigned pop(void *q, message *m, unsigned n)
{
    return n == 1 ? static_cast<queue *>(q)->pop(*m) : unsigned(static_cast<queue *>(q)->pop(m, n));
}

extern "C" const queue_kind queue_boost = { "boost", make, drop, push, pop };
