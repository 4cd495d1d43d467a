// cli/devices.c - `rkpipe devices`: what kernels with `place: gpu` could run on, and why they could not.
#include "base/json.h"
#include "cli/verbs.h"
#include "run/module.h"

#include <stdio.h>

struct devices_args {
    bool json, simulate;
};

#define AT(f) offsetof(struct devices_args, f)
static const rki_arg devices_rows[] = {
    { .kind = RKI_ARG_FLAG, .name = "json", .at = AT(json), .help = "as JSON" },
    { .kind = RKI_ARG_FLAG, .name = "simulate", .at = AT(simulate), .help = "the device of engine.gpu.simulate" },
    { 0 },
};

static void put_text(const rkd_module *m, const rkd_host *h, rki_buf *out)
{
    rki_putf(out, "%s\n", m->what(h));
    for (uint32_t i = 0; i < m->devices(h); i++) {
        rkd_info d;
        m->info(h, i, &d);
        rki_putf(out, "gpu:%u  %s, compute capability %u.%u, %u multiprocessors, %.1f GiB%s%s\n", i, d.name, d.major,
                 d.minor, d.processors, (double)d.memory / (1u << 30), d.usable ? "" : "; not usable: ", d.why);
    }
}

static void put_json(const rkd_module *m, const rkd_host *h, const char *why, rki_buf *out)
{
    rki_json j;
    rki_json_init(&j, out, 2);
    rki_json_object(&j);
    rki_json_key(&j, "driver");
    if (h)
        rki_json_z(&j, m->what(h));
    else
        rki_json_null(&j);
    if (!h)
        rki_json_put_z(&j, "why", why);
    rki_json_key(&j, "devices");
    rki_json_array(&j);
    for (uint32_t i = 0; h && i < m->devices(h); i++) {
        rkd_info d;
        m->info(h, i, &d);
        rki_json_object(&j);
        rki_json_put_u64(&j, "device", i);
        rki_json_put_z(&j, "name", d.name);
        rki_json_put_u64(&j, "major", d.major);
        rki_json_put_u64(&j, "minor", d.minor);
        rki_json_put_u64(&j, "multiprocessors", d.processors);
        rki_json_put_u64(&j, "memory_bytes", d.memory);
        rki_json_key(&j, "usable");
        rki_json_bool(&j, d.usable);
        if (!d.usable)
            rki_json_put_z(&j, "why", d.why);
        rki_json_end_object(&j);
    }
    rki_json_end_array(&j);
    rki_json_end_object(&j);
    rki_putc(out, '\n');
}

static int verb_devices(rki_cli *c)
{
    const struct devices_args *a = c->args;
    const rkd_conf conf = { .simulate = a->simulate };
    const rkd_module *m = NULL;
    rkd_host *h = NULL;
    char dir[4096], why[1200] = "";
    bool ok = rki_machine_modules(dir, sizeof dir);
    rki_buf out;
    uint32_t n = 0;
    if (rki_module_load(ok ? dir : NULL, &m, why, sizeof why) == RKP_OK &&
        m->open(&conf, &h, why, sizeof why) != RKP_OK)
        h = NULL;
    if (h && !(n = m->devices(h)))
        snprintf(why, sizeof why, "there is no device");
    rki_buf_init(&out);
    if (a->json)
        put_json(m, h, why, &out);
    else if (n)
        put_text(m, h, &out);
    ok = rki_cli_out(&out);
    rki_buf_fini(&out);
    if (!n)
        rki_cli_say("%s; kernels run on the processor", why);
    if (h)
        m->close(h);
    return !ok ? RKI_EXIT_FAILED : n ? RKI_EXIT_OK : RKI_EXIT_UNAVAILABLE;
}

const rki_verb rki_verb_devices = {
    .name = "devices",
    .summary = "List the devices that kernels can run on",
    .args = devices_rows,
    .args_size = sizeof(struct devices_args),
    .run = verb_devices,
};
