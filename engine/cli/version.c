// cli/version.c - `rkpipe version`: what this binary is made of.
#include "base/json.h"
#include "cli/verbs.h"

extern const char rki_revision[]; // written by the build; "" without git

static const rki_arg version_rows[] = {
    { .kind = RKI_ARG_FLAG, .name = "json", .at = 0, .help = "as JSON" },
    { 0 },
};

#if defined(__clang__)
static const char compiler[] = "clang " __clang_version__;
#else
static const char compiler[] = "gcc " __VERSION__;
#endif

static void text(const rki_cli *c, size_t ops, rki_buf *out)
{
    rki_putz(out, "rkpipe " RKI_VERSION);
    if (rki_revision[0])
        rki_putf(out, " (%s)", rki_revision);
    rki_putf(out, "\ncompiler   %s\nbackends   ", compiler);
    for (size_t i = 0; c->backends[i]; i++)
        rki_putf(out, "%s%s", i ? ", " : "", c->backends[i]->name);
    rki_putf(out, "\noperators  %zu\n", ops);
}

static void json(const rki_cli *c, size_t ops, rki_buf *out)
{
    rki_json j;
    rki_json_init(&j, out, 2);
    rki_json_object(&j);
    rki_json_put_z(&j, "version", RKI_VERSION);
    rki_json_key(&j, "revision");
    if (rki_revision[0])
        rki_json_z(&j, rki_revision);
    else
        rki_json_null(&j);
    rki_json_put_z(&j, "compiler", compiler);
    rki_json_key(&j, "backends");
    rki_json_array(&j);
    for (size_t i = 0; c->backends[i]; i++)
        rki_json_z(&j, c->backends[i]->name);
    rki_json_end_array(&j);
    rki_json_put_u64(&j, "operators", ops);
    rki_json_end_object(&j);
    rki_putc(out, '\n');
}

static int verb_version(rki_cli *c)
{
    size_t ops = 0;
    rki_buf out;
    bool ok;
    for (size_t i = 0; c->ops[i]; i++)
        ops += !(c->ops[i]->traits & RKP_NOT_YET);
    rki_buf_init(&out);
    (*(bool *)c->args ? json : text)(c, ops, &out);
    ok = rki_cli_out(&out);
    rki_buf_fini(&out);
    return ok ? RKI_EXIT_OK : RKI_EXIT_FAILED;
}

const rki_verb rki_verb_version = {
    .name = "version",
    .summary = "Show the version and what was built in",
    .args = version_rows,
    .args_size = sizeof(bool),
    .run = verb_version,
};
