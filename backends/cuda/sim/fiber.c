// Stacks that take turns on one thread: an own switch where we have one, ucontext elsewhere.
#include "cuda/sim/fiber.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef RKC_SANITIZE_THREAD
#include <sanitizer/tsan_interface.h>
#endif
#ifdef RKC_SANITIZE_ADDRESS
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if defined RKC_SANITIZE_THREAD || defined RKC_SANITIZE_ADDRESS
enum { STACK = 512 << 10 }; // their frames are larger
#else
enum { STACK = 128 << 10 };
#endif

static _Thread_local rkc_fiber *came_from, *running;

// The stack of who runs now is known when the first other one has begun.
static void arrived(void)
{
#ifdef RKC_SANITIZE_ADDRESS
    const void *bottom = NULL;
    size_t size = 0;
    __sanitizer_finish_switch_fiber(running->fake, &bottom, &size);
    if (!came_from->stack) {
        came_from->bottom = bottom;
        came_from->size = size;
    }
#endif
}

static void begin(void)
{
    arrived();
    running->run(running->arg);
    __builtin_trap(); // a fiber's function never returns
}

#if defined __x86_64__ && !defined RKC_FIBER_UCONTEXT
// void rkc_fiber_swap(void **from, void *to): what a callee must keep goes onto the stack, then the stack changes.
__asm__(".text\n"
        ".p2align 4\n"
        ".hidden rkc_fiber_swap\n"
        ".globl rkc_fiber_swap\n"
        ".type rkc_fiber_swap, @function\n"
        "rkc_fiber_swap:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size rkc_fiber_swap, . - rkc_fiber_swap\n");
void rkc_fiber_swap(void **from, void *to);

// Six registers, where to begin, and no return address behind it: a function begins 8 bytes off a line of 16.
static void prepare(rkc_fiber *f, char *top)
{
    uintptr_t *words = (uintptr_t *)(void *)top - 8;
    memset(words, 0, 8 * sizeof *words);
    words[6] = (uintptr_t)begin;
    f->sp = words;
}

static void swap(rkc_fiber *from, rkc_fiber *to)
{
    rkc_fiber_swap(&from->sp, to->sp);
}
#else
static void prepare(rkc_fiber *f, char *top)
{
    (void)top;
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = (char *)(uintptr_t)f->bottom;
    f->context.uc_stack.ss_size = f->size;
    f->context.uc_link = NULL;
    makecontext(&f->context, begin, 0);
}

static void swap(rkc_fiber *from, rkc_fiber *to)
{
    swapcontext(&from->context, &to->context);
}
#endif

void rkc_fiber_of_thread(rkc_fiber *f)
{
    *f = (rkc_fiber){ 0 };
    running = f;
#ifdef RKC_SANITIZE_THREAD
    f->tsan = __tsan_get_current_fiber();
#endif
}

bool rkc_fiber_new(rkc_fiber *f, void (*run)(void *arg), void *arg)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *f = (rkc_fiber){ .run = run, .arg = arg, .bytes = STACK + page };
    f->stack =
        mmap(NULL, f->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (f->stack == MAP_FAILED) {
        *f = (rkc_fiber){ 0 };
        return false;
    }
    if (mprotect(f->stack, page, PROT_NONE) != 0) {
        munmap(f->stack, f->bytes);
        *f = (rkc_fiber){ 0 };
        return false;
    }
    f->bottom = f->stack + page;
    f->size = STACK;
    prepare(f, f->stack + f->bytes);
#ifdef RKC_SANITIZE_THREAD
    f->tsan = __tsan_create_fiber(0);
#endif
    return true;
}

void rkc_fiber_free(rkc_fiber *f)
{
    if (!f->stack)
        return;
#ifdef RKC_SANITIZE_THREAD
    __tsan_destroy_fiber(f->tsan);
#endif
#ifdef RKC_SANITIZE_ADDRESS
    ASAN_UNPOISON_MEMORY_REGION(f->bottom, f->size); // frames that were left in their midst
#endif
    munmap(f->stack, f->bytes);
    *f = (rkc_fiber){ 0 };
}

void rkc_fiber_switch(rkc_fiber *from, rkc_fiber *to)
{
    came_from = from;
    running = to;
#ifdef RKC_SANITIZE_THREAD
    __tsan_switch_to_fiber(to->tsan, __tsan_switch_to_fiber_no_sync);
#endif
#ifdef RKC_SANITIZE_ADDRESS
    __sanitizer_start_switch_fiber(&from->fake, to->bottom, to->size);
#endif
    swap(from, to);
    arrived();
}
