// turn_caf N [THREADS]: a message of 64 bytes goes back and forth N times between two event-based actors of the C++ Actor
// Framework 0.17, with one worker thread or more.  Prints nanoseconds for one round trip.
#include "hop.h"
#include <caf/all.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(row64)

namespace
{
using start = caf::atom_constant<caf::atom("start")>;
using done = caf::atom_constant<caf::atom("done")>;

caf::behavior pong(caf::event_based_actor *self)
{
    return { [self](row64 &m) { self->send(caf::actor_cast<caf::actor>(self->current_sender()), m); } };
}

caf::behavior ping(caf::event_based_actor *self, caf::actor other, caf::actor main, uint64_t n)
{
    return { [self, other](start) {
                row64 m = {};
                self->send(other, m);
            },
             [self, other, main, n](row64 &m) {
                 if (++m.v[0] == n)
                     self->send(main, done::value, m.v[0]);
                 else
                     self->send(other, m);
             } };
}
} // namespace

int main(int argc, char **argv)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], nullptr, 10) : 0, check = 0;
    if (n == 0) {
        fprintf(stderr, "usage: turn_caf N [THREADS]\n");
        return 64;
    }
    caf::actor_system_config config;
    config.set("scheduler.max-threads", size_t(argc > 2 ? strtoull(argv[2], nullptr, 10) : 1));
    caf::actor_system system{ config };
    caf::scoped_actor self{ system };
    auto main = caf::actor_cast<caf::actor>(self);
    caf::actor b = system.spawn(pong), a = system.spawn(ping, b, main, n);

    auto from = std::chrono::steady_clock::now();
    self->send(a, start::value);
    self->receive([&check](done, uint64_t turns) { check = turns; });
    auto ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - from).count();
    printf("{\"turn_ns\": %.3f, \"wrong\": %d}\n", ns / double(n), check != n);
    for (auto &actor : { a, b })
        self->send_exit(actor, caf::exit_reason::user_shutdown);
    return check != n;
}
