/* Renderers: whatever the ops are, both dialects answer in bounded time and memory, what they
 * append is JSON where it must be, and nothing is left when they fail. */
#include "server/render/expression.h"
#include "server/render/render.h"
#include "server/render/sqlite_script.h"

#include <assert.h>
#include <string.h>

enum { CAPACITY = 1 << 20, EXPRESSION_GROWTH = 8 };

static void check_json(struct buffer *buffer)
{
    struct bytes text = buffer_peek(buffer);
    json_t *json = json_loadb((const char *)text.data, text.len, 0, NULL);

    assert(json_is_object(json));
    assert(memchr(text.data, '\n', text.len) == NULL);
    json_decref(json);
}

static void check_forms(struct bytes ops, enum render_dialect dialect)
{
    const struct render_migration migration = {"1", "label", ops};
    struct buffer sql, metadata, details, event;
    struct error error = {.sqlstate = ""};

    buffer_init(&sql, CAPACITY);
    buffer_init(&metadata, CAPACITY);
    buffer_init(&details, CAPACITY);
    buffer_init(&event, CAPACITY);
    enum status status = render_migration(&migration, dialect, &sql, &metadata, &error);
    if (status == STATUS_OK) {
        check_json(&metadata);
        assert(render_details(&migration, dialect, &details, &error) == STATUS_OK);
        check_json(&details);
        if (render_event(1, &migration, dialect, &event, &error) == STATUS_OK)
            check_json(&event);
    } else {
        assert(error.sqlstate[0] != '\0');
        assert(buffer_len(&sql) == 0 && buffer_len(&metadata) == 0);
    }
    buffer_clear(&sql);
    buffer_clear(&metadata);
    buffer_clear(&details);
    buffer_clear(&event);
}

static void check_expression(struct bytes text)
{
    static struct model_type type = {"int4", "integer", "INTEGER"};
    static struct model_column columns[] = {{.name = "n", .type = &type},
                                            {.name = "a", .type = &type}};
    static const struct model_table table = {.columns = columns, .column_count = 2};
    struct arena arena = {0};
    struct buffer sql;
    const char *expression = arena_copy(&arena, text);

    buffer_init(&sql, CAPACITY);
    /* A constant for short names that become longer ones. */
    if (expression_to_sqlite(expression, &table, &arena, &sql) == NULL)
        assert(buffer_len(&sql) > 0 && buffer_len(&sql) <= (text.len + 1) * EXPRESSION_GROWTH);
    else
        assert(buffer_len(&sql) == 0);
    expression_find_foreign(expression, &table, &arena);
    buffer_clear(&sql);
    arena_clear(&arena);
}

static void check_script(struct bytes text)
{
    struct bytes statement, before = text;

    while (sqlite_script_next(&text, &statement) == STATUS_OK) {
        assert(statement.len > 0 && statement.data >= before.data);
        assert(statement.data + statement.len <= before.data + before.len);
        before = text;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes input = bytes_of(data, size);

    check_forms(input, RENDER_SQLITE);
    check_forms(input, RENDER_POSTGRES);
    check_expression(input);
    check_script(input);
    return 0;
}
