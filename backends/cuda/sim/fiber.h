// cuda/sim/fiber.h - stacks that take turns on one thread.
//
//   Owns     a fiber owns its stack, which has a page below it that nobody may touch
//   Threads  all fibers of a thread stay on it
//   Fails    rkc_fiber_new returns false: no memory
//   Limits   a fiber's function never returns: it switches away for good
//   Cost     a switch is some ten moves on x86-64, two system calls elsewhere
//
// For ThreadSanitizer fibers are threads, and a switch orders nothing between them.
#ifndef RKC_SIM_FIBER_H
#define RKC_SIM_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#if !defined __x86_64__ || defined RKC_FIBER_UCONTEXT
#include <ucontext.h>
#endif

typedef struct rkc_fiber {
    void *sp; // while it does not run
#if !defined __x86_64__ || defined RKC_FIBER_UCONTEXT
    ucontext_t context;
#endif
    char *stack; // the page that nobody may touch, and the stack above it; NULL: of the thread itself
    size_t bytes;
    void (*run)(void *arg);
    void *arg;
    // Sanitizers': the stack as they know it, and theirs.
    const void *bottom;
    size_t size;
    void *fake, *tsan;
} rkc_fiber;

// The thread that calls, as one of its fibers.
void rkc_fiber_of_thread(rkc_fiber *f);
bool rkc_fiber_new(rkc_fiber *f, void (*run)(void *arg), void *arg);
void rkc_fiber_free(rkc_fiber *f); // it does not run; it may be in the midst of something
void rkc_fiber_switch(rkc_fiber *from, rkc_fiber *to);

#endif
