// json_scan: the tree of wanted paths, what the walkers learn, and the choice of the instruction set.
//
// Paths become a tree of nodes; slots are numbered depth first, so that what is wanted below an entry is a range.
#include "json_scan_impl.h"

#include <stdlib.h>

// ---- paths ----------------------------------------------------------------------------------------------------------

struct step {
    bool element;
    uint64_t index;
    rkp_str name; // unescaped only for plain names; for quoted ones the text between the quotes
    char quote;   // 0: plain
};

// Reads one step at *p; false when it cannot.  `first`: no dot stands before a name.
static bool step_read(const char **p, const char *end, bool first, struct step *s)
{
    const char *q = *p;
    *s = (struct step){ 0 };
    if (*q == '[') {
        q++;
        if (q < end && (*q == '"' || *q == '\'')) {
            s->quote = *q++;
            s->name.p = q;
            while (q < end && *q != s->quote)
                q += *q == '\\' && end - q > 1 ? 2 : 1;
            if (q >= end)
                return false;
            s->name.n = (size_t)(q - s->name.p);
            q++;
        } else {
            s->element = true;
            if (q == end || *q < '0' || *q > '9')
                return false;
            for (; q < end && *q >= '0' && *q <= '9'; q++) {
                if (s->index > 99999999)
                    return false;
                s->index = s->index * 10 + (uint64_t)(*q - '0');
            }
        }
        if (q == end || *q != ']')
            return false;
        *p = q + 1;
        return true;
    }
    if (!first) {
        if (*q != '.')
            return false;
        q++;
    }
    s->name.p = q;
    while (q < end && *q != '.' && *q != '[')
        q++;
    s->name.n = (size_t)(q - s->name.p);
    *p = q;
    return s->name.n > 0;
}

// The part behind `$`; first is set when a name may follow without a dot.
static const char *path_begin(rkp_str path, bool *first)
{
    if (path.n && path.p[0] == '$' && (path.n == 1 || path.p[1] == '.' || path.p[1] == '[')) {
        *first = false;
        return path.p + 1;
    }
    *first = true;
    return path.p;
}

bool jscan_path_ok(rkp_str path, size_t *bad)
{
    bool first;
    const char *p = path_begin(path, &first), *end = path.p + path.n;
    unsigned steps = 0;
    *bad = 0;
    if (path.n == 0)
        return false;
    while (p < end) {
        struct step s;
        *bad = (size_t)(p - path.p);
        if (++steps > JSCAN_STEPS || !step_read(&p, end, first, &s))
            return false;
        first = false;
    }
    return true;
}

static void entry_free(struct entry *e)
{
    struct node *nd = e->child;
    if (!nd)
        return;
    for (uint32_t i = 0; i < nd->n_members; i++)
        entry_free(&nd->members[i]);
    for (uint32_t i = 0; i < nd->n_elems; i++)
        entry_free(&nd->elems[i]);
    for (uint32_t i = 0; i < MAX_ITEMS / ITEM_BLOCK; i++)
        free(nd->blocks[i]);
    free(nd->members);
    free(nd->elems);
    free(nd->table);
    free(nd->items);
    free(nd);
}

static uint32_t member_find(const struct node *nd, rkp_str name)
{
    if (!nd->table)
        return 0;
    for (uint32_t i = jscan_hash(name.p, name.n);; i++) {
        uint32_t m = nd->table[i & nd->mask];
        if (!m || rkp_str_eq(nd->members[m - 1].key, name))
            return m;
    }
}

static struct entry *member_add(struct node *nd, rkp_str name)
{
    uint32_t m = member_find(nd, name);
    if (m)
        return &nd->members[m - 1];
    if (nd->n_members == 0 || (nd->n_members & (nd->n_members - 1)) == 0) {
        uint32_t cap = nd->n_members ? nd->n_members * 2 : 1;
        uint32_t *table = calloc((size_t)cap * 4, sizeof *table);
        struct entry *v = realloc(nd->members, cap * sizeof *v);
        if (v)
            nd->members = v;
        if (!v || !table) {
            free(table);
            return NULL;
        }
        free(nd->table);
        nd->table = table;
        nd->mask = cap * 4 - 1;
        for (uint32_t k = 0; k < nd->n_members; k++) {
            uint32_t i = jscan_hash(v[k].key.p, v[k].key.n);
            while (table[i & nd->mask])
                i++;
            table[i & nd->mask] = k + 1;
        }
    }
    uint32_t i = jscan_hash(name.p, name.n);
    while (nd->table[i & nd->mask])
        i++;
    nd->members[nd->n_members] = (struct entry){ .key = name, .slot = -1 };
    nd->table[i & nd->mask] = ++nd->n_members;
    return &nd->members[nd->n_members - 1];
}

static struct entry *elem_add(struct node *nd, uint64_t index)
{
    uint32_t at = 0;
    struct entry *v;
    while (at < nd->n_elems && nd->elems[at].index < index)
        at++;
    if (at < nd->n_elems && nd->elems[at].index == index)
        return &nd->elems[at];
    v = realloc(nd->elems, ((size_t)nd->n_elems + 1) * sizeof *v);
    if (!v)
        return NULL;
    nd->elems = v;
    memmove(v + at + 1, v + at, (nd->n_elems - at) * sizeof *v);
    nd->n_elems++;
    v[at] = (struct entry){ .index = index, .slot = -1 };
    return &v[at];
}

// The entry of a path, made when it is not there yet.  `names` is where quoted names are put without backslashes.
static struct entry *path_add(struct jscan *s, const jscan_path *path, char **names)
{
    struct entry *e = &s->root;
    bool first = true;
    const char *p = path->key ? path->text.p : path_begin(path->text, &first), *end = path->text.p + path->text.n;
    while (p < end || path->key) {
        struct step st = { .name = path->text };
        if (!path->key && !step_read(&p, end, first, &st))
            return NULL;
        first = false;
        if (!e->child) {
            e->child = calloc(1, sizeof *e->child);
            if (!e->child)
                return NULL;
        }
        if (st.element) {
            e = elem_add(e->child, st.index);
        } else {
            rkp_str name = { *names, 0 };
            for (size_t i = 0; i < st.name.n; i++) {
                if (st.quote && st.name.p[i] == '\\' && i + 1 < st.name.n)
                    i++;
                (*names)[name.n++] = st.name.p[i];
            }
            *names += name.n;
            e = member_add(e->child, name);
        }
        if (!e || path->key)
            return e;
    }
    return e;
}

static uint32_t number(struct entry *e, uint32_t n)
{
    if (e->slot >= 0)
        e->slot = (int32_t)n++;
    e->lo = n;
    for (uint32_t i = 0; e->child && i < e->child->n_members; i++)
        n = number(&e->child->members[i], n);
    for (uint32_t i = 0; e->child && i < e->child->n_elems; i++)
        n = number(&e->child->elems[i], n);
    e->hi = n;
    return n;
}

jscan *jscan_new(const jscan_path *paths, uint32_t n, bool validate, uint32_t *slot_of)
{
    jscan *s = calloc(1, sizeof *s);
    size_t bytes = 1;
    char *names;
    if (!s)
        return NULL;
    for (uint32_t i = 0; i < n; i++)
        bytes += paths[i].text.n;
    s->names = malloc(bytes * 2);
    s->marks = malloc(MARKS_ROOM * sizeof *s->marks);
    if (!s->names || !s->marks)
        goto fail;
    s->root.slot = -1;
    s->validate = validate;
    s->k = jscan_kernels_at(JSCAN_BEST);
    names = s->names;
    for (uint32_t i = 0; i < n; i++) {
        const char *p = paths[i].text.p;
        struct entry *e;
        bool first;
        if (!paths[i].key &&
            (p = path_begin(paths[i].text, &first), p == paths[i].text.p + paths[i].text.n || *p == '['))
            s->any_line = true; // [0] or ["x"], or the whole line
        if (paths[i].unread)
            continue;
        e = path_add(s, &paths[i], &names);
        if (!e)
            goto fail;
        e->slot = 0;
    }
    s->n_slots = number(&s->root, 0);
    // Entries do not move any more: find each path's again, for its slot.  Nothing is added, so nothing can fail.
    names = s->names;
    for (uint32_t i = 0; i < n; i++)
        slot_of[i] = paths[i].unread ? UINT32_MAX : (uint32_t)path_add(s, &paths[i], &names)->slot;
    return s;
fail:
    jscan_free(s);
    return NULL;
}

void jscan_free(jscan *s)
{
    if (!s)
        return;
    entry_free(&s->root);
    free(s->marks);
    free(s->names);
    free(s);
}

uint32_t jscan_slots(const jscan *s)
{
    return s->n_slots;
}

void jscan_use(jscan *s, const jscan_kernels *k)
{
    s->k = k;
}

bool jscan_lines(jscan *s, jscan_chunk *c)
{
    return s->k->lines(s, c);
}

// ---- learning -------------------------------------------------------------------------------------------------------

static unsigned hex_value(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

static uint32_t hex4(const char *p)
{
    return hex_value(p[0]) << 12 | hex_value(p[1]) << 8 | hex_value(p[2]) << 4 | hex_value(p[3]);
}

size_t jscan_unescape(char *to, const char *p, size_t n)
{
    const char *end = p + n;
    char *t = to;
    while (p < end) {
        uint32_t u;
        if (*p != '\\') {
            *t++ = *p++;
            continue;
        }
        p += 2;
        switch (p[-1]) {
        case 'b':
            *t++ = '\b';
            break;
        case 'f':
            *t++ = '\f';
            break;
        case 'n':
            *t++ = '\n';
            break;
        case 'r':
            *t++ = '\r';
            break;
        case 't':
            *t++ = '\t';
            break;
        case 'u':
            u = hex4(p);
            p += 4;
            if (u >= 0xD800 && u < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' && hex4(p + 2) >= 0xDC00 &&
                hex4(p + 2) < 0xE000) {
                u = 0x10000 + ((u - 0xD800) << 10) + (hex4(p + 2) - 0xDC00);
                p += 6;
            } else if (u >= 0xD800 && u < 0xE000) {
                u = 0xFFFD;
            }
            if (u < 0x80) {
                *t++ = (char)u;
            } else if (u < 0x800) {
                *t++ = (char)(0xC0 | u >> 6);
                *t++ = (char)(0x80 | (u & 0x3F));
            } else if (u < 0x10000) {
                *t++ = (char)(0xE0 | u >> 12);
                *t++ = (char)(0x80 | (u >> 6 & 0x3F));
                *t++ = (char)(0x80 | (u & 0x3F));
            } else {
                *t++ = (char)(0xF0 | u >> 18);
                *t++ = (char)(0x80 | (u >> 12 & 0x3F));
                *t++ = (char)(0x80 | (u >> 6 & 0x3F));
                *t++ = (char)(0x80 | (u & 0x3F));
            }
            break;
        default:
            *t++ = p[-1];
        }
    }
    return (size_t)(t - to);
}

const struct entry *jscan_member(const struct node *nd, const char *raw, size_t n, bool escaped)
{
    char small[256];
    uint32_t m;
    if (escaped) {
        // A name of more than 256 bytes that is written with escapes: compare member by member, in pieces.
        if (n > sizeof small) {
            char *big = malloc(n);
            if (!big)
                return NULL;
            m = member_find(nd, (rkp_str){ big, jscan_unescape(big, raw, n) });
            free(big);
            return m ? &nd->members[m - 1] : NULL;
        }
        n = jscan_unescape(small, raw, n);
        raw = small;
    }
    m = member_find(nd, (rkp_str){ raw, n });
    return m ? &nd->members[m - 1] : NULL;
}

static bool items_grow(struct node *nd)
{
    uint32_t cap = nd->items ? (nd->items_mask + 1) * 2 : 32;
    struct item **v = calloc(cap, sizeof *v);
    if (!v)
        return false;
    for (uint32_t k = 0; k < nd->n_items; k++) {
        struct item *it = &nd->blocks[k / ITEM_BLOCK][k % ITEM_BLOCK];
        uint32_t i = jscan_hash(it->lit, it->len);
        while (v[i & (cap - 1)])
            i++;
        v[i & (cap - 1)] = it;
    }
    free(nd->items);
    nd->items = v;
    nd->items_mask = cap - 1;
    return true;
}

struct item *jscan_learn(struct node *nd, struct item **link, const char *lit, size_t n, uint32_t marks,
                         const struct entry *e)
{
    struct item *it;
    uint32_t i;
    if (n > sizeof it->lit)
        return NULL;
    if (!nd->items && !items_grow(nd))
        return NULL;
    for (i = jscan_hash(lit, n); (it = nd->items[i & nd->items_mask]); i++)
        if (it->len == n && !memcmp(it->lit, lit, n))
            break;
    if (it)
        goto known;
    if (nd->n_items == MAX_ITEMS)
        return NULL;
    if (nd->n_items >= nd->items_mask / 2) {
        if (!items_grow(nd))
            return NULL;
        for (i = jscan_hash(lit, n); nd->items[i & nd->items_mask]; i++)
            ;
    }
    if (!nd->blocks[nd->n_items / ITEM_BLOCK]) {
        void *p = NULL;
        if (posix_memalign(&p, 64, ITEM_BLOCK * sizeof *it))
            return NULL;
        nd->blocks[nd->n_items / ITEM_BLOCK] = p;
    }
    it = &nd->blocks[nd->n_items / ITEM_BLOCK][nd->n_items % ITEM_BLOCK];
    nd->n_items++;
    memset(it->lit, 0, sizeof it->lit);
    memcpy(it->lit, lit, n);
    it->len = (uint32_t)n;
    it->marks = marks;
    it->mask = n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
    it->e = e;
    it->next = link ? *link : NULL;
    it->other = NULL;
    nd->items[i & nd->items_mask] = it;
known:
    // Lists may close to rings here: whoever follows one makes a few steps only.
    if (link) {
        *link = it;
    } else if (nd->first != it) {
        it->other = nd->first;
        nd->first = it;
    }
    return it;
}

// ---- words ----------------------------------------------------------------------------------------------------------

static const struct {
    const char *text;
    unsigned row_error;
} errors[] = {
    [JSCAN_OK] = { "", 0 },
    [JSCAN_VALUE] = { "a value is expected", RKP_ROW_SYNTAX },
    [JSCAN_KEY] = { "a key in quotes is expected", RKP_ROW_SYNTAX },
    [JSCAN_COLON] = { "':' is expected after a key", RKP_ROW_SYNTAX },
    [JSCAN_COMMA] = { "',' or '}' is expected", RKP_ROW_SYNTAX },
    [JSCAN_COMMA_ARR] = { "',' or ']' is expected", RKP_ROW_SYNTAX },
    [JSCAN_STRING] = { "a string does not end, or holds a control character", RKP_ROW_SYNTAX },
    [JSCAN_ESCAPE] = { "an escape in a string is broken", RKP_ROW_SYNTAX },
    [JSCAN_NUMBER] = { "a number is broken", RKP_ROW_SYNTAX },
    [JSCAN_WORD] = { "true, false or null is misspelt", RKP_ROW_SYNTAX },
    [JSCAN_NESTING] = { "brackets do not match", RKP_ROW_SYNTAX },
    [JSCAN_DEEP] = { "nested more than 1,024 deep", RKP_ROW_SIZE },
    [JSCAN_TAIL] = { "there is text behind the value", RKP_ROW_SYNTAX },
    [JSCAN_OBJECT] = { "the line is not an object", RKP_ROW_SYNTAX },
    [JSCAN_UTF8] = { "a string is not UTF-8", RKP_ROW_UTF8 },
};

const char *jscan_error_text(unsigned e)
{
    return errors[e].text;
}

unsigned jscan_row_error(unsigned e)
{
    return errors[e].row_error;
}

bool jscan_utf8(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + n;
    while (p < end) {
        uint64_t eight;
        if (end - p >= 8) {
            memcpy(&eight, p, 8);
            if (!(eight & UINT64_C(0x8080808080808080))) {
                p += 8;
                continue;
            }
        }
        if (*p < 0x80) {
            p++;
        } else if (*p < 0xE0) {
            if (*p < 0xC2 || end - p < 2 || (p[1] & 0xC0) != 0x80)
                return false;
            p += 2;
        } else if (*p < 0xF0) {
            if (end - p < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (*p == 0xE0 && p[1] < 0xA0) ||
                (*p == 0xED && p[1] > 0x9F))
                return false;
            p += 3;
        } else {
            if (*p > 0xF4 || end - p < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80 ||
                (*p == 0xF0 && p[1] < 0x90) || (*p == 0xF4 && p[1] > 0x8F))
                return false;
            p += 4;
        }
    }
    return true;
}

// ---- instruction sets -----------------------------------------------------------------------------------------------

const jscan_kernels *jscan_kernels_at(int i)
{
    const jscan_kernels *have[3] = { &jscan_base };
    int n = 1;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("pclmul")) {
        have[n++] = &jscan_avx2;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi2"))
            have[n++] = &jscan_avx512;
    }
#endif
    if (i == JSCAN_BEST)
        return have[n - 1];
    return i >= 0 && i < n ? have[i] : NULL;
}
