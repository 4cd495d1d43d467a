// census: what the machine code of a kernel does to memory.  Reads a cubin by itself: no tool of CUDA is needed, and one that is there may be too old.
//
//   census sm_90 FILE KERNEL [KEY=NUMBER | KEY=FROM..TO]..
//
// An instruction has 16 bytes from sm_70 on.  Bits 0 to 8 say what it does, 9 to 11 of what kind its operands are; bits 77 to 80 of an access of
// global memory say how it is ordered, bits 76 to 79 of a barrier of memory what kind it is.  No manual says so: tests/gpu/probes.cu asks the
// assembler for each of them, and nvcc.sh looks whether the numbers are still these.
#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LD = 0x180,
    LDG = 0x181,
    LDL = 0x183,
    ST = 0x185,
    STG = 0x186,
    STL = 0x187,
    CCTL = 0x18f,
    MEMBAR = 0x192,
    BAR = 0x11d
};

enum key {
    LOCAL, // loads and stores of memory of a thread: registers that were spilled
    GENERIC,
    LOAD_WEAK,
    LOAD_SYS,
    LOAD_OTHER,
    STORE_WEAK,
    STORE_SYS,
    STORE_OTHER,
    MEMBAR_SYS, // of release: all that came before has arrived
    MEMBAR_SC,
    MEMBAR_OTHER,
    INVALIDATE, // of acquire: the L1 forgets
    BARRIER,
    INSTRUCTIONS,
    KEYS
};

static const char *const names[KEYS] = { "local",        "generic",    "load_weak",   "load_sys",    "load_other",
                                         "store_weak",   "store_sys",  "store_other", "membar_sys",  "membar_sc",
                                         "membar_other", "invalidate", "barrier",     "instructions" };

// How accesses are ordered: the numbers of sm_75 are others.
static enum key order_of(unsigned sm, uint64_t high, enum key weak)
{
    unsigned order = high >> 13 & 15;
    return order == (sm < 80 ? 7 : 0) ? weak : order == (sm < 80 ? 11 : 10) ? weak + 1 : weak + 2;
}

static void count(unsigned sm, const unsigned char *code, uint64_t bytes, uint64_t n[KEYS])
{
    for (uint64_t at = 0; at + 16 <= bytes; at += 16) {
        uint64_t low, high;
        memcpy(&low, code + at, 8);
        memcpy(&high, code + at + 8, 8);
        n[INSTRUCTIONS]++;
        switch (low & 0x1ff) {
        case LDL:
        case STL:
            n[LOCAL]++;
            break;
        case LD:
        case ST:
            n[GENERIC]++;
            break;
        case LDG:
            n[order_of(sm, high, LOAD_WEAK)]++;
            break;
        case STG:
            n[order_of(sm, high, STORE_WEAK)]++;
            break;
        case MEMBAR:
            n[(high >> 12 & 15) == 0xb ? MEMBAR_SYS : (high >> 12 & 15) == 3 ? MEMBAR_SC : MEMBAR_OTHER]++;
            break;
        case CCTL:
            n[INVALIDATE]++;
            break;
        case BAR:
            n[BARRIER]++;
            break;
        default:;
        }
    }
}

static bool inside(uint64_t offset, uint64_t size, uint64_t n)
{
    return offset <= n && size <= n - offset;
}

// The section .text.KERNEL.
static bool find(const unsigned char *file, uint64_t n, const char *kernel, Elf64_Shdr *found)
{
    Elf64_Ehdr head;
    Elf64_Shdr names_of;
    char name[256];
    if (n < sizeof head)
        return false;
    memcpy(&head, file, sizeof head);
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
        head.e_shentsize != sizeof *found || head.e_shstrndx >= head.e_shnum ||
        !inside(head.e_shoff, (uint64_t)head.e_shnum * sizeof *found, n))
        return false;
    memcpy(&names_of, file + head.e_shoff + head.e_shstrndx * sizeof names_of, sizeof names_of);
    snprintf(name, sizeof name, ".text.%s", kernel);
    for (unsigned i = 0; i < head.e_shnum; i++) {
        memcpy(found, file + head.e_shoff + i * sizeof *found, sizeof *found);
        uint64_t at = names_of.sh_offset + found->sh_name;
        if (inside(at, strlen(name) + 1, n) && memcmp(file + at, name, strlen(name) + 1) == 0)
            return found->sh_type == SHT_PROGBITS && inside(found->sh_offset, found->sh_size, n);
    }
    return false;
}

// Is it as KEY=NUMBER or KEY=FROM..TO says?
static bool as_said(const char *what, const uint64_t n[KEYS])
{
    const char *number = strchr(what, '=');
    for (unsigned k = 0; number && k < KEYS; k++)
        if (strncmp(what, names[k], (size_t)(number - what)) == 0 && strlen(names[k]) == (size_t)(number - what)) {
            char *end;
            uint64_t from = strtoull(number + 1, &end, 10),
                     to = strncmp(end, "..", 2) == 0 ? strtoull(end + 2, NULL, 10) : from;
            if (n[k] >= from && n[k] <= to)
                return true;
            fprintf(stderr, "census: %s is %llu, not %s\n", names[k], (unsigned long long)n[k], number + 1);
            return false;
        }
    fprintf(stderr, "census: what is '%s'?\n", what);
    return false;
}

int main(int argc, char **argv)
{
    static unsigned char file[4 << 20];
    uint64_t n[KEYS] = { 0 };
    Elf64_Shdr text;
    bool right = true;
    if (argc < 4 || strncmp(argv[1], "sm_", 3) != 0) {
        fprintf(stderr, "usage: census sm_NN FILE KERNEL [KEY=NUMBER]..\n");
        return 2;
    }
    FILE *f = fopen(argv[2], "rb");
    uint64_t bytes = f ? fread(file, 1, sizeof file, f) : 0;
    if (f)
        fclose(f);
    if (!find(file, bytes, argv[3], &text)) {
        fprintf(stderr, "census: no code of '%s' in '%s'\n", argv[3], argv[2]);
        return 2;
    }
    count((unsigned)atoi(argv[1] + 3), file + text.sh_offset, text.sh_size, n);
    printf("%s %s:", argv[1], argv[3]);
    for (unsigned k = 0; k < KEYS; k++)
        if (n[k])
            printf(" %s=%llu", names[k], (unsigned long long)n[k]);
    printf("\n");
    for (int i = 4; i < argc; i++)
        right &= as_said(argv[i], n);
    return right ? 0 : 1;
}
