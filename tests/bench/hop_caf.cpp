// hop_caf N: the hop benchmark on the C++ Actor Framework 0.17: four event-based actors, one worker thread, one message
// per row. The last actor gives the first one credit, so that no mailbox holds more than WINDOW messages.
#include "hop.h"
#include <caf/all.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(row64)

namespace
{
constexpr uint64_t window = 1024;
using credit = caf::atom_constant<caf::atom("credit")>;
using done = caf::atom_constant<caf::atom("done")>;

caf::behavior make(caf::event_based_actor *self, caf::actor next, uint64_t n)
{
    return { [self, next, n, i = uint64_t(0)](credit, uint64_t more) mutable {
        for (; more && i < n; more--) {
            row64 m;
            hop_make(&m, i++);
            self->send(next, m);
        }
    } };
}

caf::behavior add(caf::event_based_actor *self, caf::actor next)
{
    return { [self, next](row64 &m) {
        hop_add(&m);
        self->send(next, m);
    } };
}

caf::behavior mix(caf::event_based_actor *self, caf::actor next)
{
    return { [self, next](row64 &m) {
        hop_mix(&m);
        self->send(next, m);
    } };
}

struct kept {
    caf::actor first, main;
    uint64_t sum = 0, seen = 0;
};

caf::behavior keep(caf::stateful_actor<kept> *self, uint64_t n)
{
    return { [self](caf::actor first, caf::actor main) {
                self->state.first = first;
                self->state.main = main;
                self->send(first, credit::value, window);
            },
             [self, n](row64 &m) {
                 kept &s = self->state;
                 hop_keep(&s.sum, &m);
                 if (++s.seen % (window / 2) == 0)
                     self->send(s.first, credit::value, window / 2);
                 if (s.seen == n)
                     self->send(s.main, done::value, s.sum);
             } };
}
} // namespace

int main(int argc, char **argv)
{
    uint64_t n = argc == 2 ? strtoull(argv[1], nullptr, 10) : 0, check = 0;
    if (n == 0) {
        fprintf(stderr, "usage: hop_caf N\n");
        return 64;
    }
    caf::actor_system_config config;
    config.set("scheduler.max-threads", size_t(1));
    caf::actor_system system{ config };
    caf::scoped_actor self{ system };
    caf::actor d = system.spawn(keep, n), c = system.spawn(mix, d), b = system.spawn(add, c),
               a = system.spawn(make, b, n);

    auto from = std::chrono::steady_clock::now();
    self->send(d, a, caf::actor_cast<caf::actor>(self));
    self->receive([&check](done, uint64_t sum) { check = sum; });
    auto ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - from).count();
    printf("{\"ns_per_message\": %.3f, \"check\": %llu}\n", ns / double(n), (unsigned long long)check);
    for (auto &actor : { a, b, c, d })
        self->send_exit(actor, caf::exit_reason::user_shutdown);
    return 0;
}
