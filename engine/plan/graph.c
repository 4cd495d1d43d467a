// plan/graph.c - `rkpipe graph`: kernels and who feeds whom, as dot, mermaid, SVG or JSON.
//
// The SVG is laid out here, left to right, in the classic four steps of layered drawing: (1) a kernel's layer is the
// longest way to it; (2) an edge over several layers gets a bend in each layer between, which takes part like a node;
// (3) the order inside a layer is that of the mean of the neighbours, swept down and up a few times; (4) every node
// moves towards the mean height of its neighbours as far as the order leaves room.
#include "base/json.h"
#include "base/utf8.h"
#include "plan/plan.h"

#include <stdlib.h>

struct edge {
    uint32_t from, to;
    const char *port; // NULL: there is only one
    bool dead;
};

struct graph {
    const rki_plan *p;
    struct edge *v;
    uint32_t n;
};

static const char *const kind_names[] = { [RKP_SOURCE] = "source", [RKP_TRANSFORM] = "transform", [RKP_SINK] = "sink" };

static bool collect(struct graph *g, const rki_plan *p)
{
    size_t cap = p->n_kernels + 1u;
    for (uint32_t i = 0; i < p->n_kernels; i++)
        cap += p->kernels[i].k->n_from + (p->kernels[i].takes_dead ? p->n_kernels : 0);
    *g = (struct graph){ .p = p, .v = calloc(cap, sizeof *g->v) };
    if (!g->v)
        return false;
    for (uint32_t o = 0; o < p->n_kernels; o++) {
        uint32_t i = p->order[o];
        const rki_kernel *k = p->kernels[i].k;
        for (size_t f = 0; f < k->n_from; f++) {
            const rki_kernel *from = p->kernels[k->from[f].kernel].k;
            const char *port = from->n_ports > 1 ? from->ports[k->from[f].port].p : NULL;
            if (k->from[f].topic)
                port = from->pubs[k->from[f].pub].topic.p;
            g->v[g->n++] = (struct edge){ k->from[f].kernel, i, port, false };
        }
    }
    for (uint32_t t = 0; t < p->n_kernels; t++)
        for (uint32_t o = 0; p->kernels[t].takes_dead && o < p->n_kernels; o++)
            if (p->kernels[p->order[o]].on_error == RKI_ERR_DEAD_LETTER)
                g->v[g->n++] = (struct edge){ p->order[o], t, NULL, true };
    return true;
}

// ---- dot ------------------------------------------------------------------------------------------------------------

static void dot_string(rki_buf *out, const char *z)
{
    rki_putc(out, '"');
    for (; *z; z++) {
        if (*z == '"' || *z == '\\')
            rki_putc(out, '\\');
        rki_putc(out, *z);
    }
    rki_putc(out, '"');
}

static void dot(const struct graph *g, rki_buf *out)
{
    static const char *const shapes[] = { "cds", "box", "cylinder" };
    const rki_plan *p = g->p;
    rki_putz(out, "digraph ");
    dot_string(out, p->spec->name.p);
    rki_putz(out, " {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\"];\n");
    for (uint32_t o = 0; o < p->n_kernels; o++) {
        const rki_kernel *k = p->kernels[p->order[o]].k;
        rki_putz(out, "  ");
        dot_string(out, k->id.p);
        rki_putf(out, " [shape=%s, label=\"%s\\n%s\"];\n", shapes[k->op->kind], k->id.p, k->op->name);
    }
    for (uint32_t i = 0; i < g->n; i++) {
        const struct edge *e = &g->v[i];
        rki_putz(out, "  ");
        dot_string(out, p->kernels[e->from].k->id.p);
        rki_putz(out, " -> ");
        dot_string(out, p->kernels[e->to].k->id.p);
        if (e->port) {
            rki_putz(out, " [label=");
            dot_string(out, e->port);
            rki_putz(out, "]");
        } else if (e->dead) {
            rki_putz(out, " [style=dashed, color=gray, label=\"dead letters\", fontcolor=gray]");
        }
        rki_putz(out, ";\n");
    }
    rki_putz(out, "}\n");
}

// ---- mermaid --------------------------------------------------------------------------------------------------------

// Inside quotes mermaid reads HTML entities by number.
static void mermaid_text(rki_buf *out, const char *z)
{
    for (; *z; z++) {
        if (strchr("\"#;<>&|[](){}`", *z))
            rki_putf(out, "#%d;", *z);
        else
            rki_putc(out, *z);
    }
}

static void mermaid(const struct graph *g, rki_buf *out)
{
    static const char *const open[] = { "([\"", "[\"", "[(\"" }, *const shut[] = { "\"])", "\"]", "\")]" };
    const rki_plan *p = g->p;
    rki_putz(out, "flowchart LR\n");
    for (uint32_t o = 0; o < p->n_kernels; o++) {
        const rki_kernel *k = p->kernels[p->order[o]].k;
        rki_putf(out, "  k%u%s", p->order[o], open[k->op->kind]);
        mermaid_text(out, k->id.p);
        rki_putz(out, "<br/><small>");
        mermaid_text(out, k->op->name);
        rki_putf(out, "</small>%s\n", shut[k->op->kind]);
    }
    for (uint32_t i = 0; i < g->n; i++) {
        const struct edge *e = &g->v[i];
        if (e->dead) {
            rki_putf(out, "  k%u -. dead letters .-> k%u\n", e->from, e->to);
        } else if (e->port) {
            rki_putf(out, "  k%u -- \"", e->from);
            mermaid_text(out, e->port);
            rki_putf(out, "\" --> k%u\n", e->to);
        } else {
            rki_putf(out, "  k%u --> k%u\n", e->from, e->to);
        }
    }
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

static void json(const struct graph *g, rki_buf *out)
{
    const rki_plan *p = g->p;
    rki_json j;
    rki_json_init(&j, out, 2);
    rki_json_object(&j);
    rki_json_put_str(&j, "pipeline", rkp_word_str(p->spec->name));
    rki_json_key(&j, "nodes");
    rki_json_array(&j);
    for (uint32_t o = 0; o < p->n_kernels; o++) {
        const rki_kernel *k = p->kernels[p->order[o]].k;
        rki_json_object(&j);
        rki_json_put_z(&j, "id", k->id.p);
        rki_json_put_z(&j, "op", k->op->name);
        rki_json_put_z(&j, "kind", kind_names[k->op->kind]);
        rki_json_end_object(&j);
    }
    rki_json_end_array(&j);
    rki_json_key(&j, "edges");
    rki_json_array(&j);
    for (uint32_t i = 0; i < g->n; i++) {
        const struct edge *e = &g->v[i];
        rki_json_object(&j);
        rki_json_put_z(&j, "from", p->kernels[e->from].k->id.p);
        rki_json_put_z(&j, "port", e->port);
        rki_json_put_z(&j, "to", p->kernels[e->to].k->id.p);
        rki_json_put_bool(&j, "dead_letters", e->dead);
        rki_json_end_object(&j);
    }
    rki_json_end_array(&j);
    rki_json_end_object(&j);
    rki_putc(out, '\n');
}

// ---- SVG ------------------------------------------------------------------------------------------------------------

enum {
    NODE_H = 46,
    BEND_H = 14,
    GAP_X = 64,
    GAP_Y = 22,
    MARGIN = 20,
    CHAR_W = 8, // of the 13 pixel font, generous
    SWEEPS = 8,
};

// A kernel, or a bend of an edge that crosses a layer.
struct spot {
    uint32_t layer;
    int32_t kernel; // -1: a bend
    double x, y, w, h;
    double key; // to sort by
    uint32_t rank;
};

// One hop of an edge, from a layer to the next.
struct hop {
    uint32_t a, b; // spots
};

struct drawing {
    const struct graph *g;
    struct spot *spots;
    uint32_t n_spots;
    struct hop *hops;
    uint32_t n_hops;
    uint32_t *first_hop; // per edge; n_hops after the last
    uint32_t *order;     // spots, by layer and place in it
    uint32_t *layer_at;  // index in order where a layer begins; n_layers + 1
    uint32_t n_layers;
};

static bool make_layers(struct drawing *d, uint32_t *layer)
{
    const struct graph *g = d->g;
    bool moved = true;
    size_t bends = 0;
    // The longest way: an edge pushes its end behind its beginning until nothing moves; there are no cycles.
    for (uint32_t round = 0; moved && round <= g->p->n_kernels; round++) {
        moved = false;
        for (uint32_t i = 0; i < g->n; i++) {
            if (layer[g->v[i].to] <= layer[g->v[i].from]) {
                layer[g->v[i].to] = layer[g->v[i].from] + 1;
                moved = true;
            }
        }
    }
    for (uint32_t i = 0; i < g->p->n_kernels; i++)
        d->n_layers = layer[i] + 1 > d->n_layers ? layer[i] + 1 : d->n_layers;
    for (uint32_t i = 0; i < g->n; i++)
        bends += layer[g->v[i].to] - layer[g->v[i].from] - 1;
    d->spots = calloc(g->p->n_kernels + bends + 1, sizeof *d->spots);
    d->hops = calloc(g->n + bends + 1, sizeof *d->hops);
    d->first_hop = calloc(g->n + 1u, sizeof *d->first_hop);
    d->order = calloc(g->p->n_kernels + bends + 1, sizeof *d->order);
    d->layer_at = calloc(d->n_layers + 2u, sizeof *d->layer_at);
    return d->spots && d->hops && d->first_hop && d->order && d->layer_at;
}

static size_t code_points(const char *z)
{
    size_t n = 0;
    for (; *z; z++)
        n += ((unsigned char)*z & 0xc0) != 0x80;
    return n;
}

static void make_spots(struct drawing *d, const uint32_t *layer)
{
    const rki_plan *p = d->g->p;
    uint32_t at = 0;
    for (uint32_t i = 0; i < p->n_kernels; i++) {
        const rki_kernel *k = p->kernels[i].k;
        size_t a = code_points(k->id.p), b = code_points(k->op->name);
        d->spots[i] = (struct spot){ .layer = layer[i], .kernel = (int32_t)i, .h = NODE_H };
        d->spots[i].w = (double)((a > b ? a : b) * CHAR_W + 28);
    }
    d->n_spots = p->n_kernels;
    for (uint32_t i = 0; i < d->g->n; i++) {
        const struct edge *e = &d->g->v[i];
        uint32_t last = e->from;
        d->first_hop[i] = d->n_hops;
        for (uint32_t l = layer[e->from] + 1; l < layer[e->to]; l++) {
            d->spots[d->n_spots] = (struct spot){ .layer = l, .kernel = -1, .h = BEND_H };
            d->hops[d->n_hops++] = (struct hop){ last, d->n_spots };
            last = d->n_spots++;
        }
        d->hops[d->n_hops++] = (struct hop){ last, e->to };
    }
    d->first_hop[d->g->n] = d->n_hops;
    for (uint32_t l = 0; l < d->n_layers; l++) {
        d->layer_at[l] = at;
        for (uint32_t i = 0; i < d->n_spots; i++)
            if (d->spots[i].layer == l)
                d->order[at++] = i;
    }
    d->layer_at[d->n_layers] = at;
    for (uint32_t i = 0; i < at; i++)
        d->spots[d->order[i]].rank = i - d->layer_at[d->spots[d->order[i]].layer];
}

// The mean of `what` over the neighbours before (or behind) a spot; -1 without any.
static double neighbours(const struct drawing *d, uint32_t spot, bool before, bool height)
{
    double sum = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->n_hops; i++) {
        uint32_t other;
        if (before ? d->hops[i].b != spot : d->hops[i].a != spot)
            continue;
        other = before ? d->hops[i].a : d->hops[i].b;
        sum += height ? d->spots[other].y + d->spots[other].h / 2 : (double)d->spots[other].rank;
        n++;
    }
    return n ? sum / n : -1;
}

static void sort_layer(struct drawing *d, uint32_t l, bool before)
{
    uint32_t *v = d->order + d->layer_at[l], n = d->layer_at[l + 1] - d->layer_at[l];
    for (uint32_t i = 0; i < n; i++) {
        double m = neighbours(d, v[i], before, false);
        d->spots[v[i]].key = m < 0 ? d->spots[v[i]].rank : m;
    }
    for (uint32_t i = 1; i < n; i++) // stable, and layers are short
        for (uint32_t k = i; k > 0 && d->spots[v[k - 1]].key > d->spots[v[k]].key; k--) {
            uint32_t t = v[k];
            v[k] = v[k - 1];
            v[k - 1] = t;
        }
    for (uint32_t i = 0; i < n; i++)
        d->spots[v[i]].rank = i;
}

// Moves the spots of a layer towards where they want to be, in their order and without overlaps.
static void level_layer(struct drawing *d, uint32_t l, bool before)
{
    uint32_t *v = d->order + d->layer_at[l], n = d->layer_at[l + 1] - d->layer_at[l];
    double low = 0, want_sum = 0, got_sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct spot *s = &d->spots[v[i]];
        double m = neighbours(d, v[i], before, true);
        s->key = m < 0 ? s->y : m - s->h / 2;
        want_sum += s->key;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct spot *s = &d->spots[v[i]];
        s->y = i && s->key < low ? low : s->key;
        low = s->y + s->h + GAP_Y;
        got_sum += s->y;
    }
    for (uint32_t i = 0; i < n; i++) // pushing goes down only: take the layer back to its mean
        d->spots[v[i]].y += (want_sum - got_sum) / n;
}

static void place(struct drawing *d, double *width, double *height)
{
    double x = MARGIN, top = 0, low = 0;
    for (int s = 0; s < SWEEPS; s++) {
        for (uint32_t l = 1; l < d->n_layers; l++)
            sort_layer(d, l, true);
        for (uint32_t l = d->n_layers - 1; l-- > 0;)
            sort_layer(d, l, false);
    }
    for (uint32_t l = 0; l < d->n_layers; l++) {
        double wide = 0, y = 0;
        for (uint32_t i = d->layer_at[l]; i < d->layer_at[l + 1]; i++)
            wide = d->spots[d->order[i]].w > wide ? d->spots[d->order[i]].w : wide;
        for (uint32_t i = d->layer_at[l]; i < d->layer_at[l + 1]; i++) {
            struct spot *s = &d->spots[d->order[i]];
            s->x = x;
            s->w = wide;
            s->y = y;
            y += s->h + GAP_Y;
        }
        x += wide + GAP_X;
    }
    for (int s = 0; s < SWEEPS; s++) {
        for (uint32_t l = 1; l < d->n_layers; l++)
            level_layer(d, l, true);
        for (uint32_t l = d->n_layers - 1; l-- > 0;)
            level_layer(d, l, false);
    }
    for (uint32_t i = 0; i < d->n_spots; i++)
        top = i == 0 || d->spots[i].y < top ? d->spots[i].y : top;
    for (uint32_t i = 0; i < d->n_spots; i++) {
        struct spot *s = &d->spots[i];
        s->y += MARGIN - top;
        low = s->y + s->h > low ? s->y + s->h : low;
    }
    *width = x - GAP_X + MARGIN;
    *height = low + MARGIN;
}

static void xml_text(rki_buf *out, const char *z)
{
    const char *end = z + strlen(z);
    while (z < end) {
        uint32_t cp;
        size_t n = rki_utf8_next(z, end, &cp);
        if (cp == '&')
            rki_putz(out, "&amp;");
        else if (cp == '<')
            rki_putz(out, "&lt;");
        else if (cp == '>')
            rki_putz(out, "&gt;");
        else if (cp == '"')
            rki_putz(out, "&quot;");
        else if (rki_utf8_plain(cp))
            rki_put(out, z, n);
        else
            rki_putz(out, "\xef\xbf\xbd");
        z += n;
    }
}

static void svg_edge(const struct drawing *d, uint32_t i, rki_buf *out)
{
    const struct edge *e = &d->g->v[i];
    const struct spot *s = &d->spots[d->hops[d->first_hop[i]].a];
    double x = s->x + s->w, y = s->y + s->h / 2;
    rki_putf(out, "  <path class=\"%s\" d=\"M%.1f %.1f", e->dead ? "edge dead" : "edge", x, y);
    for (uint32_t h = d->first_hop[i]; h < d->first_hop[i + 1]; h++) {
        const struct spot *t = &d->spots[d->hops[h].b];
        double tx = t->x - (t->kernel < 0 ? 0 : 5), ty = t->y + t->h / 2, half = (tx - x) / 2;
        rki_putf(out, " C%.1f %.1f %.1f %.1f %.1f %.1f", x + half, y, tx - half, ty, tx, ty);
        x = tx;
        y = ty;
        if (t->kernel < 0) {
            x = t->x + t->w;
            rki_putf(out, " H%.1f", x);
        }
    }
    rki_putf(out, "\" marker-end=\"url(#%s)\"/>\n", e->dead ? "dead" : "arrow");
    if (e->port) {
        const struct spot *t = &d->spots[d->hops[d->first_hop[i]].b];
        rki_putf(out, "  <text class=\"port\" x=\"%.1f\" y=\"%.1f\">", t->x - 12, t->y + t->h / 2 - 6);
        xml_text(out, e->port);
        rki_putz(out, "</text>\n");
    }
}

static void svg_node(const struct drawing *d, const struct spot *s, rki_buf *out)
{
    const rki_kernel *k = d->g->p->kernels[s->kernel].k;
    double mid = s->x + s->w / 2;
    rki_putf(out, "  <rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%d\"/>\n",
             kind_names[k->op->kind], s->x, s->y, s->w, s->h, k->op->kind == RKP_TRANSFORM ? 5 : NODE_H / 2);
    rki_putf(out, "  <text class=\"id\" x=\"%.1f\" y=\"%.1f\">", mid, s->y + 20);
    xml_text(out, k->id.p);
    rki_putf(out, "</text>\n  <text class=\"op\" x=\"%.1f\" y=\"%.1f\">", mid, s->y + 35);
    xml_text(out, k->op->name);
    rki_putz(out, "</text>\n");
}

static const char svg_style[] =
    "  <style>\n"
    "    text { font-family: sans-serif; text-anchor: middle; fill: #222 }\n"
    "    .id { font-size: 13px; font-weight: bold } .op { font-size: 11px; fill: #555 }\n"
    "    .port { font-size: 10px; text-anchor: end; stroke: #fff; stroke-width: 3px; paint-order: stroke }\n"
    "    rect { stroke: #555; fill: #f4f4f4 } .source { fill: #dcebd8 } .sink { fill: #dbe6f4 }\n"
    "    .edge { fill: none; stroke: #555; stroke-width: 1.3 }\n"
    "    .dead { stroke: #b58; stroke-dasharray: 4 3 }\n"
    "  </style>\n"
    "  <defs>\n"
    "    <marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"3\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" "
    "orient=\"auto\"><path d=\"M0 0 L8 4 L0 8 z\" fill=\"#555\"/></marker>\n"
    "    <marker id=\"dead\" viewBox=\"0 0 8 8\" refX=\"3\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" "
    "orient=\"auto\"><path d=\"M0 0 L8 4 L0 8 z\" fill=\"#b58\"/></marker>\n"
    "  </defs>\n";

static void svg(const struct graph *g, rki_buf *out)
{
    struct drawing d = { .g = g };
    uint32_t *layer = calloc(g->p->n_kernels + 1u, sizeof *layer);
    double width, height;
    if (!layer || !make_layers(&d, layer)) {
        out->failed = true;
        goto out;
    }
    make_spots(&d, layer);
    place(&d, &width, &height);
    rki_putf(out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\">\n",
             width, height, width, height);
    rki_putz(out, "  <title>");
    xml_text(out, g->p->spec->name.p);
    rki_putz(out, "</title>\n");
    rki_putz(out, svg_style);
    for (uint32_t i = 0; i < g->n; i++)
        svg_edge(&d, i, out);
    for (uint32_t i = 0; i < d.n_spots; i++)
        if (d.spots[i].kernel >= 0)
            svg_node(&d, &d.spots[i], out);
    rki_putz(out, "</svg>\n");
out:
    free(layer);
    free(d.spots);
    free(d.hops);
    free(d.first_hop);
    free(d.order);
    free(d.layer_at);
}

void rki_graph(const rki_plan *p, rki_graph_format f, rki_buf *out)
{
    static void (*const how[])(const struct graph *, rki_buf *) = {
        [RKI_GRAPH_DOT] = dot, [RKI_GRAPH_MERMAID] = mermaid, [RKI_GRAPH_SVG] = svg, [RKI_GRAPH_JSON] = json
    };
    struct graph g;
    if (!collect(&g, p)) {
        out->failed = true;
        return;
    }
    how[f](&g, out);
    free(g.v);
}
