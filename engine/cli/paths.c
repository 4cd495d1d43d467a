// cli/paths.c - see paths.h.
#include "cli/paths.h"

#include "base/buf.h"
#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

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

int rki_paths_add_folder(rki_paths *p, const char *folder, bool (*takes)(const char *name))
{
    size_t from = p->n;
    const struct dirent *e;
    int rc = 0;
    DIR *d = opendir(folder);
    if (!d) {
        rki_cli_say("error: cannot open the folder '%s': %s", folder, strerror(errno));
        return RKI_EXIT_UNAVAILABLE;
    }
    while (rc == 0 && (e = readdir(d)))
        if (e->d_name[0] != '.' && (!takes || takes(e->d_name)) && !rki_paths_add(p, folder, e->d_name))
            rc = rki_cli_nomem();
    closedir(d);
    if (p->n > from)
        qsort(p->v + from, p->n - from, sizeof *p->v, by_bytes);
    return rc;
}

bool rki_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
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
