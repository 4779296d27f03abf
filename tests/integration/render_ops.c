/* Renders what it reads, for tests in other languages: a line of JSON in, a line out.
 *
 *     {"version": …, "label": …, "dialect": "sqlite" or "postgresql", "seq": …, "ops": text}
 *     {"status": …, "error": …, "sql": …, "metadata": text, "details": text, "event": text} */
#include "server/render/render.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 64 << 20 };

static void set_text(json_t *answer, const char *key, struct buffer *text)
{
    struct bytes view = buffer_peek(text);

    json_object_set_new(answer, key,
                        json_stringn(view.len == 0 ? "" : (const char *)view.data, view.len));
    buffer_clear(text);
}

static json_t *render(const json_t *request)
{
    const json_t *ops = json_object_get(request, "ops");
    const char *dialect_name = json_string_value(json_object_get(request, "dialect"));
    const struct render_migration migration = {
        .version = json_string_value(json_object_get(request, "version")),
        .label = json_string_value(json_object_get(request, "label")),
        .ops = bytes_of(json_string_value(ops), json_string_length(ops)),
    };
    json_int_t seq = json_integer_value(json_object_get(request, "seq"));
    enum render_dialect dialect =
        strcmp(dialect_name, "sqlite") == 0 ? RENDER_SQLITE : RENDER_POSTGRES;
    json_t *answer = json_object();
    struct buffer sql, metadata, details, event;
    struct error error = {.message = ""};

    buffer_init(&sql, CAPACITY);
    buffer_init(&metadata, CAPACITY);
    buffer_init(&details, CAPACITY);
    buffer_init(&event, CAPACITY);
    enum status status = render_migration(&migration, dialect, &sql, &metadata, &error);
    if (status == STATUS_OK)
        status = render_details(&migration, dialect, &details, &error);
    if (status == STATUS_OK)
        status = render_event((uint64_t)seq, &migration, dialect, &event, &error);
    json_object_set_new(answer, "status", json_string(status_name(status)));
    json_object_set_new(answer, "error", json_string(error.message));
    set_text(answer, "sql", &sql);
    set_text(answer, "metadata", &metadata);
    set_text(answer, "details", &details);
    set_text(answer, "event", &event);
    return answer;
}

int main(void)
{
    char *line = NULL;
    size_t allocated = 0;

    while (getline(&line, &allocated, stdin) > 0) {
        json_t *request = json_loads(line, 0, NULL);
        if (request == NULL)
            return EXIT_FAILURE;
        json_t *answer = render(request);
        json_dumpf(answer, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
        json_decref(answer);
        json_decref(request);
    }
    free(line);
    return EXIT_SUCCESS;
}
