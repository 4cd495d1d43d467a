// cli/paths.c - see paths.h.
#include "cli/paths.h"

#include "base/buf.h"

#include <stdlib.h>

bool rki_paths_add(rki_paths *p, const char *folder, const char *name)
{
    size_t n = strlen(folder);
    rki_buf b;
    char **v = reallocarray(p->v, p->n + 1, sizeof *v);
    if (!v)
        return false;
    p->v = v;
    rki_buf_init(&b);
    rki_putz(&b, folder);
    if (name)
        rki_putf(&b, "%s%s", n && folder[n - 1] == '/' ? "" : "/", name);
    v[p->n] = rki_buf_take(&b, NULL);
    if (!v[p->n])
        return false;
    p->n++;
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void rki_paths_sort(rki_paths *p, size_t from)
{
    if (p->n > from)
        qsort(p->v + from, p->n - from, sizeof *p->v, by_bytes);
}

void rki_paths_fini(rki_paths *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->v[i]);
    free(p->v);
    *p = (rki_paths){ 0 };
}

bool rki_is_yaml(const char *path)
{
    static const char *const ends[] = { ".yaml", ".yml", NULL };
    size_t n = strlen(path);
    for (int i = 0; ends[i]; i++)
        if (n >= strlen(ends[i]) && strcmp(path + n - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}
