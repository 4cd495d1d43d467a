// cli/machine.c - what of the machine this process may use.
//
// Cores: the affinity mask, and the CPU quota of the control group (v2: cpu.max, v1: cpu.cfs_quota_us), rounded up.
// Memory: physical, and memory.max or memory.limit_in_bytes.  A limit may stand on any ancestor of the process's own
// group, so all of them are looked at; inside a container the own group is often mounted as the root, so a path that is
// not there is skipped.
#include "cli/cli.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH = 4096 };

// The first line of a small file; false when it is not there.
static bool first_line(const char *path, char *to, size_t n)
{
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(to, (int)n, f);
    if (f)
        fclose(f);
    if (ok)
        to[strcspn(to, "\n")] = 0;
    return ok;
}

static bool number(const char *text, uint64_t *out)
{
    char *end;
    unsigned long long v;
    if (text[0] < '0' || text[0] > '9')
        return false; // "max", "-1"
    errno = 0;
    v = strtoull(text, &end, 10);
    if (errno)
        return false;
    *out = v;
    return true;
}

static uint64_t memory_at(const char *folder)
{
    static const char *const names[] = { "memory.max", "memory.limit_in_bytes" };
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < 2; i++) {
        char path[PATH], line[64];
        uint64_t v;
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (first_line(path, line, sizeof line) && number(line, &v) && v && v < least)
            least = v;
    }
    return least;
}

static uint64_t cores_at(const char *folder)
{
    char path[PATH], line[64];
    uint64_t quota = 0, period = 0;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (first_line(path, line, sizeof line)) {
        char *blank = strchr(line, ' ');
        if (!number(line, &quota) || !blank || !number(blank + 1, &period))
            return UINT64_MAX;
    } else {
        snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
        if (!first_line(path, line, sizeof line) || !number(line, &quota))
            return UINT64_MAX;
        snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
        if (!first_line(path, line, sizeof line) || !number(line, &period))
            return UINT64_MAX;
    }
    return quota && period ? (quota + period - 1) / period : UINT64_MAX;
}

// The least of look(folder) over a group and its ancestors below `root`.
static uint64_t climb(const char *root, const char *group, uint64_t (*look)(const char *))
{
    char path[PATH];
    uint64_t least = UINT64_MAX;
    size_t base = strlen(root);
    int n = snprintf(path, sizeof path, "%s%s", root, strcmp(group, "/") == 0 ? "" : group);
    if (n < 0 || (size_t)n >= sizeof path || strstr(group, ".."))
        snprintf(path, sizeof path, "%s", root);
    for (;;) {
        uint64_t v = look(path);
        char *slash = strrchr(path, '/');
        least = v < least ? v : least;
        if (strlen(path) <= base || !slash)
            return least;
        *slash = 0;
    }
}

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, word, n) == 0 && (p[n] == ',' || p[n] == 0))
            return true;
    }
    return false;
}

// Lines of /proc/self/cgroup are id:controllers:path; no controllers is version 2.
static uint64_t limit(const char *proc, const char *sys, const char *controller, uint64_t (*look)(const char *))
{
    char path[PATH], line[PATH];
    uint64_t least = UINT64_MAX;
    FILE *f;
    snprintf(path, sizeof path, "%s/self/cgroup", proc);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        char *words = strchr(line, ':'), *group = words ? strchr(words + 1, ':') : NULL, root[PATH];
        uint64_t v;
        if (!group)
            continue;
        *words++ = 0;
        *group++ = 0;
        group[strcspn(group, "\n")] = 0;
        if (*words == 0)
            snprintf(root, sizeof root, "%s/fs/cgroup", sys);
        else if (has_word(words, controller))
            snprintf(root, sizeof root, "%s/fs/cgroup/%s", sys, controller);
        else
            continue;
        v = climb(root, group, look);
        least = v < least ? v : least;
    }
    if (f)
        fclose(f);
    return least;
}

uint64_t rki_machine_cgroup_memory(const char *proc, const char *sys)
{
    return limit(proc, sys, "memory", memory_at);
}

uint32_t rki_machine_cgroup_cores(const char *proc, const char *sys)
{
    uint64_t n = limit(proc, sys, "cpu", cores_at);
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static uint32_t affinity(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    for (size_t n = 1024; n <= 1u << 20; n *= 4) {
        cpu_set_t *set = CPU_ALLOC(n);
        int count = 0;
        bool ok = set && sched_getaffinity(0, CPU_ALLOC_SIZE(n), set) == 0;
        if (ok)
            count = CPU_COUNT_S(CPU_ALLOC_SIZE(n), set);
        CPU_FREE(set);
        if (ok && count > 0)
            return (uint32_t)count;
        if (!ok && errno != EINVAL)
            break;
    }
    return online > 0 ? (uint32_t)online : 1;
}

void rki_machine_look(rki_machine *m)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t memory = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
    uint64_t group = rki_machine_cgroup_memory("/proc", "/sys");
    uint32_t quota = rki_machine_cgroup_cores("/proc", "/sys");
    m->cores = affinity();
    m->cores = quota < m->cores ? quota : m->cores;
    m->memory = group < memory || memory == 0 ? group == UINT64_MAX ? 0 : group : memory;
}

bool rki_machine_modules(char *to, size_t n)
{
    static const char *const folders[] = { "lib/rkpipe", "../lib/rkpipe" };
    char self[PATH];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash;
    if (len <= 0)
        return false;
    self[len] = 0;
    slash = strrchr(self, '/');
    if (!slash)
        return false;
    slash[1] = 0;
    for (size_t i = 0; i < 2; i++) {
        char file[PATH * 2];
        snprintf(file, sizeof file, "%s%s/librk_cuda.so", self, folders[i]);
        if (access(file, R_OK) == 0)
            return snprintf(to, n, "%s%s", self, folders[i]) < (int)n;
    }
    return false;
}
