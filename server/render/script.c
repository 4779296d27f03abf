/* Collects statements in one text. */
#include "server/render/script.h"

#include "common/memory.h"

#include <stdlib.h>

void script_init(struct script *script, struct arena *arena, size_t capacity)
{
    *script = (struct script){.arena = arena, .omitted = json_array()};
    buffer_init(&script->text, capacity);
}

void script_clear(struct script *script)
{
    buffer_clear(&script->text);
    free(script->statements);
    free(script->groups);
    json_decref(script->omitted);
}

static size_t grown(size_t allocated)
{
    return allocated == 0 ? 8 : allocated * 2;
}

void script_open_group(struct script *script, const struct model_table *table,
                       const struct model_op *new_type)
{
    if (script->group_count == script->groups_allocated) {
        script->groups_allocated = grown(script->groups_allocated);
        script->groups =
            mem_resize(script->groups, script->groups_allocated * sizeof *script->groups);
    }
    script->groups[script->group_count++] = (struct script_group){
        .first = script->statement_count, .table = table, .new_type = new_type};
}

struct buffer *script_begin(struct script *script, enum statement_type type)
{
    if (script->statement_count == script->statements_allocated) {
        script->statements_allocated = grown(script->statements_allocated);
        script->statements = mem_resize(script->statements,
                                        script->statements_allocated * sizeof *script->statements);
    }
    script->statements[script->statement_count] =
        (struct script_statement){.type = type, .start = buffer_len(&script->text)};
    return &script->text;
}

void script_end(struct script *script)
{
    script->statements[script->statement_count++].end = buffer_len(&script->text);
    script->groups[script->group_count - 1].count++;
}

void script_cancel(struct script *script)
{
    buffer_truncate(&script->text, script->statements[script->statement_count].start);
}

struct bytes script_text(const struct script *script, const struct script_statement *statement)
{
    return bytes_first(bytes_skip(buffer_peek(&script->text), statement->start),
                       statement->end - statement->start);
}

void script_omit(struct script *script, const char *table, const char *what, const char *name,
                 const char *reason)
{
    if (script->subject != NULL && script->subject->gone)
        return;

    json_t *entry = json_object();
    if (table != NULL)
        json_object_set_new(entry, "table", json_string(table));
    json_object_set_new(entry, what, json_string(name));
    json_object_set_new(entry, "reason", json_string(reason));
    json_array_append_new(script->omitted, entry);
}
