// Every code of a finding in the sources has its sentence in base/diag_codes.h, and every sentence a use.
//
// The sources are read as text: calls of rkp_diag, and of functions that have a parameter `const char *code`.  Of the
// string literals among the arguments, those before the first that has not the form of a code are codes.
#include "base/diag_codes.h"

#include <ctype.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const rki_diag_code codes[] = { RKI_DIAG_CODES };
enum { N_CODES = sizeof codes / sizeof *codes, MAX_FILES = 1024, MAX_NAMES = 256 };

static struct source {
    char path[512];
    char *text; // without comments
} files[MAX_FILES];
static int n_files;
static char names[MAX_NAMES][64];
static int n_names;
static bool used[N_CODES];

static void strip_comments(char *s)
{
    char in = 0;
    for (; *s; s++) {
        if (in && *s == '\\' && s[1])
            s++;
        else if (in && *s == in)
            in = 0;
        else if (!in && (*s == '"' || *s == '\''))
            in = *s;
        else if (!in && s[0] == '/' && s[1] == '/')
            for (; *s && *s != '\n'; s++)
                *s = ' ';
        if (!*s)
            return;
    }
}

static void read_folder(const char *folder)
{
    DIR *d = opendir(folder);
    const struct dirent *e;
    if (!d)
        return;
    while ((e = readdir(d))) {
        char path[512];
        size_t n = strlen(e->d_name);
        FILE *f;
        if (e->d_name[0] == '.' || snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= (int)sizeof path)
            continue;
        if (e->d_type == DT_DIR) {
            read_folder(path);
            continue;
        }
        if (n < 3 || (strcmp(e->d_name + n - 2, ".c") != 0 && strcmp(e->d_name + n - 2, ".h") != 0) ||
            strcmp(e->d_name, "diag_codes.h") == 0)
            continue;
        f = fopen(path, "rb");
        assert_non_null(f);
        assert_true(n_files < MAX_FILES);
        snprintf(files[n_files].path, sizeof files[n_files].path, "%s", path);
        files[n_files].text = calloc(1, 1 << 20);
        assert_non_null(files[n_files].text);
        n = fread(files[n_files].text, 1, (1 << 20) - 1, f);
        assert_true(n < (1 << 20) - 1);
        fclose(f);
        strip_comments(files[n_files++].text);
    }
    closedir(d);
}

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static void add_name(const char *p, size_t n)
{
    if (n == 0 || n >= sizeof names[0])
        return;
    for (int i = 0; i < n_names; i++)
        if (strlen(names[i]) == n && memcmp(names[i], p, n) == 0)
            return;
    assert_true(n_names < MAX_NAMES);
    memcpy(names[n_names], p, n);
    names[n_names++][n] = 0;
}

// The functions that take a code: the word before the parenthesis that `const char *code` stands in.
static void find_names(const char *text)
{
    for (const char *p = text; (p = strstr(p, "const char *code")); p++) {
        const char *q = p;
        int depth = 0;
        if (word_char(p[16]))
            continue;
        while (q > text && !(*q == '(' && depth == 0)) {
            depth += *q == ')';
            depth -= *q == '(';
            if (*q == ';' || *q == '{' || *q == '}')
                break;
            q--;
        }
        if (*q != '(')
            continue;
        const char *end = q;
        while (q > text && word_char(q[-1]))
            q--;
        add_name(q, (size_t)(end - q));
    }
}

static bool code_form(const char *p, size_t n)
{
    if (n < 2 || p[0] == '-' || p[n - 1] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!(islower((unsigned char)p[i]) || isdigit((unsigned char)p[i]) || p[i] == '-'))
            return false;
    return true;
}

static int missing;

static void one_code(const char *path, const char *p, size_t n)
{
    for (int i = 0; i < N_CODES; i++)
        if (strlen(codes[i].code) == n && memcmp(codes[i].code, p, n) == 0)
            return;
    print_error("%s: code '%.*s' is not in engine/base/diag_codes.h\n", path, (int)n, p);
    missing++;
}

// The arguments of one call, from behind its parenthesis.
static void one_call(const char *path, const char *p)
{
    int depth = 1;
    for (; *p && depth; p++) {
        depth += *p == '(';
        depth -= *p == ')';
        if (*p == '\'' && p[1]) {
            p += p[1] == '\\' ? 3 : 2;
        } else if (*p == '"') {
            const char *start = ++p;
            while (*p && *p != '"')
                p += *p == '\\' && p[1] ? 2 : 1;
            if (!code_form(start, (size_t)(p - start)))
                return;
            one_code(path, start, (size_t)(p - start));
        }
    }
}

static void every_code_in_the_sources_has_its_sentence(void **state)
{
    (void)state;
    assert_true(n_files > 50);
    add_name("rkp_diag", 8);
    for (int i = 0; i < n_files; i++)
        find_names(files[i].text);
    for (int i = 0; i < n_files; i++) {
        if (strstr(files[i].path, "engine/admin/"))
            continue; // codes of HTTP answers, not findings
        for (int k = 0; k < n_names; k++) {
            size_t n = strlen(names[k]);
            for (const char *p = files[i].text; (p = strstr(p, names[k])); p += n)
                if ((p == files[i].text || !word_char(p[-1])) && p[n] == '(')
                    one_call(files[i].path, p + n + 1);
        }
    }
    assert_int_equal(missing, 0);
}

static void every_sentence_is_used(void **state)
{
    int unused = 0;
    (void)state;
    for (int i = 0; i < N_CODES; i++) {
        char quoted[80];
        snprintf(quoted, sizeof quoted, "\"%s\"", codes[i].code);
        for (int k = 0; k < n_files && !used[i]; k++)
            used[i] = strstr(files[k].text, quoted) != NULL;
        if (!used[i]) {
            print_error("nobody uses the code '%s' of engine/base/diag_codes.h\n", codes[i].code);
            unused++;
        }
    }
    assert_int_equal(unused, 0);
}

static void sentences_are_sorted_and_end_with_a_full_stop(void **state)
{
    (void)state;
    for (int i = 0; i < N_CODES; i++) {
        size_t n = strlen(codes[i].meaning);
        assert_true(code_form(codes[i].code, strlen(codes[i].code)));
        assert_true(n > 10 && codes[i].meaning[n - 1] == '.');
        if (i)
            assert_true(strcmp(codes[i - 1].code, codes[i].code) < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_in_the_sources_has_its_sentence),
        cmocka_unit_test(every_sentence_is_used),
        cmocka_unit_test(sentences_are_sorted_and_end_with_a_full_stop),
    };
    int rc;
    read_folder(RKP_SOURCE_DIR "/engine");
    read_folder(RKP_SOURCE_DIR "/operators");
    read_folder(RKP_SOURCE_DIR "/backends");
    rc = cmocka_run_group_tests_name("diag_codes", tests, NULL, NULL);
    for (int i = 0; i < n_files; i++)
        free(files[i].text);
    return rc;
}
