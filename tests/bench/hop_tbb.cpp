// hop_tbb flow|pipeline N: the hop benchmark on oneTBB, one worker thread.
//   flow      flow_graph: a source and three serial function nodes, one message per row, by value
//   pipeline  parallel_pipeline: four serial filters; a token is a batch of 256 messages, by pointer
#include "hop.h"
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tbb/flow_graph.h>
#include <tbb/global_control.h>
#include <tbb/parallel_pipeline.h>

static uint64_t flow(uint64_t n)
{
    using namespace tbb::flow;
    uint64_t i = 0, sum = 0;
    graph g;
    input_node<row64> first(g, [&](tbb::flow_control &fc) {
        row64 m = {};
        if (i == n)
            fc.stop();
        else
            hop_make(&m, i++);
        return m;
    });
    function_node<row64, row64, rejecting> second(g, serial, [](row64 m) {
        hop_add(&m);
        return m;
    });
    function_node<row64, row64> third(g, serial, [](row64 m) {
        hop_mix(&m);
        return m;
    });
    function_node<row64> last(g, serial, [&sum](const row64 &m) { hop_keep(&sum, &m); });
    make_edge(first, second);
    make_edge(second, third);
    make_edge(third, last);
    first.activate();
    g.wait_for_all();
    return sum;
}

static uint64_t pipeline(uint64_t n)
{
    enum { BATCH = 256, TOKENS = 4 };
    struct batch {
        size_t n;
        row64 m[BATCH];
    };
    static batch pool[TOKENS];
    size_t turn = 0;
    uint64_t i = 0, sum = 0;
    auto serial = tbb::filter_mode::serial_in_order;
    tbb::parallel_pipeline(TOKENS, tbb::make_filter<void, batch *>(serial, [&](tbb::flow_control &fc) -> batch * {
                                       if (i == n) {
                                           fc.stop();
                                           return nullptr;
                                       }
                                       batch *b = &pool[turn++ % TOKENS];
                                       for (b->n = 0; b->n < BATCH && i < n; b->n++)
                                           hop_make(&b->m[b->n], i++);
                                       return b;
                                   }) & tbb::make_filter<batch *, batch *>(serial, [](batch *b) {
                                       for (size_t k = 0; k < b->n; k++)
                                           hop_add(&b->m[k]);
                                       return b;
                                   }) & tbb::make_filter<batch *, batch *>(serial, [](batch *b) {
                                       for (size_t k = 0; k < b->n; k++)
                                           hop_mix(&b->m[k]);
                                       return b;
                                   }) & tbb::make_filter<batch *, void>(serial, [&sum](batch *b) {
                                       for (size_t k = 0; k < b->n; k++)
                                           hop_keep(&sum, &b->m[k]);
                                   }));
    return sum;
}

int main(int argc, char **argv)
{
    uint64_t n = argc == 3 ? strtoull(argv[2], nullptr, 10) : 0;
    if (n == 0 || (strcmp(argv[1], "flow") != 0 && strcmp(argv[1], "pipeline") != 0)) {
        fprintf(stderr, "usage: hop_tbb flow|pipeline N\n");
        return 64;
    }
    tbb::global_control one(tbb::global_control::max_allowed_parallelism, 1);
    auto from = std::chrono::steady_clock::now();
    uint64_t check = argv[1][0] == 'f' ? flow(n) : pipeline(n);
    auto ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - from).count();
    printf("{\"ns_per_message\": %.3f, \"check\": %llu}\n", ns / double(n), (unsigned long long)check);
    return 0;
}
