// cli/templates.h - the files of pipelines/, embedded by the build.
#ifndef RKI_TEMPLATES_H
#define RKI_TEMPLATES_H

typedef struct rki_template {
    const char *name, *text; // "csv-filter"
} rki_template;

extern const rki_template rki_templates[]; // in the order of their names, ends with { 0 }

#endif
