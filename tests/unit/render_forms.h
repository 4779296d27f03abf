/* The forms of a migration as strings, for tests. */
#ifndef TESTS_UNIT_RENDER_FORMS_H
#define TESTS_UNIT_RENDER_FORMS_H

#include "common/memory.h"
#include "server/render/render.h"

#include <stdlib.h>
#include <string.h>

#define FORMS_CAPACITY ((size_t)1 << 20)

/* Makes JSON of a shorthand, so that tests can be read: ' stands for " and ` for '; <c int4> is a
 * column, <c int4!> one that is NOT NULL, and <c public.mood> one of an enum; ~ is a space in its
 * name. To be freed. */
static inline char *forms_json(const char *text)
{
    struct buffer json;
    bool in_column = false, needed = false;

    buffer_init(&json, (size_t)16 << 20);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '<') {
            buffer_append_format(&json, "{\"name\":\"");
            in_column = true;
            needed = false;
        } else if (in_column && *c == '>') {
            buffer_append_format(&json, needed ? "}" : "\"}");
            in_column = false;
        } else if (in_column && *c == '!') {
            buffer_append_format(&json, "\",\"not_null\":true");
            needed = true;
        } else if (in_column && strncmp(c, " public.", 8) == 0) {
            buffer_append_format(&json, "\",\"type_schema\":\"public\",\"enum\":true,\"type\":\"");
            c += strlen(" public");
        } else if (in_column && *c == ' ') {
            buffer_append_format(&json, "\",\"type\":\"");
        } else {
            char same = *c == '\'' ? '"' : *c == '`' ? '\'' : in_column && *c == '~' ? ' ' : *c;
            buffer_append(&json, bytes_of(&same, 1));
        }
    }
    buffer_append_u8(&json, 0);
    char *copy = mem_copy_string((const char *)buffer_peek(&json).data);
    buffer_clear(&json);
    return copy;
}

static inline char *forms_take(struct buffer *buffer)
{
    struct bytes view = buffer_peek(buffer);
    char *text = mem_copy_chars((const char *)view.data, view.len);

    buffer_clear(buffer);
    return text;
}

struct forms {
    enum status status;
    struct error error;
    char *sql, *metadata, *details, *event;
};

static inline struct forms forms_of(const char *ops, const char *label, enum render_dialect dialect)
{
    char *json = forms_json(ops);
    const struct render_migration migration = {"20260101", label, bytes_of_string(json)};
    struct forms forms = {.status = STATUS_OK};
    struct buffer sql, metadata, details, event;

    buffer_init(&sql, FORMS_CAPACITY);
    buffer_init(&metadata, FORMS_CAPACITY);
    buffer_init(&details, FORMS_CAPACITY);
    buffer_init(&event, FORMS_CAPACITY);
    forms.status = render_migration(&migration, dialect, &sql, &metadata, &forms.error);
    if (forms.status == STATUS_OK)
        forms.status = render_details(&migration, dialect, &details, &forms.error);
    if (forms.status == STATUS_OK)
        forms.status = render_event(7, &migration, dialect, &event, &forms.error);
    forms.sql = forms_take(&sql);
    forms.metadata = forms_take(&metadata);
    forms.details = forms_take(&details);
    forms.event = forms_take(&event);
    free(json);
    return forms;
}

static inline void forms_clear(struct forms *forms)
{
    free(forms->sql);
    free(forms->metadata);
    free(forms->details);
    free(forms->event);
}

#endif
